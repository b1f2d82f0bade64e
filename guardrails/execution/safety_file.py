"""The safety state as it survives: a file in the data folder, replaced atomically before a looser state counts, and
after a stricter one already does; and the file `STOP`, by which anybody with access to the folder stops everything.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter

from guardrails.execution import safety_rules
from guardrails.memory import write_atomically
from guardrails.safety import Cause, Safety, SafetyChange, SafetyState

log = logging.getLogger(__name__)

SAFETY_FILE, STOP_FILE = "safety.json", "STOP"
_UNREADABLE = "what was set before cannot be read, so nothing new is let in until a person has looked"


@dataclass(frozen=True, slots=True)
class Kept:
    """What the file holds of one book."""

    safety: Safety = field(default_factory=Safety)
    heard: int = 0
    """when the file STOP that was obeyed last was written, in nanoseconds: the same one is not obeyed twice"""


_FILE: TypeAdapter[dict[str, Kept]] = TypeAdapter(dict[str, Kept])
_NEVER = timedelta()


class SafetyFile:
    """The state of one book at a time; every method may be called from any thread."""

    def __init__(self, folder: Path, journal: Callable[[SafetyChange], None]) -> None:
        """`journal` is told every change, at once; what it raises is logged and changes nothing."""
        self._folder, self._journal = folder, journal
        self._guard = threading.RLock()
        self._book, self._kept = "", Kept()
        self._taken_up: Safety | None = None
        """what the file said when it was opened, until it is known what the store has"""
        self._opened: datetime | None = None
        self.problem = ""
        """why the state would not survive a restart; empty when it would"""

    @property
    def now(self) -> Safety:
        """The state in force."""
        return self._kept.safety

    def open(self, book: str, stored: SafetyChange | None, now: datetime) -> None:
        """Take up what was set in `book`: by the file or by the store, whichever is later; where that cannot be told,
        the stricter of both.

        A file that cannot be read stands for a state that is not known: NO_NEW_RISK.
        """
        with self._guard:
            self._book, self._kept, self._taken_up, self.problem = book, Kept(), None, ""
            self._opened = now
            try:
                kept = self._read().get(book)
            except (OSError, ValueError) as error:
                log.warning("%s cannot be read (%s)", SAFETY_FILE, type(error).__name__)
                self._kept = Kept(Safety() if stored is None else stored.new)
                self._by_program(SafetyState.NO_NEW_RISK, Cause.UNREADABLE, _UNREADABLE, now, _NEVER)
                self._taken_up = Safety() if stored is None else None  # what the store has may still be stricter
                return
            self._kept = kept or Kept()
            if stored is None or safety_rules.is_later(self.now, stored.new):
                self._taken_up = self.now
            else:
                self._side_with(stored.new, now)

    def tell_untold(self, stored: SafetyChange | None) -> None:
        """Make the store, of which `stored` is the last change, and the state that was taken up agree. Once, whoever
        asks again.

        The store is told the state when a program that ended between the file and the store did not get to it; and
        where the store could not be read before, what it says counts as in `open`.
        """
        with self._guard:
            taken_up, self._taken_up = self._taken_up, None
            if taken_up is None or self._opened is None:
                return
            if stored is not None and not safety_rules.is_later(taken_up, stored.new):
                self._side_with(stored.new, self._opened)
                return
        if taken_up.since is not None and taken_up == self.now:  # a change since then has been told
            before = Safety() if stored is None else stored.new
            self._journal(SafetyChange(taken_up.since, before.state, taken_up))

    def _side_with(self, stored: Safety, now: datetime) -> None:
        """What the store has counts unless the state in force is known to be later."""
        both_normal = self.now.state is stored.state is SafetyState.NORMAL
        if safety_rules.is_same(stored, self.now) or safety_rules.is_later(self.now, stored):
            return
        if safety_rules.is_later(stored, self.now) or (both_normal and stored.count > self.now.count):
            self._kept = replace(self._kept, safety=stored)
        elif not both_normal:
            self._apply(safety_rules.in_doubt(self.now, stored, now))

    def read(self, book: str, now: datetime) -> None:
        """Only look what was set in `book`, for a program that changes nothing."""
        with self._guard:
            try:
                self._kept = self._read().get(book) or Kept()
            except (OSError, ValueError):
                self._kept = Kept(Safety(SafetyState.NO_NEW_RISK, now, Cause.UNREADABLE, reason=_UNREADABLE))
            if (self._folder / STOP_FILE).exists() and self.now.state is not SafetyState.STOPPED:
                self._kept = Kept(Safety(SafetyState.STOPPED, now, Cause.STOP_FILE, reason=f"a file {STOP_FILE} lies"))

    def change(
        self,
        new: SafetyState,
        author: str,
        reason: str,
        now: datetime,
        cooling_off: timedelta,
        why_not_normal: str = "",
    ) -> SafetyChange:
        """Do what a person asks; ValueError with a sentence when it cannot be. It writes a file: not for a loop."""
        with self._guard:
            if new is not SafetyState.STOPPED and self.now.state is not SafetyState.STOPPED:
                self._obey_first(now, cooling_off)
            made = safety_rules.set_by_person(self.now, new, author, reason, now, cooling_off, why_not_normal)
            if new is not SafetyState.STOPPED:
                self._put_stop_file_away(now)
            self._apply(made)
            return made

    def _obey_first(self, now: datetime, cooling_off: timedelta) -> None:
        """A file STOP that came a moment ago counts before what a person asks for, who cannot have known of it."""
        made = self.look(now, cooling_off)
        if made is not None:
            raise ValueError(f"It is STOPPED: {made.new.reason} (a file {STOP_FILE}). Ask again if you still want to.")

    def tighten(
        self, new: SafetyState, cause: Cause, reason: str, now: datetime, cooling_off: timedelta
    ) -> SafetyChange | None:
        """What the program asks for; None when the state is as strict already."""
        with self._guard:
            return self._by_program(new, cause, reason, now, cooling_off)

    def passed(self, cause: Cause, now: datetime) -> SafetyChange | None:
        """`cause` has ended; NORMAL again when nothing else holds the state."""
        with self._guard:
            made = safety_rules.passed(self.now, cause, now)
            if made is not None:
                self._apply(made)
            return made

    def look(self, now: datetime, cooling_off: timedelta) -> SafetyChange | None:
        """Obey a file STOP in the data folder, once; one that cannot be looked for is none. It reads the disk."""
        path = self._folder / STOP_FILE
        try:
            written = path.stat().st_mtime_ns
        except OSError:
            return None
        with self._guard:
            if written == self._kept.heard:
                return None
            self._kept = replace(self._kept, heard=written)
            reason = _first_line(path) or f"a file {STOP_FILE} lies in the data folder"
            made = self._by_program(SafetyState.STOPPED, Cause.STOP_FILE, reason, now, cooling_off)
            if made is None:
                self._write_or_say()
            return made

    def _by_program(
        self, new: SafetyState, cause: Cause, reason: str, now: datetime, cooling_off: timedelta
    ) -> SafetyChange | None:
        made = safety_rules.set_by_program(self.now, new, cause, reason, now, cooling_off)
        if made is not None:
            self._apply(made)
        return made

    def _apply(self, made: SafetyChange) -> None:
        """A state counts even where it cannot be kept, as exits must be open; but not one that lets new risk in."""
        before = self._kept
        self._kept = replace(before, safety=made.new)
        loosens = made.new.state.rank < min(made.old.rank, SafetyState.REDUCE_ONLY.rank)
        if not self._write_or_say() and loosens:
            self._kept = before
            raise ValueError(f"{made.new.state.value} is not set: {self.problem}. Make the data folder writable.")
        log.warning(
            "safety state %s -> %s by %s: %s", made.old.value, made.new.state.value, made.new.author, made.new.reason
        )
        try:
            self._journal(made)
        except Exception:  # the state counts whether or not it could be told
            log.exception("a change of the safety state was not journaled")

    def _write_or_say(self) -> bool:
        try:
            try:
                kept = self._read()
            except ValueError:
                kept = {}
            kept[self._book] = self._kept
            write_atomically(self._folder / SAFETY_FILE, _FILE.dump_json(kept, indent=1))
        except OSError as error:
            self.problem = f"{SAFETY_FILE} cannot be written ({error.strerror or type(error).__name__})"
            return False
        self.problem = ""
        return True

    def _read(self) -> dict[str, Kept]:
        try:
            return _FILE.validate_json((self._folder / SAFETY_FILE).read_bytes())
        except FileNotFoundError:
            return {}

    def _put_stop_file_away(self, now: datetime) -> None:
        """A person steps out: the file has done its work. One that cannot be moved is obeyed no second time."""
        path = self._folder / STOP_FILE
        try:
            self._kept = replace(self._kept, heard=path.stat().st_mtime_ns)
            path.rename(path.with_name(f"{STOP_FILE}-obeyed-{now:%Y%m%dT%H%M%S}"))
            self._kept = replace(self._kept, heard=0)  # also the same one counts when it is put back
        except OSError:
            return


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return "".join(char for char in file.readline(200) if char.isprintable()).strip()
    except OSError:
        return ""

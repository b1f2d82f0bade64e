"""The time machine: which past moment a browser session looks at, and what was stored of it.

The choice belongs to one session: another tab shows the present. What is shown is the Snapshot of that moment with
its own ages, its own silent sources and the matrix then in force; nothing of now is mixed in. The database is read
once per moment, on the run of a page, never by a fragment that ticks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError

from guardrails import calendar, wording
from guardrails.engine import Engine
from guardrails.errors import GuardrailsError, MatrixError
from guardrails.matrix import RiskMatrix, parse
from guardrails.store.captures import Captured, capture_at
from guardrails.store.metadata import StoreError
from guardrails.store.moments import matrix_text, neighbours
from pages import _engine
from pages._away import away, failed
from pages._moment import Moment, full_time, read, then

PERIODS = 2.5
"""times that between two captures: what is stored at most so long before the moment asked for stands for it"""
OF_OLD_DAYS = timedelta(minutes=16)
"""of old days one moment per quarter of an hour is kept; beyond this, nothing is known of the moment asked for"""
_TRY = "Try again in some seconds, or go back to now."
_ASKED, _READ, _SAID = "past_asked", "past_read", "past_said"


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of one past moment."""

    asked: datetime
    moment: Moment
    """without a Snapshot when nothing can be shown; then `words` say why"""
    version: str = ""
    """of the matrix then in force"""
    words: str = ""
    """what a person must know of it: why there is nothing, or how far it is from what was asked for"""
    before: datetime | None = None
    after: datetime | None = None
    """the moments stored before and after, as far as was known when it was read"""
    captured: Captured | None = None
    """what the Snapshot that is shown was made of, still packed; None when there is nothing to show"""

    @property
    def time(self) -> datetime:
        """The moment that is shown; the one asked for when there is nothing to show."""
        return self.asked if self.moment.snapshot is None else self.moment.now


def chosen() -> datetime | None:
    """The past moment this session looks at; None while it looks at the present."""
    asked: datetime | None = st.session_state.get(_ASKED)
    return asked


def look(moment: datetime) -> None:
    """Look at `moment` (aware) from the next run of a page on; what has not passed yet is the present."""
    service = _engine.engine()
    if moment >= service.now():
        leave()
        say(f"{full_time(moment)} has not passed yet: this is now.")
        return
    st.session_state[_ASKED] = moment


def go(local: datetime) -> None:
    """Show the Risk page as it was when New York clocks showed the naive `local`; for the script of a page, not for a
    callback.
    """
    look_at(local)
    st.switch_page("risk.py")


def leave() -> None:
    """Look at the present again."""
    st.session_state.pop(_ASKED, None)
    st.session_state.pop(_READ, None)


def to_act() -> None:
    """Look at the present because something is about to be done to it: what is behind a dialog must be what it is of.

    For the script that every page begins with, once Flatten or Stop is open.
    """
    if chosen() is not None:
        leave()
        say("This is now: what you do here is done now.")


def step(*, forward: bool) -> None:
    """Look at the next stored moment, or at the one before."""
    stored, past = _engine.stored(), looked_at()
    if stored is None or past is None:
        return
    now = _engine.engine().now()
    if words := away(stored, now):
        say(f"{words} {_TRY}")
        return
    try:
        with stored.database.reading() as connection:
            found = neighbours(connection, stored.book, past.time)[forward]
    except (SQLAlchemyError, OSError, GuardrailsError) as error:
        say(f"{failed(stored, error, now)} {_TRY}")
        return
    if found is None:
        say(f"Nothing {'later' if forward else 'earlier'} is stored.")
        return
    look(found)


def say(words: str) -> None:
    """Keep one sentence for the next run of a page."""
    st.session_state[_SAID] = words


def said() -> str:
    """The sentence kept for this run, once."""
    return str(st.session_state.pop(_SAID, ""))


def looked_at() -> Past | None:
    """What is known of the moment this session looks at, read once per moment; None while it looks at the present.

    For the script that every page begins with.
    """
    asked = chosen()
    if asked is None:
        return None
    stored = _engine.stored()
    if stored is None:
        leave()
        say("No past is kept: there is no database that works. This is now.")
        return None
    key: tuple[object, ...] | None = (asked, stored.book, stored.database.name, stored.database.generation)
    known: tuple[object, Past] | None = st.session_state.get(_READ)
    if known is not None and known[0] == key:
        return known[1]
    near = PERIODS * timedelta(seconds=_engine.wiring().settings.guardrails_snapshot_seconds)
    now = _engine.engine().now()
    if words := away(stored, now):
        found = _nothing(asked, f"{words} {_TRY}")
        st.session_state[_READ] = (None, found)
        return found
    try:
        with st.spinner("Reading what was stored …", show_time=True):  # shown when it takes longer than half a second
            found = _find(stored, asked, near)
    except (SQLAlchemyError, OSError, GuardrailsError) as error:
        key, found = None, _nothing(asked, f"{failed(stored, error, now)} {_TRY}")  # without a key it is tried again
    st.session_state[_READ] = (key, found)
    return found


def seen(service: Engine) -> Moment:
    """What the body of a page shows: the past moment that `looked_at` has read, else now; itself it reads nothing."""
    known: tuple[object, Past] | None = st.session_state.get(_READ)
    return read(service) if known is None or chosen() is None else known[1].moment


def every(service: Engine) -> float | None:
    """Seconds between two drawings of a page's body; the past does not change."""
    return service.settings.refresh_seconds if chosen() is None else None


def suffix(moment: Moment) -> str:
    """Ends the keys of tables: a selection in one moment means other rows in another."""
    return f"_{moment.now:%Y%m%dT%H%M%S%f}" if moment.past else ""


def file_name(name: str, ending: str, moment: Moment) -> str:
    """`positions.csv`; of the past `positions-past-2026-11-17-103200-ET.csv`."""
    when = f"-past-{moment.now.astimezone(calendar.NEW_YORK):%Y-%m-%d-%H%M%S-%Z}" if moment.past else ""
    return f"{name}{when}.{ending}"


def look_at(local: datetime) -> None:
    """Look at the moment at which New York clocks show the naive `local`; say which one where that is not plain."""
    moment = new_york(local)
    look(moment)
    shown = moment.astimezone(calendar.NEW_YORK)
    if chosen() is None:
        return
    if shown.replace(tzinfo=None) != local:
        say(f"New York clocks left out {local:%H:%M} that night: this is {full_time(shown)}.")
    elif shown.fold:
        say(f"New York clocks showed {local:%H:%M} twice that night: this is the later one, {full_time(shown)}.")


def new_york(local: datetime) -> datetime:
    """The aware moment at which New York clocks show the naive `local`; of an hour that comes twice, the later."""
    return max(local.replace(tzinfo=calendar.NEW_YORK, fold=fold).astimezone(UTC) for fold in (0, 1))


def _find(stored: _engine.Stored, asked: datetime, near: timedelta) -> Past:
    """What is stored of `asked`; a moment more than `near` before it is said to be another one."""
    with stored.database.reading() as connection:
        captured = capture_at(connection, stored.book, asked)
        before, after = neighbours(connection, stored.book, asked if captured is None else captured.time)
        version = "" if captured is None else captured.matrix_version
        content = matrix_text(connection, stored.book, version) if version else None
    if captured is None:
        first = f" The first moment stored is {full_time(after)}." if after else " No moment is stored yet."
        return replace(_nothing(asked, f"Nothing is stored of {full_time(asked)} or before.{first}"), after=after)
    if asked - captured.time > max(near, OF_OLD_DAYS):
        found = _nothing(asked, _gap_words(asked, captured.time, after))
        return replace(found, before=captured.time, after=after)
    found = _unpacked(captured, asked, content)
    if asked - captured.time > near and found.moment.snapshot is not None:
        said = f"You asked for {full_time(asked)}; this is the last moment stored before it. {found.words}".strip()
        found = replace(found, words=said)
    return replace(found, before=before, after=after)


def _unpacked(captured: Captured, asked: datetime, content: str | None) -> Past:
    """What was captured, as it may be shown."""
    try:
        snapshot = captured.read_snapshot()
    except (GuardrailsError, ValueError) as error:
        damaged = f" ({error})" if isinstance(error, StoreError) else ""
        why = f"What was stored at {full_time(captured.time)} cannot be read by this version of the program{damaged}."
        # stepping goes on from the capture that cannot be read
        return _nothing(captured.time, f"{why} Nothing is shown in its place.")
    matrix, problem = _matrix(content)
    return Past(asked, then(snapshot, matrix), captured.matrix_version, problem, captured=captured)


def _matrix(content: str | None) -> tuple[RiskMatrix | None, str]:
    """The matrix then in force, or why there is none."""
    if content is None:
        return None, "The matrix then in force is not stored."
    try:
        return parse(content), ""
    except MatrixError:
        return None, "The matrix then in force cannot be read by this version of the program."


def _gap_words(asked: datetime, before: datetime, after: datetime | None) -> str:
    nearest = before if after is None or asked - before <= after - asked else after
    away = wording.age(abs((nearest - asked).total_seconds()))
    until = "now" if after is None else full_time(after)
    side = "earlier" if nearest < asked else "later"
    return (
        f"Nothing is known of {full_time(asked)}: the program was not running between {full_time(before)} and {until}, "
        f"or could not keep what it saw. The nearest moment stored is {away} {side}."
    )


def _nothing(asked: datetime, words: str) -> Past:
    dark = Moment(asked, None, old=True, trouble=(words,), health=None, matrix=None, past=True)
    return Past(asked, dark, words=words)

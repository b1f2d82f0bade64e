"""One book while this program watches it: where its alerts go on from, its cycles, and what is wrong with the watch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from guardrails.alerts import life
from guardrails.alerts.ledger import Ledger
from guardrails.alerts.opening import Opening
from guardrails.alerts.own_problems import delivery_problems, no_cycle, relied_on
from guardrails.alerts.problems import problems_of
from guardrails.alerts.seen import Seen
from guardrails.alerts.values import AlertRow, AlertsNow, OpenAlerts, Problem
from guardrails.matrix.alerts import AlertRules

LOOK_SECONDS = 1.0
"""between two looks whether something is due"""
OPEN_SECONDS = 10.0
"""so long the first step waits for what is stored; then alerts begin anew, and may tell something twice"""
FIRST = timedelta(seconds=60)
"""how long the first cycle may take: sources connect, kernels are compiled"""
CRY_SECONDS = 900.0
"""between two messages that alerts cannot be worked out"""


class Watching:
    """Belongs to the desk's thread; `at` are seconds of a steady clock, which nobody sets back."""

    def __init__(
        self, generation: int, ledger: Ledger, opening: Opening | None, late: timedelta, now: datetime, at: float
    ) -> None:
        """A cycle that is `late` is CRITICAL; without `opening` nothing is stored."""
        self.generation, self.ledger = generation, ledger
        self.is_open = False
        """what is stored is known, or was waited for in vain"""
        self._opening, self._late, self._since, self._began = opening, late, now, at
        self._rules = AlertRules()
        self._problems: tuple[Problem, ...] | None = None
        """of the last cycle; None before the first"""
        self._seen_at: float | None = None
        self._seen: datetime | None = None
        """when the newest cycle was seen, by both clocks"""
        self._stepped = at
        self._cried: float | None = None
        self._shown: tuple[life.AlertState, AlertRules, tuple[AlertRow, ...]] | None = None
        """made anew only after a step, not for each receipt"""

    def end(self) -> None:
        """Another program watches, or nobody."""
        self.ledger.end()
        if self._opening is not None:
            self._opening.cancel()

    def opens(self, now: datetime, at: float) -> bool:
        """Whether it is known where to go on from; what is read too late for that is made one with it."""
        found = OpenAlerts() if self._opening is None else self._opening.result
        if self.is_open and found is not None and self._opening is not None:
            self.ledger.catch_up(found, now)
        elif not self.is_open and (found is not None or at - self._began >= OPEN_SECONDS):
            self.ledger.resume(found or OpenAlerts(), now)
            self.is_open = True
        if found is not None:
            self._opening = None
        return self.is_open

    @property
    def problem(self) -> str:
        """What a person must know of what came before; empty when nothing."""
        if self._opening is None or not self.is_open:
            return ""
        why = self._opening.problem or "the store does not answer"
        return f"what was open before is not known ({why}): it may be told again, and its acknowledgements are lost"

    def step(self, cycles: Sequence[Seen], now: datetime, at: float) -> bool:
        """Take cycles in order; without any, look once a second whether something is due. Whether that was done."""
        failed: Exception | None = None
        mine = [seen for seen in cycles if seen.generation == self.generation]
        if mine:  # those that wait show that the engine is alive, however late they are looked at here
            self._seen, self._seen_at = mine[-1].time, mine[-1].at
        for seen in mine:
            try:
                self._take(seen, at)
            except Exception as error:  # one cycle must not cost those after it
                failed = error
        if failed is not None:
            raise failed
        return bool(mine) or self._look(now, at)

    def _take(self, seen: Seen, at: float) -> None:
        self._rules, self._stepped = seen.rules, at
        self._problems = problems_of(seen.snapshot, seen.time, seen.rules)
        self.ledger.step([*self._problems, *self._own(seen.time, at)], seen.time, seen.rules)

    def _look(self, now: datetime, at: float) -> bool:
        if at - self._stepped < LOOK_SECONDS:
            return False
        self._stepped = at
        # before the first cycle nothing is seen, so nothing that is stored may be taken for right, but that none comes
        if self._problems is not None or self._silence(at) is not None:
            self.ledger.step([*(self._problems or ()), *self._own(now, at)], now, self._rules)
        return True

    def _own(self, now: datetime, at: float) -> list[Problem]:
        """What is wrong with the watch itself."""
        ways = self.ledger.ways
        rows = ways.sending.rows()
        relied = relied_on(self._rules, [row.name for row in rows])
        about = delivery_problems(rows, list(self.ledger.lost.values()), now, ways.heartbeat(), relied)
        late = self._silence(at)
        return [*about, *([] if late is None else [late])]

    def _silence(self, at: float) -> Problem | None:
        """That no cycle comes, when that is so."""
        silent = timedelta(seconds=at - (self._began if self._seen_at is None else self._seen_at))
        return no_cycle(self._seen, self._since, silent, FIRST if self._seen_at is None else self._late)

    def cry(self, what: str, now: datetime, at: float) -> None:
        """Tell everybody, from time to time, that alerts cannot be worked out."""
        if self._cried is None or at - self._cried >= CRY_SECONDS:
            self._cried = at
            self.ledger.cry(what, now)

    def shown(self, now: datetime) -> AlertsNow:
        """The alerts as a page shows them."""
        state, rules = self.ledger.state, self._rules
        if self._shown is None or self._shown[0] is not state or self._shown[1] is not rules:
            self._shown = state, rules, life.rows(state, rules, now)
        return AlertsNow(
            now,
            active=self._shown[2],
            told_today=state.told_today,
            budget=rules.daily_budget,
            digest=life.in_digest(state),
            digest_due=life.digest_due(state, rules),
        )

"""One order against one ground: kind, verdict, reasons, and what it would do to everything that is measured.

    exit?  ->  the book without and with it, in every world of the working orders  ->  hedge?  ->  guards  ->  Impact

Pure: no clock, no broker, no store. Every order goes through here, and again when it is sent.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

from guardrails import wording
from guardrails.findings import Level
from guardrails.gate.case import Case, Project, World, case_of, margin_of, unjudged
from guardrails.gate.flags import flags_of
from guardrails.gate.ground import Ground
from guardrails.gate.guards_limits import if_filled
from guardrails.gate.kinds import ExitTest, exit_of
from guardrails.gate.moves import TOLERANCE
from guardrails.gate.projection import measures_of, project
from guardrails.gate.quantity import largest
from guardrails.gate.titles import title_of
from guardrails.gate.values import (
    FindingChange,
    Impact,
    LegLine,
    MarginChange,
    Measures,
    OrderKind,
    Reason,
    StressChange,
    Verdict,
)
from guardrails.gate.verdict import Judgement, judged
from guardrails.gate.working import resting
from guardrails.orders import Order, Preview
from guardrails.safety import SafetyState
from guardrails.stress.standing import CURVE, Standing

log = logging.getLogger(__name__)

_T = TypeVar("_T")


def simulate(order: Order, ground: Ground, preview: Preview | None, source: str, *, by: Project = project) -> Impact:
    """What `order` would do, and the verdict; `preview` is the answer of its broker `source`, None where none came.

    Never raises for a bad book or order: what cannot be computed refuses new risk by name, and lets exits pass.
    """
    margin = _tried(lambda: margin_of(preview, source), MarginChange(source, unknown="the answer cannot be read"))
    test = exit_of(order, ground)
    case = _tried(lambda: case_of(order, ground, margin, alone=test.holds, by=by), None)
    if case is None:
        case = unjudged(order, ground, margin)
    found = _judged(case, test)
    blocked = found.verdict is Verdict.BLOCK
    return Impact(
        time=ground.now,
        order=order,
        title=_tried(lambda: title_of(order), "an order that cannot be put in words"),
        verdict=found.verdict,
        kind=found.kind,
        reasons=found.reasons,
        legs=_tried(lambda: tuple(_lines(case)), ()),
        findings=_tried(lambda: shown(case.worlds[0]) if case.worlds else (), ()),
        before=_tried(lambda: measures_of(ground.portfolio, order.account), Measures()),
        after=Measures() if case.after is None else case.after.measures,
        margin=margin,
        stress=_tried(lambda: _stress(case), StressChange()),
        max_quantity=_tried(lambda: largest(order, ground, margin, test, by=by), None) if blocked else None,
        mid=_tried(lambda: case.price.mid, None),
        natural=_tried(lambda: case.price.natural, None),
        flags=_tried(lambda: flags_of(order, ground), ("what happens in its life cannot be computed",)),
        working=_tried(lambda: _working(case, found), ""),
        matrix_version=ground.limits.matrix.version,
        evidence=_evidence(test, found),
    )


def _tried(what: Callable[[], _T], instead: _T) -> _T:
    """`what`, or `instead` where it cannot be computed: nothing that only tells a person may refuse an order."""
    try:
        return what()
    except Exception:  # whatever the book holds
        log.exception("a part of what an order would do cannot be computed")
        return instead


def _judged(case: Case, test: ExitTest) -> Judgement:
    """The verdict; where even that cannot be computed, an exit passes unless the program is STOPPED."""
    try:
        return judged(case, test)
    except Exception as error:  # a gate that cannot judge says so
        log.exception("an order cannot be judged")
        words = f"The order cannot be judged ({type(error).__name__}); see the log."
        open_to_exits = case.ground.safety.state is not SafetyState.STOPPED
        verdict = Verdict.WARN if test.holds and open_to_exits else Verdict.BLOCK
        kind = OrderKind.EXIT if test.holds else OrderKind.NEW_RISK
        return Judgement(kind, verdict, (Reason("failed", verdict, words),))


def shown(world: World) -> tuple[FindingChange, ...]:
    """Every change that a person should see: what moves, and what is not OK; worst first."""
    told = (each for each in world.changes if _moves(each) or each.level_after.rank > Level.OK.rank)
    return tuple(sorted(told, key=lambda each: (-each.level_after.rank, -each.level_before.rank)))


def _moves(change: FindingChange) -> bool:
    if change.level_before is not change.level_after:
        return True
    before, after = change.value_before, change.value_after
    if before is None or after is None:
        return before is not after
    return abs(after - before) > TOLERANCE * max(abs(before), abs(after))


def _lines(case: Case) -> Iterator[LegLine]:
    for price, trade in zip(case.price.legs, case.order.trades, strict=True):
        row = case.row(trade.instrument.key)
        greeks = None if row is None else row.greeks
        before = _held(trade.instrument.key, case)
        yield LegLine(
            side="BUY" if trade.quantity > 0 else "SELL",
            quantity=abs(trade.quantity),
            symbol=trade.instrument.symbol,
            label=trade.instrument.label,
            held_before=before,
            held_after=None if before is None else before + trade.quantity,
            bid=price.bid,
            ask=price.ask,
            delta=None if greeks is None else greeks.delta,
            iv=None if greeks is None else greeks.iv,
        )


def _held(key: str, case: Case) -> float | None:
    """What the account of the order holds of one instrument: confirmed by the broker, else as the book has it."""
    ground, account = case.ground, case.order.account
    told = ground.confirmed.get(account)
    if told is not None:
        return told.get(key, 0.0)
    rows = ground.prepared.held.get(key, {}).get(account, ())
    quantities = [ground.portfolio.positions[row].quantity for row in rows]
    known = [each for each in quantities if each is not None]
    return math.fsum(known) if len(known) == len(quantities) else None


def _stress(case: Case) -> StressChange:
    if not case.worlds:
        return StressChange()
    first = case.worlds[0]
    before, after = _curve(case.ground.portfolio.stress), _curve(None if case.after is None else case.after.stress)
    curve = tuple(zip(CURVE, before, after, strict=True)) if before and after else ()
    return StressChange(first.before.pnl, first.after.pnl, first.before.shock, first.after.shock, curve)


def _curve(stress: Standing | str | None) -> tuple[float | None, ...]:
    """P&L at each of `CURVE`; empty when there is no stress."""
    if stress is None or isinstance(stress, str):
        return ()
    return tuple(stress.curve.total(place).known for place in range(len(CURVE)))


def _working(case: Case, found: Judgement) -> str:
    """The working orders that decide, else those that were looked at."""
    rests = resting(case.ground)
    if not rests:
        return ""
    deciding = [w.words for w in case.worlds if w.words and any(if_filled(w) in r.message for r in found.reasons)]
    if deciding:
        return f"decided by the case that {deciding[0]} fills"
    if len(case.worlds) == 1:
        return f"{len(rests)} working order{'s' if len(rests) > 1 else ''}; none of them matters to an exit"
    names = wording.names([one.name for one in rests], 2, "; ")
    return f"judged in {len(case.worlds)} cases of what fills: {names}"


def _evidence(test: ExitTest, found: Judgement) -> dict[str, str]:
    evidence = {"positions": "confirmed by the broker" if test.confirmed else "as the book has them"}
    if not test.holds:
        evidence["no_exit"] = test.why
    if found.no_hedge:
        evidence["no_hedge"] = found.no_hedge
    return evidence

"""One order against one ground: kind, verdict, reasons, and what it would do to everything that is measured.

    exit?  ->  the book without and with it, in every world of the working orders  ->  hedge?  ->  guards  ->  Impact

Pure: no clock, no broker, no store. Every order goes through here, and again when it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from guardrails import wording
from guardrails.findings import Level
from guardrails.gate.case import Case, Project, World, case_of, margin_of
from guardrails.gate.flags import flags_of
from guardrails.gate.ground import Ground
from guardrails.gate.guards_limits import if_filled
from guardrails.gate.holdings import holdings_of
from guardrails.gate.kinds import ExitTest, exit_of
from guardrails.gate.moves import TOLERANCE
from guardrails.gate.projection import measures_of, project
from guardrails.gate.quantity import largest
from guardrails.gate.titles import title_of
from guardrails.gate.values import (
    FindingChange,
    Impact,
    LegLine,
    Measures,
    StressChange,
    Verdict,
)
from guardrails.gate.verdict import Judgement, judged
from guardrails.gate.working import resting
from guardrails.orders import Order, Preview
from guardrails.stress.standing import CURVE, Standing


def simulate(order: Order, ground: Ground, preview: Preview | None, source: str, *, by: Project = project) -> Impact:
    """What `order` would do, and the verdict; `preview` is the answer of its broker `source`, None where none came.

    Never raises for a bad book or order: what cannot be computed refuses new risk by name, and lets exits pass.
    """
    margin = margin_of(preview, source)
    test = exit_of(order, ground)
    case = case_of(order, ground, margin, alone=test.holds, by=by)
    found = judged(case, test)
    blocked = found.verdict is Verdict.BLOCK
    most = largest(order, ground, margin, test, by=by) if blocked else None
    return Impact(
        time=ground.now,
        order=order,
        title=title_of(order),
        verdict=found.verdict,
        kind=found.kind,
        reasons=found.reasons,
        legs=tuple(_lines(case)),
        findings=shown(case.worlds[0]) if case.worlds else (),
        before=measures_of(ground.portfolio, order.account),
        after=Measures() if case.after is None else case.after.measures,
        margin=margin,
        stress=_stress(case),
        max_quantity=most,
        mid=case.price.mid,
        natural=case.price.natural,
        flags=flags_of(order, ground),
        working=_working(case, found),
        matrix_version=ground.limits.matrix.version,
        evidence=_evidence(test, found),
    )


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
    held = holdings_of(case.order.account, case.ground, case.order)
    for price, trade in zip(case.price.legs, case.order.trades, strict=True):
        row = case.row(trade.instrument.key)
        greeks = None if row is None else row.greeks
        before = held.quantity(trade.instrument.key)
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

"""Guards that hold the book with the order against the limits, and the margin against what the broker says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from guardrails import wording
from guardrails.findings import Level
from guardrails.gate.case import Case, World
from guardrails.gate.guard import block, warn
from guardrails.gate.measures import Weight, weight_of
from guardrails.gate.moves import newly_breached, newly_unknown, unknown, worsened
from guardrails.gate.projected_margin import UNASKED
from guardrails.gate.values import FindingChange, Reason


def limit_newly_breached(case: Case) -> Iterator[Reason]:
    """A limit that is kept is broken with the order, in some world of the working orders."""
    for world, change in _first(case, newly_breached):
        text = f"it breaks a limit that is kept: {_said(change, world)}"
        yield block("limit_newly_breached", text, change.check, change.subject)


def limit_worsened(case: Case) -> Iterator[Reason]:
    """A limit that is broken already is broken by more."""
    for world, change in _first(case, lambda each: worsened(each, case.reach)):
        text = f"it makes a breach worse: {_said(change, world)}"
        yield block("limit_worsened", text, change.check, change.subject)


def limit_unknown(case: Case) -> Iterator[Reason]:
    """A hard limit of which it is not known whether it is kept with the order."""
    hard = ((world, change) for world, change in _first(case, unknown) if weight_of(change.check) is Weight.HARD)
    for world, change in hard:
        text = f"whether {wording.plain(change.check)} is kept is not known: {_said(change, world)}"
        yield block("limit_unknown", text, change.check, change.subject, _cause(world, change))


def share_unknown(case: Case) -> Iterator[Reason]:
    """The order makes a share of a total unknown."""
    for world, change in _first(case, newly_unknown):
        if weight_of(change.check) is not Weight.HARD:
            text = f"{wording.plain(change.check)} is no longer known with it: {_said(change, world)}"
            yield warn("share_unknown", text, change.check, change.subject, _cause(world, change))


def limit_near(case: Case) -> Iterator[Reason]:
    """A hard limit comes close."""
    for world, change in _first(case, _nearer):
        text = f"it comes close to a limit: {_said(change, world)}"
        yield warn("limit_near", text, change.check, change.subject)


def margin_unknown(case: Case) -> Iterator[Reason]:
    """The broker has not said what the order does to the margin; our own estimate never stands in for it."""
    margin = case.margin
    if margin.unknown or margin.excess_after is None:
        why = margin.unknown or "the excess after the order is missing"
        yield block("margin_unknown", f"the margin after the order is not known ({why}); ask the broker again.")


def excess_gone(case: Case) -> Iterator[Reason]:
    """The broker says that nothing would be left above the margin; an order that frees margin only helps."""
    margin = case.margin
    excess, before, after = margin.excess_after, margin.maintenance_before, margin.maintenance_after
    if margin.unknown or excess is None or excess > 0:
        return
    if before is not None and after is not None and after < before:
        return  # a roll in a deficit: refusing it would keep the deficit
    said = wording.money(excess, margin.currency or "USD")
    yield block("excess_gone", f"the broker says that excess would be {said}; it must stay above zero.")


def _first(case: Case, test: Callable[[FindingChange], bool]) -> Iterator[tuple[World, FindingChange]]:
    """For each check and subject the first world in which the change passes `test`."""
    seen: set[tuple[str, str]] = set()
    for world in case.worlds:
        for change in case.counted(world):
            name = (change.check, change.subject)
            if name not in seen and test(change):
                seen.add(name)
                yield world, change


def _cause(world: World, change: FindingChange) -> str:
    """Code of the reason why it is not known, where the order is what makes it so."""
    if UNASKED in change.message:
        return "margin_unknown"
    if not newly_unknown(change):
        return ""
    return "leg_unknown" if world.unknown else "no_quote"


def _nearer(change: FindingChange) -> bool:
    hard = weight_of(change.check) is Weight.HARD
    return hard and change.level_after is Level.WATCH and change.level_before in (Level.OK, Level.NOT_APPLICABLE)


def _said(change: FindingChange, world: World) -> str:
    return f"{change.message or wording.plain(change.check)}{if_filled(world)}"


def if_filled(world: World) -> str:
    """What a reason says of the world it comes from."""
    return f" (if {world.words} fills)" if world.words else ""

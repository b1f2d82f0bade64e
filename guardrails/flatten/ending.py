"""What fresh positions say at the end of a flatten: nothing else makes a book flat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from guardrails import wording
from guardrails.calendar import NEW_YORK
from guardrails.flatten.scope import UNORDERED, named
from guardrails.flatten.values import Scope
from guardrails.flatten.walking import Held, WalkState
from guardrails.gate.cover import Holding
from guardrails.products import group_of
from guardrails.values import AccountId


def still_held(run: WalkState, held: Mapping[AccountId, Held]) -> tuple[Holding, ...]:
    """What the wish names and its accounts still hold, or may."""
    return tuple(
        holding
        for account in run.accounts
        if account in held
        for holding in held[account].holdings
        if (holding.quantity is None or abs(holding.quantity) > 1e-9) and _is_meant(holding, run)
    )


def _is_meant(holding: Holding, run: WalkState) -> bool:
    instrument = holding.instrument
    if run.plan.wish.scope is Scope.SHORT_OPTIONS:
        closed = {(line.order.account, leg.instrument.key) for line in run.lines for leg in line.order.legs}
        short = instrument.is_option and not (holding.quantity or -1.0) > 0
        return short or (holding.account, instrument.key) in closed
    return instrument.kind not in UNORDERED and named(instrument, run.plan.wish)


def told(run: WalkState, held: Mapping[AccountId, Held]) -> tuple[bool, str]:
    """Whether it is flat, and what to say."""
    silent = [account for account in run.accounts if account not in held or not held[account].confirmed]
    rest = still_held(run, held)
    problems = list(_problems(run))
    if silent:
        names = ", ".join(str(account) for account in silent)
        return False, " ".join(
            [f"It is not known whether it is flat: {names} did not confirm the positions.", *problems]
        )
    when = max((one.time for one in held.values()), default=run.changed)
    source = f"fresh positions of {when.astimezone(NEW_YORK):%H:%M:%S} ET"
    if rest:
        names = wording.names([_words(holding) for holding in rest], most=8, between="; ")
        return False, " ".join([f"Not flat: {source} still show {names}.", *problems])
    others = [one for one in run.plan.closes if one.by_hand]
    if others:
        return False, f"What this program may close is closed, say {source}; {len(others)} are to be entered by hand."
    return True, " ".join([f"Flat: {source} show {_none_of(run)}.", *problems])


def _none_of(run: WalkState) -> str:
    wish = run.plan.wish
    what = {
        Scope.SHORT_OPTIONS: "no short option",
        Scope.UNDERLYING: f"nothing on {group_of(wish.underlying)}",
        Scope.EXPIRY: f"nothing that expires on {wish.expiry}",
        Scope.EVERYTHING: "nothing that this program trades",
    }[wish.scope]
    return f"{what} in {', '.join(str(account) for account in run.accounts)}"


def _problems(run: WalkState) -> Iterator[str]:
    """Orders that ended otherwise than filled, and what may still work."""
    for line in run.lines:
        if line.why:
            yield f"Order {line.number}: {line.why}."
    for one in run.cancels:
        if one.why:
            yield f"Order {one.reference} in {one.account} may still work: {one.why}."


def _words(holding: Holding) -> str:
    return f"{wording.quantity(holding.quantity)} {holding.instrument.label} in {holding.account}"


def is_filled(run: WalkState) -> bool:
    """Whether every order of the run was filled: then positions that still show something may lag behind."""
    return all(not line.why for line in run.lines)

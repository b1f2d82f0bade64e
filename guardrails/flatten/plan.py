"""The plan to close: what is cancelled first, what is closed in which order at which price, what is left and why.

    lines held -> those wanted -> those that can be closed now -> packages -> priced -> ranked, covers kept -> orders

Pure: the same book gives the same plan. Nothing in it opens anything: at its place in the sequence, when all before it
is filled, every order only shrinks positions and leaves no short option less covered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from guardrails.flatten.basis import basis_of, fingerprint
from guardrails.flatten.hedges import hedges_of
from guardrails.flatten.left import hindrance, left
from guardrails.flatten.packages import Bundle, bundles_of
from guardrails.flatten.pricing import Priced, dollars, prices, rule_name, split, usual_rule
from guardrails.flatten.printed import leg_words, title_of
from guardrails.flatten.ranking import Candidate, in_order, removed, urgent, worst_by_row
from guardrails.flatten.scope import (
    Line,
    bundle_of,
    lines_of,
    of_account,
    opened_by,
    wanted,
    working_closes,
    would_open_again,
)
from guardrails.flatten.values import Left, Plan, PlannedCancel, PlannedClose, Scope, Wish
from guardrails.instruments import Kind
from guardrails.limits import Limits
from guardrails.matrix.orders import FlattenRules
from guardrails.memory import account_key
from guardrails.orders import BrokerOrder, Order, PriceRule
from guardrails.portfolio import Portfolio, in_usd
from guardrails.values import AccountId

PriceRules = Mapping[str, PriceRule]
"""the venues' own, by `guardrails.flatten.pricing.rule_name`"""

_Free = Mapping[tuple[AccountId, str], float]
"""units by account and `Instrument.key`"""
_TINY = 1e-9
"""units: what rounding may leave"""
HELD_BACK = "it covers a short option that stays, or that cannot be closed now"


@dataclass(frozen=True, slots=True)
class _Work:
    """What a plan is made from."""

    portfolio: Portfolio
    limits: Limits
    wish: Wish
    rules: FlattenRules
    lines: tuple[Line, ...]
    """all that is held"""
    wanted: tuple[Line, ...]


def plan_of(
    portfolio: Portfolio,
    limits: Limits,
    wish: Wish,
    working: Sequence[BrokerOrder],
    trading: Callable[[AccountId], str],
    rules: FlattenRules,
    now: datetime,
    key: str,
    *,
    price_rules: PriceRules | None = None,
) -> Plan:
    """The plan for `wish` on the book as it is; `trading` says why no order may be sent for an account, or nothing.

    `working` are the orders of every sender. Without the venue's `price_rules` coarse ticks that all venues take are
    used.
    """
    portfolio = replace(portfolio, time=now)
    lines = lines_of(portfolio)
    work = _Work(portfolio, limits, wish, rules, lines, wanted(lines, wish))
    alive = [order for order in working if order.remaining > 0]
    touched = _touched(work, alive)
    free, kept = _free(work, [order for order in alive if not order.cancellable])
    closable, hindered = _closable(work, free)
    units = {name: math.floor(size + _TINY) for name, size in free.items()}
    bundles = bundles_of(closable, units, whole=wish.whole_packages)
    rests = [order for order in alive if not order.cancellable or order not in touched]
    sequence, never, staying = _in_order(work, bundles, price_rules or {}, rests)
    closes = _closes(sequence, work, trading)
    stuck = [left(line, HELD_BACK, stuck=True, quantity=-one.bundle.units(line))
             for one in never for line in one.bundle.lines]  # fmt: skip
    stays = [left(line, "a long that stays with the short beside it", stuck=False, quantity=-one.units(line))
             for one in staying for line in one.lines]  # fmt: skip
    return Plan(
        key=key,
        time=now,
        wish=wish,
        cancels=tuple(_cancel(order) for order in touched),
        closes=closes,
        left=(*hindered, *kept, *stuck, *stays, *_companions(work, sequence)),
        hedges=hedges_of(portfolio, _largest(closes)),
        cost_at_mid=_sum(close.cost_at_mid for close in closes),
        cost_at_natural=_sum(close.cost_at_natural for close in closes),
        phrase=phrase_of(wish.scope, closes),
        fingerprint=fingerprint(basis_of(portfolio, working, wish)),
        trading=_by_hand(closes),
        problems=_problems(work),
    )


def phrase_of(scope: Scope, closes: Sequence[PlannedClose]) -> str:
    """What a person types: `CLOSE 7 SHORTS`; counts what this program would send, all of it when it sends nothing.

    A position is one instrument in one account, however many contracts and orders it is.
    """
    sent = [close for close in closes if not close.by_hand] or closes
    legs = {
        (close.owner, leg.instrument.key) for close in sent for leg in close.order.legs
        if leg.ratio > 0 or scope is not Scope.SHORT_OPTIONS
    }  # fmt: skip
    noun = "SHORT" if scope is Scope.SHORT_OPTIONS else "POSITION"
    return f"CLOSE {len(legs)} {noun}{'' if len(legs) == 1 else 'S'}" if legs else ""


def _touched(work: _Work, alive: Sequence[BrokerOrder]) -> list[BrokerOrder]:
    """Working orders that must go first: on what is closed, whichever side, those that would open it again, and those
    that nobody can read.
    """
    closed = {(line.account, line.key) for line in work.wanted}
    return [
        order for order in alive
        if of_account(order.account, work.wish) and (
            not order.legs
            or would_open_again(order, work.wish)
            or any((order.account, leg.instrument.key) in closed for leg in order.legs)
        )
    ]  # fmt: skip


def _cancel(order: BrokerOrder) -> PlannedCancel:
    if order.legs:
        packages = max(int(order.remaining), 1) if math.isfinite(order.remaining) else 1
        limit = "" if order.limit is None else f" at {order.limit:g}"
        words = f"{', '.join(leg_words(leg, packages) for leg in order.legs)}{limit} {order.time_in_force}".strip()
    else:
        words = f"an order that cannot be read ({order.unread or 'its legs are not known'})"
    sender = f", of {order.sender}" if order.sender else ""
    return PlannedCancel(str(order.account), order.reference, f"{words}{sender}", order.cancellable)


def _free(work: _Work, fixed: Sequence[BrokerOrder]) -> tuple[_Free, tuple[Left, ...]]:
    """Units of each wanted line that may be closed, and what orders nobody here can cancel take of them."""
    taken, free, kept = working_closes(fixed), {}, []
    for line in work.wanted:
        bought, sold = taken.get((line.account, line.key), (0.0, 0.0))
        held = abs(line.quantity or 0.0)
        resting = min(bought if line.is_short else sold, held)
        free[line.account, line.key] = held - resting
        if resting and line.quantity is not None:
            why = "a working order of another program closes it already: cancel that order there to close it here"
            kept.append(left(line, why, stuck=True, quantity=math.copysign(resting, line.quantity)))
    return free, tuple(kept)


def _closable(work: _Work, free: _Free) -> tuple[tuple[Line, ...], tuple[Left, ...]]:
    """The lines that can be closed now, and those that cannot, with fractions that no order takes."""
    lines, hindered = [], []
    for line in work.wanted:
        size = None if line.quantity is None else math.copysign(free[line.account, line.key], line.quantity)
        if size == 0.0:
            continue  # working orders take all of it
        why = hindrance(line, work.portfolio, work.limits, work.rules)
        if why is not None or size is None:
            words, stuck = why or ("its quantity cannot be read", True)
            hindered.append(left(line, words, stuck=stuck, quantity=size))
            continue
        whole = math.floor(abs(size) + _TINY)
        if whole:
            lines.append(line)
        if abs(fraction := size - math.copysign(whole, size)) > _TINY:
            hindered.append(left(line, "less than one unit, which no order takes", stuck=True, quantity=fraction))
    return tuple(lines), tuple(hindered)


def _in_order(
    work: _Work, bundles: Sequence[Bundle], rules: PriceRules, rests: Sequence[BrokerOrder]
) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...], tuple[Bundle, ...]]:
    """What is closed in which order; what cannot, because it covers something; and longs that nobody wants closed.

    A package that cannot be closed as one is tried leg by leg. What `rests` and is not cancelled may fill at any time.
    """
    held = [*(line.holding for line in work.lines), *opened_by(rests, work.lines, work.portfolio)]
    whole, staying = _meant(work, bundles)
    sequence, never = in_order(_candidates(work, whole, rules), held, rests)
    if all(len(one.bundle.lines) == 1 for one in never):
        return sequence, never, staying
    apart, more = _meant(work, [part for one in never for part in one.bundle.apart()])
    sequence, never = in_order([*sequence, *_candidates(work, apart, rules)], held, rests)
    return sequence, never, (*staying, *more)


def _meant(work: _Work, bundles: Sequence[Bundle]) -> tuple[tuple[Bundle, ...], tuple[Bundle, ...]]:
    """What is to be closed, and what was only wanted beside a short: a long never goes alone for short options."""
    if work.wish.scope is not Scope.SHORT_OPTIONS:
        return tuple(bundles), ()
    return tuple(one for one in bundles if one.buys_back), tuple(one for one in bundles if not one.buys_back)


def _candidates(work: _Work, bundles: Sequence[Bundle], rules: PriceRules) -> list[Candidate]:
    losses = worst_by_row(work.portfolio)
    found = []
    for bundle in bundles:
        priced = prices(
            bundle.legs,
            {line.key: (line.bid, line.ask) for line in bundle.lines},
            work.rules,
            _rule(bundle, rules),
        )
        if priced is not None:  # every line has been found to have a quote
            found.append(_candidate(work, bundle, priced, removed(bundle, losses)))
    return found


def _candidate(work: _Work, bundle: Bundle, priced: Priced, stress: float | None) -> Candidate:
    first = bundle.lines[0]
    rate = in_usd(1.0, first.currency, work.portfolio.market)
    worth = 0.0 if first.instrument.kind is Kind.FUTURE else priced.mid  # a future is settled every day
    over = priced.natural - priced.mid
    return Candidate(
        bundle,
        priced,
        cost_at_mid=dollars(worth, bundle.quantity, first.multiplier, rate),
        cost_at_natural=dollars(worth + over, bundle.quantity, first.multiplier, rate),
        stress_removed=stress,
        urgent=urgent(bundle, work.portfolio),
    )


def _rule(bundle: Bundle, rules: PriceRules) -> PriceRule:
    return rules.get(rule_name(bundle.legs, bundle.account.broker)) or usual_rule(bundle.legs)


def _closes(
    sequence: Sequence[Candidate], work: _Work, trading: Callable[[AccountId], str]
) -> tuple[PlannedClose, ...]:
    found: list[PlannedClose] = []
    refusals = {account: trading(account) for account in {one.bundle.account for one in sequence}}
    for one in sequence:
        bundle = one.bundle
        whole = Order(bundle.account, bundle.legs, bundle.quantity, one.priced.first)
        for order in split(whole, work.rules.most_at_once):
            share = order.quantity / bundle.quantity
            found.append(PlannedClose(
                number=len(found) + 1,
                order=order,
                title=title_of(order),
                account=str(bundle.account),
                mid=one.priced.mid,
                natural=one.priced.natural,
                cap=one.priced.cap,
                cost_at_mid=_part(one.cost_at_mid, share),
                cost_at_natural=_part(one.cost_at_natural, share),
                stress_removed=_part(one.stress_removed, share),
                per_dollar=one.per_dollar,
                why_here="; ".join(_reasons(one, work)),
                by_hand=refusals[bundle.account],
                owner=account_key(bundle.account),
            ))  # fmt: skip
    return tuple(found)


def _reasons(one: Candidate, work: _Work) -> Iterator[str]:
    """Why the order stands where it stands, and what a person should know of it."""
    yield one.why_here
    longs = [leg.instrument.label for leg in one.bundle.legs if leg.ratio < 0]
    if longs and one.bundle.buys_back and work.wish.scope is Scope.SHORT_OPTIONS:
        yield f"closes the long {' and '.join(longs)} as well, opened together with the short"
    for line in one.bundle.lines:
        if line.doubts:
            yield f"{line.instrument.label} is doubtful ({'; '.join(line.doubts)}): what is held is read anew first"


def _companions(work: _Work, sequence: Sequence[Candidate]) -> Iterator[Left]:
    """Long options that stay beside shorts that are closed: residual legs, by name."""
    if work.wish.scope is not Scope.SHORT_OPTIONS:
        return
    shorts = {bundle_of(line) for one in sequence for line in one.bundle.lines if line.is_short}
    mine = {(line.account, line.key) for line in work.wanted}
    for line in work.lines:
        apart = (line.account, line.key) not in mine and line.instrument.is_option and not line.is_short
        if apart and line.package and bundle_of(line) in shorts:
            yield left(line, "a long that stays when the short beside it is closed", stuck=False)


def _largest(closes: Sequence[PlannedClose]) -> AccountId | None:
    """The account in which most of the worst loss is taken off, of those orders can be sent for."""
    sums: dict[AccountId, float] = {}
    for close in closes:
        account = close.order.account
        sums[account] = sums.get(account, 0.0) + (close.stress_removed or 0.0) - (1e15 if close.by_hand else 0.0)
    return max(sums, key=lambda account: sums[account], default=None)


def _by_hand(closes: Sequence[PlannedClose]) -> str:
    """Why nothing of the plan can be sent; empty as soon as one order can."""
    if not closes or any(not close.by_hand for close in closes):
        return ""
    return " ".join(dict.fromkeys(f"{close.account}: {close.by_hand}" for close in closes))


def _problems(work: _Work) -> tuple[str, ...]:
    stress = work.portfolio.stress
    unknown = [f"What each order takes off the worst loss is not known: {stress}."] if isinstance(stress, str) else []
    known = {str(one.id) for one in work.portfolio.accounts} | {str(line.account) for line in work.lines}
    strangers = [f"{name} is no account of this book." for name in work.wish.accounts if name not in known]
    return (*work.portfolio.gaps, *strangers, *unknown)


def _part(value: float | None, share: float) -> float | None:
    return None if value is None else value * share


def _sum(values: Iterator[float | None]) -> float | None:
    """The sum, None when a part is not known."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None

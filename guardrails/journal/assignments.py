"""Options that are gone without a trade: assigned, exercised or expired, as two books and the calendar tell it.

No broker reports these as executions of an order. What a physical option brings or takes at its strike is looked for
among the shares, or futures, that changed without a fill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from guardrails import calendar, wording
from guardrails.execution.values import JournalEntry, JournalKind, JournalLeg
from guardrails.instruments import Instrument, Kind, Right, Settlement
from guardrails.journal.entries import net_of
from guardrails.journal.explain import TOLERANCE, Books, residual
from guardrails.journal.money import Money, underlying_of
from guardrails.memory import account_key
from guardrails.orders import Fill
from guardrails.values import AccountId

Number = float | None

LATE = timedelta(days=5)
"""so long after an expiry the shares may still appear: a long weekend"""
BROKER = "the broker"


@dataclass(frozen=True, slots=True)
class Gone:
    """What an account lost and won that no fill explains."""

    account: AccountId
    now: datetime
    money: Money
    """multipliers of both books, with which shares and cash are counted"""
    held: Mapping[str, float]
    """before"""
    left: dict[str, float]
    """unexplained change by key; what is explained on the way is taken out"""
    levels: Mapping[str, float] = field(default_factory=dict)
    """settlement values by underlying"""

    def options(self, instruments: Mapping[str, Instrument]) -> list[tuple[Instrument, float]]:
        """Options that shrank, and by how much (negative: short ones), those that go first first."""
        found = [
            (instruments[key], -change)
            for key, change in self.left.items()
            if key in instruments and instruments[key].is_option and _shrinks(self.held.get(key, 0.0), change)
        ]
        return sorted(found, key=_deepest_first)

    def per_point(self, instrument: Instrument) -> Number:
        """US dollars of one unit per 1.00 of its price; options that are listed abroad are not looked for."""
        return self.money.dollars_per_point(instrument, "USD")


def assignments(
    before: Books,
    after: Books,
    instruments: Mapping[str, Instrument],
    fills: Sequence[Fill],
    money: Money,
    now: datetime,
    *,
    known: Sequence[JournalEntry] = (),
    expired: Sequence[JournalEntry] = (),
    levels: Mapping[str, float] | None = None,
) -> tuple[JournalEntry, ...]:
    """An entry for every option that was assigned, exercised or expired between two books, as they differ beyond fills.

    `instruments` are those of both books by key, and of the entries. `known` are the entries told since `before`,
    `expired` those of the days before it: an option that had expired is told again, under its key, when its shares
    appear. `levels` are settlement values by underlying of the day on which something expired; without one the price
    of what was settled in cash is None, and so is the net. An option that is gone before its expiry without shares is
    none of these: it stays unexplained.
    """
    found: list[JournalEntry] = []
    for account in sorted(before.keys() & after.keys(), key=str):
        left = residual(account, before[account], after[account], fills, known)
        gone = Gone(account, now, money, before[account], left, levels or {})
        found += _late(gone, instruments, (*known, *expired))
        options = gone.options(instruments)
        for option, removed in options:
            beside = any(one is not option and one.underlying == option.underlying for one, _ in options)
            entry = _entry(gone, option, removed, beside=beside)
            found += [] if entry is None else [entry]
    return tuple(found)


def is_cash_settled(option: Instrument) -> bool:
    """Whether money changes hands at its end, and nothing else."""
    if option.settlement is not None:
        return option.settlement is not Settlement.PHYSICAL
    return option.kind is Kind.INDEX_OPTION


def _shrinks(held: float, change: float) -> bool:
    return held * change < 0 and abs(change) <= abs(held) + TOLERANCE


def _deepest_first(gone: tuple[Instrument, float]) -> tuple[str, float]:
    """Of several that may have brought the same shares, the one deepest in the money did: highest put, lowest call."""
    option, _ = gone
    strike = float(option.strike or 0)
    return (option.underlying, -strike if option.right is Right.PUT else strike)


def _entry(gone: Gone, option: Instrument, removed: float, *, beside: bool) -> JournalEntry | None:
    """What became of `removed` contracts; `beside`: others of the same underlying went with them."""
    end, today = calendar.settles(option), calendar.exchange_date(gone.now)
    is_over = gone.now >= end if end is not None else option.expiry is not None and today > option.expiry
    if is_cash_settled(option):
        return _settled(gone, option, removed) if is_over else None
    size, share = _deliverable(gone, option)
    wanted = removed * _sign(option) * size
    taken = _within(gone.left.get(share, 0.0), wanted)
    if not taken:
        return _expired(gone, option, removed, beside=beside) if is_over else None
    if abs(taken - wanted) > TOLERANCE and not is_over:
        return None
    gone.left[share] -= taken
    return _delivered(gone, option, removed, share, taken)


def _sign(option: Instrument) -> float:
    """Shares that a long option takes in when it is exercised: a call buys, a put sells."""
    return 1.0 if option.right is Right.CALL else -1.0


def _deliverable(gone: Gone, option: Instrument) -> tuple[float, str]:
    """How much one contract delivers, and the key of what."""
    if option.kind is Kind.FUTURE_OPTION:
        prefix = f"{Kind.FUTURE.value}:{option.underlying}"  # the product alone where the contract is not known
        return 1.0, next((key for key in sorted(gone.left) if key.startswith(prefix)), prefix)
    return gone.money.multiplier(option) or 0.0, f"{Kind.EQUITY.value}:{option.underlying}"


def _within(change: float, wanted: float) -> float:
    """The part of `wanted` that `change` holds."""
    if change * wanted <= 0:
        return 0.0
    return wanted if abs(change) >= abs(wanted) - TOLERANCE else change


def _delivered(gone: Gone, option: Instrument, removed: float, share: str, taken: float) -> JournalEntry:
    verb, way = "assigned" if removed < 0 else "exercised", "bought" if taken > 0 else "sold"
    name, strike = share.partition(":")[2], wording.number(float(option.strike or 0), 2)
    words = f"{option.label} {verb}: {wording.quantity(abs(taken))} {name} {way} at {strike}."
    return _told(gone, option, (_option_leg(gone, option, removed, 0.0), _share_leg(gone, option, share, taken)), words)


def _expired(gone: Gone, option: Instrument, removed: float, *, beside: bool) -> JournalEntry:
    """Gone at its end without shares: worthless, unless another that expired with it delivered the same shares back."""
    level = gone.levels.get(option.underlying)
    worth = None if level is None else _intrinsic(option, level)
    if worth == 0.0 or (worth is None and not beside):
        leg = _option_leg(gone, option, removed, 0.0)
        return _told(gone, option, (leg,), f"{option.label} expired worthless.")
    if worth is not None and beside:
        size, share = _deliverable(gone, option)
        shares = _share_leg(gone, option, share, removed * _sign(option) * size)
        verb = "assigned" if removed < 0 else "exercised"
        words = f"{option.label} {verb}; its shares went to or came from another option that expired with it."
        return _told(gone, option, (_option_leg(gone, option, removed, 0.0), shares), words)
    words = f"{option.label} is gone at its expiry; whether it was exercised is not known, so its worth is not either."
    return _told(gone, option, (_option_leg(gone, option, removed, None),), words)


def _settled(gone: Gone, option: Instrument, removed: float) -> JournalEntry:
    level = gone.levels.get(option.underlying)
    worth = None if level is None else _intrinsic(option, level)
    if worth is None:
        words = f"{option.label} was settled in cash; the settlement value is not known here."
    elif worth == 0.0:
        words = f"{option.label} expired worthless."
    else:
        words = f"{option.label} was settled in cash at {wording.number(worth, 2)}."
    return _told(gone, option, (_option_leg(gone, option, removed, worth),), words)


def _intrinsic(option: Instrument, level: float) -> float:
    return max((level - float(option.strike or 0)) * _sign(option), 0.0)


def _option_leg(gone: Gone, option: Instrument, removed: float, price: Number) -> JournalLeg:
    held = gone.held.get(option.key)
    return JournalLeg(
        option.key, option.label, -removed, price, 0.0, dollars_per_point=gone.per_point(option), held=held
    )


def _share_leg(gone: Gone, option: Instrument, share: str, taken: float) -> JournalLeg:
    """Shares at the strike; a future is worth per point what its option is."""
    per_point = 1.0 if option.kind is Kind.OPTION else gone.per_point(option)
    return JournalLeg(
        share, share.partition(":")[2], taken, float(option.strike or 0), 0.0,
        dollars_per_point=per_point, held=gone.held.get(share, 0.0),
    )  # fmt: skip


def _told(gone: Gone, option: Instrument, legs: tuple[JournalLeg, ...], words: str) -> JournalEntry:
    owner, today = account_key(gone.account), calendar.exchange_date(gone.now)
    day = today if option.expiry is None else min(option.expiry, today)
    return JournalEntry(
        key=f"assignment:{owner}:{option.key}:{day}",
        time=gone.now,
        kind=JournalKind.ASSIGNMENT,
        author=BROKER,
        words=f"{words} Fees of it are not known here.",
        tag="",
        account=str(gone.account),
        underlying=underlying_of(option),
        legs=legs,
        quantity=abs(legs[0].quantity),
        price=legs[0].price,
        net=net_of(legs),
        fees=0.0,
        owner=owner,
    )


def _late(gone: Gone, instruments: Mapping[str, Instrument], entries: Sequence[JournalEntry]) -> list[JournalEntry]:
    """Entries of options that had expired, told again as their shares appear."""
    found, owner = [], account_key(gone.account)
    for entry in entries:
        mine = entry.owner == owner and entry.kind is JournalKind.ASSIGNMENT and len(entry.legs) == 1
        option = instruments.get(entry.legs[0].key) if mine else None
        if option is None or is_cash_settled(option) or gone.now - entry.time > LATE:
            continue
        removed = -entry.legs[0].quantity
        size, share = _deliverable(gone, option)
        taken = _within(gone.left.get(share, 0.0), removed * _sign(option) * size)
        if taken:
            gone.left[share] -= taken
            told = _delivered(gone, option, removed, share, taken)
            found.append(replace(told, key=entry.key, time=entry.time, trade=entry.trade, before=entry.before))
    return found

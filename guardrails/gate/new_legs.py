"""What is not held yet, as a Position: its contract, its multiplier, and what the market says of it.

Nothing is guessed. A multiplier is that of a row held on the same root, or follows from the contract itself (one share,
the futures table, an unadjusted listed option, which OCC's by-laws make 100 shares); else it is not known. The future
under an option is the one named, or named by a row of the same root and expiry, or, for the futures on broad indices,
the quarter in which the option expires; else it is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from guardrails.columns import spot_of
from guardrails.instruments import Instrument, Kind
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.products import BROAD_INDEX_GROUPS, FUTURES, group_of, standard_multiplier
from guardrails.symbols.contracts import Month
from guardrails.unit_price import price_of
from guardrails.valuation import value_positions
from guardrails.values import Account, AccountId, Market, Position

_QUARTER = 3
_ONE = (Kind.EQUITY, Kind.CRYPTO)


def opened(
    portfolio: Portfolio,
    account: AccountId,
    instrument: Instrument,
    quantity: float,
    price: float | None = None,
    sibling: Position | None = None,
) -> Position:
    """`quantity` of what `account` does not hold, not valued yet; `price` of one unit where the caller has one of now.

    A `sibling`, the same held by another account, says its contract, multiplier, quote and Greeks.
    """
    owner = owner_of(portfolio.accounts, account)
    source = "" if owner is None else owner.source
    if sibling is not None:
        return replace(
            sibling, account=account, quantity=quantity, source=source, time=portfolio.time,
            average_price=None, day_pnl=0.0, open_pnl=None,
        )  # fmt: skip
    resolved = on_its_future(instrument, portfolio)
    factor, origin = multiplier_of(resolved, portfolio.positions)
    quoted = portfolio.market.quotes.get(resolved.key)
    own = price if quoted is None or not resolved.is_option else None
    return Position(
        account=account,
        instrument=resolved,
        quantity=quantity,
        multiplier=factor,
        source=source,
        time=portfolio.time,
        mark=own,
        mark_time=None if own is None else portfolio.time,
        day_pnl=0.0,
        multiplier_source=origin,
    )


def valued(rows: Sequence[Position], portfolio: Portfolio, limits: Limits) -> tuple[Position, ...]:
    """`rows`, all opened, with the Greeks that the next cycle would give them.

    What is held on the same underlying and expiry is looked at beside them: its quotes and volatilities may tell
    theirs. The other way round nothing changes: what is held keeps the Greeks it has.
    """
    beside = {(p.instrument.underlying, p.instrument.expiry) for p in rows if p.instrument.is_option}
    held = [p for p in portfolio.positions if (p.instrument.underlying, p.instrument.expiry) in beside]
    found = value_positions(
        [*held, *rows], portfolio.market, portfolio.sources, portfolio.time, limits.matrix.data,
        market_open=portfolio.market_open,
    )  # fmt: skip
    return found[len(held) :]


def multiplier_of(instrument: Instrument, held: Iterable[Position]) -> tuple[float | None, str]:
    """Dollars per 1.00 of the price of one contract, and where it comes from; (None, "") when it is not known."""
    if instrument.kind in _ONE:
        return 1.0, "record"
    alike = [p for p in held if p.instrument.root == instrument.root and p.instrument.kind is instrument.kind]
    told = {p.multiplier for p in alike if p.multiplier is not None and not p.reasons}
    if instrument.adjusted or len(told) > 1:
        return None, ""
    if told and instrument.root:
        return told.pop(), "record"
    standard = standard_multiplier(instrument)
    return (None, "") if standard is None else (standard, "table")


def on_its_future(instrument: Instrument, portfolio: Portfolio) -> Instrument:
    """An option on a future of which only the product is named, on its contract; unchanged where that is not known."""
    product = instrument.underlying
    if instrument.kind is not Kind.FUTURE_OPTION or product not in FUTURES or instrument.expiry is None:
        return instrument
    named = {
        p.instrument.underlying
        for p in portfolio.positions
        if p.instrument.root == instrument.root and p.instrument.expiry == instrument.expiry
    } - {product, ""}
    if not named and group_of(product) in BROAD_INDEX_GROUPS:
        named = {product + _quarter(instrument.expiry).text}
    return replace(instrument, underlying=named.pop()) if len(named) == 1 else instrument


def trade_price(position: Position, market: Market, prices: Mapping[str, float]) -> float | None:
    """Price of one unit at which `position` is taken to be traded: as given, else the middle or mark, else none."""
    given = prices.get(position.instrument.key)
    if given is not None:
        return given
    return price_of(position) if position.instrument.is_option else spot_of(position, market)


def owner_of(accounts: Iterable[Account], account: AccountId) -> Account | None:
    """The figures of `account`; None where none has been read."""
    return next((one for one in accounts if one.id == account), None)


def _quarter(expiry: date) -> Month:
    """The contract that an option on an index future is exercised into: the next to expire, on a third Friday."""
    month = Month(expiry.year, expiry.month)
    if month.month % _QUARTER == 0 and expiry <= _third_friday(expiry):
        return month
    return month.later(_QUARTER - month.month % _QUARTER)


def _third_friday(day: date) -> date:
    """Of the month of `day`."""
    middle = day.replace(day=15)
    return middle + timedelta(days=(4 - middle.weekday()) % 7)

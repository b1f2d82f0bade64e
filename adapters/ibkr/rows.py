"""IBKR contract, position and account-value records as values of the domain; pure, so that TWS and statements share it.

Facts that bite: an AM-settled SPX monthly is dated the Thursday while its localSymbol carries the Friday; averageCost
of a derivative includes the multiplier; account values are text with `-S` and `-C` for the segments and "BASE" rows
that must never be summed with the rest; 1.797e308 means unset. Grains are quoted in cents while the multiplier is per
dollar.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from adapters.trust import (
    NO_CURRENCY,
    ONE_BY_DEFINITION,
    Multiplier,
    contradicted,
    future_spec,
    multiplier,
    per_face,
    vetted,
)
from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Kind
from guardrails.products import INDEX_ROOTS
from guardrails.symbols import ibkr as symbols
from guardrails.symbols import ibkr_text
from guardrails.values import Account, AccountId, Margin, MarginView, Position, finite

BROKER = "IBKR"
VIEWS = (MarginView.CURRENT, MarginView.FULL, MarginView.LOOK_AHEAD)
"""the margin views TWS reports"""
_PREFIX = {MarginView.CURRENT: "", MarginView.FULL: "Full", MarginView.LOOK_AHEAD: "LookAhead"}
_SEGMENT = {"total": "", "securities": "-S", "commodities": "-C"}
_CENTS = 100.0
_AGREES = 0.02
"""share by which a printed value may differ from quantity × multiplier × price"""
_MODELLED = ("STK", "OPT", "FUT", "FOP", "IND", "CASH", "CRYPTO")
_ALIASES = {"FSOPT": "OPT", "FSFOP": "FOP", "ETF": "STK", "FUND": "STK"}
_BONDS = {"BOND": Kind.BOND, "BILL": Kind.CASH}
"""a Treasury bill is cash that matures: it has neither a beta nor a share in the concentration of risk"""
_NAMES = {
    "WAR": "warrant", "IOPT": "structured product", "CFD": "CFD", "CMDTY": "metal", "BAG": "combination",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contract:
    """What identifies a holding, as TWS and statements name it; empty when they leave it out."""

    sec_type: str
    symbol: str = ""
    """underlying or product: `SPX`, `ES`"""
    local_symbol: str = ""
    """`SPXW  261120P05500000`, `ESZ6`, `EW4N6 C6400`"""
    trading_class: str = ""
    expiry: date | None = None
    """last trade date as IBKR names it (the Thursday for AM-settled SPX)"""
    strike: float | None = None
    right: str = ""
    currency: str = ""
    description: str = ""
    """statement text: `SPXW 20NOV26 5500 P`, `ES 18DEC26`"""
    underlying: str = ""
    """the future an option is exercised into, when the record names it: `ESU6`"""


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of one position row; None when absent."""

    quantity: float | None = None
    multiplier: float | None = None
    price: float | None = None
    value: float | None = None
    """the broker's own market value"""
    average_cost: float | None = None
    cost_has_multiplier: bool = True
    """TWS includes it in averageCost, statements do not include it in the cost price"""
    open_pnl: float | None = None
    day_pnl: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """When and by whom a row was read, and what is already known against or about it."""

    account: AccountId
    source: str
    time: datetime
    written: date
    """exchange date the symbols were written on: it decides the decade of one-digit years"""
    today: date
    """exchange date expiry is judged by"""
    place: str = ""
    """where the row stands, for messages: `activity.csv line 7`"""
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def instrument(contract: Contract, written: date) -> Instrument:
    """The Instrument of a contract; SymbolError when its fields name none that has a model, or contradict."""
    kind = _ALIASES.get(contract.sec_type, contract.sec_type)
    if kind in _BONDS:
        return Instrument(_BONDS[kind], _text(contract), _text(contract), _text(contract))
    if kind not in _MODELLED:
        what = _NAMES.get(kind, kind or "thing of no asset class")
        raise SymbolError(_text(contract), "IBKR", f"a {what} has no risk model")
    if kind == "FOP" and contract.expiry is None:
        contract = _described(contract)
    spelled = contract.local_symbol if _carries_terms(contract.local_symbol) else contract.description
    if kind == "OPT" and not _carries_terms(spelled) and not contract.trading_class and _roots(contract.symbol) > 1:
        raise SymbolError(_text(contract), "IBKR", f"{contract.symbol} has options of several roots and none is named")
    return symbols.from_contract(
        sec_type=kind,
        symbol=contract.symbol or contract.local_symbol,
        local_symbol=spelled if kind in ("OPT", "FOP") else contract.local_symbol,
        trading_class=contract.trading_class,
        last_trade_date=contract.expiry.strftime("%Y%m%d") if contract.expiry else "",
        strike=contract.strike,
        right=contract.right,
        currency=contract.currency,
        underlying=contract.underlying,
        as_of=written,
    )


def _described(contract: Contract) -> Contract:
    """The contract with the terms its description states: `EW4X6 P6600` names no day, `ES 27NOV26 6600 P` does."""
    try:
        told = ibkr_text.read_option(contract.description.upper())
    except ValueError:
        return contract
    if told is None:
        return contract
    terms = told[1]
    strike = float(terms.strike) if contract.strike is None else contract.strike
    return replace(contract, expiry=terms.expiry, strike=strike, right=contract.right or terms.right.value)


def _roots(underlying: str) -> int:
    return sum(1 for root in INDEX_ROOTS.values() if root.underlying == underlying)


def _carries_terms(text: str) -> bool:
    """Whether an option symbol says more than its underlying."""
    return any(character.isdigit() for character in text)


def _text(contract: Contract) -> str:
    return contract.local_symbol or contract.description or contract.symbol or contract.sec_type


def to_position(contract: Contract, figures: Figures, reading: Reading) -> Position:
    """The position of one row; what is missing or cannot be true is None with a reason."""
    trouble = list(reading.reasons)
    try:
        held = instrument(contract, reading.written)
    except SymbolError as error:
        trouble.append(f"{reading.place}: {error}".removeprefix(": "))
        held = Instrument(Kind.OTHER, _text(contract), contract.symbol or _text(contract), contract.symbol)
    if _ALIASES.get(contract.sec_type, contract.sec_type) in _BONDS:
        factor, scale = per_face(figures.value, figures.quantity, figures.price), 1.0
    else:
        factor, scale = _multiplier(held, figures)
    cost = _average(figures, held, figures.multiplier)
    position = Position(
        account=reading.account,
        instrument=held,
        quantity=figures.quantity,
        multiplier=factor.value,
        multiplier_source=factor.source,
        source=reading.source,
        time=reading.time,
        currency=contract.currency or NO_CURRENCY,
        mark=_scaled(figures.price, scale),
        mark_time=None if figures.price is None else reading.time,
        average_price=_scaled(cost, scale),
        open_pnl=figures.open_pnl,
        day_pnl=figures.day_pnl,
        reasons=(*trouble, *factor.reasons, *(() if contract.currency else ("no currency",))),
        notes=(*reading.notes, *factor.notes),
    )
    return vetted(contradicted(position, figures.value), reading.today)


def _multiplier(held: Instrument, figures: Figures) -> tuple[Multiplier, float]:
    """The multiplier per 1.00 of the exchange's own quote, and by what the row's prices must be scaled to that quote.

    For a product quoted in cents IBKR states it per dollar; the row's own value tells in which of the two its price is.
    """
    factor = multiplier(held, figures.multiplier)
    spec = future_spec(held)
    if spec is None or not spec.quoted_in_cents or factor.value in (None, spec.multiplier):
        return factor, 1.0
    if figures.value is None or not figures.quantity or not figures.price:
        return Multiplier(None, "", (f"{spec.root} may be priced in cents or in dollars, no value tells which",)), 1.0
    per_price = abs(figures.value / (figures.quantity * figures.price))
    in_cents = replace(factor, value=spec.multiplier)
    if abs(per_price / spec.multiplier - 1) < _AGREES:
        return in_cents, 1.0
    if abs(per_price / (spec.multiplier * _CENTS) - 1) < _AGREES:
        if held.kind is Kind.FUTURE:
            return replace(in_cents, notes=(f"prices of {spec.root} turned from dollars into cents",)), _CENTS
        return Multiplier(
            None, "", (f"{spec.root} option priced in dollars: the unit of its strike is not known",)
        ), 1.0
    return Multiplier(None, "", (f"multiplier {factor.value:g} contradicts its value, {per_price:g} per 1.00",)), 1.0


def _scaled(price: float | None, scale: float) -> float | None:
    return None if price is None else price * scale


def _average(figures: Figures, held: Instrument, factor: float | None) -> float | None:
    """Cost of one unit without the multiplier."""
    if figures.average_cost is None or not figures.cost_has_multiplier or held.kind in ONE_BY_DEFINITION:
        return figures.average_cost
    return None if not factor else figures.average_cost / factor


@dataclass(frozen=True, slots=True)
class AccountValue:
    """One account value as TWS sends it: everything is text."""

    tag: str
    value: str
    currency: str = ""


def to_account(values: Iterable[AccountValue], account: AccountId, source: str, time: datetime) -> Account:
    """The account of one set of account values; nothing is known while AccountReady is false."""
    rows = list(values)
    if any(row.tag == "AccountReady" and row.value.lower() == "false" for row in rows):
        return Account(account, source, time, currency=NO_CURRENCY, expected_views=VIEWS)
    total = next((row for row in rows if row.tag == "NetLiquidation" and row.currency not in ("", "BASE")), None)
    base = total.currency if total else NO_CURRENCY
    figures = {row.tag: finite(row.value) for row in rows if row.currency in ("", base)}
    return Account(
        id=account,
        source=source,
        time=time,
        currency=base,
        net_liquidation=figures.get("NetLiquidation"),
        cash=figures.get("TotalCashValue"),
        buying_power=figures.get("BuyingPower"),
        margins=tuple(
            Margin(
                view,
                segment,
                figures.get(f"NetLiquidation{suffix}"),
                figures.get(f"{_PREFIX[view]}MaintMarginReq{suffix}"),
                figures.get(f"{_PREFIX[view]}ExcessLiquidity{suffix}"),
            )
            for view in VIEWS
            for segment, suffix in _SEGMENT.items()
            if _reported(figures, view, suffix)
        ),
        expected_views=VIEWS,
        next_margin_change=_epoch(figures.get("LookAheadNextChange")),
        sma=figures.get("SMA"),
    )


def _reported(figures: Mapping[str, float | None], view: MarginView, suffix: str) -> bool:
    """Whether any figure of the view and segment was sent: an account without futures has no commodities segment."""
    return any(f"{_PREFIX[view]}{tag}{suffix}" in figures for tag in ("MaintMarginReq", "ExcessLiquidity"))


def _epoch(seconds: float | None) -> datetime | None:
    """The moment of the next margin change; IBKR writes 0 when there is none."""
    if seconds is None or not 0 < seconds < 4e9:
        return None
    return datetime.fromtimestamp(seconds, UTC)

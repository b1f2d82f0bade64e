"""tastytrade position and balance records as values of the domain; pure, so that the live feed and files share it.

Facts that bite: `quantity` is unsigned and `quantity-direction` carries the sign; `mark` is the whole position and
`mark-price` one unit; `realized-day-gain` is unsigned beside its `-effect`; `average-daily-market-close-price` is the
cost basis of the day's open gain. All numbers are strings. Keys come kebab-cased from the API and snake-cased from
client libraries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from adapters.trust import Multiplier, contradicted, multiplier, per_face, vetted
from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Kind
from guardrails.symbols import tastytrade as symbols
from guardrails.values import Account, AccountId, Margin, MarginView, Position, finite

BROKER = "tastytrade"
NO_ACCOUNT = "none"
"""stands for the number of an account when a record does not name one"""
_CALLS = ("maintenance-call-value", "reg-t-call-value", "day-trading-call-value", "day-equity-call-value")
_DEBT = ("Bond", "Fixed Income Security")
_BILLS = ("912793", "912794", "912795", "912796", "912797")
"""issuer part of the CUSIP of every US Treasury bill; a bill is cash that matures, as in `adapters.ibkr.rows`"""
_SIGNS = {"long": 1.0, "short": -1.0, "zero": 0.0}


@dataclass(frozen=True, slots=True)
class Reading:
    """When and by whom records were read: what every row of one answer or file shares."""

    source: str
    time: datetime
    """when the broker said so"""
    written: date
    """exchange date the symbols were written on: it decides the decade of one-digit years"""
    today: date
    """exchange date expiry is judged by"""
    place: str = ""
    """where the row stands, for messages: `positions.json line 7`"""


def kebab(record: Mapping[str, object]) -> dict[str, object]:
    """The record with the API's own kebab-case keys, whatever the spelling it came in."""
    return {str(key).strip().replace("_", "-").lower(): value for key, value in record.items()}


def account_id(record: Mapping[str, object]) -> AccountId:
    """The account a kebab-cased record belongs to."""
    return AccountId(BROKER, str(record.get("account-number") or "").strip() or NO_ACCOUNT)


def to_position(record: Mapping[str, object], reading: Reading) -> Position:
    """The position of one record; what is missing or cannot be true is None with a reason."""
    fields = kebab(record)
    trouble: list[str] = []
    instrument = _instrument(fields, reading, trouble)
    quantity = _signed(fields, trouble)
    factor = _multiplier(instrument, fields, trouble)
    mark, price_notes = _mark(fields, quantity, factor.value, trouble)
    bid, ask = (_figure(fields, name, trouble) for name in ("bid", "ask"))
    position = Position(
        account=account_id(fields),
        instrument=instrument,
        quantity=quantity,
        multiplier=factor.value,
        multiplier_source=factor.source,
        source=reading.source,
        time=reading.time,
        currency=_currency(fields),
        mark=mark,
        mark_time=None if mark is None else reading.time,
        bid=bid,
        ask=ask,
        quote_time=None if bid is None and ask is None else reading.time,
        average_price=_figure(fields, "average-open-price", trouble),
        reasons=(*(f"{reading.place}: {reason}".removeprefix(": ") for reason in trouble), *factor.reasons),
        notes=(*factor.notes, *price_notes),
    )
    gains = replace(
        position,
        open_pnl=_gain(position, position.average_price, price_notes),
        day_pnl=_day_pnl(position, fields, reading.today, price_notes),
    )
    return vetted(contradicted(gains, _signed_total(fields, quantity)), reading.today)


def _instrument(fields: Mapping[str, object], reading: Reading, trouble: list[str]) -> Instrument:
    symbol, kind = str(fields.get("symbol") or "").rstrip(), _kind(fields)
    if symbol and kind in _DEBT:
        name = symbol.strip()
        return Instrument(Kind.CASH if name.startswith(_BILLS) else Kind.BOND, name, name, name)
    try:
        return symbols.parse(symbol, kind, reading.written)
    except SymbolError as error:
        trouble.append(str(error) if symbol else "no symbol")
        return Instrument(Kind.OTHER, symbol.strip() or reading.place, symbol.strip(), symbol.strip())


def _kind(fields: Mapping[str, object]) -> str:
    """The instrument type in words, also where a client library wrote `InstrumentType.EQUITY_OPTION`."""
    text = str(fields.get("instrument-type") or "").strip()
    return text.removeprefix("InstrumentType.").replace("_", " ").title()


def _multiplier(instrument: Instrument, fields: Mapping[str, object], trouble: list[str]) -> Multiplier:
    if _kind(fields) not in _DEBT:
        return multiplier(instrument, _figure(fields, "multiplier", trouble))
    return per_face(*(finite(fields.get(name)) for name in ("mark", "quantity", "mark-price")))


def _figure(fields: Mapping[str, object], name: str, trouble: list[str]) -> float | None:
    """The number under `name`; None when absent, None with a reason when unreadable."""
    raw = fields.get(name)
    if raw is None or raw == "":
        return None
    value = finite(raw.replace(",", "") if isinstance(raw, str) else raw)
    if value is None:
        trouble.append(f"{name} {str(raw)[:40]!r} is not a number")
    return value


def _signed(fields: Mapping[str, object], trouble: list[str]) -> float | None:
    """Quantity with the sign of its direction; a missing direction is never inferred."""
    size = _figure(fields, "quantity", trouble)
    direction = str(fields.get("quantity-direction") or "").strip().lower()
    if size is None:
        return None
    if direction not in _SIGNS:
        trouble.append(
            f"quantity-direction {direction!r} is none of Long, Short, Zero, so quantity {size:g} has no sign"
        )
        return None
    if size < 0:
        trouble.append(f"quantity {size:g} is below zero although quantity-direction carries the sign")
        return None
    return size * _SIGNS[direction]


def _mark(
    fields: Mapping[str, object], quantity: float | None, factor: float | None, trouble: list[str]
) -> tuple[float | None, tuple[str, ...]]:
    """Price of one unit, and the note that it is not a current mark."""
    unit, total, close = (_figure(fields, name, trouble) for name in ("mark-price", "mark", "close-price"))
    if unit is not None:
        return unit, ()
    if total is not None and quantity and factor:
        return abs(total / (quantity * factor)), ()
    return (None, ()) if close is None else (close, ("the mark is the previous close: the record has no mark-price",))


def _signed_total(fields: Mapping[str, object], quantity: float | None) -> float | None:
    """The record's own value of the position, where it can be compared with its unit price."""
    total = finite(fields.get("mark"))
    if total is None or quantity is None or finite(fields.get("mark-price")) is None:
        return None
    return abs(total) if quantity >= 0 else -abs(total)


def _gain(position: Position, basis: float | None, price_notes: tuple[str, ...]) -> float | None:
    """Open gain over `basis` in currency units; None without a current mark."""
    if price_notes or None in (position.quantity, position.multiplier, position.mark, basis):
        return None
    return (position.quantity or 0.0) * (position.multiplier or 0.0) * ((position.mark or 0.0) - (basis or 0.0))


def _day_pnl(
    position: Position, fields: Mapping[str, object], today: date, price_notes: tuple[str, ...]
) -> float | None:
    """The day's open gain over average-daily-market-close-price plus what was realized today."""
    opened = _gain(position, finite(fields.get("average-daily-market-close-price")), price_notes)
    if opened is None or str(fields.get("realized-day-gain-date") or "")[:10] != today.isoformat():
        return opened
    realized = finite(fields.get("realized-day-gain"))
    if realized is None:
        return None
    return opened + _effect(abs(realized), fields.get("realized-day-gain-effect"), realized)


def _effect(size: float, effect: object, otherwise: float) -> float:
    sign = {"credit": 1.0, "debit": -1.0, "none": 0.0}.get(str(effect or "").lower())
    return otherwise if sign is None else size * sign


def _currency(fields: Mapping[str, object]) -> str:
    return str(fields.get("currency") or fields.get("quote-currency") or "USD").upper()


def to_account(record: Mapping[str, object], source: str, time: datetime) -> Account:
    """The account of one balance record; `time` is its own `updated-at` (the caller reads it)."""
    fields = kebab(record)
    net_liquidation = finite(fields.get("net-liquidating-value"))
    required = finite(fields.get("maintenance-requirement"))
    margin = Margin(
        MarginView.CURRENT,
        "total",
        net_liquidation,
        None if required is None else abs(required),  # the margin report sends it with the sign of a debit
        finite(fields.get("maintenance-excess")),
    )
    return Account(
        id=account_id(fields),
        source=source,
        time=time,
        currency=_currency(fields),
        net_liquidation=net_liquidation,
        cash=finite(fields.get("cash-balance")),
        buying_power=finite(fields.get("derivative-buying-power")),
        margins=(margin,),
        expected_views=(MarginView.CURRENT,),
        margin_call=_margin_call(fields),
    )


def _margin_call(fields: Mapping[str, object]) -> bool | None:
    """True when any call is open, None when one that matters is not reported."""
    calls = [finite(fields.get(name)) for name in _CALLS]
    if any(call is not None and call != 0 for call in calls):
        return True
    return None if None in calls else False

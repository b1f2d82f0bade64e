"""tastytrade position records as values of the domain; pure, so that the live feed and files share it.

Facts that bite: `quantity` is unsigned and `quantity-direction` carries the sign; `mark` is the whole position and
`mark-price` one unit; `realized-day-gain` is unsigned beside its `-effect`; `average-daily-market-close-price` is the
cost basis of the day's open gain. All numbers are strings. Keys come kebab-cased from the API and snake-cased from
client libraries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from adapters.tastytrade import contracts
from adapters.tastytrade.fields import day, moment, number, signed
from adapters.trust import Multiplier, contradicted, multiplier, per_face, vetted
from guardrails import calendar
from guardrails.instruments import Instrument, Kind
from guardrails.values import AccountId, Position, Quote, finite

BROKER = "tastytrade"
NO_ACCOUNT = "none"
"""stands for the number of an account when a record does not name one"""
_SIGNS = {"long": 1.0, "short": -1.0, "zero": 0.0}
_FLAGS = {"is-frozen": "tastytrade has frozen it", "is-suppressed": "tastytrade suppresses it"}
_PREVIOUS_CLOSE = "the mark is the previous close: the record has no mark-price"


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
    instrument, doubts = contracts.described(fields, reading.written, reading.place)
    trouble = [*doubts]
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
        notes=(*factor.notes, *price_notes, *_flags(fields)),
    )
    gains = _with_gains(position, day_basis(fields, reading.today))
    return vetted(contradicted(gains, _signed_total(fields, quantity)), reading.today)


def quantity(record: Mapping[str, object]) -> float | None:
    """How much one record holds, signed; None when that cannot be read."""
    return _signed(kebab(record), [])


def is_open(position: Position) -> bool:
    """Whether anything is held: what was closed today stays listed with quantity 0 until the night.

    A quantity that is not known is open. Sum `day_pnl` before leaving the closed ones out: they carry the day's gains.
    """
    return position.quantity != 0


def _flags(fields: Mapping[str, object]) -> tuple[str, ...]:
    """What tastytrade says it does with the position, as notes."""
    found = [text for name, text in _FLAGS.items() if str(fields.get(name)).strip().lower() == "true"]
    restricted = number(fields.get("restricted-quantity"))
    return (*found, *([f"{restricted:g} of it is restricted and cannot be traded now"] if restricted else []))


def _multiplier(instrument: Instrument, fields: Mapping[str, object], trouble: list[str]) -> Multiplier:
    if not contracts.is_debt(fields):
        stated = _figure(fields, "multiplier", trouble)
        found, listed = multiplier(instrument, stated), instrument.kind in (Kind.OPTION, Kind.INDEX_OPTION)
        if not listed or instrument.adjusted or stated in (None, 100):
            return found
        return replace(found, notes=(*found.notes, f"multiplier {stated:g}, where nearly every US option has 100"))
    value, quantity, price = (number(fields.get(name)) for name in ("mark", "quantity", "mark-price"))
    return per_face(value, quantity, price if (quantity or 0.0) * (price or 0.0) else None)


def _figure(fields: Mapping[str, object], name: str, trouble: list[str]) -> float | None:
    """The number under `name`; None when absent, None with a reason when unreadable."""
    raw = fields.get(name)
    if raw is None or raw == "":
        return None
    value = number(raw)
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
            f"quantity-direction {direction[:40]!r} is none of Long, Short, Zero, so quantity {size:g} has no sign"
        )
    elif size < 0:
        trouble.append(f"quantity {size:g} is below zero although quantity-direction carries the sign")
    elif size == 0 and direction != "zero" and number(fields.get("mark")):
        trouble.append("quantity 0 contradicts the value that it is given")
    elif size > 0 and direction == "zero":
        trouble.append(f"quantity {size:g} contradicts its quantity-direction, which says that nothing is held")
    else:
        return size * _SIGNS[direction]
    return None


def _mark(
    fields: Mapping[str, object], quantity: float | None, factor: float | None, trouble: list[str]
) -> tuple[float | None, tuple[str, ...]]:
    """Price of one unit, and the note that it is not a current mark."""
    unit, total, close = (_figure(fields, name, trouble) for name in ("mark-price", "mark", "close-price"))
    if unit is not None:
        return unit, ()
    units = (quantity or 0.0) * (factor or 0.0)
    if total is not None and units and (price := finite(abs(total / units))) is not None:
        return price, ()
    return (None, ()) if close is None else (close, (_PREVIOUS_CLOSE,))


def _signed_total(fields: Mapping[str, object], quantity: float | None) -> float | None:
    """The record's own value of the position, where it can be compared with its unit price."""
    total, unit = number(fields.get("mark")), number(fields.get("mark-price"))
    if total is None or quantity is None or unit is None or total == unit:  # some write the unit price under both
        return None
    return abs(total) if quantity >= 0 else -abs(total)


def _currency(fields: Mapping[str, object]) -> str:
    return str(fields.get("currency") or fields.get("quote-currency") or "USD").upper()


@dataclass(frozen=True, slots=True)
class DayBasis:
    """What the day's profit of one position is counted from."""

    price: float | None
    """of one unit: the close before today, or what was paid for it if it was opened today"""
    realized: float | None
    """signed, in currency units: what was made today on what is no longer held; None when not known"""


def day_basis(record: Mapping[str, object], today: date) -> DayBasis:
    """The basis of `today`, an exchange date; without an average daily close that of the market or the opening price.

    The market's close says nothing about what was opened today, so there it is what was paid.
    """
    fields = kebab(record)
    price = number(fields.get("average-daily-market-close-price"))
    if price is None:
        opened = moment(fields.get("created-at"))
        fresh = opened is not None and calendar.exchange_date(opened) == today
        price = number(fields.get("average-open-price" if fresh else "close-price"))
    return DayBasis(price, _realized(fields, today))


def _realized(fields: Mapping[str, object], today: date) -> float | None:
    """Gain realized today; one that is not of today is 0, one without a readable day may be of today."""
    gain, on = signed(fields, "realized-day-gain"), day(fields.get("realized-day-gain-date"))
    if gain == 0 or (on is not None and on < today):
        return 0.0
    return gain if on == today else None


def priced(
    position: Position, basis: DayBasis, quote: Quote | None, mark: float | None, mark_time: datetime | None
) -> Position:
    """`position` at live prices of one unit: bid, ask and mark with their times, and both profits from them.

    Without a quote, or without a mark of known age, what the record said stays. A side below zero, an ask of zero and
    a crossed quote are none; so is a mark below zero, unless it is a future's.
    """
    future = position.instrument.kind is Kind.FUTURE
    held = position
    if quote is not None:
        bid, ask = _sides(quote, future=future)
        held = replace(held, bid=bid, ask=ask, quote_time=None if bid is None and ask is None else quote.time)
    value = finite(mark)
    if value is None or mark_time is None or (value < 0 and not future):
        return held
    notes = tuple(note for note in held.notes if note != _PREVIOUS_CLOSE)
    return _with_gains(replace(held, mark=value, mark_time=mark_time, notes=notes), basis)


def _sides(quote: Quote, *, future: bool) -> tuple[float | None, float | None]:
    bid, ask = finite(quote.bid), finite(quote.ask)
    if not future:
        bid = bid if bid is not None and bid >= 0 else None
        ask = ask if ask is not None and ask > 0 else None
    return (None, None) if bid is not None and ask is not None and bid > ask else (bid, ask)


def _with_gains(position: Position, basis: DayBasis) -> Position:
    """Open profit over the average price; the day's over `basis`, with what was realized today."""
    day_gain, realized = _gain(position, basis.price), basis.realized
    return replace(
        position,
        open_pnl=_gain(position, position.average_price),
        day_pnl=None if day_gain is None or realized is None else finite(day_gain + realized),
    )


def _gain(position: Position, basis: float | None) -> float | None:
    """quantity × multiplier × (mark − basis) in currency units; 0 of nothing; None without a current mark."""
    quantity, factor, mark = position.quantity, position.multiplier, position.mark
    if quantity == 0:
        return 0.0
    if quantity is None or factor is None or mark is None or basis is None or _PREVIOUS_CLOSE in position.notes:
        return None
    return finite(quantity * factor * (mark - basis))

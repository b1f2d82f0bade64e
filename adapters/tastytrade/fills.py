"""What tastytrade's order records say: orders, their state and their fills; pure.

There is no status for a part that is filled: that is said by the legs. Fills of a package arrive leg by leg, so it is
filled as far as the leg that lags behind (tastytrade facts 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import gcd

from adapters.tastytrade.api import Record
from adapters.tastytrade.contracts import described
from adapters.tastytrade.fees import Fees, charged, place
from adapters.tastytrade.fields import moment, text_of
from adapters.tastytrade.fields import number as number_of
from adapters.tastytrade.rows import BROKER
from guardrails import calendar
from guardrails.instruments import Instrument, Kind
from guardrails.orders import BrokerOrder, Fill, Leg, OrderState
from guardrails.redaction import redact
from guardrails.values import AccountId

KEY = "external-identifier"
"""field of a record that bears the key under which it was sent"""
SENDER = "tastytrade"
"""of an order that bears no key: the platform, a phone, another program"""
_ALIVE = ("received", "routed", "in flight", "contingent", "live", "replace requested")
_OVER = {
    "filled": OrderState.FILLED,
    "cancelled": OrderState.CANCELLED,
    "canceled": OrderState.CANCELLED,
    "expired": OrderState.CANCELLED,
    "removed": OrderState.CANCELLED,
    "rejected": OrderState.REJECTED,
}
_QUIET = (*_ALIVE, "cancel requested", "filled", "cancelled", "canceled")
"""statuses that need no words of their own"""
_TIMES = {"Day": "DAY"}


@dataclass(frozen=True, slots=True)
class Told:
    """What one record says, and which records it replaces and is replaced by."""

    order: BrokerOrder
    fills: tuple[Fill, ...] = ()
    replaces: str = ""
    replaced_by: str = ""


def told(record: Record, number: str, read: datetime, fees: Fees | None = None) -> Told:
    """The order and the fills of one record of the account `number`, read at `read`."""
    legs, unread = _legs(record, read)
    reference, status = text_of(record.get("id")), text_of(record.get("status"))
    over = _OVER.get(_plain(status))
    done = [_filled(leg, ended=over is not None and over is not OrderState.FILLED) for leg in _rows(record)]
    quantity, filled = _packages(record, legs, done)
    state = over or _alive(status, any(done))
    if state is OrderState.FILLED:
        filled = quantity
    limit = _limit(record)
    key = text_of(record.get(KEY))
    order = BrokerOrder(
        account=AccountId(BROKER, number),
        reference=reference,
        key=key,
        legs=legs,
        quantity=quantity,
        filled=filled,
        state=state,
        limit=limit,
        time_in_force=_TIMES.get(in_force := text_of(record.get("time-in-force")), in_force),
        sender="" if key else SENDER,
        cancellable=not state.is_over and record.get("cancellable") is not False,
        words=_words(record, status, _parts_filled(record, legs, done, ended=state is OrderState.FILLED)),
        time=instant(record.get("updated-at")) or read,
        unread=unread,
    )
    found = () if unread else tuple(_fills(record, order, read, fees or {}))
    replaces, replaced_by = (text_of(record.get(name)) for name in ("replaces-order-id", "replacing-order-id"))
    return Told(order, found, replaces, replaced_by)


def instant(value: object) -> datetime | None:
    """A time as text with its zone, or in milliseconds since 1970; None for anything else."""
    milliseconds = None if isinstance(value, (str, bool)) else number_of(value)
    if milliseconds is None:
        return moment(value)
    try:
        return datetime.fromtimestamp(milliseconds / 1000.0, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _rows(record: Record) -> list[Record]:
    legs = record.get("legs")
    return [leg for leg in legs if isinstance(leg, dict)] if isinstance(legs, list) else []


def _legs(record: Record, read: datetime) -> tuple[tuple[Leg, ...], str]:
    """The legs of one package, or none and why they cannot be read."""
    rows, raw = _rows(record), record.get("legs")
    if not rows or not isinstance(raw, list) or len(raw) != len(rows):
        return (), "its legs are not listed"
    changes: list[tuple[Instrument, int]] = []
    for row in rows:
        instrument, doubts = described(row, calendar.exchange_date(read))
        size, sign = number_of(row.get("quantity")), _sign(row)
        if instrument.kind is Kind.OTHER or doubts:
            return (), "; ".join(doubts) or "a leg cannot be read"
        if size is None or size < 1 or size != int(size) or not sign:
            return (), f"{instrument.label}: its quantity or action cannot be read"
        changes.append((instrument, sign * int(size)))
    if len({instrument.key for instrument, _ in changes}) < len(changes):
        return (), "an instrument stands in two legs"
    factor = gcd(*(change for _, change in changes))
    return tuple(Leg(instrument, change // factor) for instrument, change in changes), ""


def _sign(leg: Record) -> int:
    word = text_of(leg.get("action")).lower()
    return 1 if word.startswith("buy") else -1 if word.startswith("sell") else 0


def _filled(leg: Record, *, ended: bool) -> float:
    """Units of a leg that are filled: what its fills come to, or what no longer remains, whichever is more.

    Of an order that `ended` without being filled nothing remains either way: there only its fills count.
    """
    fills = sum(abs(number_of(fill.get("quantity")) or 0.0) for fill in _fill_rows(leg).values())
    whole, rest = number_of(leg.get("quantity")), number_of(leg.get("remaining-quantity"))
    return max(fills, 0.0 if ended or whole is None or rest is None else whole - rest)


def _packages(record: Record, legs: Sequence[Leg], done: Sequence[float]) -> tuple[float, float]:
    """Packages ordered and packages filled: as many as the leg that is furthest behind."""
    if not legs:
        return abs(number_of(record.get("size")) or 0.0), 0.0
    first = number_of(_rows(record)[0].get("quantity")) or 0.0
    filled = min(units / abs(leg.ratio) for units, leg in zip(done, legs, strict=True))
    return first / abs(legs[0].ratio), filled


def _plain(status: str) -> str:
    """A status in one spelling: `In Flight`, `IN_FLIGHT` and `in-flight` are the same."""
    return " ".join(status.replace("_", " ").replace("-", " ").lower().split())


def _alive(status: str, begun: bool) -> OrderState:  # noqa: FBT001  # read as "with something filled"
    """The state of an order that is not over; UNKNOWN also of `Partially Removed`: what is left is not said."""
    word = _plain(status)
    if word in _ALIVE:
        return OrderState.PARTIAL if begun else OrderState.WORKING
    return OrderState.CANCEL_REQUESTED if word == "cancel requested" else OrderState.UNKNOWN


def _limit(record: Record) -> float | None:
    """The price of a package, positive where it is paid; None without one, or without its effect."""
    size, effect = number_of(record.get("price")), text_of(record.get("price-effect")).lower()
    if size == 0:
        return 0.0
    return None if size is None or effect not in ("debit", "credit") else abs(size) * (1 if effect == "debit" else -1)


def _words(record: Record, status: str, parts: str) -> str:
    """Why it was rejected or is held back, what ended it, and which `parts` of it are filled."""
    reason = text_of(record.get("reject-reason")) or text_of(record.get("contingent-status"))
    word = _plain(status)
    quiet = word in _QUIET and word != "contingent"
    said = redact(" ".join((reason or ("" if quiet else status)).split()))
    return "; ".join(filter(None, (parts, said)))[:160]


def _parts_filled(record: Record, legs: Sequence[Leg], done: Sequence[float], *, ended: bool) -> str:
    """How far each leg of a package is filled: packages do not say it, and a leg may stand alone by then."""
    if len(legs) < 2 or ended or not any(done):
        return ""
    wholes = (number_of(row.get("quantity")) or 0.0 for row in _rows(record))
    return "legs filled: " + ", ".join(
        f"{units:g} of {whole:g} {leg.instrument.label}" for leg, units, whole in zip(legs, done, wholes, strict=True)
    )


def _fill_rows(leg: Record) -> dict[str, Record]:
    """The fills of a leg by their identity; one that is listed twice counts once, two executions under one id do not.

    The earliest keeps the bare id, so that it has the same name in every reading.
    """
    raw = leg.get("fills")
    rows = [row for row in raw if isinstance(row, dict)] if isinstance(raw, list) else []
    named: dict[str, Record] = {}
    for number, row in sorted(enumerate(rows), key=lambda each: text_of(each[1].get("filled-at"))):
        execution = text_of(row.get("ext-exec-id"))
        name = text_of(row.get("fill-id")) or execution or f"#{number}"
        other = text_of(named[name].get("ext-exec-id")) if name in named else ""
        named[f"{name} {execution}" if execution and other and execution != other else name] = row
    return named


def _fills(record: Record, order: BrokerOrder, read: datetime, fees: Fees) -> Iterator[Fill]:
    for leg, row in zip(order.legs, _rows(record), strict=True):
        rows = _fill_rows(row)
        for name, fill in rows.items():
            size, price = number_of(fill.get("quantity")), number_of(fill.get("fill-price"))
            if not size or price is None:
                continue
            yield Fill(
                execution=f"{order.reference}/{leg.instrument.symbol}/{name}",
                revision=0,
                account=order.account,
                instrument=leg.instrument,
                quantity=_sign(row) * abs(size),
                price=price,
                time=instant(fill.get("filled-at")) or order.time or read,
                key=order.key,
                reference=order.reference,
                fees=charged(fill, tuple(rows.values()), place(order.reference, row.get("symbol")), fees),
            )

"""What a tastytrade record holds, from its symbol and type; its other fields are held against that.

The symbol decides. `expires-at` adds the day a future ends; where it, `underlying-symbol` or `deliverable-type` say
something else than the symbol of an option, the row cannot be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time

from adapters.tastytrade.fields import day, moment, underlying
from guardrails import calendar
from guardrails.errors import GuardrailsError, SymbolError
from guardrails.instruments import Instrument, Kind, Settlement
from guardrails.products import product_root
from guardrails.symbols import contracts as parts
from guardrails.symbols import tastytrade as symbols

_LONGEST = 60
"""of a future option, the longest there is, 30"""
_DEBT = ("Bond", "Fixed Income Security")
_BILLS = ("912793", "912794", "912795", "912796", "912797")
"""issuer part of the CUSIP of every US Treasury bill; a bill is cash that matures, as in `adapters.ibkr.rows`"""


def described(fields: Mapping[str, object], written: date, place: str = "") -> tuple[Instrument, tuple[str, ...]]:
    """What a kebab-cased record holds, and the reasons to doubt it; Kind.OTHER when its symbol cannot be read.

    `written`, the exchange date of the record, decides the decade of one-digit years; `place` names a row without one.
    """
    trouble: list[str] = []
    instrument = _dated(_named(fields, written, place, trouble), fields, trouble)
    _doubt_deliverable(instrument, fields, written, trouble)
    return instrument, tuple(trouble)


def is_debt(fields: Mapping[str, object]) -> bool:
    """Whether the record is of a bond or a bill, which is counted in face value."""
    return _kind(fields) in _DEBT


def _named(fields: Mapping[str, object], written: date, place: str, trouble: list[str]) -> Instrument:
    symbol, kind = _shown(fields.get("symbol")).rstrip(), _kind(fields)
    if symbol and kind in _DEBT:
        name = symbol.strip()
        return Instrument(Kind.CASH if name.startswith(_BILLS) else Kind.BOND, name, name, name)
    try:
        return symbols.parse(symbol, kind, written)
    except SymbolError as error:
        trouble.append(str(error) if symbol else "no symbol")
        return Instrument(Kind.OTHER, symbol.strip() or place, symbol.strip(), symbol.strip())


def _shown(value: object) -> str:
    """A symbol as it may stand in a table: cut where no symbol is that long, without signs that are not seen."""
    return "".join(sign for sign in str(value or "")[:_LONGEST] if sign.isprintable())


def _kind(fields: Mapping[str, object]) -> str:
    """The instrument type in words, also where a client library wrote `InstrumentType.EQUITY_OPTION`."""
    text = str(fields.get("instrument-type") or "").strip()
    return text.removeprefix("InstrumentType.").replace("_", " ").title()


def _dated(instrument: Instrument, fields: Mapping[str, object], trouble: list[str]) -> Instrument:
    """A future with the expiry its symbol does not carry; an option as it is, with a reason if `expires-at` differs."""
    raw, future = fields.get("expires-at"), instrument.kind is Kind.FUTURE
    if raw in (None, "") or not (future or instrument.is_option):
        return instrument
    days = _expiry_days(raw)
    if not days:
        trouble.append(f"expires-at {str(raw)[:40]!r} is not a time")
    elif not future:
        if not _last_days(instrument).intersection(days):
            trouble.append(f"expires-at {days[0]} contradicts the expiry {instrument.expiry} of its symbol")
    else:
        try:
            named = parts.Month.read(instrument.symbol[-3], instrument.symbol[-2:], days[0])
            return parts.future(instrument.root.removeprefix("/"), *named, days[0])
        except ValueError as error:
            trouble.append(str(error))
    return instrument


def _expiry_days(raw: object) -> tuple[date, ...]:
    """The exchange dates `expires-at` may mean, the likeliest first: midnight UTC stands for the date it is written as.

    Empty when it is no time at all.
    """
    at = moment(raw)
    if at is None:
        only = day(raw)
        return () if only is None else (only,)
    local = calendar.exchange_date(at)
    return (at.date(), local) if at.time() == time(0) else (local,)


def _last_days(option: Instrument) -> set[date | None]:
    """The days on which an option may be said to expire; one that settles in the morning last trades the day before."""
    found = {option.expiry}
    if option.expiry is not None and option.settlement in (Settlement.CASH_AM, None):
        try:
            found.add(calendar.previous_session(option.expiry))
        except GuardrailsError:  # beyond the calendar there is no session before it
            return found
    return found


def _doubt_deliverable(instrument: Instrument, fields: Mapping[str, object], written: date, trouble: list[str]) -> None:
    """Reasons where the record names another underlying than its symbol, or a share option does not deliver shares.

    A future says its product (`/ES`) where an option on it says the contract (`/ESZ6`): both agree with `/ESZ26`.
    """
    delivers = str(fields.get("deliverable-type") or "").strip()
    if instrument.kind is Kind.OPTION and delivers and delivers.lower() != "shares":
        trouble.append(f"an adjusted option: it delivers {delivers[:40]!r}, not shares")
    stated = fields.get("underlying-symbol")
    if stated in (None, "") or instrument.adjusted or not (instrument.is_option or instrument.kind is Kind.FUTURE):
        return
    held = instrument.underlying
    if underlying(stated, written) not in (held, product_root(held)):
        trouble.append(f"underlying-symbol {str(stated)[:40]!r} contradicts {held} of its symbol")

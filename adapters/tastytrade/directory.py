"""Under which streamer symbol each instrument is found. Options on shares and indices, shares and coins have theirs by
rule; futures, their options and options on class shares (`BRK/B`, written in more than one way) are looked up, because
a guessed symbol is answered by silence (tastytrade facts 6).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import quote

from adapters.tastytrade.api import Api, Record, Refused
from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Kind
from guardrails.symbols import dxfeed, tastytrade

REGIME = ("VIX", "VIX3M")
INDICES = (*REGIME, "SPX", "SPY")
"""streamed whatever is held: the regime and the beta weighting rest on them"""
_PATHS = {
    Kind.FUTURE: "/instruments/futures",
    Kind.FUTURE_OPTION: "/instruments/future-options",
    Kind.OPTION: "/instruments/equity-options",
}
_BATCH = 50
_UNKNOWN = 404
"""the one answer that says it is not listed; every other failure says nothing about it"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to stream, and what each streamer symbol stands for."""

    wanted: dict[str, frozenset[str]] = field(default_factory=dict)
    """streamer symbols by kind of event"""
    options: dict[str, str] = field(default_factory=dict)
    """key of the option by streamer symbol"""
    prices: dict[str, str] = field(default_factory=dict)
    """canonical symbol of what is no option by streamer symbol"""
    missing: tuple[str, ...] = ()
    """what cannot be streamed, by name"""


class Directory:
    """Streamer symbols and last trading days of futures, and why some are not known."""

    def __init__(self) -> None:
        self.streamers: dict[str, str] = {}
        """by canonical symbol"""
        self.expiries: dict[str, date] = {}
        """last trading day of futures, by canonical symbol"""
        self.refused: dict[str, str] = {}

    def streamer(self, instrument: Instrument) -> str | None:
        """Its streamer symbol, None while it is not known or when there is none."""
        if _looked_up(instrument):
            return self.streamers.get(instrument.symbol)
        try:
            return dxfeed.format(instrument)
        except SymbolError:
            return None

    def unknown(self, instruments: Iterable[Instrument]) -> list[Instrument]:
        """What has still to be looked up."""
        return [
            held
            for held in instruments
            if _looked_up(held)
            and held.symbol not in self.streamers
            and held.symbol not in self.refused
            and _spellings(held)  # of an option whose future is not known yet it may be later
        ]

    async def learn(self, api: Api, instruments: Iterable[Instrument]) -> None:
        """Look up what is unknown; what the API does not list is not asked for again.

        Refused or Incomplete, with the rest still unknown, when it cannot be asked.
        """
        unknown = self.unknown(instruments)
        for kind, path in _PATHS.items():
            spellings = {held.symbol: _spellings(held) for held in unknown if held.kind is kind}
            await self._look_up(api, path, spellings)

    async def _look_up(self, api: Api, path: str, wanted: Mapping[str, Sequence[str]]) -> None:
        symbols = sorted(wanted)
        for start in range(0, len(symbols), _BATCH):
            batch = symbols[start : start + _BATCH]
            try:
                rows = await api.items(path, {"symbol[]": [wanted[symbol][0] for symbol in batch]})
            except Refused as refused:
                if refused.status != _UNKNOWN:
                    raise
                rows = ()
            found = {_squeezed(str(row.get("symbol", ""))): row for row in rows}
            for symbol in batch:
                row = next((found[name] for each in wanted[symbol] if (name := _squeezed(each)) in found), None)
                self._note(symbol, row or await _alone(api, path, wanted[symbol]))

    def _note(self, symbol: str, row: Record) -> None:
        streamer = row.get("streamer-symbol")
        if not isinstance(streamer, str) or not streamer:
            self.refused[symbol] = "tastytrade does not list it"
            return
        self.streamers[symbol] = streamer
        try:
            self.expiries[symbol] = date.fromisoformat(str(row.get("expiration-date"))[:10])
        except ValueError:
            return

    def plan(self, instruments: Collection[Instrument], today: date) -> Plan:
        """What to stream for `instruments` and what they are struck on."""
        options: dict[str, str] = {}
        prices = {name: name for name in INDICES}
        missing = []
        for held in {each.key: each for each in (*instruments, *underlyings(instruments, today))}.values():
            if held.kind in (Kind.CASH, Kind.OTHER, Kind.BOND):
                continue
            streamer = self.streamer(held)
            if streamer is None:
                missing.append(held.label)
            elif held.is_option:
                options[streamer] = held.key
            else:
                prices[streamer] = held.symbol
        named, priced = frozenset(options), frozenset(prices)
        wanted = {"Greeks": named, "Quote": named | priced, "Trade": priced, "Summary": priced}
        closes = {"Candle": frozenset(REGIME)}
        return Plan({**wanted, **closes}, options, prices, tuple(sorted(missing)))


def underlyings(instruments: Iterable[Instrument], today: date) -> list[Instrument]:
    """What options are struck on, each once; an option whose future is not known has none."""
    found: dict[str, Instrument] = {}
    for held in instruments:
        name = held.underlying
        if not held.is_option or not name or name in found:
            continue
        try:
            found[name] = tastytrade.parse(name, "Future" if name.startswith("/") else "", today)
        except SymbolError:
            continue
    return list(found.values())


async def _alone(api: Api, path: str, names: Sequence[str]) -> Record:
    """The record of one instrument under the first name that is known; empty when none is.

    The path of a future leaves out the slash of its symbol, that of an option on one does not.
    """
    for name in names:
        try:
            return await api.get(f"{path}/{quote(name.removeprefix('/'), safe='')}")
        except Refused as refused:
            if refused.status != _UNKNOWN:
                raise
    return {}


def _looked_up(held: Instrument) -> bool:
    return held.kind in (Kind.FUTURE, Kind.FUTURE_OPTION) or (held.kind is Kind.OPTION and "/" in held.underlying)


def _spellings(held: Instrument) -> tuple[str, ...]:
    """The names tastytrade may list it under, the likeliest first; none when it cannot be formed."""
    try:
        name = tastytrade.format(held)
    except SymbolError:
        return ()
    return tuple(dict.fromkeys((name, held.symbol))) if held.kind is Kind.OPTION else (name,)


def _squeezed(symbol: str) -> str:
    return "".join(symbol.split())

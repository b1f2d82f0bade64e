"""What options are listed on an underlying, from the nested chains; one answer serves every expiry for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from adapters.condition import Lost
from adapters.tastytrade.api import Api, Incomplete, Record, Refused
from adapters.tastytrade.fields import day, underlying
from guardrails import calendar
from guardrails.errors import SourceError, SymbolError
from guardrails.instruments import Instrument, Settlement
from guardrails.orders import ChainExpiry
from guardrails.products import product_root
from guardrails.symbols import tastytrade as symbols

FRESH = timedelta(minutes=10)
"""strikes are added during a session, but seldom"""
_MOST_KEPT = 8
_SETTLEMENTS = {"AM": Settlement.CASH_AM, "PM": Settlement.CASH_PM}


@dataclass(frozen=True, slots=True)
class Listed:
    """One expiry with the options of it, and the streamer symbol of each by canonical symbol."""

    expiry: ChainExpiry
    options: tuple[Instrument, ...]
    streamers: tuple[tuple[str, str], ...] = ()


class Chains:
    """Chains read lately. All of it belongs to the loop it is read on."""

    def __init__(self, api: Api, clock: Callable[[], datetime]) -> None:
        self._api, self._clock = api, clock
        self._kept: dict[str, tuple[datetime, tuple[Listed, ...]]] = {}

    async def read(self, name: str) -> tuple[Listed, ...]:
        """Every expiry listed on `name` (`SPX`, `/ES`, `/ESZ26`), nearest first; SourceError when it is not known."""
        product = product_root(name) if name.startswith("/") else name
        now = self._clock()
        kept = self._kept.get(product)
        if kept is None or not timedelta() <= now - kept[0] < FRESH:
            kept = (now, await self._ask(product, calendar.exchange_date(now)))
            while len(self._kept) >= _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[product] = kept
        if name in ("", product):
            return kept[1]
        return tuple(each for each in kept[1] if each.expiry.underlying == name)

    async def _ask(self, name: str, today: date) -> tuple[Listed, ...]:
        try:
            found = tuple(_listed(await self._rows(name), name, today))
        except Lost as lost:
            raise SourceError(f"the chain of {name} cannot be read: {lost.condition.sentence}") from None
        except (Refused, Incomplete) as error:
            raise SourceError(f"the chain of {name} cannot be read: {error}.") from None
        if not found:
            raise SourceError(f"tastytrade lists no options on {name}.")
        return tuple(sorted(found, key=lambda each: (each.expiry.expiry, each.expiry.root)))

    async def _rows(self, name: str) -> Iterable[Record]:
        if not name.startswith("/"):
            return await self._api.items(f"/option-chains/{quote(name, safe='')}/nested")
        data = await self._api.get(f"/futures-option-chains/{quote(name.removeprefix('/'), safe='')}/nested")
        return _dicts(data.get("option-chains"))


def _listed(chains: Iterable[Record], name: str, today: date) -> Iterator[Listed]:
    """Every expiry that is not past and of which an option can be read; others are not offered."""
    kind = "Future Option" if name.startswith("/") else "Equity Option"
    for chain in chains:
        for row in _dicts(chain.get("expirations")):
            expiry = day(row.get("expiration-date"))
            if expiry is None or expiry < today:
                continue
            options, streamers = _options(_dicts(row.get("strikes")), kind, today)
            if not options:
                continue
            first = options[0]
            struck_on = underlying(row.get("underlying-symbol"), today) if name.startswith("/") else None
            settlement = first.settlement or _SETTLEMENTS.get(str(row.get("settlement-type")).upper())
            told = ChainExpiry(struck_on or first.underlying or name, expiry, first.root, settlement)
            yield Listed(told, options, streamers)


def _options(
    strikes: Iterable[Record], kind: str, today: date
) -> tuple[tuple[Instrument, ...], tuple[tuple[str, str], ...]]:
    found: list[Instrument] = []
    streamers: list[tuple[str, str]] = []
    for strike in strikes:
        for side in ("call", "put"):
            try:
                option = symbols.parse(str(strike.get(side) or ""), kind, today)
            except SymbolError:
                continue
            found.append(option)
            if isinstance(streamer := strike.get(f"{side}-streamer-symbol"), str) and streamer:
                streamers.append((option.symbol, streamer))
    found.sort(key=lambda option: (option.strike or 0, option.right or ""))
    return tuple(found), tuple(streamers)


def _dicts(value: Any) -> list[Record]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []

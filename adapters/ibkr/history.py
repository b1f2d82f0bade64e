"""Official daily closes of VIX and VIX3M, which the regime steps down by."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, time, timedelta

import ib_async

from adapters.ibkr.directory import Directory
from adapters.ibkr.session import Refused, Session
from guardrails.calendar import NEW_YORK, exchange_date
from guardrails.values import finite

DURATION = "6 M"
"""the regime needs 30 closes; a half year also shows the last change of regime"""
ANSWER_SECONDS = 20.0
_TRIES, _WAIT_SECONDS = 20, 0.25
_FINISHED = time(16, 30)
"""New York; the last VIX of the day is printed at 16:15"""
Closes = tuple[tuple[date, float], ...]


SYMBOLS = ("VIX", "VIX3M")


async def closes_of(session: Session, directory: Directory, symbol: str) -> tuple[Closes, str]:
    """Closes of an index once its contract is known; and why there are none."""
    for _ in range(_TRIES):
        con_id = directory.underlyings.get(symbol)
        listing = None if con_id is None else directory.listings.get(con_id)
        if listing is not None and listing.contract is not None:
            return await daily_closes(session, listing.contract)
        await asyncio.sleep(_WAIT_SECONDS)
    return (), f"no daily closes of {symbol}: IBKR does not know the index"


async def daily_closes(session: Session, contract: ib_async.Contract) -> tuple[Closes, str]:
    """Closes by date, oldest first, without today's bar while it is unfinished; and why there are none."""
    asked = session.ib.reqHistoricalDataAsync(contract, "", DURATION, "1 day", "TRADES", useRTH=True, timeout=0)
    try:
        bars: Sequence[ib_async.BarData] = await session.answer(asked, ANSWER_SECONDS, contract)
    except Refused as refused:
        return (), f"no daily closes of {contract.symbol} ({refused})"
    except (TimeoutError, ConnectionError):
        bars = []
    now = session.clock()
    today = exchange_date(now)
    last = today if now.astimezone(NEW_YORK).time() >= _FINISHED else today - timedelta(days=1)
    closes = {bar.date: float(bar.close) for bar in bars if _usable(bar, last)}
    return tuple(sorted(closes.items())), "" if closes else f"IBKR gave no daily closes of {contract.symbol}"


def _usable(bar: ib_async.BarData, last: date) -> bool:
    close = finite(bar.close)
    return type(bar.date) is date and bar.date <= last and close is not None and close > 0

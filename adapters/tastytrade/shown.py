"""What an account held when an order was checked, and what it holds when it is sent: by that its legs open or close."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from adapters.tastytrade.api import bounded
from adapters.tastytrade.ledger import Ledger
from adapters.tastytrade.orders import Held, held_of
from guardrails.errors import NotSentError, SourceError
from guardrails.orders import Order

HELD_SECONDS = 12.0
CONFIRM_SECONDS = 3.0
"""longest reading of positions within a submit, which is over in 10 s with the sending itself"""
JUST_NOW, LATELY = timedelta(seconds=2), timedelta(seconds=60)
"""positions shown just now need not be read again; those shown lately must not have turned since"""


class Shown:
    """What was shown last of each account, by its number."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last: dict[str, tuple[datetime, Held]] = {}

    async def read(self, ledger: Ledger, number: str) -> Held:
        """What is held now, which is remembered; SourceError when it cannot be read."""
        found = await self._held(ledger, number, HELD_SECONDS)
        self._last[number] = (self._clock(), found)
        return found

    async def confirmed(self, ledger: Ledger, order: Order) -> Held:
        """Positions by which legs open or close; NotSentError when they cannot be read or have turned."""
        number, now = order.account.number, self._clock()
        shown_at, shown = self._last.get(number, (None, Held()))
        since = None if shown_at is None else now - shown_at
        if since is not None and timedelta() <= since <= JUST_NOW:
            return shown
        try:
            fresh = await self._held(ledger, number, CONFIRM_SECONDS)
        except SourceError as error:
            if known := _as_last_known(ledger, order, self._clock()):
                return known
            raise NotSentError(f"{str(error).rstrip('.')}; nothing was sent.") from None
        for trade in order.trades if since is not None and timedelta() <= since <= LATELY else ():
            was, have = (held.quantities.get(trade.instrument.key, 0.0) for held in (shown, fresh))
            if (was * trade.quantity < 0) != (have * trade.quantity < 0):
                raise NotSentError(
                    f"{trade.instrument.label}: {was:+g} were held when the order was checked, {have:+g} are now; "
                    "nothing was sent, look again."
                )
        return fresh

    async def _held(self, ledger: Ledger, number: str, seconds: float) -> Held:
        return held_of(await bounded(ledger.read_anew(number), "positions", seconds), self._clock())


def _as_last_known(ledger: Ledger, order: Order, now: datetime) -> Held | None:
    """What was read last, if by that every leg only closes: a close is strict, so tastytrade refuses one of nothing."""
    book = ledger.books.get(order.account.number)
    held = Held() if book is None else held_of(book.rows, now)
    closes = all(
        (had := held.quantities.get(trade.instrument.key, 0.0)) * trade.quantity < 0 and abs(trade.quantity) <= abs(had)
        for trade in order.trades
    )
    return held if closes else None

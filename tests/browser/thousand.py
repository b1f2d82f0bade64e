"""The program on a book of a thousand options over fifty underlyings, `python -m tests.browser.thousand`.

A source that says the same book again and again, priced and with Greeks of now: what sliders answer on must be large.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np

from guardrails import calendar
from guardrails.symbols.expiries import third_friday
from guardrails.values import (
    Account,
    AccountId,
    Greeks,
    Margin,
    MarginView,
    Market,
    Observed,
    Position,
    Price,
    Source,
    SourceState,
    View,
)

COUNT, NAMES = 1000, 49
ACCOUNT = AccountId("IBKR", "U0000004567")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Thousand:
    """The source."""

    name: str = "thousand"

    async def view(self, now: datetime) -> View:
        """The book at `now`."""
        positions = tuple(_timed(position, now) for position in book(calendar.exchange_date(now)))
        source = Source(self.name, SourceState.LIVE, now, condition="connected")
        return View(source, (_account(now),), positions, _market(now))

    async def close(self) -> None:
        """Nothing is open."""


def prices() -> dict[str, float]:
    """SPX at 6,000, forty-nine names from 40 dollars up."""
    names = [f"Q{_LETTERS[i // 26]}{_LETTERS[i % 26]}Z" for i in range(NAMES)]
    return {"SPX": 6000.0, **{name: 40.0 + 7.0 * i for i, name in enumerate(names)}}


@cache
def book(today: date) -> tuple[Position, ...]:
    """A thousand options, seeded, twenty on each underlying."""
    from guardrails.symbols import occ  # noqa: PLC0415  # only the program needs it

    rng, levels = np.random.default_rng(20261118), prices()
    months = [third_friday(_ahead(today, month)) for month in range(1, 7)]
    names = list(levels)
    found = []
    for nth in range(COUNT):
        name = names[nth % len(names)]
        root, level, step = ("SPXW", levels[name], 5.0) if name == "SPX" else (name, levels[name], 2.5)
        strike = round(level * float(rng.uniform(0.85, 1.15)) / step) * step
        right = "CP"[nth // len(names) % 2]
        symbol = f"{root:<6}{months[nth // len(names) % 6]:%y%m%d}{right}{round(strike * 1000):08d}"
        greeks = Greeks(0.3 if right == "C" else -0.3, 0.001, 0.1, -0.05, float(rng.uniform(0.15, 0.5)), "test", _EVER)
        quantity = float(rng.choice([-3.0, -2.0, -1.0, 1.0, 2.0]))
        found.append(
            Position(ACCOUNT, occ.parse(symbol), quantity, 100.0, "thousand", _EVER, mark=level * 0.02,
                     average_price=level * 0.02, greeks=greeks)
        )  # fmt: skip
    return tuple(found)


_EVER = datetime.min.replace(tzinfo=UTC)


def _ahead(today: date, months: int) -> date:
    first = today.replace(day=1)
    for _ in range(months):
        first = (first + timedelta(days=32)).replace(day=1)
    return first


def _timed(position: Position, now: datetime) -> Position:
    greeks = None if position.greeks is None else replace(position.greeks, time=now)
    return replace(position, time=now, mark_time=now, greeks=greeks)


def _account(now: datetime) -> Account:
    margin = Margin(MarginView.CURRENT, "total", 5_000_000.0, 1_000_000.0, 4_000_000.0)
    return Account(ACCOUNT, "thousand", now, net_liquidation=5_000_000.0, margins=(margin,), restrictions=())


def _market(now: datetime) -> Market:
    return Market(
        vix=Observed(17.0, now, "test"),
        vix3m=Observed(19.0, now, "test"),
        prices={name: Price(level, now, "test") for name, level in prices().items()},
        betas={name: Observed(1.1, now, "test") for name in prices()},
        risk_free=Observed(0.04, now, "test"),
        open=True,
    )


def main() -> None:
    """Run the program as `streamlit run app.py` does, on this source alone."""
    from streamlit.web import cli  # noqa: PLC0415  # only the program needs it

    from pages import _engine  # noqa: PLC0415  # as above

    def sources(*_: object) -> Sequence[Thousand]:
        return (Thousand(),)

    _engine.open_sources = sources  # type: ignore[assignment]  # a source of the test's own
    sys.argv = ["streamlit", "run", "app.py"]
    cli.main()


if __name__ == "__main__":
    main()

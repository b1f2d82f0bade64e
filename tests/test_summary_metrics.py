"""What the document says of volatility, events and restrictions."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from datetime import date, timedelta

import pytest

from adapters.demo import DemoSource
from guardrails.assess import assess
from guardrails.findings import Level
from guardrails.instruments import Kind
from guardrails.memory import Memory
from guardrails.snapshot import from_json, to_json
from guardrails.snapshot.market import MetricsRow
from guardrails.values import Metrics, Observed, Restriction
from tests.books import IBKR, NOW, TASTY, stock
from tests.healthy import World, healthy

HEALTHY = healthy()
AAPL = Metrics(
    "AAPL", NOW - timedelta(seconds=90), "tastytrade", 0.62, 0.40, 0.70, 0.30, 0.25, date(2026, 11, 24),
    earnings_estimated=True, earnings_time="after close", ex_dividend=date(2026, 12, 1),
)  # fmt: skip


def rows(world: World) -> dict[str, MetricsRow]:
    return {row.symbol: row for row in world.assess().snapshot.metrics}


def told(**changes: object) -> MetricsRow:
    return rows(HEALTHY.markets(metrics={"AAPL": replace(AAPL, **changes)}))["AAPL"]  # type: ignore[arg-type]


def test_one_row_per_underlying_held_and_cash_apart() -> None:
    euros = replace(stock("EUR", 100, 1.1), instrument=replace(stock("EUR", 1, 1.0).instrument, kind=Kind.CASH))
    assert list(rows(HEALTHY.add("euros", euros))) == ["AAPL", "SPX", "SPY"]


def test_a_row_says_everything_that_is_published() -> None:
    # 0.30 / 0.25 - 1 = 0.20; VIX 17: 0.27
    row = told()
    assert row == MetricsRow(
        "AAPL", 90.0, "tastytrade", 1.2, 0.62, 0.40, 0.70, 0.30, 0.25, row.premium, row.threshold, "fair", "",
        date(2026, 11, 24), earnings_estimated=True, earnings_time="after close", ex_dividend=date(2026, 12, 1),
    )  # fmt: skip
    assert (row.premium, row.threshold) == (pytest.approx(0.20), pytest.approx(0.27))


def test_nothing_published_is_said() -> None:
    row = rows(HEALTHY)["AAPL"]
    assert (row.signal, row.reason) == ("unknown", "no metrics are published for it")
    assert (row.age_seconds, row.correlation, row.iv_30d, row.premium, row.earnings) == (None,) * 5


@pytest.mark.parametrize(("when", "shown"), [(date(2026, 11, 18), True), (date(2026, 11, 17), False)])
def test_what_is_past_does_not_come_next(when: date, *, shown: bool) -> None:
    row = told(earnings=when, ex_dividend=when)
    assert (row.earnings, row.ex_dividend) == ((when, when) if shown else (None, None))
    assert (row.earnings_estimated, row.earnings_time) == ((True, "after close") if shown else (None, ""))


@pytest.mark.parametrize(("minutes", "signal"), [(15, "fair"), (16, "unknown")])
def test_an_old_vix_asks_no_threshold(minutes: int, signal: str) -> None:
    vix = Observed(17.0, NOW - timedelta(minutes=minutes), "test")
    assert rows(HEALTHY.markets(metrics={"AAPL": AAPL}, vix=vix))["AAPL"].signal == signal


def test_what_is_no_number_is_null() -> None:
    row = told(hv_30d=math.nan, correlation=math.inf)
    assert (row.hv_30d, row.correlation, row.premium, row.signal) == (None, None, None, "unknown")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, None),
        ((), ()),
        ((Restriction.CLOSING_ONLY, Restriction.DAY_TRADE_CALL), ("closing only", "day trade equity call")),
    ],
)
def test_restrictions_in_the_brokers_words(
    given: tuple[Restriction, ...] | None, shown: tuple[str, ...] | None
) -> None:
    accounts = HEALTHY.account(TASTY, restrictions=given).assess().snapshot.accounts
    assert [row.restrictions for row in accounts] == [None, shown]


def test_a_document_from_before_still_loads() -> None:
    snapshot = HEALTHY.markets(metrics={"AAPL": AAPL}).account(IBKR, restrictions=()).assess().snapshot
    whole = json.loads(to_json(snapshot))
    assert from_json(json.dumps(whole).encode(), "new.json") == snapshot
    del whole["metrics"]
    for account in whole["accounts"]:
        del account["restrictions"]
    old = from_json(json.dumps(whole).encode(), "old.json")
    assert (old.metrics, {row.restrictions for row in old.accounts}) == ((), {None})


def test_the_demo_shows_every_signal_and_makes_no_beta_doubtful() -> None:
    found = asyncio.run(DemoSource("calm").view(NOW))
    snapshot = assess([found], HEALTHY.matrix, Memory(), NOW).snapshot
    signals = {row.symbol: row.signal for row in snapshot.metrics}
    # AAPL 21.7 over 16.5 %, MSFT 19.4 over 17.7 %, NVDA 36.3 over 39.5 %, XOM without a history; VIX 13.9 asks 0.239
    assert [signals[name] for name in ("AAPL", "MSFT", "NVDA", "XOM")] == ["rich", "fair", "cheap", "unknown"]
    assert {f.level for f in snapshot.findings if f.check == "beta_quality"} == {Level.OK}
    assert all(0 <= row.iv_rank <= 1 for row in snapshot.metrics if row.iv_rank is not None)

"""IBKR and tastytrade in one book, by the command line against both stand-ins, comes to totals worked out by hand.

The books are tests/brokers/books/mixed.yaml and tasty.yaml, with the adjusted option taken out and one price for each
underlying at both (AAPL 230, SPX 6000, SPY 600, /ES 6020). Every option carries the Greeks that tastytrade streams, the
ones held at IBKR too. Figures are quantity x Greek x multiplier x price of the underlying, in US dollars.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.tasty import Tasty
from tests.brokers.tws import Tws
from tests.ibkr import mixed
from tests.tasty import REFRESH, ROOT, SECRET, opened

pytestmark = pytest.mark.xdist_group("merged_totals")  # in one process, so that the program runs once

DELTA = {
    ("IBKR", "AAPL"): 69_000.00,  # 300 x 230
    ("IBKR", "AAPL 240C"): -20_729.67,  # -300 x 0.30043 x 230
    ("IBKR", "SPX 5700P"): -184_788.00,  # 200 x -0.15399 x 6000
    ("IBKR", "SPXW 5800P"): 268_332.00,  # -200 x -0.22361 x 6000
    ("IBKR", "SPXW 5750P"): -221_172.00,  # 200 x -0.18431 x 6000
    ("IBKR", "/ES"): 301_000.00,  # 50 x 6020
    ("IBKR", "ES 6200C"): -91_720.72,  # -50 x 0.30472 x 6020
    ("IBKR", "EW2 5900P"): -105_413.21,  # 50 x -0.35021 x 6020
    ("IBKR", "SPY"): 60_000.00,  # 100 x 600
    ("tastytrade", "AAPL"): 46_000.00,  # 200 x 230
    ("tastytrade", "AAPL 250C"): -6_114.32,  # -200 x 0.13292 x 230
    ("tastytrade", "NBTA"): 4_000.00,  # 100 x 40
    ("tastytrade", "SPX 5700P"): -92_394.00,  # 100 x -0.15399 x 6000
    ("tastytrade", "SPXW 5700P"): 93_060.00,  # -100 x -0.15510 x 6000
    ("tastytrade", "BRKB 450P"): 12_906.894,  # -100 x -0.27937 x 462
    ("tastytrade", "/ES"): 301_000.00,  # 50 x 6020
    ("tastytrade", "/MES"): -60_200.00,  # -10 x 6020
    ("tastytrade", "EW2 5900P"): -105_413.21,  # 50 x -0.35021 x 6020
    ("tastytrade", "EX2 5800P"): 17_482.983,  # -15 x -0.19361 x 6020
    ("tastytrade", "SPY"): 60_000.00,  # 100 x 600
    ("tastytrade", "SPY 590P"): 19_690.80,  # -100 x -0.32818 x 600
    ("tastytrade", "BTC/USD"): 4_750.00,  # 0.05 x 95,000
}
DELTA_DOLLARS = 369_277.547
"""74,508.40 at IBKR and 294,769.147 at tastytrade"""
VEGA_PER_POINT = 727.5245
"""552.90 (-66.54 + 788.42 - 1,026.02 + 914.04 - 425.505 + 368.505) and 174.6245 (-27.40 + 394.21 - 398.22 - 43.03
+ 368.505 - 59.4105 - 60.03)"""
THETA_PER_DAY = -251.109
"""-240.695 (31.89 - 260.04 + 272.04 - 254.04 + 48.02 - 78.565) and -10.414 (12.88 - 130.02 + 129.89 + 13.14 - 78.565
+ 26.121 + 16.14)"""
NET_LIQUIDATION = 539_510.75
"""263,807.50 + 85,000.00 + 114,538.25 + 76,165.00"""


def now() -> datetime:
    """The real time: the client library of IBKR stamps its messages with it."""
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def brokers() -> Iterator[tuple[Tws, Tasty]]:
    with Tws(mixed()) as tws, Tasty(opened(now), clock=now) as tasty:
        tasty.remove_position("5WT00001", "uso1_call")
        tasty.set_quote("AAPL", 229.95, 230.05, last=230.00)
        tasty.set_quote("SPY", 599.95, 600.05, last=600.00)
        tasty.set_quote("SPX", last=6000.00)
        for future in ("es", "mes"):
            tasty.set_quote(future, 6019.75, 6020.00, last=6020.00)
        yield tws, tasty


def command(brokers: tuple[Tws, Tasty], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    tws, tasty = brokers
    settings = {
        "GUARDRAILS_SOURCES": "ibkr,tastytrade", "GUARDRAILS_DATA_DIR": str(folder), "IBKR_PORT": str(tws.port),
        "GUARDRAILS_MATRIX": str(ROOT / "risk_matrix.yaml"), "TT_SECRET": SECRET, "TT_REFRESH": REFRESH,
        "TASTYTRADE_BASE_URL": tasty.url,
    }  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GUARDRAILS_", "IBKR_", "TT_"))}
    program = str(Path(sys.executable).with_name("guardrails"))
    return subprocess.run(
        [program, *arguments], cwd=folder, env=kept | settings, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def snapshot(brokers: tuple[Tws, Tasty], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = command(brokers, tmp_path_factory.mktemp("merged"), "check", "--json")
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def name(row: dict[str, Any]) -> tuple[str, str]:
    """`SPX 5700P` for `SPX 18Dec26 5700P`, `/ES` for `/ESZ26`."""
    label = str(row["label"])
    if row["kind"] == "future":
        return row["broker"], label[:-3]
    parts = label.split()
    return row["broker"], label if len(parts) < 3 else f"{parts[0]} {parts[2]}"


def held(snapshot: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {name(row): row for row in snapshot["positions"] if row["kind"] != "cash"}


def test_both_brokers_are_in_the_book(snapshot: dict[str, Any]) -> None:
    assert {row["name"]: row["condition"] for row in snapshot["sources"]}.keys() == {"ibkr", "tastytrade"}
    assert all(row["condition"] in ("connected", "market_closed") for row in snapshot["sources"])
    assert len(snapshot["accounts"]) == 4
    assert held(snapshot).keys() == DELTA.keys()


def test_every_position_comes_to_its_delta_dollars(snapshot: dict[str, Any]) -> None:
    for key, row in held(snapshot).items():
        assert row["delta_dollars"] == pytest.approx(DELTA[key], rel=1e-9), key


def test_options_at_ibkr_carry_the_greeks_that_tastytrade_streams(snapshot: dict[str, Any]) -> None:
    options = [row for row in snapshot["positions"] if row["kind"].endswith("option")]
    assert len(options) == 13
    assert {row["greeks_source"] for row in options} == {"tastytrade"}
    by_name = held(snapshot)
    assert by_name["IBKR", "AAPL 240C"]["delta"] == 0.30043  # 0.29585 is what IBKR says
    assert by_name["IBKR", "SPX 5700P"]["delta"] == by_name["tastytrade", "SPX 5700P"]["delta"] == -0.15399
    assert by_name["tastytrade", "SPXW 5700P"]["delta"] == -0.15510


def test_totals(snapshot: dict[str, Any]) -> None:
    totals = snapshot["totals"]
    assert totals["delta_dollars"] == pytest.approx(DELTA_DOLLARS, rel=1e-9)
    assert totals["vega_per_point"] == pytest.approx(VEGA_PER_POINT, rel=1e-9)
    assert totals["theta_per_day"] == pytest.approx(THETA_PER_DAY, rel=1e-9)
    assert totals["net_liquidation"] == pytest.approx(NET_LIQUIDATION, abs=0.005)
    assert sum(DELTA.values()) == pytest.approx(DELTA_DOLLARS, rel=1e-12)


def test_betas_of_tastytrade_weigh_what_ibkr_holds(snapshot: dict[str, Any]) -> None:
    rows = held(snapshot)
    assert rows["IBKR", "AAPL"]["beta"] == 1.18
    assert rows["IBKR", "AAPL"]["beta_delta_dollars"] == pytest.approx(81_420.00)  # 69,000 x 1.18
    assert rows["tastytrade", "NBTA"]["beta"] is None
    # NBTA 4,000 and BTC 4,750 without a beta: from 0 to 2 times; AAPL and BRK/B by theirs, the rest by 1:
    # (369,277.547 - 88,156.01 - 12,906.894 - 8,750) + 88,156.01 x 1.18 + 12,906.894 x 0.85
    known = 259_464.643 + 104_024.0918 + 10_970.8599
    low, high = snapshot["totals"]["bounds"]["beta_delta_dollars"]
    assert (low, high) == (pytest.approx(known), pytest.approx(known + 2 * 8_750))


def test_what_both_hold_is_one_line_with_two_lots(snapshot: dict[str, Any]) -> None:
    rows = held(snapshot)
    for symbol in ("SPX 5700P", "EW2 5900P", "/ES", "AAPL", "SPY"):
        assert rows["IBKR", symbol]["key"] == rows["tastytrade", symbol]["key"]
    underlyings = {row["name"]: row for row in snapshot["underlyings"]}
    assert underlyings["AAPL"]["delta_dollars"] == pytest.approx(69_000 + 46_000 - 20_729.67 - 6_114.32)
    assert underlyings["SPX"]["positions"] == 5


def test_accounts_keep_their_own_margin(snapshot: dict[str, Any]) -> None:
    """What one broker has to spare is of no use at the other."""
    excess = {f"{row['broker']} {row['account']}": row["excess_liquidity"] for row in snapshot["accounts"]}
    assert excess == {
        "IBKR •••4567": 208_207.50, "IBKR •••4321": 70_000.00, "tastytrade •••0001": 73_288.25,
        "tastytrade •••0002": 47_415.00,
    }  # fmt: skip


def test_sources_that_agree_and_differ_are_told_apart(snapshot: dict[str, Any]) -> None:
    finding = next(f for f in snapshot["findings"] if f["check"] == "greeks_agreement")
    assert finding["level"] == "OK"  # the largest difference is 0.00458 of delta
    assert finding["evidence"]["compared"] == 6


def test_nothing_was_sent_and_no_number_was_shown(brokers: tuple[Tws, Tasty], snapshot: dict[str, Any]) -> None:
    tws, tasty = brokers
    assert (tws.orders, tasty.orders) == ([], [])
    text = json.dumps(snapshot, ensure_ascii=False)
    for number in ("DU1234567", "DU7654321", "5WT00001", "5WT00002"):
        assert number not in text
    assert (tasty.most_sockets["dxlink"], tasty.tokens) == (1, 1)

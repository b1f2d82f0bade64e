"""Options on shares that pay cash: our lattice beside QuantLib's finite differences, in one process, taking turns.

.venv/bin/python -m benchmarks.pricing_dividends
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import QuantLib as ql  # noqa: N813  # as everybody calls it

from benchmarks.timing import Row, medians, ms
from guardrails.pricing import Array, Axes, Options, compiled
from guardrails.pricing.dividends import Dividends, grid, implied_vol, price, sensitivities

OPTIONS, SPOTS, VOLS, DATES = 300, 21, 9, 3
EXACT = 60
"""options compared with the finest finite differences"""
PEER_CELLS = 6
TODAY = ql.Date(20, 11, 2026)
COUNT = ql.Actual365Fixed()
Paid = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Book:
    options: Options
    vol: Array
    paid: list[Paid]
    american: np.ndarray[tuple[int], np.dtype[np.bool_]]
    axes: Axes


def book(count: int, seed: int) -> Book:
    """American options on shares near 100 which pay 0.1 to 0.8 % each quarter; all times in whole days."""
    rng = np.random.default_rng(seed)
    days, first = rng.integers(7, 600, count), rng.integers(1, 91, count)
    years, spot, vol = days / 365.0, rng.uniform(50.0, 150.0, count), rng.uniform(0.12, 0.70, count)
    strike = spot * np.exp(rng.normal(0.0, 0.8, count) * vol * np.sqrt(years))
    amount = spot * rng.uniform(0.001, 0.008, count)
    paid = [
        [(k / 365.0, float(each)) for k in range(int(at), int(last) + 1, 91)] or [(int(last) // 2 / 365.0, float(each))]
        for at, last, each in zip(first, days, amount, strict=True)
    ]
    rate = np.full(count, 0.04)
    options = Options(rng.choice([-1.0, 1.0], count), spot, strike, years, rate, rate)
    axes = Axes(
        spot=spot[:, None] * np.linspace(0.7, 1.3, SPOTS),
        vol=vol[:, None] * np.linspace(0.7, 1.9, VOLS),
        years=years[:, None] * np.array([1.0, 0.75, 0.25]),
    )
    return Book(options, vol, paid, np.ones(count, dtype=bool), axes)


def peer(it: Book, row: int, vol: float, steps: int, nodes: int) -> tuple[float, float, float]:
    """Price, delta and gamma of one option by QuantLib."""
    o = it.options
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(float(o.spot[row]))),
        ql.YieldTermStructureHandle(ql.FlatForward(TODAY, 0.0, COUNT)),
        ql.YieldTermStructureHandle(ql.FlatForward(TODAY, float(o.rate[row]), COUNT)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(TODAY, ql.NullCalendar(), vol, COUNT)),
    )
    kind = ql.Option.Call if o.sign[row] > 0 else ql.Option.Put
    exercise = ql.AmericanExercise(TODAY, TODAY + round(float(o.years[row]) * 365))
    option = ql.VanillaOption(ql.PlainVanillaPayoff(kind, float(o.strike[row])), exercise)
    dates = [TODAY + round(years * 365) for years, _ in it.paid[row]]
    dividends = ql.DividendVector(dates, [amount for _, amount in it.paid[row]])
    option.setPricingEngine(ql.FdBlackScholesVanillaEngine(process, dividends, steps, nodes))
    return option.NPV(), option.delta(), option.gamma()


def accuracy() -> list[Row]:
    it = book(EXACT, 3)
    ql.Settings.instance().evaluationDate = TODAY
    best = np.array([peer(it, row, float(it.vol[row]), 1000, 3000) for row in range(EXACT)])
    usual = np.array([peer(it, row, float(it.vol[row]), 100, 200) for row in range(EXACT)])
    ours = sensitivities(it.options, it.vol, Dividends.of(it.paid), it.american)
    gaps = {
        "own": np.stack([ours.price, ours.delta, ours.gamma], axis=1) - best,
        "QuantLib 100 × 200": usual - best,
    }
    per_100 = 100.0 / it.options.spot
    rows = []
    for name, gap in gaps.items():
        error = np.abs(gap[:, 0]) * per_100
        rms, worst = math.sqrt(np.mean(error**2)), error.max()
        delta, gamma = np.abs(gap[:, 1:]).max(axis=0)
        words = f"rms {rms:.1e}, worst {worst:.1e}; delta {delta:.1e}, gamma {gamma:.1e}"
        goal = ("rms at most 5e-3", bool(rms <= 5e-3)) if name == "own" else ("", None)
        rows.append(Row(f"dollars on a share of 100 from QuantLib 1000 × 3000: {name}", words, *goal))
    return rows


def speed() -> list[Row]:
    it = book(OPTIONS, 4)
    dividends = Dividends.of(it.paid)
    target = price(it.options, it.vol, dividends, it.american)
    ql.Settings.instance().evaluationDate = TODAY
    picked = list(product(range(0, OPTIONS, OPTIONS // PEER_CELLS), (1.0,)))
    contenders: dict[str, Callable[[], object]] = {
        "grid": lambda: grid(it.options, it.axes, dividends, it.american),
        "Greeks": lambda: sensitivities(it.options, it.vol, dividends, it.american),
        "implied volatility": lambda: implied_vol(it.options, target, dividends, it.american),
        "peer": lambda: [peer(it, row, float(it.vol[row]) * more, 100, 200) for row, more in picked],
    }
    found = medians(contenders)
    cells = OPTIONS * SPOTS * VOLS * DATES
    walks = OPTIONS * VOLS * DATES  # one solve of the peer gives all spots too, of one date
    whole = found["peer"] / len(picked) * walks / 2.0  # counted as if it used both cores
    return [
        Row(
            f"grid of {OPTIONS} × {SPOTS} spots × {VOLS} volatilities × {DATES} dates ({cells:,} cells)",
            ms(found["grid"]), "300 ms", found["grid"] <= 300.0,
        ),
        Row("the same by QuantLib 100 × 200, one solve for each volatility and date (from a sample)",
            f"{ms(whole)}, {whole / found['grid']:.0f} ×"),
        Row(f"price and Greeks of {OPTIONS}", ms(found["Greeks"])),
        Row(f"implied volatility of {OPTIONS}", ms(found["implied volatility"])),
    ]  # fmt: skip


def main() -> None:
    print(f"kernels: {compiled.prepare()}")
    for row in [*accuracy(), *speed()]:
        print(row)


if __name__ == "__main__":
    main()

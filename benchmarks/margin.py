"""Margin of a book after shocks: 1,000 legs of 50 underlyings, 40 scenarios; how long the pairing takes, once a book.

    .venv/bin/python -m benchmarks.margin

The book is made of what traders hold (verticals, condors, strangles, covered calls, calendars), twenty legs a name; the
hard one of legs drawn at random, for which the cheapest pairing is hardest to prove.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from benchmarks.timing import Row, medians, ms
from guardrails.instruments import Instrument, Kind
from guardrails.margin import portfolio_margin, strategy
from guardrails.margin.legs import Leg
from guardrails.margin.pairing import pair
from guardrails.symbols import occ

UNDERLYINGS, LEGS_EACH, SCENARIOS = 50, 20, 40
GOAL_MS = 50.0
DAYS = ("261218", "270115", "270319", "270618")


def name(number: int) -> str:
    return "Q" + chr(65 + number // 26) + chr(65 + number % 26)


def leg(symbol: str, day: str, right: str, strike: int, quantity: int, spot: float) -> Leg:
    inside = max((spot - strike) * (1 if right == "C" else -1), 0.0)
    price = inside + 0.04 * spot * float(np.exp(-abs(strike - spot) / (0.1 * spot)))
    return Leg(occ.parse(f"{symbol:<6}{day}{right}{strike * 1000:08d}"), quantity, 100.0, price, spot, 1.0, "IBKR")


def share(symbol: str, quantity: int, spot: float) -> Leg:
    return Leg(Instrument(Kind.EQUITY, symbol, symbol, symbol), quantity, 1.0, spot, spot, 1.0, "IBKR")


def traded(symbol: str, chance: random.Random) -> list[Leg]:
    """Condors in three expiries, a strangle, a calendar, a vertical and three covered calls in two strikes."""
    spot = float(chance.randrange(60, 400, 5))
    step = max(round(spot / 20 / 5) * 5, 5)
    around, size = round(spot / 5) * 5, chance.choice((1, 2, 3, 5))

    def one(day: str, right: str, steps: int, quantity: int) -> Leg:
        return leg(symbol, day, right, around + steps * step, quantity, spot)

    condors = [one(day, right, way * far, quantity) for day in DAYS[:3]
               for right, way in (("P", -1), ("C", 1)) for far, quantity in ((2, -size), (3, size))]  # fmt: skip
    return [
        *condors,
        one(DAYS[3], "P", -3, -1), one(DAYS[3], "C", 3, -1),
        one(DAYS[0], "P", -1, -1), one(DAYS[1], "P", -1, 1),
        one(DAYS[2], "C", 1, -2), one(DAYS[0], "C", 4, -1), one(DAYS[1], "P", -4, -2),
        share(symbol, 300, spot),
    ]  # fmt: skip


def drawn(symbol: str, chance: random.Random) -> list[Leg]:
    spot = chance.uniform(50, 400)
    found = [
        leg(symbol, chance.choice(DAYS), chance.choice("CP"), round(spot * chance.uniform(0.8, 1.2) / 5) * 5,
            chance.choice((-3, -2, -1, 1, 2, 3)), spot)
        for _ in range(LEGS_EACH - 1)
    ]  # fmt: skip
    return [*found, share(symbol, chance.choice((-300, 100, 250, 700)), spot)]


def book(made: Callable[[str, random.Random], list[Leg]]) -> list[Leg]:
    chance = random.Random(7)  # noqa: S311  # a book, no secret
    return [one for number in range(UNDERLYINGS) for one in made(name(number), chance)]


def rows() -> list[Row]:
    """Lines for the table of results."""
    found = []
    for words, legs in (("", book(traded)), (", drawn at random", book(drawn))):
        pairing = pair(legs)
        moves = np.linspace(0.8, 1.2, SCENARIOS)
        spot = np.array([one.spot for one in legs])[:, None] * moves
        price = np.array([one.price for one in legs])[:, None] * np.ones(SCENARIOS)
        values = np.repeat(price[:, :, None], portfolio_margin.POINTS, axis=2)
        required = strategy.requirement(legs, pairing)
        assert np.allclose(strategy.at(legs, price / 1.0, spot / moves, pairing), required.total)
        taken = medians({
            "at": lambda: strategy.at(legs, price, spot, pairing),  # noqa: B023  # run within this turn
            "portfolio": lambda: portfolio_margin.at(legs, price, values),  # noqa: B023  # likewise
            "pair": lambda: pair(legs),  # noqa: B023  # likewise
        })  # fmt: skip
        names = {one.underlying: [leg for leg in legs if leg.underlying == one.underlying] for one in legs}
        sure = sum(pair(some).proven for some in names.values())
        what = f"{len(legs):,} legs, {UNDERLYINGS} underlyings{words}"
        found += [
            Row(f"margin by strategy after {SCENARIOS} shocks, {what}", ms(taken["at"]), f"< {GOAL_MS:.0f} ms",
                taken["at"] < GOAL_MS),
            Row(f"portfolio margin after {SCENARIOS} shocks (values given), {what}", ms(taken["portfolio"])),
            Row(f"cheapest pairing, {what}", f"{ms(taken['pair'])}; proven for {sure} of {UNDERLYINGS} names"),
        ]  # fmt: skip
    return found


if __name__ == "__main__":
    for row in rows():
        print(row)

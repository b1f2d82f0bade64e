"""The whole gate with the real projection: the same promises, over fewer books, each one really valued and judged.

The oracle sums raw Greeks by hand, as `gate_books` does; the limits are absolute ones in the same dollars.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from guardrails.gate.ground import Ground
from guardrails.gate.simulate import simulate
from guardrails.gate.values import Impact, OrderKind, Verdict
from guardrails.limits import Limits
from guardrails.values import Position
from tests.books import IBKR, NOW
from tests.gate_books import MARKET, THINGS, after, broken, mid_of, order_for, random_book, uses
from tests.gates import answer, ground, limited
from tests.stressed import stress_limits

CASES, STRESSED = 1_000, 120
MEASURES = ("beta_delta", "short_vega", "gamma")
SPX = tuple(key for key, one in THINGS.items() if one.group == "SPX")
"""beta 1 by construction, so that sums of delta dollars are beta-weighted"""


def row(key: str, n: float) -> Position:
    thing = THINGS[key]
    told = {} if thing.greeks is None else {"bid": thing.price - 0.1, "ask": thing.price + 0.1, "quote_time": NOW}
    return Position(
        IBKR, thing.instrument, n, thing.multiplier, "test", NOW, mark=thing.price, mark_time=NOW, greeks=thing.greeks,
        **told,
    )  # fmt: skip


def weighted(book: dict[str, float]) -> dict[str, float]:
    """Uses with vega weighted to 30 days: 30 to 18 Dec 2026, 58 to 15 Jan 2027, from 18 Nov 2026."""
    found = uses(book)
    days = {key: (THINGS[key].instrument.expiry - NOW.date()).days for key in book if THINGS[key].greeks}  # type: ignore[operator]  # options expire
    total = sum(
        n * THINGS[key].brings["short_vega"] * (30.0 / days[key]) ** 0.5 for key, n in book.items() if key in days
    )
    return {**found, "short_vega": max(-total, 0.0)}


def limits_for(used: dict[str, float], stress: Limits | None = None) -> Limits:
    return limited(
        max_beta_delta=used["beta_delta"] / 6000.0, max_negative_vega=-used["short_vega"], max_gamma=used["gamma"],
        **({} if stress is None else {"stress": stress.keys.stress}),
    )  # fmt: skip


def drawn(
    rng: Random, stress: Limits | None = None
) -> tuple[dict[str, float], dict[str, float], dict[str, float], Ground]:
    """A book held in SPX things, trades in what it holds, limits around them, and its ground."""
    while not (book := {key: n for key, n in random_book(rng, least=4).items() if key in SPX}):
        pass
    chosen = rng.sample(list(book), min(rng.randint(1, 2), len(book)))
    trades = {key: float(rng.choice((-1, 1)) * rng.randint(1, 3)) for key in chosen}
    old, new = weighted(book), weighted(after(book, trades))
    around = {
        n: max(old[n], new[n], 1.0) * (rng.uniform(0.4, 0.95) if rng.random() < 0.2 else rng.uniform(1.05, 2))
        for n in MEASURES
    }
    name = rng.choice(MEASURES)
    if new[name] > old[name] * 1.001 and rng.random() < 0.5:
        around[name] = old[name] + rng.uniform(0.1, 0.9) * (new[name] - old[name])
    on = ground(*(row(key, n) for key, n in book.items()), at=MARKET, limits=limits_for(around, stress))
    return book, trades, around, on


def asked(trades: dict[str, float], on: Ground) -> Impact:
    return simulate(order_for(trades, mid_of(trades)), on, answer(), "test")


@pytest.mark.parametrize(("seed", "cases", "stressed"), [(21, CASES, False), (22, STRESSED, True)])
def test_no_order_that_newly_breaks_or_worsens_a_hard_limit_passes_and_what_is_offered_does(
    seed: int, cases: int, *, stressed: bool
) -> None:
    rng, seen = Random(seed), Counter[str]()  # noqa: S311  # seeded, for tests
    rule = stress_limits(ladder=((-0.20, 1.0),), after=()) if stressed else None
    for _ in range(cases):
        book, trades, limits, on = drawn(rng, rule)
        found = asked(trades, on)
        old, new = weighted(book), weighted(after(book, trades))
        newly = any(broken(new[n], limits[n]) and not broken(old[n], limits[n]) for n in MEASURES)
        worse = any(broken(old[n], limits[n]) and new[n] - old[n] > 2e-6 * new[n] for n in MEASURES)
        seen["broken before"] += any(broken(old[n], limits[n]) for n in MEASURES)
        seen["newly"] += newly
        seen[found.kind] += 1
        if found.kind is OrderKind.EXIT:
            assert found.verdict is not Verdict.BLOCK
        elif newly or worse:
            assert (found.kind, found.verdict) == (OrderKind.NEW_RISK, Verdict.BLOCK), (found, book, limits)
        if found.max_quantity is not None:
            part = order_for(trades, mid_of(trades)).quantity
            smaller = {key: n / part * found.max_quantity for key, n in trades.items()}
            seen["offered"] += 1
            assert asked(smaller, on).verdict is not Verdict.BLOCK
    assert seen["broken before"] >= 0.2 * cases
    assert seen["newly"] >= 0.1 * cases
    assert seen[OrderKind.EXIT] >= 0.02 * cases
    assert seen["offered"] or stressed
    assert not stressed or seen[OrderKind.HEDGE]


def test_closing_a_whole_book_line_by_line_is_never_refused_whatever_is_broken() -> None:
    rng, closed = Random(23), 0  # noqa: S311  # seeded, for tests
    for _ in range(150):
        book, _, _, on = drawn(rng)
        everything = limits_for({"beta_delta": 1.0, "short_vega": 1.0, "gamma": 1.0})
        on = ground(*on.portfolio.positions, at=MARKET, limits=everything)
        for key, n in book.items():
            if n < 0 and THINGS[key].greeks is not None:
                found = asked({key: -n}, on)
                assert (found.kind, found.verdict != Verdict.BLOCK) == (OrderKind.EXIT, True)
                closed += 1
    assert closed > 200

"""The plan of a flatten: how long the pure function takes for books of spreads on many underlyings, and on one.

.venv/bin/python -m benchmarks flatten
"""

from __future__ import annotations

from benchmarks import book
from benchmarks.assessment import MATRIX
from benchmarks.timing import Row, medians, ms
from guardrails.assess import Assessment, assess
from guardrails.flatten.plan import plan_of
from guardrails.flatten.values import Plan, Scope, Wish
from guardrails.memory import Memory
from guardrails.pricing import compiled
from guardrails.symbols import occ
from guardrails.values import AccountId, Greeks, Market, Observed, Position, Price, Source, SourceState, View

GOAL_MS = 100.0
ACCOUNT = AccountId("IBKR", "U0000004567")


def flatten() -> list[Row]:
    """200 positions, and ten times as many; spread over underlyings, and all on one."""
    compiled.prepare()
    books = {
        "200 positions on 20 underlyings": spreads(200, 20),
        "200 positions on one underlying": spreads(200, 1),
        "2,000 positions on 50 underlyings": spreads(2_000, 50),
    }
    wishes = {"short options": Wish(), "everything, leg by leg": Wish(Scope.EVERYTHING, whole_packages=False)}
    runs = {
        (name, what): (lambda found=found, wish=wish: planned(found, wish))
        for name, found in books.items()
        for what, wish in wishes.items()
    }
    for (name, _), run in runs.items():
        assert len(run().closes) >= 50, name
    taken = medians({f"{name}: {what}": run for (name, what), run in runs.items()})
    return [
        Row(f"plan, {name}", ms(value), f"< {GOAL_MS:.0f} ms" if name.startswith("200 ") else "",
            value < GOAL_MS if name.startswith("200 ") else None)
        for name, value in taken.items()
    ]  # fmt: skip


def planned(found: Assessment, wish: Wish) -> Plan:
    rules = found.limits.matrix.orders.flatten
    return plan_of(found.portfolio, found.limits, wish, (), lambda _: "", rules, book.NOW, "P")


def spreads(count: int, names: int) -> Assessment:
    """Put spreads, a short and a long of one size at distinct strikes, quoted."""
    positions: list[Position] = []
    for number in range(count // 2):
        root, step = "SPY" if names == 1 else f"N{number % names:03d}", number // names
        for strike, size in ((400 + 2 * step, -2.0), (399 + 2 * step, 2.0)):
            price = 4.0 + 0.01 * step
            greeks = Greeks(-0.2, 0.01, 0.3, -0.1, 0.25, "bench", book.NOW)
            positions.append(Position(
                ACCOUNT, occ.parse(f"{_word(root):<6}270115P{strike * 1000:08d}"), size, 100.0, "bench", book.NOW,
                mark=price, mark_time=book.NOW, bid=price - 0.05, ask=price + 0.05, quote_time=book.NOW, greeks=greeks,
            ))  # fmt: skip
    symbols = {position.instrument.underlying for position in positions}
    market = Market(
        vix=Observed(17.0, book.NOW, "bench"), vix3m=Observed(19.0, book.NOW, "bench"), open=True,
        prices={name: Price(500.0, book.NOW, "bench") for name in {*symbols, "SPX", "SPY"}},
        betas={name: Observed(1.0, book.NOW, "bench") for name in symbols},
        risk_free=Observed(0.04, book.NOW, "bench"),
    )  # fmt: skip
    view = View(Source("bench", SourceState.LIVE, book.NOW), (), tuple(positions), market)
    return assess([view], MATRIX, Memory(), book.NOW)


def _word(name: str) -> str:
    """A root of letters alone: digits mark adjusted options."""
    return "".join(chr(ord("A") + int(letter)) if letter.isdigit() else letter for letter in name)

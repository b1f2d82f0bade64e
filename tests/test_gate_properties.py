"""What the gate promises, over random books, limits and orders; at least 20,000 cases each, judged by plain sums.

The pure decision runs on findings made in the test; `test_gate_projected` asks the whole gate, revaluing every book.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from guardrails.findings import Level
from guardrails.gate.kinds import exit_of
from guardrails.gate.values import OrderKind, Verdict
from guardrails.gate.verdict import Judgement, judged
from guardrails.instruments import Right
from guardrails.orders import OrderState
from guardrails.safety import SafetyState
from tests.gate_books import (
    HARD,
    KEYS,
    LINEAR,
    OPTIONS,
    SHOCKS,
    SOFT,
    THINGS,
    Drawn,
    Trouble,
    after,
    broken,
    drawn,
    mid_of,
    opens,
    order_for,
    random_book,
    random_limits,
    rests,
    sent,
    uses,
    worst,
)

CASES = 20_000
LEAST = 0.2
"""share of each sort of case"""
OPEN_STATES = (SafetyState.NORMAL, SafetyState.NO_NEW_RISK, SafetyState.REDUCE_ONLY)


def decided(one: Drawn) -> Judgement:
    return judged(one.case, exit_of(one.order, one.ground))


def counted(kinds: Counter[str], one: Drawn, names: tuple[str, ...]) -> None:
    kinds["breached before"] += one.breached_before()
    kinds["newly breaching"] += one.newly(names)
    kinds["reducing"] += one.reduces()
    kinds["missing data"] += one.data_missing


def enough(kinds: Counter[str], total: int) -> None:
    assert total >= CASES
    shares = {name: kinds[name] / total for name in ("breached before", "newly breaching", "reducing", "missing data")}
    assert min(shares.values()) >= LEAST, shares


def troubled(rng: Random, book: dict[str, float], trades: dict[str, float]) -> Trouble:
    """Anything that may be wrong on a bad day, often several at once."""

    def some(share: float) -> bool:
        return rng.random() < share

    held = [*book, *trades]
    found = Trouble(
        safety=rng.choice(OPEN_STATES),
        gaps=("IBKR is silent",) if some(0.1) else (),
        orders_unknown="no answer" if some(0.1) else "",
        daily=rng.choice((Level.OK, Level.OK, Level.BREACH, Level.UNKNOWN)),
        margin=not some(0.15),
        quotes=not some(0.1),
        doubtful=("k-2",) if some(0.1) else (),
        overlay=rng.choice((False, True, None)),
        missing=frozenset(rng.sample(held, 1)) if some(0.3) else frozenset(),
    )
    return replace(found, sent=(sent(order_for(trades, 1.0)),)) if some(0.1) else found


def exits(rng: Random) -> Iterator[Drawn]:
    """Exits by construction, one way after the other, in every trouble there is."""
    while True:
        book = random_book(rng, least=2)
        trades = rng.choice((bought_back, all_of_one_side, whole_line))(rng, book)
        if not trades or len(trades) > 4:
            continue
        trouble = troubled(rng, book, trades)
        if rng.random() < 0.3:  # a resting close that leaves room for this one
            key = rng.choice(list(trades))
            free = abs(book[key]) - abs(trades[key])
            if free >= 1:
                rest = rests({key: (1 if trades[key] > 0 else -1) * min(free, rng.randint(1, 3))}, "9")
                trouble = replace(trouble, working=(rest,))
        old, new = uses(book), uses(after(book, trades))
        rising = [name for name in (*HARD, *SOFT) if new[name] > old[name] * 1.001]
        between = rng.choice(rising) if rising else ""
        limits = random_limits(rng, old, new, between)
        yield drawn(book, trades, limits, rng.uniform(-5_000.0, 50_000.0), trouble, rng.uniform(-500.0, 500.0))


def bought_back(rng: Random, book: dict[str, float]) -> dict[str, float]:
    """Short options, bought back in part or whole: cover can only rise."""
    shorts = [key for key in book if key in OPTIONS and book[key] < 0]
    chosen = rng.sample(shorts, min(len(shorts), rng.randint(1, 3)))
    return {key: float(rng.randint(1, int(-book[key]))) for key in chosen}


def all_of_one_side(rng: Random, book: dict[str, float]) -> dict[str, float]:
    """All options of one right on one underlying at once: nothing is left that could need cover."""
    by_side: dict[tuple[str, Right | None], list[str]] = {}
    for key in book:
        if key in OPTIONS:
            by_side.setdefault((THINGS[key].group, THINGS[key].instrument.right), []).append(key)
    return {key: -book[key] for key in rng.choice(list(by_side.values()))} if by_side else {}


def whole_line(rng: Random, book: dict[str, float]) -> dict[str, float]:
    """Part of a line that covers nothing: no short of its side is held on its underlying."""
    free = []
    for key, n in book.items():
        thing = THINGS[key]
        sides = {thing.instrument.right} if key in OPTIONS else {Right.CALL if n > 0 else Right.PUT}
        near = {k for k in book if k in OPTIONS and THINGS[k].instrument.underlying == thing.instrument.underlying}
        if (n < 0 and key in OPTIONS) or not any(book[k] < 0 and THINGS[k].instrument.right in sides for k in near):
            free.append(key)
    if not free:
        return {}
    key = rng.choice(free)
    size = rng.randint(1, int(abs(book[key])))
    return {key: float(-size if book[key] > 0 else size)}


def test_no_exit_is_ever_refused() -> None:
    rng, kinds, total = Random(11), Counter[str](), 0  # noqa: S311  # seeded, for tests
    for one in exits(rng):
        found = decided(one)
        assert found.kind is OrderKind.EXIT, one
        assert found.verdict is not Verdict.BLOCK, one
        counted(kinds, one, (*HARD, *SOFT))
        total += 1
        if total == CASES:
            break
    enough(kinds, total)


def hedges(rng: Random) -> Iterator[Drawn]:
    """Hedges by plain sums: the worst loss shrinks, no hard limit newly breaks or is more broken, excess stays; and no
    option is sold that nothing covers.
    """
    while True:
        book = random_book(rng, least=1)
        trades = {rng.choice(KEYS): float(rng.choice((-1, 1)) * rng.randint(1, 4))}
        if rng.random() < 0.3:
            trades[rng.choice(OPTIONS)] = float(rng.choice((-1, 1)) * rng.randint(1, 3))
        then = after(book, trades)
        paid = rng.choice((0.0, 0.05, 0.5))
        unit = max(THINGS[key].multiplier for key in trades)
        packages = order_for(trades, 0.0).quantity
        gain = worst(then) - worst(book) - paid * unit * packages
        if gain <= 2e-6 * abs(worst(book)) or opens(book, trades):
            continue
        old, new = uses(book), uses(then)
        limits = random_limits(rng, old, new, SOFT[0] if rng.random() < 0.7 else "")
        falling = [name for name in HARD if new[name] < old[name]]
        for name in falling:  # what it improves may be broken all the while
            if rng.random() < 0.5:
                limits[name] = max(new[name] * rng.uniform(0.3, 0.99), 0.01)
        trouble = replace(troubled(rng, book, trades), missing=frozenset(), margin=True)
        one = drawn(book, trades, limits, rng.uniform(1.0, 50_000.0), trouble, mid_of(trades) + paid)
        if not trouble.quotes and one.order.limit is not None:
            continue  # what it costs above mid is not known
        if exit_of(one.order, one.ground).holds or one.newly(HARD) or _any_worse(one):
            continue
        yield one


def _any_worse(one: Drawn) -> bool:
    """Whether a broken hard limit is broken by more, by anything at all."""
    old, new = uses(one.book), uses(one.then)
    return any(broken(old[n], one.limits[n]) and new[n] > old[n] * (1 + 1e-7) for n in HARD)


def test_no_hedge_is_ever_refused() -> None:
    rng, kinds, total = Random(12), Counter[str](), 0  # noqa: S311  # seeded, for tests
    for one in hedges(rng):
        found = decided(one)
        assert found.kind is OrderKind.HEDGE, (found, one)
        assert found.verdict is not Verdict.BLOCK, one
        counted(kinds, one, SOFT)
        total += 1
        if total == CASES:
            break
    enough(kinds, total)


def orders(rng: Random) -> Iterator[Drawn]:
    """Orders of every kind; half of them at limits that they break, in a quiet program."""
    while True:
        book = random_book(rng)
        chosen = rng.sample(KEYS, rng.randint(1, 4))
        trades = {key: float(rng.choice((-1, 1)) * rng.randint(1, 6)) for key in chosen}
        if all(key in LINEAR for key in trades) and len(trades) > 1:
            continue
        old, new = uses(book), uses(after(book, trades))
        rising = [name for name in HARD if new[name] > old[name] * 1.001]
        between = rng.choice(rising) if rising and rng.random() < 0.4 else ""
        missing = frozenset(rng.sample([*book, *trades], 1)) if rng.random() < 0.25 else frozenset[str]()
        trouble = Trouble(missing=missing, margin=rng.random() > 0.03)
        yield drawn(book, trades, random_limits(rng, old, new, between), 30_000.0, trouble, mid_of(trades))


def test_no_order_that_newly_breaks_or_worsens_a_hard_limit_passes() -> None:
    rng, kinds, results, total = Random(13), Counter[str](), Counter[str](), 0  # noqa: S311  # seeded, for tests
    for one in orders(rng):
        found = decided(one)
        counted(kinds, one, HARD)
        results[found.verdict] += 1
        total += 1
        if found.kind is not OrderKind.EXIT:
            if one.newly(HARD) or one.worse(HARD):
                assert found.verdict is Verdict.BLOCK, (found, one)
                assert found.kind is OrderKind.NEW_RISK, (found, one)
            if one.missing & one.then.keys() or one.excess is None:
                assert found.verdict is Verdict.BLOCK, (found, one)
            elif not (one.newly((*HARD, *SOFT)) or one.worse((*HARD, *SOFT))):
                assert found.verdict is not Verdict.BLOCK, (found, one)  # nor is anything else refused
        if total == CASES:
            break
    enough(kinds, total)
    assert results[Verdict.ALLOW] + results[Verdict.WARN] >= 0.1 * total, results  # it is no wall


def test_a_broken_share_refuses_new_risk_and_nothing_else() -> None:
    rng, seen = Random(14), Counter[str]()  # noqa: S311  # seeded, for tests
    for one in orders(rng):
        if one.missing or not one.newly(SOFT):
            continue
        found = decided(one)
        seen[found.kind] += 1
        if found.kind is OrderKind.NEW_RISK:
            assert found.verdict is Verdict.BLOCK
        elif found.kind is OrderKind.HEDGE:
            assert found.verdict is not Verdict.BLOCK
        if sum(seen.values()) == 500:
            break
    assert seen[OrderKind.HEDGE]
    assert seen[OrderKind.NEW_RISK]


def test_the_oracle_of_these_tests_can_tell() -> None:
    # one short SPXW put of which every figure is known: its use is what one contract brings
    key = next(key for key in OPTIONS if THINGS[key].instrument.right is Right.PUT and THINGS[key].group == "SPX")
    used = uses({key: -2.0})
    assert used["short_vega"] == 2 * THINGS[key].greeks.vega * 100  # type: ignore[union-attr]  # it has Greeks
    assert used[SHOCKS[0]] == 2 * THINGS[key].brings[SHOCKS[0]]
    assert OrderState.FILLED.is_over

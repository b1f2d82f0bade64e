"""An Impact is the one that the whole book would give, revalued and judged from scratch in every world: whatever the
gate remembers, puts together or leaves out to be quick changes nothing of what it says.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from guardrails import checks
from guardrails.exposures import measure_exposures
from guardrails.gate import projected_margin
from guardrails.gate.case import case_of, margin_of, scaled
from guardrails.gate.ground import Ground
from guardrails.gate.kinds import exit_of
from guardrails.gate.projected_book import accounts_after, changes_of, rows_after
from guardrails.gate.projection import Prepared, Projected, measures_of, prepare
from guardrails.gate.simulate import simulate
from guardrails.gate.values import Impact, MarginChange, OrderKind, Verdict
from guardrails.gate.verdict import judged as judged_case
from guardrails.orders import BrokerOrder, Figure, Leg, Order, OrderState, Preview, Trade
from guardrails.portfolio import AccountHistory, total_net_liquidation
from guardrails.stress.standing import standing_of
from guardrails.values import AccountId, Observed
from tests.books import IBKR, NOW, TASTY, account
from tests.projections import SHARES, SILENT, UNIVERSE, Case, case, judged, limits, portfolio

LIMITS, DAY = limits(), timedelta(hours=18)
STRESS = LIMITS.keys.stress
assert STRESS is not None
LOOSE = replace(
    LIMITS, keys=LIMITS.keys.model_copy(update={"stress": STRESS.model_copy(update={"min_excess_after": ()})})
)
"""without the excess after a shock, which small books leave unknown"""


def whole(
    held: Prepared,
    trades: Sequence[Trade],
    *,
    prices: Mapping[str, float] | None = None,
    margin: MarginChange | None = None,
    account: AccountId | None = None,
) -> Projected:
    """As `projection.project`, but every column, price, package and finding of the book after is made anew."""
    before, given = held.portfolio, prices or {}
    changes = changes_of(before, trades, held.held)
    if not changes:
        return Projected(before, held.findings, before.stress, measures_of(before, account), ())
    rows = rows_after(before, held.limits, changes, given)
    owners = accounts_after(before, rows, given)
    told = account if projected_margin.is_told(margin) else None
    if told is not None and margin is not None:
        traded = [change.instrument for change in changes if change.account == told]
        owners = tuple(projected_margin.with_margin(o, margin, traded) if o.id == told else o for o in owners)
    ages = [
        None if (g := rows.positions[row].greeks) is None else (NOW - g.time).total_seconds() for row in rows.touched
    ]
    known = [age for age in (before.data_age_seconds, *ages) if age is not None]
    absent = len(owners) > len(before.accounts)
    after = replace(
        before, accounts=owners, positions=rows.positions,
        exposures=measure_exposures(rows.positions, before.market, before.time),
        net_liquidation=total_net_liquidation(owners, before.market) if absent else before.net_liquidation,
        data_age_seconds=max((max(age, 0.0) for age in known), default=None),
    )  # fmt: skip
    after = replace(after, stress=standing_of(after, held.limits))
    blind = projected_margin.unasked(before, changes, told)
    names = {check.__name__ for check in checks.CHECKS}
    own = [finding for finding in held.findings if finding.check not in names]
    found = [*own, *projected_margin.uncleared(checks.run(after, held.limits), blind)]
    return Projected(
        after, tuple(sorted(found, key=lambda one: -one.level.rank)), after.stress, measures_of(after, account),
        tuple(_unknown(held, after, changes, rows)), rows.touched, blind,
    )  # fmt: skip


def _unknown(held: Prepared, after: Any, changes: Any, rows: Any) -> list[str]:
    """Which legs lack data; the words are those of the product, as they are no figure."""
    from guardrails.gate.projection import _unknown as words  # noqa: PLC0415  # the only private thing that is asked

    return list(words(held.portfolio, after, changes, rows))


def asked(seed: int, resting: int) -> tuple[Order, Ground, Preview]:
    """An order, its ground with `resting` working orders, and what the broker says of its margin."""
    chance = random.Random(seed)  # noqa: S311  # reproducible
    one, worth, rules = case(seed), 150_000.0, LOOSE if seed % 2 else LIMITS
    if seed % 2:  # rich enough for some orders to pass
        worth = 15_000_000.0
        owners = tuple(
            account(name, worth, worth - 75_000.0, prior_net_liquidation=Observed(worth, NOW - DAY, "test"),
                    day_pnl=0.0, cash_flows=0.0) for name in (IBKR, TASTY)
        )  # fmt: skip
        one = replace(one, accounts=owners)
    book = portfolio(one.held, one, rules)
    told = Observed(worth, NOW - DAY, "test")
    past = AccountHistory(NOW - DAY, NOW.date(), told, peak=told, last=told)
    book = replace(book, history=dict.fromkeys((IBKR, TASTY), past))
    order = _order(chance, one, IBKR)
    working = tuple(_rests(chance, one, place) for place in range(resting))
    taken = chance.choice((-4_000.0, 2_000.0, 9_000.0, 60_000.0))
    used = 75_000.0
    margin = Figure(used, taken, used + taken)
    answer = Preview(NOW, margin, margin, Figure(worth, 0.0, worth), "USD")
    return order, Ground(prepare(book, rules, judged(book, rules)), NOW, working=working), answer


def _order(chance: random.Random, one: Case, owner: AccountId, most: int = 4) -> Order:
    held = [instrument for name, instrument in one.held if name == owner]
    chosen = chance.sample([*dict.fromkeys((*held, *UNIVERSE, SILENT))], chance.randint(1, most))
    sizes = [chance.choice((-2, -1, 1, 2)) * (50 if each in SHARES else 1) for each in chosen]
    legs = tuple(Leg(each, size // math.gcd(*sizes)) for each, size in zip(chosen, sizes, strict=True))
    return Order(owner, legs, chance.randint(1, 6), 1.0)


def _rests(chance: random.Random, one: Case, place: int) -> BrokerOrder:
    made = _order(chance, one, chance.choice((IBKR, IBKR, TASTY)), 2)
    return BrokerOrder(made.account, str(place), "", made.legs, made.quantity, 0, OrderState.WORKING)


def assert_same(ours: Impact, theirs: Impact) -> None:
    """All that a person, an alert or a guard reads; of figures all but the last digits, as sums differ by order."""
    assert (ours.verdict, ours.kind, ours.max_quantity) == (theirs.verdict, theirs.kind, theirs.max_quantity)
    assert ours.reasons == theirs.reasons
    assert (ours.working, ours.evidence, ours.flags, ours.title) == (
        theirs.working, theirs.evidence, theirs.flags, theirs.title,
    )  # fmt: skip
    assert len(ours.findings) == len(theirs.findings)
    named = {(one.check, one.subject): one for one in theirs.findings}
    for one in ours.findings:
        assert_close(one, named[one.check, one.subject])
    for mine, yours in ((ours.before, theirs.before), (ours.after, theirs.after), (ours.stress, theirs.stress)):
        assert_close(mine, yours)
    for mine, yours in zip(ours.legs, theirs.legs, strict=True):
        assert_close(mine, yours)


def assert_close(ours: Any, theirs: Any) -> None:
    """Records with the same words and figures that differ by rounding at most."""
    for name in ours.__slots__:
        mine, yours = getattr(ours, name), getattr(theirs, name)
        if isinstance(mine, float):
            assert mine == pytest.approx(yours, rel=1e-9, abs=1e-6), (name, ours, theirs)
        elif name == "curve":
            for one, other in zip(mine, yours, strict=True):
                assert [None if x is None else pytest.approx(x, rel=1e-9, abs=1e-6) for x in other] == list(one)
        else:
            assert mine == yours, (name, ours, theirs)


@pytest.mark.parametrize(("first", "count", "resting"), [(1_000, 16, 0), (2_000, 2, 2)])
def test_every_impact_is_that_of_the_whole_book_judged_from_scratch(first: int, count: int, resting: int) -> None:
    seen = Counter[str]()
    for seed in range(first, first + count):
        order, ground, answer = asked(seed, resting)
        ours = simulate(order, ground, answer, "test")
        assert_same(ours, simulate(order, replace(ground, prepared=fresh(ground)), answer, "test", by=whole))
        assert_same(simulate(order, ground, answer, "test"), ours)  # what the first asking left behind changes nothing
        assert_offered(ours, order, ground, answer)
        seen[ours.verdict] += 1
        seen[ours.kind] += 1
        seen["offered"] += ours.max_quantity is not None
    if not resting:
        assert min(seen[name] for name in (Verdict.BLOCK, OrderKind.NEW_RISK, "offered")) > 0, seen


def assert_offered(ours: Impact, order: Order, ground: Ground, answer: Preview) -> None:
    """What is offered passes, judged whole, and one package more does not; where nothing is, not even one does."""
    if ours.verdict is not Verdict.BLOCK or order.quantity == 1:
        return
    most = ours.max_quantity or 0
    for quantity in {most, most + 1} - {0}:
        part = replace(order, quantity=quantity)
        margin = scaled(margin_of(answer, "test"), quantity / order.quantity)
        found = judged_case(case_of(part, ground, margin, by=whole), exit_of(part, ground))
        assert (found.verdict is not Verdict.BLOCK) == (quantity == most), (quantity, found.reasons)


def fresh(ground: Ground) -> Prepared:
    """The same cycle, in which nothing was asked yet."""
    return prepare(ground.portfolio, ground.limits, ground.prepared.findings)

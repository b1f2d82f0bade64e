"""The what-if in plain floats says of the linear limits what the full projection says, or that it does not know."""

from __future__ import annotations

import math

import pytest

from guardrails.findings import Finding, Level
from guardrails.gate.numeric import Numbers, NumericLeg, Sums, leg_of
from guardrails.gate.projection import Prepared, Projected, project
from guardrails.gate.values import Measures
from guardrails.orders import Trade
from guardrails.symbols import contracts, occ
from tests.books import IBKR, TASTY
from tests.projections import SILENT, Case, case, limits, multiplier, prepared, world

LIMITS = limits()
LINEAR = ("beta_delta", "gamma", "near_expiry_gamma", "short_vega", "vega_concentration", "delta_concentration")
COUNTED = "position_contracts"


def legs_of(held: Prepared, trades: tuple[Trade, ...]) -> list[NumericLeg]:
    """One leg for each instrument and account."""
    together: dict[tuple[str, str], Trade] = {}
    for trade in trades:
        place = (trade.account.number, trade.instrument.key)
        before = together[place].quantity if place in together else 0.0
        together[place] = Trade(trade.account, trade.instrument, before + trade.quantity)
    return [leg_of(held, trade.account, trade.instrument, trade.quantity) for trade in together.values()]


def assert_same(ours: float, theirs: float | None) -> bool:
    """Whether the figure is known; if so it is the same."""
    if math.isnan(ours):
        return False
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-6)
    return True


def test_sums_and_newly_broken_limits_are_those_of_the_full_projection_or_not_known() -> None:
    known = broken = 0
    for seed in range(1000, 1080):
        one = case(seed)
        held = prepared(one, LIMITS)
        found, legs = project(held, one.trades), legs_of(held, one.trades)
        if len({leg.key for leg in legs}) < len(legs):
            continue  # one instrument in two accounts is no order
        numbers = Numbers.of(held)
        known += _sums_agree(numbers.after(legs), found.measures)
        said = numbers.breaches(legs)
        for check in LINEAR:
            if not any(name.startswith(check) for name in said.unknown):
                ours = {name for name in said.worse if name.startswith(check)}
                assert ours == _worse(check, held, found), (seed, said)
                broken += len(ours)
        counted = {name for name in said.worse if name.startswith(COUNTED)}
        if not any(name.startswith(COUNTED) for name in said.unknown):
            assert counted == _worse(COUNTED, held, found) & {f"{COUNTED} {leg.key}" for leg in legs}, seed
    assert known > 60
    assert broken > 20


def _sums_agree(ours: Sums, theirs: Measures) -> int:
    return sum([
        assert_same(ours.delta, theirs.delta_dollars),
        assert_same(ours.beta_delta, theirs.beta_delta_dollars),
        assert_same(ours.gamma, theirs.gamma_1pct_dollars),
        assert_same(ours.vega, theirs.vega_per_point),
        assert_same(ours.vega_30d, theirs.vega_30d_per_point),
        assert_same(ours.theta, theirs.theta_per_day),
    ])  # fmt: skip


def _worse(check: str, held: Prepared, found: Projected) -> set[str]:
    """What the full projection says: limits broken after that were not, or by less."""
    before = {(one.check, one.subject): one for one in held.findings}
    names = set()
    for one in found.findings:
        if one.check != check or one.value is None or one.limit is None:
            continue
        use, most = _use(one), abs(one.limit)
        was = before.get((one.check, one.subject))
        if use > most * (1 + 1e-9) and (was is None or was.value is None or use > _use(was) * (1 + 1e-9)):
            subject = one.subject.partition(":")[2]
            names.add(f"{check} {subject}" if subject else check)
    return names


def _use(one: Finding) -> float:
    value = one.value or 0.0
    return max(-value, 0.0) if one.check in ("gamma", "near_expiry_gamma", "short_vega") else abs(value)


def test_a_leg_of_which_nothing_is_known_makes_every_sum_unknown_and_clears_no_limit() -> None:
    one = Case({}, (), world(), case(1).accounts)
    held = prepared(one, LIMITS)
    numbers, leg = Numbers.of(held), leg_of(held, IBKR, SILENT, -1.0)

    after = numbers.after([leg])

    assert all(math.isnan(figure) for figure in (after.delta, after.gamma, after.vega_30d, after.theta))
    assert {"beta_delta", "gamma", "short_vega", "vega_concentration"} <= set(numbers.breaches([leg]).unknown)


def test_a_quantity_on_a_slider_is_the_leg_of_one_contract_times_it() -> None:
    put = occ.parse("SPXW  261218P05700000")
    one = Case({(TASTY, put): -2.0}, (), world(), case(1).accounts)
    held = prepared(one, LIMITS)
    numbers, leg = Numbers.of(held), leg_of(held, TASTY, put)
    greeks = held.portfolio.positions[0].greeks
    assert greeks is not None
    assert greeks.theta is not None

    # two are short; three more make five: 5 x theta x 100 dollars, the other way round
    assert numbers.after([leg.times(-3.0)]).theta == pytest.approx(-5 * greeks.theta * multiplier(put))
    assert numbers.after([leg.times(2.0)]).theta == pytest.approx(0.0, abs=1e-9)


def test_contracts_of_two_accounts_are_added_up_and_never_netted() -> None:
    put = occ.parse("SPXW  261218P05700000")
    one = Case({(TASTY, put): -3.0, (IBKR, put): 1.0}, (), world(), case(1).accounts)
    held = prepared(one, LIMITS)  # at most four
    numbers, leg = Numbers.of(held), leg_of(held, IBKR, put)

    assert numbers.breaches([leg.times(1.0)]).worse.count(f"position_contracts {put.key}") == 1
    assert f"position_contracts {put.key}" not in numbers.breaches([leg.times(-1.0)]).worse


def test_a_share_that_rises_because_the_rest_is_closed_is_told_of_the_group_that_is_not_traded() -> None:
    spy, aapl = contracts.equity("SPY"), contracts.equity("AAPL")
    one = Case({(IBKR, spy): 100.0, (IBKR, aapl): 200.0}, (), world(), case(1).accounts)
    held = prepared(one, LIMITS)
    numbers = Numbers.of(held)

    # 60,000 of SPY, which is exempt as a broad index, 40,000 of AAPL: 0.40 of all; without half of SPY it is 0.57
    found = numbers.breaches([leg_of(held, IBKR, spy, -50.0)])

    assert "delta_concentration AAPL" in found.worse


def test_a_finding_without_a_limit_leaves_the_limit_not_known() -> None:
    one = Case({}, (), world(), case(1).accounts)
    held = prepared(one, LIMITS)
    put = occ.parse("SPXW  261218P05700000")
    blind = Prepared(held.portfolio, held.limits, (), held.held, held.before)

    assert "short_vega" in Numbers.of(blind).breaches([leg_of(blind, IBKR, put, -1.0)]).unknown
    assert all(finding.level is not Level.BREACH for finding in blind.findings)

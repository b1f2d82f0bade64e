"""Delta, vega, gamma and theta: the last value that passes and the first that does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guardrails.checks.greeks import beta_delta, gamma, near_expiry_gamma, short_vega
from guardrails.checks.theta import implied_ratio, theta_cap, theta_floor, theta_vega_ratio
from guardrails.findings import Finding, Level
from guardrails.intervals import Interval
from guardrails.limits import Bound, Limits, short_side, size_of, stricter
from guardrails.portfolio import Portfolio
from tests.books import account, book, market, option, stock, with_limits


def spy_shares(quantity: float) -> Portfolio:
    """SPY at 600 against 100,000 of net liquidation: each share is 600 dollars of beta delta."""
    return book(stock("SPY", quantity, 600.0))


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1
    return findings[0]


# 75 % of 100,000 is 75,000 dollars: 125 shares of SPY. WATCH starts at 80 %: 100 shares.
@pytest.mark.parametrize(
    ("shares", "level"),
    [
        (99, Level.OK),
        (100, Level.WATCH),
        (125, Level.WATCH),
        (126, Level.BREACH),
        (-125, Level.WATCH),
        (-126, Level.BREACH),
        (0, Level.OK),
    ],
)
def test_beta_delta_both_sides(shares: float, level: Level) -> None:
    finding = only(beta_delta(spy_shares(shares), with_limits()))
    assert finding.level is level
    assert finding.value == shares * 600.0
    assert finding.headroom == pytest.approx(75_000 - abs(shares) * 600.0)


def test_the_stricter_of_absolute_and_relative_wins() -> None:
    # 10 SPX units at 6000 are 60,000 dollars, less than 75 %
    limits = with_limits(max_beta_delta=10.0)
    assert only(beta_delta(spy_shares(100), limits)).level is Level.WATCH
    assert only(beta_delta(spy_shares(101), limits)).level is Level.BREACH
    assert only(beta_delta(spy_shares(101), limits)).limit == 60_000.0


def test_an_absolute_delta_limit_needs_the_index_level() -> None:
    at = market()
    no_spx = replace(at, prices={key: price for key, price in at.prices.items() if key != "SPX"})
    limits = with_limits(max_beta_delta=10.0)
    assert only(beta_delta(book(stock("SPY", 1, 600.0), at=no_spx), limits)).level is Level.UNKNOWN
    assert only(beta_delta(book(stock("SPY", 126, 600.0), at=no_spx), limits)).level is Level.BREACH


def test_no_limit_is_said_and_never_green() -> None:
    limits = with_limits(max_beta_delta_pct_nlv=None)
    finding = only(beta_delta(spy_shares(1000), limits))
    assert finding.level is Level.NOT_APPLICABLE
    assert "no limit is set" in finding.message


def test_without_net_liquidation_a_relative_limit_is_unknown() -> None:
    held = book(stock("SPY", 1, 600.0), accounts=[account(net_liquidation=None)])
    finding = only(beta_delta(held, with_limits()))
    assert finding.level is Level.UNKNOWN
    assert "net liquidation is not known" in finding.message


def test_an_empty_book_breaks_nothing_even_without_net_liquidation() -> None:
    held = book(accounts=[account(net_liquidation=None)])
    assert only(beta_delta(held, with_limits())).level is Level.OK


# a missing beta is anything from 0 to 2: 37,500 dollars of stock may be 75,000 of beta delta
@pytest.mark.parametrize(("price", "level"), [(375.0, Level.WATCH), (375.1, Level.UNKNOWN), (100.0, Level.OK)])
def test_a_missing_beta_over_the_limit_makes_it_unknown(price: float, level: Level) -> None:
    finding = only(beta_delta(book(stock("XYZ", 100, price), at=market(XYZ=price)), with_limits()))
    assert finding.level is level
    assert finding.evidence["beta_missing"] == ["XYZ"]
    assert "XYZ" in finding.message


def test_headroom_is_said_in_contracts_of_the_largest_contributor() -> None:
    # a contract is 0.3 x 100 x 6000 = 180,000 dollars; 75 % of 1,000,000 is 750,000: four fit, two are held
    held = book(option("SPXW  261218P05800000", -2, "-0.3 0 0 0"), accounts=[account(net_liquidation=1_000_000.0)])
    finding = only(beta_delta(held, with_limits()))
    assert finding.value == pytest.approx(360_000.0)
    assert finding.evidence["headroom_contracts"] == 2
    assert finding.evidence["contributor"] == "SPXW 18Dec26 5800P"


def test_a_breach_says_how_many_contracts_to_close() -> None:
    # five contracts are 900,000 against 750,000: one of 180,000 brings it back
    held = book(option("SPXW  261218P05800000", -5, "-0.3 0 0 0"), accounts=[account(net_liquidation=1_000_000.0)])
    assert only(beta_delta(held, with_limits())).next_action.startswith("Close 1 of SPXW 18Dec26 5800P")


def test_a_breach_that_no_single_position_can_mend_says_so() -> None:
    held = book(option("SPXW  261218P05800000", -1, "-0.3 0 0 0"), stock("SPY", 100, 600.0))
    # 180,000 and 60,000 dollars against 75,000: closing the option is enough; beside twice the stock it is not
    assert only(beta_delta(held, with_limits())).next_action.startswith("Close 1 of SPXW")
    held = book(option("SPXW  261218P05800000", -1, "-0.3 0 0 0"), stock("SPY", 200, 600.0))
    assert "is not enough" in only(beta_delta(held, with_limits())).next_action


# 0.35 % of 100,000 is 350 dollars a point; 30 days to expiry, so the weight is 1
@pytest.mark.parametrize(
    ("vega", "level"), [("2.79", Level.OK), ("2.80", Level.WATCH), ("3.50", Level.WATCH), ("3.51", Level.BREACH)]
)
def test_short_vega_both_sides(vega: str, level: Level) -> None:
    finding = only(short_vega(book(option("SPXW  261218P05800000", -1, f"0 0 {vega} 0")), with_limits()))
    assert finding.level is level
    assert finding.limit == pytest.approx(-350.0)


def test_long_vega_is_no_breach_of_the_short_limit() -> None:
    assert only(short_vega(book(option("SPXW  261218P05800000", 50, "0 0 9 0")), with_limits())).level is Level.OK


@pytest.mark.parametrize(("quantity", "level"), [(-1, Level.BREACH), (1, Level.OK)])
def test_crisis_allows_no_short_vega_at_all(quantity: float, level: Level) -> None:
    held = book(option("SPXW  261218P05800000", quantity, "0 0 0.01 0"))
    finding = only(short_vega(held, with_limits("crisis_mode")))
    assert finding.level is level
    if level is Level.BREACH:
        assert finding.message.startswith("Portfolio must be vega-neutral or long in crisis mode.")


def test_partial_data_proves_a_breach_but_never_clears_one() -> None:
    known = option("SPXW  261218P05800000", -1, "0 0 3.51 0")
    blind_short = option("SPXW  261218P05700000", -1)
    blind_long = option("SPXW  261218P05600000", 1)
    assert only(short_vega(book(known, blind_short), with_limits())).level is Level.BREACH
    assert only(short_vega(book(known, blind_long), with_limits())).level is Level.UNKNOWN
    small = option("SPXW  261218P05800000", -1, "0 0 0.1 0")
    finding = only(short_vega(book(small, blind_short), with_limits()))
    assert finding.level is Level.UNKNOWN
    assert finding.value is None
    assert finding.evidence["missing"] == ["SPXW 18Dec26 5700P"]


# 30 % of 100,000 is 30,000 dollars of delta per 1 %: gamma x 100 x 6000^2 x 1 % = gamma x 36,000,000
@pytest.mark.parametrize(
    ("g", "level"),
    [("0.000666", Level.OK), ("0.000667", Level.WATCH), ("0.000833", Level.WATCH), ("0.000834", Level.BREACH)],
)
def test_gamma_both_sides(g: str, level: Level) -> None:
    assert only(gamma(book(option("SPXW  261218P05800000", -1, f"0 {g} 0 0")), with_limits())).level is level


# 7.5 % is 7,500 dollars: gamma 0.000208333; only 25 November (7 days) counts, 26 November (8 days) does not
@pytest.mark.parametrize(
    ("expiry", "g", "level"),
    [("261125", "0.000208", Level.WATCH), ("261125", "0.000209", Level.BREACH), ("261126", "0.000209", Level.OK)],
)
def test_near_expiry_gamma_both_sides(expiry: str, g: str, level: Level) -> None:
    assert (
        only(near_expiry_gamma(book(option(f"SPXW  {expiry}P05800000", -1, f"0 {g} 0 0")), with_limits())).level
        is level
    )


# 0.20 % of 100,000 is 200 dollars a day; the cap is advisory and reaches WATCH at most
@pytest.mark.parametrize(("theta", "level"), [("-1.59", Level.OK), ("-1.60", Level.WATCH), ("-9", Level.WATCH)])
def test_theta_cap_only_advises(theta: str, level: Level) -> None:
    finding = only(theta_cap(book(option("SPXW  261218P05800000", -1, f"0 0 0 {theta}")), with_limits()))
    assert finding.level is level
    assert finding.advisory


@pytest.mark.parametrize(("theta", "level"), [("-0.50", Level.OK), ("-0.49", Level.WATCH)])
def test_theta_floor_only_advises(theta: str, level: Level) -> None:
    limits = with_limits(min_daily_theta=50.0)
    assert only(theta_floor(book(option("SPXW  261218P05800000", -1, f"0 0 0 {theta}")), limits)).level is level


def test_theta_floor_is_not_set_by_default() -> None:
    finding = only(theta_floor(book(), with_limits()))
    assert finding.level is Level.NOT_APPLICABLE
    assert "no floor is set" in finding.message


def ratio_of(theta: str, limits: Limits | None = None) -> Finding:
    """Theta per day over a vega of 100 dollars a point."""
    return only(
        theta_vega_ratio(book(option("SPXW  261218P05800000", -1, f"0 0 1.0 {theta} 0.16")), limits or with_limits())
    )


@pytest.mark.parametrize(
    ("theta", "level"),
    [
        ("-0.25", Level.OK),
        ("-0.40", Level.OK),
        ("-0.24", Level.WATCH),
        ("-0.41", Level.WATCH),
        ("-0.19", Level.WATCH),
        ("-0.51", Level.WATCH),
    ],
)
def test_ratio_bands(theta: str, level: Level) -> None:
    assert ratio_of(theta).level is level


def test_ratio_outside_the_red_band_would_be_a_breach_were_it_not_advisory() -> None:
    limits = with_limits()
    hard = replace(limits, matrix=limits.matrix.model_copy(update={"advisory": ()}))
    assert ratio_of("-0.50", hard).level is Level.WATCH
    assert ratio_of("-0.51", hard).level is Level.BREACH
    assert ratio_of("-0.20", hard).level is Level.WATCH
    assert ratio_of("-0.19", hard).level is Level.BREACH


@pytest.mark.parametrize(
    ("quantity", "greeks", "reason"),
    [(1, "0 0 1 -0.3", "long vega"), (-1, "0 0 0.09 -0.3", "vega near 0"), (-1, "0 0 1 0.3", "theta is not positive")],
)
def test_ratio_is_not_applicable_to_other_books(quantity: float, greeks: str, reason: str) -> None:
    finding = only(theta_vega_ratio(book(option("SPXW  261218P05800000", quantity, greeks)), with_limits()))
    assert finding.level is Level.NOT_APPLICABLE
    assert reason in finding.message


def test_the_calendar_part_of_the_ratio() -> None:
    # domain facts 1.6: IV 16 % at 30 days gives 16 / 60 = 0.2667 whatever the strike
    assert implied_ratio(book(option("SPXW  261218P05800000", -1, "0 0 1 -0.3 0.16"))) == pytest.approx(16 / 60)


def test_ratio_without_greeks_is_unknown() -> None:
    assert only(theta_vega_ratio(book(option("SPXW  261218P05800000", -1)), with_limits())).level is Level.UNKNOWN


def test_bounds_of_use() -> None:
    assert size_of(Interval(-3.0, 2.0)) == Interval(0.0, 3.0)
    assert size_of(Interval(-3.0, -2.0)) == Interval(2.0, 3.0)
    assert short_side(Interval(-3.0, 2.0)) == Interval(0.0, 3.0)
    assert short_side(Interval(1.0, 2.0)) == Interval(0.0, 0.0)
    assert stricter(None, None, 1.0, "x") == Bound(None, is_set=False)
    assert stricter(5.0, 0.1, 100.0, "x").value == 5.0
    assert stricter(50.0, 0.1, 100.0, "x").value == 10.0
    assert stricter(5.0, 0.1, None, "x").unknown

"""Single trades worked by hand: what becomes of rows, sums, cash and margin, and what stays unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from guardrails import checks
from guardrails.findings import Finding, Level
from guardrails.gate.projection import Prepared, Projected, prepare, project
from guardrails.gate.values import MarginChange
from guardrails.instruments import Instrument, Kind, Right
from guardrails.orders import Trade
from guardrails.stress import COMPILING
from guardrails.symbols import contracts, occ
from guardrails.values import Account, AccountId, Greeks, Margin, MarginView, Market, Position, Quote
from tests.books import IBKR, NOW, TASTY, account, book, market, option, stock
from tests.stressed import stress_limits, stressed

LIMITS = stress_limits()
PUT_57, PUT_56 = occ.parse("SPXW  261218P05700000"), occ.parse("SPXW  261218P05600000")
CALL = occ.parse("AAPL  261218C00210000")
ES_PUT = contracts.future_option("ES", 2026, 12, date(2026, 12, 18), Right.PUT, Decimal(5800))
"""only its product is named: `/ES`"""
TOLD = {
    PUT_57.key: (60.0, 62.0, Greeks(-0.25, 0.0008, 6.0, -1.2, 0.19, "test", NOW)),
    PUT_56.key: (48.0, 50.0, Greeks(-0.20, 0.0007, 5.2, -1.0, 0.20, "test", NOW)),
    CALL.key: (3.05, 3.15, Greeks(0.35, 0.02, 0.22, -0.09, 0.25, "test", NOW)),
    ES_PUT.key: (30.0, 31.0, Greeks(-0.20, 0.0009, 5.5, -1.4, 0.18, "test", NOW)),
}


def quoted(told: Mapping[str, tuple[float, float, Greeks]] = TOLD, **prices: float) -> Market:
    """A market that quotes the options of this file."""
    base = market({"AAPL": 1.2}, AAPL=200.0, **{"/ESZ26": 6010.0, **prices})
    quotes = {key: Quote(bid, ask, NOW, "test") for key, (bid, ask, _) in told.items()}
    return replace(base, quotes=quotes, greeks={key: greeks for key, (_, _, greeks) in told.items()})


def asked(*positions: Position, accounts: tuple[Account, ...] = (), at: Market | None = None) -> Prepared:
    """A book of these positions, ready to be asked."""
    owners = accounts or (account(IBKR, 100_000.0, cash=20_000.0),)
    held = stressed(*positions, accounts=owners, limits=LIMITS, at=at or quoted())
    return prepare(held, LIMITS, checks.run(held, LIMITS))


def finding(found: Projected, check: str, subject: str = "portfolio") -> Finding:
    """The one of that check and subject."""
    return next(one for one in found.findings if (one.check, one.subject) == (check, subject))


def test_two_short_put_spreads_on_spx_worked_by_hand() -> None:
    found = project(asked(), [Trade(IBKR, PUT_57, -2.0), Trade(IBKR, PUT_56, 2.0)], account=IBKR)

    after = found.measures
    assert found.unknown == ()
    # (-2 x -0.25 + 2 x -0.20) x 100 x 6,000 = 0.10 x 600,000
    assert after.delta_dollars == pytest.approx(60_000.0)
    assert after.beta_delta_dollars == pytest.approx(60_000.0)
    # (-2 x 0.0008 + 2 x 0.0007) x 100 x 6,000 x 6,000 x 0.01 = -0.0002 x 36,000,000
    assert after.gamma_1pct_dollars == pytest.approx(-7_200.0)
    # (-2 x 6.0 + 2 x 5.2) x 100; 30 days to go, so the 30-day weight is 1
    assert after.vega_per_point == pytest.approx(-160.0)
    assert after.vega_30d_per_point == pytest.approx(-160.0)
    # (-2 x -1.2 + 2 x -1.0) x 100
    assert after.theta_per_day == pytest.approx(40.0)
    # sold at 61, bought at 49: 2 x 100 x 12 comes in
    assert after.cash == pytest.approx(22_400.0)
    assert after.net_liquidation == 100_000.0
    # no loss can exceed 2 x 100 points x 100, less the 2,400 received: 17,600
    assert not isinstance(found.stress, str)
    assert found.stress.trough.total(0).low >= -17_600.0 - 1e-6
    assert found.stress.trough.total(0).low < -10_000.0


def test_an_option_on_a_future_named_by_its_product_is_struck_on_the_contract_of_its_quarter() -> None:
    found = project(asked(), [Trade(IBKR, ES_PUT, -1.0)], account=IBKR)

    (held,) = found.portfolio.positions
    # 18 December 2026 is the third Friday of the last month of the quarter
    assert held.instrument.underlying == "/ESZ26"
    assert (held.multiplier, held.multiplier_source) == (50.0, "table")
    # -1 x -0.20 x 50 x 6,010
    assert found.measures.delta_dollars == pytest.approx(60_100.0)
    assert found.measures.theta_per_day == pytest.approx(70.0)  # -1 x -1.4 x 50
    assert found.measures.vega_per_point == pytest.approx(-275.0)  # -1 x 5.5 x 50
    assert found.measures.cash == pytest.approx(21_525.0)  # 20,000 + 30.50 x 50


def test_a_call_sold_on_shares_held_worked_by_hand() -> None:
    held = asked(stock("AAPL", 100.0, 200.0))
    found = project(held, [Trade(IBKR, CALL, -1.0)], account=IBKR)

    # 100 x 200 - 0.35 x 100 x 200 = 20,000 - 7,000
    assert found.measures.delta_dollars == pytest.approx(13_000.0)
    assert found.measures.beta_delta_dollars == pytest.approx(15_600.0)  # beta 1.2
    # -0.02 x 100 x 200 x 200 x 0.01 x 1.2 x 1.2
    assert found.measures.gamma_1pct_dollars == pytest.approx(-1_152.0)
    assert found.measures.theta_per_day == pytest.approx(9.0)
    assert found.measures.cash == pytest.approx(20_310.0)
    assert finding(found, "short_option_expiry", f"position:{IBKR} {CALL.key}").value == 21.0  # Thanksgiving off


def test_an_option_that_expires_after_the_quarter_is_on_the_next_contract_and_unknown_without_its_price() -> None:
    late = contracts.future_option("EW4", 2026, 12, date(2026, 12, 24), Right.PUT, Decimal(5800))

    found = project(asked(), [Trade(IBKR, late, -1.0)])

    assert found.portfolio.positions[0].instrument.underlying == "/ESH27"
    assert "no price of /ESH27" in found.unknown[0]
    assert finding(found, "short_vega").level is Level.UNKNOWN


def test_a_future_bought_costs_no_cash() -> None:
    found = project(asked(), [Trade(IBKR, contracts.future("ES", 2026, 12), 1.0)], account=IBKR)

    assert found.measures.delta_dollars == pytest.approx(300_500.0)  # 50 x 6,010
    assert found.measures.cash == 20_000.0


def test_a_position_that_is_closed_leaves_no_row_and_one_that_is_flipped_keeps_its_own() -> None:
    held = asked(option(PUT_57.symbol, -2.0), option(PUT_56.symbol, 2.0))

    closed = project(held, [Trade(IBKR, PUT_57, 2.0), Trade(IBKR, PUT_56, -5.0)])

    assert [(p.instrument, p.quantity) for p in closed.portfolio.positions] == [(PUT_56, -3.0)]
    assert closed.touched == (0,)


def test_rows_of_one_instrument_are_closed_one_after_the_other() -> None:
    held = asked(option(PUT_57.symbol, -2.0), option(PUT_57.symbol, -1.0))

    found = project(held, [Trade(IBKR, PUT_57, 2.5)])

    assert [p.quantity for p in found.portfolio.positions] == [-0.5]


def test_trades_that_come_to_nothing_change_nothing() -> None:
    held = asked(option(PUT_57.symbol, -2.0))

    found = project(held, [Trade(IBKR, PUT_57, 2.0), Trade(IBKR, PUT_57, -2.0)])

    assert found.findings == held.findings
    assert found.portfolio is held.portfolio


def test_a_leg_that_nobody_quotes_is_named_and_clears_nothing() -> None:
    unknown = occ.parse("TSLA  261218P00300000")

    found = project(asked(at=quoted(TSLA=400.0)), [Trade(IBKR, unknown, -1.0)], account=IBKR)

    assert found.unknown == (f"{unknown.label} ({IBKR}): it has no Greeks",)
    assert {finding(found, name).level for name in ("beta_delta", "gamma", "short_vega")} == {Level.UNKNOWN}
    assert found.measures.theta_per_day is None
    assert found.measures.cash is None


def test_a_price_of_now_gives_a_leg_that_nobody_quotes_its_volatility() -> None:
    unknown = occ.parse("TSLA  261218P00380000")

    found = project(
        asked(at=quoted(TSLA=400.0)), [Trade(IBKR, unknown, -1.0)], prices={unknown.key: 10.0}, account=IBKR
    )

    assert found.unknown == ()
    assert found.portfolio.positions[0].greeks is not None
    assert found.measures.cash == pytest.approx(21_000.0)


@pytest.mark.parametrize(
    "instrument",
    [
        Instrument(Kind.FUTURE, "/QQZ26", "/QQZ26", "/QQ"),
        replace(occ.parse("TSLA1 261218P00300000"), adjusted=True),
        contracts.future("ZC", 2026, 12),
    ],
    ids=["no table knows it", "adjusted", "in cents or in dollars"],
)
def test_a_multiplier_is_never_guessed(instrument: Instrument) -> None:
    found = project(asked(at=quoted(TSLA=400.0, **{"/QQZ26": 10.0, "/ZCZ26": 450.0})), [Trade(IBKR, instrument, 1.0)])

    assert found.portfolio.positions[0].multiplier is None
    assert found.unknown
    assert finding(found, "position_data").level is Level.UNKNOWN


def test_what_another_account_holds_says_what_the_new_leg_is_worth() -> None:
    there = option(CALL.symbol, 1.0, "0.5 0.03 0.3 -0.1 0.3", TASTY, mark=4.0)
    owners = (account(IBKR, cash=0.0), account(TASTY))

    found = project(asked(there, accounts=owners, at=market(AAPL=200.0)), [Trade(IBKR, CALL, -1.0)], account=IBKR)

    mine = found.portfolio.positions[1]
    assert (mine.account, mine.multiplier, mine.greeks) == (IBKR, 100.0, there.greeks)
    assert found.measures.delta_dollars == pytest.approx(0.0, abs=1e-9)
    assert found.measures.cash == pytest.approx(400.0)


def test_who_was_not_read_has_no_figures_after_a_trade_either() -> None:
    stranger = AccountId("IBKR", TASTY.number)

    found = project(asked(), [Trade(stranger, PUT_57, -1.0)])

    assert "has not been read" in found.unknown[0]
    assert found.portfolio.net_liquidation is None
    assert finding(found, "account_data", f"account:{stranger}").level is Level.UNKNOWN


def test_without_the_brokers_word_no_margin_is_cleared_after_something_is_opened() -> None:
    found = project(asked(), [Trade(IBKR, PUT_57, -1.0)])

    assert found.margin_unknown == (IBKR,)
    for check in ("margin_cushion", "margin_utilisation", "stress_excess"):
        assert finding(found, check, f"account:{IBKR}").level.rank >= Level.UNKNOWN.rank


def test_a_short_that_is_bought_back_alone_keeps_the_margin_figures_and_a_cover_that_is_sold_does_not() -> None:
    alone = asked(option(PUT_57.symbol, -2.0))
    covered = asked(option(PUT_57.symbol, -2.0), option(PUT_56.symbol, 2.0))

    assert project(alone, [Trade(IBKR, PUT_57, 2.0)]).margin_unknown == ()
    assert project(covered, [Trade(IBKR, PUT_56, -2.0)]).margin_unknown == (IBKR,)
    assert project(alone, [Trade(IBKR, PUT_57, 3.0)]).margin_unknown == (IBKR,)


def test_a_margin_breach_of_before_stays_one_when_nobody_was_asked() -> None:
    poor = account(IBKR, 100_000.0, excess=1_000.0)

    found = project(asked(accounts=(poor,)), [Trade(IBKR, PUT_57, -1.0)])

    assert finding(found, "margin_cushion", f"account:{IBKR}").level is Level.BREACH


def test_the_brokers_what_if_moves_every_view_of_the_account_by_as_much() -> None:
    views = (
        Margin(MarginView.CURRENT, "total", 100_000.0, 50_000.0, 50_000.0),
        Margin(MarginView.FULL, "total", 100_000.0, 60_000.0, 40_000.0),
    )
    owner = account(IBKR, margins=views, expected_views=(MarginView.CURRENT, MarginView.FULL))
    said = MarginChange("ibkr", maintenance_before=50_000.0, maintenance_after=57_000.0, excess_after=43_500.0)

    found = project(asked(accounts=(owner,)), [Trade(IBKR, PUT_57, -1.0)], margin=said, account=IBKR)

    # 7,000 more is asked for; excess is 6,500 less: overnight 67,000 and 33,500
    assert found.margin_unknown == ()
    assert finding(found, "margin_utilisation", f"account:{IBKR}").value == pytest.approx(0.67)
    assert finding(found, "margin_cushion", f"account:{IBKR}").value == pytest.approx(0.335)


def test_a_what_if_that_the_broker_could_not_answer_is_none() -> None:
    said = MarginChange("ibkr", maintenance_before=1.0, maintenance_after=2.0, unknown="the broker said nothing")

    assert project(asked(), [Trade(IBKR, PUT_57, -1.0)], margin=said, account=IBKR).margin_unknown == (IBKR,)


def test_only_the_segment_that_is_traded_takes_the_margin() -> None:
    owner = account(
        IBKR,
        margins=(
            Margin(MarginView.CURRENT, "total", 100_000.0, 50_000.0, 50_000.0),
            Margin(MarginView.CURRENT, "securities", 80_000.0, 40_000.0, 40_000.0),
            Margin(MarginView.CURRENT, "commodities", 20_000.0, 10_000.0, 10_000.0),
        ),
        margin_by_underlying={"SPX": 5_000.0},
    )
    said = MarginChange("ibkr", maintenance_before=50_000.0, maintenance_after=53_000.0)

    found = project(asked(accounts=(owner,)), [Trade(IBKR, ES_PUT, -1.0)], margin=said, account=IBKR)

    (after,) = found.portfolio.accounts
    assert [row.maintenance for row in after.margins] == [53_000.0, 40_000.0, 13_000.0]
    assert [row.excess for row in after.margins] == [47_000.0, 40_000.0, 7_000.0]
    assert after.margin_by_underlying == {"SPX": 5_000.0, "/ES": 3_000.0}


def test_of_two_segments_that_are_traded_neither_is_credited_and_both_bear_what_gets_worse() -> None:
    views = tuple(
        Margin(MarginView.CURRENT, segment, 50_000.0, 20_000.0, 30_000.0)
        for segment in ("total", "securities", "commodities")
    )
    trades = [Trade(IBKR, ES_PUT, -1.0), Trade(IBKR, PUT_57, -1.0)]

    def required(after: float) -> list[float | None]:
        held = asked(accounts=(account(IBKR, margins=views),))
        said = MarginChange("ibkr", maintenance_before=20_000.0, maintenance_after=after)
        found = project(held, trades, margin=said, account=IBKR)
        return [row.maintenance for row in found.portfolio.accounts[0].margins]

    assert required(23_000.0) == [23_000.0, 23_000.0, 23_000.0]
    assert required(17_000.0) == [17_000.0, 20_000.0, 20_000.0]


def test_while_the_kernels_are_compiled_there_is_no_stress_after_either() -> None:
    now = replace(book(at=quoted()), stress=COMPILING)
    held = prepare(now, LIMITS, checks.run(now, LIMITS))

    found = project(held, [Trade(IBKR, PUT_57, -1.0)])

    assert found.stress == COMPILING
    assert finding(found, "stress_ladder", "portfolio:SPX -10 %").level is Level.UNKNOWN


def test_what_the_program_says_of_itself_stays() -> None:
    own = LIMITS.finding("engine", "task:engine", Level.BREACH, "A task of the engine ended.")
    held = asked()

    found = project(Prepared(held.portfolio, LIMITS, (*held.findings, own), held.held, held.before),
                    [Trade(IBKR, PUT_57, -1.0)])  # fmt: skip

    assert own in found.findings

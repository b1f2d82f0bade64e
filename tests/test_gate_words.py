"""What a person reads, and when things trade: titles, flags, hours and prices of packages, by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from guardrails import calendar
from guardrails.flatten.hours import closed as flatten_closed
from guardrails.gate.flags import flags_of
from guardrails.gate.folding import folded, traced
from guardrails.gate.hours import closed, over
from guardrails.gate.package_price import priced
from guardrails.gate.simulate import simulate
from guardrails.gate.titles import title_of
from guardrails.gate.values import Reason, Verdict
from guardrails.matrix.limits import DteAlarm, ShortOptionDte
from guardrails.order_json import impact_document, impact_json, impact_of
from guardrails.orders import TimeInForce
from guardrails.symbols import parse
from guardrails.values import Dividend, Metrics, Price, Quote
from tests.books import NOW, book, option, stock
from tests.gates import answer, ask, ground, limited, order, quoted, with_quotes
from tests.stressed import stress_limits

P5700, P5600, C6300, C6400 = (
    "SPXW  261218P05700000", "SPXW  261218P05600000", "SPXW  261218C06300000", "SPXW  261218C06400000"
)  # fmt: skip
AAPL_C = "AAPL  261218C00260000"
MARKET = with_quotes(
    quoted(), **{P5700: (9.5, 10.5, "-0.25 0.0010 5 -1.5 0.20"), P5600: (7.9, 8.1, "-0.18 0.0008 4 -1.2 0.21")}
)

TITLES = {
    "SELL 2 × SPXW 18Dec26 5700P/5600P at 8.40 credit, DAY, IBKR •••4567": order(
        (P5700, -1), (P5600, 1), quantity=2, limit=-8.40
    ),
    "BUY 1 × SPXW 18Dec26 5700P at 10.05 limit, GTC, IBKR •••4567": order(
        (P5700, 1), limit=10.05, time_in_force=TimeInForce.GTC
    ),
    "2 × (SELL 1 SPXW 18Dec26 5700P, BUY 1 SPXW 18Dec26 5600P, SELL 1 SPXW 18Dec26 6300C, BUY 1 SPXW 18Dec26 6400C)"
    " at 0.05 debit, DAY, IBKR •••4567": order(
        (P5700, -1), (P5600, 1), (C6300, -1), (C6400, 1), quantity=2, limit=0.05
    ),
    "1 × (SELL 1 SPXW 18Dec26 5700P, BUY 2 SPXW 18Dec26 5600P) at 0.00 even, DAY, IBKR •••4567": order(
        (P5700, -1), (P5600, 2), limit=0.0
    ),
    "1 × (SELL 1 SPXW 18Dec26 5700P, BUY 1 SPXW 18Dec26 6300C) at 1.005 credit, DAY, IBKR •••4567": order(
        (P5700, -1), (C6300, 1), limit=-1.005
    ),
    "SELL 3 × /MESZ26 at market, DAY, IBKR •••4567": order(("/MESZ26", -1), quantity=3),
    "BUY 100 × SPY at the close, DAY, IBKR •••4567": order(("SPY", 1), quantity=100, at_close=True),
    "SELL 1 × SPXW 18Dec26 5700P at 1.00 debit, DAY, IBKR •••4567": order((P5700, -1), limit=1.0),
}


@pytest.mark.parametrize("title", TITLES)
def test_a_title_says_exactly_what_is_sent(title: str) -> None:
    assert title_of(TITLES[title]) == title


def et(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    """A moment of the winter of 2026 by New York clocks."""
    return datetime(2026, month, day, tzinfo=UTC) + timedelta(hours=hour + 5, minutes=minute)


SPX, QQQ_P, SPY, ES = (
    order((name, 1), limit=1.0).legs[0].instrument for name in (P5700, "QQQ   261218P00500000", "SPY", "/ESZ26")
)
AAPL_P = order(("AAPL  261218P00250000", 1), limit=1.0).legs[0].instrument
# Wednesday 18, Thanksgiving Thursday 26, half-day Friday 27, Saturday 28, Sunday 29
OPEN = [
    (SPY, et(18, 9, 30)), (SPY, et(18, 15, 59)), (AAPL_P, et(18, 15, 59)), (QQQ_P, et(18, 16, 14)),
    (SPX, et(18, 16, 14)),
    (SPY, et(27, 12, 59)), (SPX, et(27, 13, 14)), (ES, et(18, 3)), (ES, et(18, 16, 59)), (ES, et(18, 18)),
    (ES, et(29, 18)), (ES, et(27, 13, 14)), (ES, et(26, 18)),
]  # fmt: skip
CLOSED = [
    (SPY, et(18, 9, 29)), (SPY, et(18, 16)), (AAPL_P, et(18, 16)), (QQQ_P, et(18, 16, 15)), (SPX, et(18, 3)),
    (SPX, et(18, 16, 15)),
    (SPY, et(26, 12)), (SPX, et(27, 13, 15)), (SPY, et(28, 12)), (ES, et(18, 17)), (ES, et(18, 17, 59)),
    (ES, et(27, 13, 15)), (ES, et(27, 18)), (ES, et(28, 12)), (ES, et(29, 17, 59)), (ES, et(26, 12)), (ES, et(25, 18)),
]  # fmt: skip


@pytest.mark.parametrize(("instrument", "now"), OPEN)
def test_products_trade_in_their_hours(instrument: object, now: datetime) -> None:
    assert closed(instrument, now) == ""  # type: ignore[arg-type]  # an instrument


@pytest.mark.parametrize(("instrument", "now"), CLOSED)
def test_products_do_not_trade_outside_them(instrument: object, now: datetime) -> None:
    assert closed(instrument, now)  # type: ignore[arg-type]  # an instrument


def test_a_source_that_never_closes_decides_about_its_own_market() -> None:
    assert closed(SPY, et(28, 12), told_open=True) == ""
    assert closed(SPY, et(18, 12), told_open=False)


def test_an_option_is_over_with_its_last_trade() -> None:
    monthly = order(("SPX   261120P05700000", 1), limit=1.0).legs[0].instrument
    assert not over(monthly, et(19, 16, 14))
    assert over(monthly, et(19, 16, 15))  # AM-settled: the evening before
    assert over(SPX, et(18, 16, month=12))
    assert not over(SPY, et(18, 16))


def test_a_vertical_costs_the_difference_of_its_legs() -> None:
    found = priced(order((P5700, -1), (P5600, 1), limit=-1.0), ground(at=MARKET).portfolio)
    assert found.mid == pytest.approx(8.0 - 10.0)
    assert found.natural == pytest.approx(8.1 - 9.5)  # bought at the ask, sold at the bid
    assert found.unit == 100.0
    assert found.slack(0.10) == pytest.approx(0.25)  # a tenth of 2.00 is less than five ticks of 0.05


def test_a_covered_call_costs_the_share_less_the_call() -> None:
    at = replace(
        quoted(), quotes={order((AAPL_C, 1), limit=1.0).legs[0].instrument.key: Quote(3.0, 3.2, NOW, "test")},
        prices={**quoted().prices, "AAPL": Price(250.0, NOW, "test", 249.9, 250.1)},
    )  # fmt: skip
    found = priced(order(("AAPL", 100), (AAPL_C, -1), limit=247.0), ground(at=at).portfolio)
    assert found.mid == pytest.approx(250.0 - 3.1)
    assert found.natural == pytest.approx(250.1 - 3.0)


def test_the_newest_quote_counts_and_one_side_is_no_middle() -> None:
    old = option(P5700, -1, bid=5.0, ask=6.0, quote_time=NOW - timedelta(minutes=5), mark=5.5, mark_time=NOW)
    assert priced(order((P5700, 1), limit=1.0), ground(old, at=MARKET).portfolio).mid == 10.0
    assert priced(order((P5700, 1), limit=1.0), ground(old).portfolio).mid == 5.5
    half = replace(MARKET, quotes={key: replace(quote, bid=None) for key, quote in MARKET.quotes.items()})
    found = priced(order((P5700, 1), limit=1.0), ground(at=half).portfolio)
    assert (found.mid, found.natural) == (None, 10.5)


def test_events_inside_the_life_are_told_and_others_are_not() -> None:
    metrics = Metrics(
        "AAPL", NOW, "test", earnings=date(2026, 12, 3), earnings_time="after close", ex_dividend=date(2026, 12, 10)
    )
    paid = Dividend(date(2026, 12, 10), 0.26, "USD", "test", NOW)
    at = replace(quoted(), metrics={"AAPL": metrics}, dividends={"AAPL": (paid,)})
    told = flags_of(order((AAPL_C, -1), limit=-3.0), ground(at=at))
    assert told == (
        "AAPL reports on 03 Dec after close, before 18 Dec",
        "AAPL goes ex-dividend 0.26 USD on 10 Dec, before 18 Dec; the short call may be assigned the day before",
    )
    assert flags_of(order(("AAPL  261127C00260000", -1), limit=-1.0), ground(at=at)) == ()
    assert flags_of(order(("AAPL", 1), limit=250.0), ground(at=at)) == ()


def test_a_short_close_to_its_expiry_is_told() -> None:
    alarm = DteAlarm(watch=30, breach=2)
    limits = limited(short_option_dte=ShortOptionDte(physical=alarm, cash_am=alarm, cash_pm=alarm))
    # sessions after 18 Nov up to 18 Dec 2026: 2 + 4 (26 Nov is none) + 5 + 5 + 5 = 21
    told = flags_of(order((P5700, -1), (P5600, 1), limit=-1.0), ground(limits=limits))
    assert told == ("SPXW 18Dec26 5700P expires in 21 trading days: short options alarm at 30, breach at 2",)


def test_an_impact_has_everything_a_page_shows_and_survives_as_json() -> None:
    rule = stress_limits(ladder=((-0.20, 1.0),), after=()).keys.stress
    on = ground(stock("SPY", 10, 600.0), at=MARKET, limits=limited(stress=rule, max_negative_vega=-400.0))
    found = simulate(order((P5700, -1), (P5600, 1), quantity=5, limit=-1.9), on, answer(), "ibkr")
    assert (found.verdict, found.max_quantity) == (Verdict.BLOCK, 4)
    assert [(leg.side, leg.quantity, leg.held_before, leg.held_after) for leg in found.legs] == [
        ("SELL", 5.0, 0.0, -5.0), ("BUY", 5.0, 0.0, 5.0),
    ]  # fmt: skip
    assert (found.legs[0].bid, found.legs[0].ask, found.legs[0].delta) == (9.5, 10.5, -0.25)
    # vega: 5 x (4 - 5) x 100; beta delta: 10 x 600 + 5 x (0.25 - 0.18) x 100 x 6000
    assert (found.before.vega_per_point, found.after.vega_per_point) == (0.0, -500.0)
    assert found.after.beta_delta_dollars == pytest.approx(6_000.0 + 210_000.0)
    vega = next(one for one in found.findings if one.check == "short_vega")
    assert (vega.value_before, vega.value_after, vega.limit) == (0.0, -500.0, -400.0)
    assert found.stress.worst_before == pytest.approx(-0.4 * 6_000.0)  # the curve ends at -40 %
    assert found.stress.worst_after is not None
    assert found.stress.worst_after < found.stress.worst_before
    assert found.stress.shock_before == "S&P 500 −40 %"
    assert len(found.stress.curve) == 23
    assert found.margin.source == "ibkr"
    assert found.matrix_version == on.limits.matrix.version
    again = impact_of(impact_json(found))
    assert again.reasons == found.reasons
    assert "0000004567" not in impact_json(found)
    assert impact_document(found)["max_quantity"] == 4


def test_cash_is_paid_for_what_is_bought() -> None:
    on = ground(at=MARKET)
    found = ask(order((P5700, 1), limit=10.0), on)
    assert found.mid == 10.0
    assert found.natural == 10.5
    assert found.evidence["positions"] == "as the book has them"


def _reason(
    code: str, verdict: Verdict = Verdict.BLOCK, check: str = "", subject: str = "", follows: str = ""
) -> Reason:
    return Reason(code, verdict, f"{code} {check} {subject}.", check, subject, follows=follows)


def test_what_follows_from_one_cause_is_told_with_it_and_stays_a_reason() -> None:
    untold = [_reason("limit_unknown", check=name, follows="leg_unknown") for name in ("beta_delta", "gamma")]
    reasons = traced([
        *untold, _reason("limit_near", Verdict.WARN), _reason("leg_unknown", follows="no_quote"), _reason("no_quote"),
        _reason("limit_unknown", check="margin_cushion", follows="margin_unknown"),
    ])  # fmt: skip
    assert [one.code for one in reasons] == ["leg_unknown", "no_quote", *["limit_unknown"] * 3, "limit_near"]
    assert {one.follows for one in reasons if one.check in ("beta_delta", "gamma")} == {"no_quote"}
    told = folded(reasons)
    assert [one.code for one in told] == ["no_quote", "limit_unknown", "limit_near"]
    assert told[0].message.endswith("Not known because of it are Beta-weighted delta, Gamma for a 1 % move.")
    assert told[1].message == "limit_unknown margin_cushion ."  # its cause is not told, so it stands for itself


def test_limits_of_one_check_that_break_are_one_line_and_an_override_stays_apart() -> None:
    reasons = [_reason("limit_worsened", check="stress_ladder", subject=f"portfolio:SPX -{n} %") for n in (5, 10, 20)]
    passed = replace(reasons[2], verdict=Verdict.WARN, overridden=True)
    told = folded([*reasons[:2], passed])
    assert [one.message for one in told] == [
        "limit_worsened stress_ladder portfolio:SPX -5 %. The same holds for SPX -10 %.", passed.message,
    ]  # fmt: skip


def test_what_was_not_known_before_either_is_one_line() -> None:
    told = folded([_reason("limit_unknown", check=name) for name in ("beta_delta", "gamma", "short_vega", "theta_cap")])
    assert len(told) == 1
    assert told[0].message.startswith("4 limits are not known: Beta-weighted delta, Gamma for a 1 % move")


def test_an_absurd_limit_still_has_words() -> None:
    assert "1000" in title_of(order(("SPY", 1), limit=1e99))


_AGREED = [
    f"2026-11-{day:02d} {hour:02d}:{minute:02d}" for day in range(16, 30) for hour in range(24) for minute in (5, 35)
]


@pytest.mark.parametrize("symbol", ["SPY", "SPY   270115P00600000", "SPXW  270115P05700000", "/ESZ26"])
def test_flatten_and_the_gate_know_the_same_hours(symbol: str) -> None:
    """But for futures on holidays and half-days, which the gate keeps new risk from and flatten leaves to the venue."""
    instrument = parse(symbol, date(2026, 11, 20))
    portfolio = book()
    for text in _AGREED:
        now = datetime.fromisoformat(text).replace(tzinfo=calendar.NEW_YORK).astimezone(UTC)
        if instrument.symbol == "/ESZ26" and text[5:10] in ("11-25", "11-26", "11-27"):  # Thanksgiving, and around it
            continue
        assert bool(closed(instrument, now)) == bool(flatten_closed(instrument, portfolio, now)), text

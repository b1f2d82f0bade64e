"""What a share is expected to pay: announced, repeated, a yield, or not known; and how both brokers say it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import ib_async
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.demo.source import DemoSource
from adapters.ibkr.quotes import Payout, Quote, read_quote
from adapters.tastytrade.metrics import to_dividends, to_yield
from guardrails.assess import Inputs
from guardrails.dividends import Basis, Schedule, ex_moment, schedule, years_until
from guardrails.memory import Memory
from guardrails.portfolio import merge_markets
from guardrails.store.captures import _INPUTS, as_json
from guardrails.values import Dividend, Market, Observed, Price, Source, SourceState, View
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_book import Book
from tests.brokers.tws import Tws
from tests.ibkr import mixed, run, settled
from tests.ibkr import reading as reading_ibkr
from tests.ibkr import until as until_ibkr
from tests.tasty import BOOK, Clock, until
from tests.tasty import reading as reading_tasty

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)  # a Friday, 14:00 in New York
TOLD = datetime(2026, 11, 2, 21, 0, tzinfo=UTC)
YEAR = NOW + timedelta(days=365)
RECORDED = {  # of a recorded answer for AAPL of 7 June 2023, when it traded near 177.8
    "symbol": "AAPL",
    "dividend-rate-per-share": "0.24",
    "annual-dividend-per-share": "0.0",
    "dividend-yield": "0.006396146",
    "dividend-ex-date": "2023-05-12",
    "dividend-next-date": "2022-08-05",
    "dividend-pay-date": "2023-05-18",
    "dividend-updated-at": "2023-05-08T00:16:36.676Z",
    "updated-at": "2023-06-07T19:55:22.110Z",
}
READ = datetime(2023, 6, 7, 20, 0, tzinfo=UTC)
UPDATED = datetime(2023, 5, 8, 0, 16, 36, 676000, tzinfo=UTC)


def paid(day: str, amount: float = 0.5, **more: object) -> Dividend:
    told = Dividend(date.fromisoformat(day), amount, "USD", "tastytrade", TOLD)
    return replace(told, **more)  # type: ignore[arg-type]  # the test names fields


def market(*dividends: Dividend, share: float | None = None, spot: float | None = 100.0, name: str = "KO") -> Market:
    return Market(
        prices={} if spot is None else {name: Price(spot, NOW, "test")},
        dividends={name: dividends} if dividends else {},
        yields={} if share is None else {name: Observed(share, TOLD, "tastytrade")},
    )


def of(at: Market, until_: datetime = YEAR, now: datetime = NOW, name: str = "KO") -> Schedule:
    return schedule(name, at, now, until_)


# --- the schedule ---


def test_the_announced_one_then_every_quarter() -> None:
    """0.50 four times a year on 100 is a yield of 2 %; 10 Mar + 3 months = 10 Jun, 10 Sep; 10 Dec is past the year."""
    found = of(market(paid("2026-12-10"), share=0.02), NOW + timedelta(days=300))
    assert found.basis is Basis.CASH
    assert [(d.ex_date, d.amount, d.estimated) for d in found.cash] == [
        (date(2026, 12, 10), 0.5, False), (date(2027, 3, 10), 0.5, True), (date(2027, 6, 10), 0.5, True),
        (date(2027, 9, 10), 0.5, True),
    ]  # fmt: skip
    assert "02 Nov 2026" in found.words
    assert "4 a year" in found.words
    assert found.notes == ()


def test_the_last_one_paid_tells_the_next() -> None:
    """Paid on 10 Nov; the next is estimated for 10 Feb 2027, a Wednesday."""
    found = of(market(paid("2026-11-10"), share=0.02), NOW + timedelta(days=100))
    assert [(d.ex_date, d.estimated) for d in found.cash] == [(date(2027, 2, 10), True)]


def test_an_estimate_is_a_trading_day() -> None:
    """13 Dec 2026 + 3 months is Saturday 13 Mar: Monday the 15th. The 31st has no place in every month: the 28th."""
    found = of(market(paid("2026-12-13"), share=0.02), NOW + timedelta(days=150))
    assert [d.ex_date for d in found.cash] == [date(2026, 12, 13), date(2027, 3, 15)]
    found = of(market(paid("2026-12-31"), share=0.02), NOW + timedelta(days=150))
    assert [d.ex_date for d in found.cash][1] == date(2027, 3, 29)  # the 28th is a Sunday


@pytest.mark.parametrize(("share", "count"), [(0.0049, 1), (0.0099, 2), (0.0198, 4), (0.0583, 12)])
def test_the_frequency_is_yield_times_price_over_the_amount(share: float, count: int) -> None:
    """ln(1.005) = 0.0049875, ln(1.01), ln(1.02), ln(1.06): 0.50 paid once, twice, four times, twelve times."""
    assert f"{count} a year" in of(market(paid("2026-12-10"), share=share)).words


@pytest.mark.parametrize("share", [None, 0.0, 0.15, 0.001])
def test_without_a_frequency_only_what_is_announced(share: float | None) -> None:
    found = of(market(paid("2026-12-10"), share=share))
    assert [d.ex_date for d in found.cash] == [date(2026, 12, 10)]
    assert "how often it pays is not known" in found.notes[-1]
    past = of(market(paid("2026-11-10"), share=share))
    assert past.basis is Basis.UNKNOWN
    assert "10 Nov 2026" in past.words
    assert of(market(paid("2026-12-10"), share=0.02, spot=None)).cash == found.cash


def test_strictly_after_now_and_up_to_the_end() -> None:
    """The share trades without it from midnight in New York on: 05:00 UTC in winter."""
    at = market(paid("2026-12-10"), share=0.02)
    begins = datetime(2026, 12, 10, 5, 0, tzinfo=UTC)
    assert ex_moment(paid("2026-12-10")) == begins
    just_before, moment = begins - timedelta(seconds=1), timedelta(seconds=1)
    assert len(of(at, begins, just_before).cash) == 1
    assert len(of(at, begins - moment, just_before - moment).cash) == 0
    assert len(of(at, begins + moment, begins).cash) == 0
    assert years_until(paid("2026-12-10"), begins - timedelta(days=73)) == pytest.approx(0.2)


def test_what_was_due_and_not_told_is_noted() -> None:
    found = of(market(paid("2026-08-10"), share=0.02))
    assert found.cash[0].ex_date == date(2027, 2, 10)
    assert "10 Nov 2026" in found.notes[0]


def test_a_dividend_of_long_ago_says_nothing() -> None:
    assert of(market(paid("2025-10-01"))).basis is Basis.UNKNOWN
    assert of(market(paid("2025-10-01"), share=0.02)).basis is Basis.YIELD
    assert of(market(paid("2025-10-01"), share=0.0)) == of(market(share=0.0))


def test_who_pays_none_and_who_says_nothing() -> None:
    none, silent = of(market(share=0.0)), of(market())
    assert (none.basis, none.cash) == (Basis.CASH, ())
    assert "pays none" in none.words
    assert (silent.basis, silent.words) == (Basis.UNKNOWN, "no dividend of KO is known")


def test_a_yield_without_amounts() -> None:
    found = of(market(share=0.03))
    assert (found.basis, found.dividend_yield) == (Basis.YIELD, 0.03)


@pytest.mark.parametrize("name", ["SPX", "SPY", "QQQ", "IWM", "NDX"])
def test_an_index_and_a_fund_on_one_pay_a_yield(name: str) -> None:
    found = of(market(paid("2026-12-18", 2.0), share=0.012, name=name), name=name)
    assert (found.basis, found.dividend_yield, found.cash) == (Basis.YIELD, 0.012, ())


def test_an_index_without_a_yield_is_unknown_a_fund_pays_what_is_announced() -> None:
    assert of(market(name="SPX"), name="SPX").words == "no dividend yield of SPX is known"
    assert of(market(paid("2026-12-18", 2.0), name="SPY"), name="SPY").basis is Basis.CASH


@pytest.mark.parametrize("name", ["/ESZ26", "VIX"])
def test_what_is_no_share_pays_nothing(name: str) -> None:
    found = of(Market(), name=name)
    assert (found.basis, found.cash) == (Basis.CASH, ())


@pytest.mark.parametrize("amount", [-0.5, 0.0, float("nan"), 30.01, 1e300])
def test_an_amount_that_cannot_be_is_left_out_and_named(amount: float) -> None:
    found = of(market(paid("2026-12-10", amount), paid("2026-11-10"), share=0.02))
    assert found.cash[0].ex_date == date(2027, 2, 10)
    assert "10 Dec 2026 is left out" in found.notes[0]
    assert of(market(paid("2026-12-10", 30.0), share=0.02)).cash != ()


def test_what_is_not_believed_never_turns_into_pays_none() -> None:
    assert of(market(paid("2026-12-10", -0.5), share=0.0)).basis is Basis.UNKNOWN


@pytest.mark.parametrize("share", [-0.01, 0.31, float("nan"), float("inf")])
def test_a_yield_that_cannot_be_is_none(share: float) -> None:
    assert of(market(share=share)).basis is Basis.UNKNOWN


def test_another_currency_than_the_price_is_left_out() -> None:
    found = of(market(paid("2026-12-10", currency="EUR")))
    assert found.basis is Basis.UNKNOWN
    assert "EUR" in found.notes[0]


def test_two_amounts_for_one_day_are_a_contradiction() -> None:
    found = of(market(paid("2026-12-10", 0.5), paid("2026-12-10", 0.9), share=0.02))
    assert found.basis is Basis.UNKNOWN
    assert "0.5 and 0.9" in found.words


numbers = st.floats() | st.sampled_from([0.0, 0.5, 1e-300, 1e300])
days = st.dates(date(1991, 1, 1), date(2060, 1, 1))


@given(st.lists(st.builds(Dividend, days, numbers, st.just("USD"), st.just("x"), st.just(TOLD)), max_size=3),
       st.none() | numbers, st.none() | numbers, st.integers(0, 3000))  # fmt: skip
@example([Dividend(date(2026, 1, 1), 1e-300, "USD", "x", TOLD)], 1e-200, 1e-200, 0)  # a year pays less than any number
def test_whatever_is_said_the_answer_is_orderly(
    told: list[Dividend], share: float | None, spot: float | None, ahead: int
) -> None:
    end = NOW + timedelta(days=ahead)
    found = of(market(*told, share=share, spot=spot), end)
    assert found.words
    assert all(NOW < ex_moment(d) <= end and d.amount > 0 for d in found.cash)
    assert list(found.cash) == sorted(found.cash, key=lambda d: d.ex_date)
    assert (found.dividend_yield is not None) == (found.basis is Basis.YIELD)
    assert found.cash == () or found.basis is Basis.CASH


# --- merged ---


def view(at: Market) -> View:
    return View(Source("x", SourceState.LIVE, NOW), market=at)


def test_the_newest_word_counts_and_lists_are_not_mixed() -> None:
    old = Market(dividends={"KO": (paid("2026-12-10"), paid("2026-09-10")), "PEP": (paid("2026-12-01"),)})
    new = Market(
        dividends={"KO": (paid("2026-12-11", time=TOLD + timedelta(days=1)),)}, yields=market(share=0.02).yields
    )
    for pair in ((old, new), (new, old)):
        merged = merge_markets([view(each) for each in pair])
        assert merged.dividends == {"KO": new.dividends["KO"], "PEP": old.dividends["PEP"]}
        assert merged.yields == new.yields


def test_what_is_no_number_does_not_displace_what_is() -> None:
    good = Market(dividends={"KO": (paid("2026-12-10"),)})
    later = TOLD + timedelta(days=1)
    bad = Market(
        dividends={"KO": (paid("2026-12-11", float("nan"), time=later),)},
        yields={"KO": Observed(float("inf"), later, "x")},
    )
    merged = merge_markets([view(good), view(bad)])
    assert (merged.dividends, merged.yields) == (good.dividends, {})


def inputs() -> Inputs:
    return Inputs((view(market(paid("2026-12-10"), share=0.02)),), Memory(), NOW)


def test_a_capture_keeps_them_and_one_made_before_they_were_told_can_be_read() -> None:
    packed = as_json(inputs())
    assert _INPUTS.validate_json(packed).views[0].market == inputs().views[0].market
    old = json.loads(packed)
    for name in ("dividends", "yields"):
        del old["views"][0]["market"][name]
    read = _INPUTS.validate_json(json.dumps(old)).views[0].market
    assert (read.dividends, read.yields) == ({}, {})
    assert read.prices == inputs().views[0].market.prices


# --- tastytrade ---


def test_a_recorded_answer_of_tastytrade() -> None:
    """One payment, the ex-date that was, and the yield; the date left from the year before counts for nothing."""
    assert to_dividends(RECORDED, "t", READ) == (Dividend(date(2023, 5, 12), 0.24, "USD", "t", UPDATED),)
    share = to_yield(RECORDED, "t", READ)
    assert share is not None
    assert (share.value, share.time) == (pytest.approx(0.006375778), UPDATED)  # ln(1.006396146)


def test_a_recorded_answer_makes_a_schedule() -> None:
    """0.0064 × 177.8 / 0.24 = 4.7: quarterly; three months after 12 May is a Saturday, so Monday 14 August."""
    share = to_yield(RECORDED, "t", READ)
    assert share is not None
    at = Market(
        prices={"AAPL": Price(177.8, READ, "t")}, yields={"AAPL": share},
        dividends={"AAPL": to_dividends(RECORDED, "t", READ)},
    )  # fmt: skip
    found = schedule("AAPL", at, READ, READ + timedelta(days=120))
    assert [(d.ex_date, d.amount, d.estimated) for d in found.cash] == [(date(2023, 8, 14), 0.24, True)]


@pytest.mark.parametrize(
    "spoilt", [{"dividend-rate-per-share": value} for value in ("0.0", "-0.24", "NaN", "", None, "x", True)]
    + [{"dividend-ex-date": value} for value in (None, "", "soon", 7)]
    + [{"dividend-updated-at": time, "updated-at": None} for time in (None, "2024-01-01T00:00:00Z")],
)  # fmt: skip
def test_no_dividend_without_amount_date_and_time(spoilt: dict[str, object]) -> None:
    assert to_dividends({**RECORDED, **spoilt}, "t", READ) == ()


def test_a_later_next_date_is_an_estimate() -> None:
    found = to_dividends({**RECORDED, "dividend-next-date": "2023-08-11"}, "t", READ)
    assert [(d.ex_date, d.estimated) for d in found] == [(date(2023, 5, 12), False), (date(2023, 8, 11), True)]


@pytest.mark.parametrize(
    ("text", "known"),
    [("0.0", True), ("0.3", True), ("0.3001", False), ("-0.01", False), ("0.64", False), ("NaN", False)],
)
def test_a_yield_is_a_fraction(text: str, known: bool) -> None:  # noqa: FBT001  # a row of the table
    assert (to_yield({**RECORDED, "dividend-yield": text}, "t", READ) is not None) == known


def test_tastytrade_on_the_wire() -> None:
    book = Book.load(BOOK, date(2026, 11, 23))
    told = {"dividend-rate-per-share": "0.26", "dividend-yield": "0.0039", "dividend-ex-date": "2027-02-08"}
    book.metrics["AAPL"] |= told

    async def work() -> None:
        clock = Clock()
        with Tasty(book, clock=clock) as tasty:
            async with reading_tasty(tasty, clock) as source:
                seen = await until(source, clock, lambda view: "AAPL" in view.market.dividends)
        (dividend,) = seen.market.dividends["AAPL"]
        assert (dividend.ex_date, dividend.amount, dividend.currency) == (date(2027, 2, 8), 0.26, "USD")
        assert seen.market.yields["AAPL"].value == pytest.approx(0.00389241, abs=1e-8)  # ln(1.0039)

    run(work())


# --- IBKR ---


def ticker(*told: object, time: datetime = NOW) -> ib_async.Ticker:
    heard = ib_async.Ticker()
    heard.time = time
    heard.dividends = ib_async.Dividends(*told) if told else None  # type: ignore[arg-type]  # what the test makes of it
    return heard


def test_the_dividend_tick_of_ibkr() -> None:
    """The example of IBKR's own documentation: 0.83,0.92,20130219,0.23."""
    quote = read_quote(ticker(0.83, 0.92, date(2013, 2, 19), 0.23), None)
    assert quote.payout == Payout(0.92, date(2013, 2, 19), 0.23, NOW)


def test_a_payout_stands_with_its_time_until_another_is_told() -> None:
    later = NOW + timedelta(hours=1)
    first = read_quote(ticker(0.83, 0.92, date(2013, 2, 19), 0.23), None)
    for quiet in (ticker(time=later), ticker(0.83, 0.92, date(2013, 2, 19), 0.23, time=later)):
        assert read_quote(quiet, first).payout == first.payout
    moved = read_quote(ticker(0.83, 0.96, date(2013, 5, 20), 0.24, time=later), first)
    assert moved.payout == Payout(0.96, date(2013, 5, 20), 0.24, later)


@pytest.mark.parametrize("wrong", [None, -1.0, float("nan"), 1.7976931348623157e308])
def test_figures_that_are_none_are_absent(wrong: float | None) -> None:
    quote = read_quote(ticker(wrong, wrong, None, wrong), None)
    assert quote.payout == Payout(None, None, None, NOW)
    assert read_quote(ticker(0.83, wrong, None, wrong), None).payout == Payout(0.83, None, None, NOW)
    assert read_quote(ticker(), None) == Quote(time=NOW)


def test_ibkr_on_the_wire() -> None:
    """Asked for with the lines of shares alone; 4 × 0.26 a year on the price of the book."""
    book = mixed()
    aapl = next(number for number, row in book.contracts.items() if row["symbol"] == "AAPL" and row["secType"] == "STK")
    book.quotes[aapl]["dividends"] = "1.00,1.04,20270208,0.26"

    async def work() -> None:
        with Tws(book) as tws:
            async with reading_ibkr(tws) as source:
                seen = await until_ibkr(source, lambda view: "AAPL" in view.market.dividends)
                await settled(source)
                asked = {line.con_id: line.ticks for session in tws.sessions for line in session.lines.values()}
        assert {number for number, ticks in asked.items() if ticks} == {
            number for number in asked if book.contracts[number]["secType"] == "STK"
        }
        (dividend,) = seen.market.dividends["AAPL"]
        assert (dividend.ex_date, dividend.amount, dividend.currency) == (date(2027, 2, 8), 0.26, "USD")
        price = seen.market.prices["AAPL"].value
        assert seen.market.yields["AAPL"].value == pytest.approx(1.04 / price, rel=0.01)
        found = schedule("AAPL", seen.market, NOW, YEAR)
        assert [d.amount for d in found.cash] == [0.26] * 4

    run(work())


# --- the demo ---


def test_the_demo_says_what_each_of_its_underlyings_pays() -> None:
    async def work() -> None:
        at = (await DemoSource().view(NOW)).market
        made = {name: schedule(name, at, NOW, NOW + timedelta(days=60)) for name in at.metrics}
        assert {name: found.basis.value for name, found in made.items()} == {
            "SPX": "yield", "SPY": "yield", "QQQ": "yield", "AAPL": "cash", "MSFT": "cash", "NVDA": "cash",
            "AMZN": "cash", "JPM": "cash", "XOM": "cash",
        }  # fmt: skip
        assert {name: [d.amount for d in found.cash] for name, found in made.items() if found.cash} == {
            "NVDA": [0.01], "JPM": [1.5],
        }  # fmt: skip  # MSFT has traded without its own since this morning
        assert all(found.notes == () for found in made.values())
        assert made["SPX"].dividend_yield == pytest.approx(0.0119286, abs=1e-7)  # ln(1.012)

    run(work())

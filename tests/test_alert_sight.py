"""What must not be taken as over: what nobody has seen to be right. Real sources' values, checks and rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from adapters.ibkr.rows import AccountValue, to_account
from guardrails.alerts import life
from guardrails.alerts.life import AlertState
from guardrails.alerts.problems import problems_of
from guardrails.alerts.sight import sight_of
from guardrails.alerts.values import Reason
from guardrails.assess import assess
from guardrails.matrix.alerts import AlertRules
from guardrails.memory import Memory
from guardrails.values import Account, AccountId, Margin, MarginView, Position, Source, SourceState, View
from tests.alarmed import BREACH, CRITICAL, UNKNOWN, Story, problem
from tests.books import IBKR, MATRIX, NOW, account, market, option

RULES = AlertRules(family_minutes=0.0)
OTHER = AccountId("IBKR", "U0000007654")


def live(now: datetime, accounts: Sequence[Account], positions: Sequence[Position] = ()) -> list[View]:
    source = Source("test", SourceState.LIVE, now)
    return [View(source, tuple(accounts), tuple(positions), market(time=now))]


@dataclass
class Watch:
    """What becomes of the alerts of a book, a cycle each ten seconds."""

    state: AlertState = field(default_factory=AlertState)
    over: list[str] = field(default_factory=list)
    """identities that people were told are over"""

    def sees(self, book: Callable[[datetime], list[View]], begin: int, end: int) -> None:
        for seconds in range(begin, end, 10):
            now = NOW + timedelta(seconds=seconds)
            snapshot = assess(book(now), MATRIX, Memory(), now, compiling=True).snapshot
            step = life.step(self.state, problems_of(snapshot, now, RULES), now, RULES, ("slack",))
            self.state = step.state
            told = [notice for group in step.groups for notice in group]
            self.over += [notice.alert.identity for notice in told if notice.reason is Reason.RESOLVED]


def test_a_margin_that_is_not_reported_any_more_is_not_over() -> None:
    """An excess below zero; then the broker sends no margin at all, while its link lives."""
    short = Margin(MarginView.CURRENT, "securities", 100_000.0, 105_000.0, -5_000.0)
    watch, name = Watch(), f"margin_cushion account:{IBKR}:securities"
    watch.sees(lambda now: live(now, [replace(account(), margins=(short,), time=now)]), 0, 60)
    assert watch.state.alerts[name].severity is CRITICAL
    watch.sees(lambda now: live(now, [replace(account(), margins=(), time=now)]), 60, 600)
    assert f"margin_cushion account:{IBKR}" in watch.state.alerts  # UNKNOWN: the figures are missing
    assert watch.over == []
    rich = replace(short, excess=40_000.0, maintenance=60_000.0)
    watch.sees(lambda now: live(now, [replace(account(), margins=(rich,), time=now)]), 600, 740)
    assert name in watch.over  # seen right for the calm


def test_an_account_that_its_source_does_not_name_any_more_is_not_right() -> None:
    """A margin call in one of two accounts; then the source, which lives, reports only the other."""
    watch, name = Watch(), f"account_data account:{OTHER}"
    watch.sees(
        lambda now: live(now, [replace(account(), time=now), replace(account(OTHER), time=now, margin_call=True)]),
        0,
        60,
    )
    assert watch.state.alerts[name].severity is CRITICAL
    watch.sees(lambda now: live(now, [replace(account(), time=now)]), 60, 600)
    assert watch.state.alerts[name].severity is CRITICAL
    assert watch.over == []


def test_an_expiring_short_is_not_over_while_its_account_is_stale() -> None:
    """The row of the expiring short is gone, its account is an hour old; the check names a short of another account."""
    near = option("SPXW  261118P05900000", -1, "-0.1 0.001 1 -1 0.2", account=OTHER, mark=1.0)
    far = option("SPXW  270319P05000000", -1, "-0.1 0.001 1 -1 0.2", mark=1.0)
    watch, old = Watch(), NOW - timedelta(hours=1)
    watch.sees(
        lambda now: live(
            now,
            [replace(account(), time=now), replace(account(OTHER), time=now)],
            [replace(near, time=now), replace(far, time=now)],
        ),
        0,
        60,
    )
    (name,) = (name for name in watch.state.alerts if name.startswith(f"short_option_expiry position:{OTHER}"))
    watch.sees(
        lambda now: live(
            now, [replace(account(), time=now), replace(account(OTHER), time=old)], [replace(far, time=now)]
        ),
        60,
        600,
    )
    assert name in watch.state.alerts
    assert name not in watch.over


def test_an_account_that_ibkr_calls_not_ready_is_not_right() -> None:
    """The commodities segment is 5,000 short; then TWS says AccountReady=false, as in each of its nightly resets."""

    def book(now: datetime, ready: str) -> list[View]:
        told = [("AccountReady", ready, ""), ("NetLiquidation", "100000", "USD"), ("NetLiquidation-C", "20000", "USD")]
        for prefix in ("", "Full", "LookAhead"):
            told += [
                (f"{prefix}MaintMarginReq", "40000", "USD"), (f"{prefix}ExcessLiquidity", "60000", "USD"),
                (f"{prefix}MaintMarginReq-C", "25000", "USD"), (f"{prefix}ExcessLiquidity-C", "-5000", "USD"),
            ]  # fmt: skip
        return live(now, [to_account([AccountValue(*one) for one in told], IBKR, "test", now)])

    watch, name = Watch(), f"margin_cushion account:{IBKR}:commodities"
    watch.sees(lambda now: book(now, "true"), 0, 60)
    assert watch.state.alerts[name].severity is CRITICAL
    watch.sees(lambda now: book(now, "false"), 60, 600)
    assert watch.state.alerts[name].severity is CRITICAL
    assert name not in watch.over


def test_a_share_that_is_not_known_of_others_hides_nothing_and_of_itself_it_does() -> None:
    """IBKR never reports margin by underlying, so of the book as a whole it is always UNKNOWN."""
    for concerns, is_over in ((("underlying:MU",), True), (("underlying:MU", "underlying:AAPL"), False), ((), False)):
        blind = problem(UNKNOWN, "margin_concentration", "portfolio", concerns=concerns)
        story = Story()
        story.during(0, 60, blind, problem(BREACH, "margin_concentration", "underlying:AAPL"))
        story.during(60, 182, blind)
        assert ("margin_concentration underlying:AAPL" not in story.state.alerts) is is_over


def test_figures_of_one_account_that_are_not_known_hide_nothing_of_another() -> None:
    known, other = "account:IBKR •••4567", "account:tastytrade •••0001"
    unknown = problem(UNKNOWN, "account_data", other)
    story = Story()
    expiring = [problem(CRITICAL, "short_option_expiry", f"position:{one[8:]} option:X") for one in (known, other)]
    story.during(0, 40, *expiring, unknown)
    story.during(40, 162, unknown)
    assert set(story.state.alerts) == {f"account_data {other}", expiring[1].identity}


def test_nothing_is_over_while_the_book_has_a_gap() -> None:
    story = Story()
    story.at(0, problem(BREACH, "position_contracts", "position:option:X"))
    story.during(2, 600, problem(UNKNOWN, "gamma", "portfolio", follows=True))
    assert "position_contracts position:option:X" in story.state.alerts


def test_without_word_on_which_accounts_there_are_none_is_missed() -> None:
    assert sight_of([problem()]).accounts is None

"""The filter by broker and account: one choice for all pages, which narrows what is shown and never the lights."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from guardrails.findings import Finding, Level
from guardrails.snapshot import Snapshot
from guardrails.values import Restriction, View
from pages._filters import Filter, owner_of
from tests.books import IBKR, NOW, TASTY, account
from tests.test_pages import Start, book, shown, start, words

__all__ = ["start"]  # a fixture

ONE, OTHER = "IBKR •••4567", "tastytrade •••0001"
ONLY_IBKR = Filter((ONE, OTHER), (ONE,), on=True)
FILTERED = ("risk.py", "positions.py", "limits.py", "data.py")


def called() -> View:
    """The book, with a margin call at tastytrade."""
    return replace(book(8), accounts=(account(), account(TASTY, margin_call=True)))


def pick(at: AppTest, name: str, *values: str) -> AppTest:
    at = at.multiselect(key=f"pick_{name}").set_value(list(values)).run()
    assert not at.exception, at.exception
    return at


def bar(at: AppTest) -> str:
    """The header's HTML up to its clock and ages."""
    return next(e.proto.body for e in at.get("html") if "pg-bar" in e.proto.body).split("<b>")[0]


@pytest.mark.parametrize("page", FILTERED)
def test_a_filter_says_what_it_shows_and_leaves_the_lights_alone(start: Start, page: str) -> None:
    start(called())
    at = shown(page)
    before = bar(at)
    at = pick(at, "account", ONE)
    said = words(at)
    assert "Showing IBKR •••4567 only; the lights are for the whole book. Other accounts have 2 BREACH" in said
    assert bar(at) == before
    assert "BREACH 3" in before  # 50 % of margin used in both accounts, and the call
    at = pick(at, "account")
    assert "Showing" not in words(at)


def test_a_filter_is_kept_from_page_to_page(start: Start) -> None:
    start(called())
    at = pick(shown("risk.py"), "broker", "tastytrade")
    for page in ("positions.py", "connections.py", "data.py", "limits.py", "risk.py"):
        at = at.switch_page(page).run()
        assert not at.exception, at.exception
        assert ("Showing tastytrade •••0001 only" in words(at)) is (page != "connections.py"), page
    assert at.multiselect(key="pick_broker").value == ["tastytrade"]


def test_findings_and_cards_of_other_accounts_are_left_out(start: Start) -> None:
    start(called())
    at = shown("risk.py")
    assert "tastytrade •••0001: the broker reports a margin call" in words(at)
    at = pick(at, "account", ONE)
    said = words(at)
    assert "the broker reports a margin call" not in said
    assert f"<b>{ONE}</b>" in said
    assert f"<b>{OTHER}</b>" not in said


def test_a_part_is_never_presented_as_the_book(start: Start) -> None:
    engine = start(called())
    assert engine.latest is not None
    whole = {m.label: m.value for m in shown("risk.py").metric}["Beta-weighted delta"]
    at = pick(shown("risk.py"), "account", ONE)
    assert {m.label: m.value for m in at.metric}["Beta-weighted delta"] == whole
    assert "The whole book" in words(at)
    assert "Of the accounts shown" in words(at)
    table = at.dataframe[0].value
    assert table["Account"].tolist() == [ONE]
    (row,) = [row for row in engine.latest.account_exposures if row.name == ONE]
    assert table["Beta delta $"].tolist() == [row.beta_delta_dollars]


def test_two_filters_that_exclude_each_other_show_nothing_and_say_so(start: Start) -> None:
    start(book(8))
    at = pick(pick(shown("positions.py"), "broker", "IBKR"), "account", OTHER)
    assert len(at.dataframe[1].value) == 0
    assert "Showing no account only" in words(at)
    at = at.switch_page("risk.py").run()
    assert "No position in the accounts shown." in words(at)
    assert "Every limit that is set is kept" not in words(at)


def test_limits_and_data_of_one_account(start: Start) -> None:
    start(called())
    at = pick(shown("limits.py"), "account", ONE)
    assert "Margin cushion, IBKR •••4567" in words(at)
    assert "Margin cushion, tastytrade •••0001" not in words(at)
    at = at.switch_page("data.py").run()
    assert "None of 4." in words(at)
    assert "tastytrade •••0001: the broker reports a margin call" not in words(at)


def test_an_account_that_comes_later_can_be_picked(start: Start) -> None:
    """A page opened before the first answer is drawn anew with it."""
    engine = start(book(), run=False)
    at = shown("risk.py")
    assert at.multiselect(key="pick_account").options == []
    engine.start()
    deadline = time.monotonic() + 30
    while engine.latest is None and time.monotonic() < deadline:
        time.sleep(0.02)
    at = at.run()
    engine.stop()
    assert at.multiselect(key="pick_account").options == [ONE, OTHER]


@pytest.mark.parametrize(
    ("restrictions", "said"),
    [
        (None, "restrictions not reported"),
        ((), "no restrictions"),
        ((Restriction.CLOSING_ONLY, Restriction.FROZEN), "restricted: closing only, frozen"),
    ],
)
def test_restrictions_stand_on_the_card(
    start: Start, restrictions: tuple[Restriction, ...] | None, said: str
) -> None:  # fmt: skip
    start(replace(book(), accounts=(account(restrictions=restrictions), account(TASTY, restrictions=restrictions))))
    captions = [caption.value for caption in shown("risk.py").caption if "Cushion" in caption.value]
    assert len(captions) == 2
    assert all(said in caption for caption in captions)


# --- whose a finding is ---


def finding(subject: str, level: Level = Level.WATCH) -> Finding:
    return Finding("gamma", subject, level, None, None, "", None, "about it")


@pytest.mark.parametrize(
    ("subject", "owner"),
    [
        (f"account:{ONE}", ONE),
        (f"account:{ONE}:securities", ONE),
        (f"position:{OTHER} option:SPY   261127P00666000", OTHER),
        ("position:option:SPY   261127P00666000", ""),  # a line over all accounts
        ("portfolio", ""),
        ("underlying:SPX", ""),
        ("source:ibkr", ""),
        ("account:IBKR •••45678", ""),
    ],
)
def test_owner_of_a_finding(subject: str, owner: str) -> None:
    assert owner_of(finding(subject), (ONE, OTHER)) == owner


def test_what_is_about_no_account_of_the_filter_but_about_the_book_stays() -> None:
    subjects = ["portfolio", "underlying:SPX", "matrix", "task:x", "position:option:X", f"account:{ONE}"]
    snapshot = replace(whole(), findings=tuple(map(finding, [*subjects, f"account:{OTHER}"])))
    assert [f.subject for f in ONLY_IBKR.narrowed(snapshot).findings] == subjects
    assert Filter((ONE, OTHER), (ONE, OTHER), on=False).narrowed(snapshot) is snapshot


def test_hidden_levels_are_counted_worst_first() -> None:
    levels = (Level.OK, Level.WATCH, Level.BREACH, Level.WATCH, Level.NOT_APPLICABLE)
    snapshot = replace(whole(), findings=tuple(finding(f"account:{OTHER}", level) for level in levels))
    assert ONLY_IBKR.words(snapshot) == (
        "Showing IBKR •••4567 only; the lights are for the whole book. "
        "Other accounts have 1 BREACH, 2 WATCH, not shown here."
    )


def whole() -> Snapshot:
    from tests.healthy import healthy  # noqa: PLC0415  # takes a second: only for those who ask

    assert IBKR.masked in ONE
    assert healthy().now - NOW == timedelta(0)
    return healthy().assess().snapshot

"""What is remembered between readings: session start, peak, jumps, confirmations; and the file that keeps them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from guardrails.matrix import DataRules
from guardrails.memory import (
    Memory,
    account_key,
    read_memory,
    remember,
    remembered_as,
    sources_key,
    write_atomically,
    write_memory,
)
from guardrails.portfolio import AccountHistory
from guardrails.values import Account, AccountId, Observed
from tests.books import IBKR, MATRIX, NOW, TASTY, account
from tests.healthy import healthy

RULES: DataRules = MATRIX.data
OPEN = datetime(2026, 11, 18, 14, 30, tzinfo=UTC)
"""the opening bell of NOW's session"""
CLOSE_BEFORE = datetime(2026, 11, 17, 21, 0, tzinfo=UTC)
PRIOR = Observed(100_000.0, CLOSE_BEFORE, "ibkr")
MAX_LOSS = 0.03


def reading(value: float | None, minutes: float = 0.0, **more: object) -> Account:
    """The account's figures `minutes` after NOW."""
    return account(net_liquidation=value, time=NOW + timedelta(minutes=minutes), **more)


def after(*accounts: Account, history: AccountHistory | None = None, own: float | None = None) -> AccountHistory:
    """What is remembered after these readings, each taken in at the time it carries."""
    held = history or AccountHistory()
    for one in accounts:
        held = remember(held, one, own, MAX_LOSS, RULES, max(one.time, NOW))
    return held


# --- the start of the session ---


def test_the_session_starts_from_the_brokers_previous_close() -> None:
    held = after(reading(101_000, prior_net_liquidation=PRIOR))
    assert held.start == PRIOR
    assert held.session == date(2026, 11, 18)


@pytest.mark.parametrize(("days", "known"), [(4, True), (6, False)])
def test_a_previous_close_of_another_week_is_no_start(days: int, known: bool) -> None:  # noqa: FBT001  # a table's column
    old = Observed(100_000.0, OPEN - timedelta(days=days), "ibkr")
    assert (after(reading(101_000, prior_net_liquidation=old)).start is not None) is known


def test_a_previous_close_dated_in_the_future_is_no_start() -> None:
    ahead = Observed(100_000.0, NOW + timedelta(hours=1), "ibkr")
    assert after(reading(101_000, prior_net_liquidation=ahead)).start is None


def test_else_from_what_was_last_seen_before_the_bell() -> None:
    before = remember(AccountHistory(), reading(99_000, -65), None, MAX_LOSS, RULES, NOW - timedelta(minutes=65))
    assert before.session == date(2026, 11, 17)
    held = after(reading(101_000), history=before)
    assert held.start is not None
    assert held.start.value == 99_000


def test_else_it_is_not_guessed() -> None:
    assert after(reading(101_000)).start is None


@pytest.mark.parametrize(("days", "known"), [(4, True), (6, False)])
def test_a_reading_of_another_week_is_no_start(days: int, known: bool) -> None:  # noqa: FBT001  # a table's column
    last = Observed(99_000.0, OPEN - timedelta(days=days), "ibkr")
    held = after(reading(101_000), history=AccountHistory(session=date(2026, 11, 12), last=last))
    assert (held.start is not None) is known


def test_a_reading_after_a_jump_is_no_start() -> None:
    doubted = AccountHistory(session=date(2026, 11, 17), last=PRIOR, jump="net liquidation jumped up")
    assert after(reading(101_000), history=doubted).start is None


def test_the_start_stays_through_the_session_and_moves_with_the_next() -> None:
    held = after(reading(101_000, prior_net_liquidation=PRIOR), reading(103_000, 60, prior_net_liquidation=PRIOR))
    assert held.start == PRIOR
    tomorrow = NOW + timedelta(days=1)
    closing = Observed(102_000.0, CLOSE_BEFORE + timedelta(days=1), "ibkr")
    following = account(net_liquidation=104_000.0, time=tomorrow, prior_net_liquidation=closing)
    held = remember(held, following, None, MAX_LOSS, RULES, tomorrow)
    assert held.start == closing
    assert held.session == date(2026, 11, 19)


def test_a_start_that_comes_late_is_taken() -> None:
    """The first answer of a broker may lack the previous close; the second brings it."""
    held = after(reading(101_000), reading(101_000, 3, prior_net_liquidation=PRIOR))
    assert held.start == PRIOR


# --- jumps ---


# 10 % of 100,000
@pytest.mark.parametrize(
    ("value", "way"), [(110_000, ""), (110_001, "up"), (90_000, ""), (89_999, "down"), (100_000, "")]
)
def test_a_jump_both_sides(value: float, way: str) -> None:
    held = after(reading(100_000, prior_net_liquidation=PRIOR), reading(value, 3))
    assert bool(held.jump) is bool(way)
    assert f"jumped {way}" in held.jump or not way


def test_a_jump_that_our_own_quotes_explain_is_none() -> None:
    first = reading(100_000, prior_net_liquidation=PRIOR)
    # 0.003 of 100,000 is 300
    assert after(first, reading(120_000, 3), own=19_700.0).jump == ""
    assert after(first, reading(120_000, 3), own=19_699.0).jump != ""


def test_a_jump_that_a_cash_flow_explains_is_none() -> None:
    first = reading(100_000, prior_net_liquidation=PRIOR, cash_flows=0.0)
    held = after(first, reading(130_000, 3, cash_flows=30_000.0))
    assert held.jump == ""
    assert held.flows == 30_000
    assert held.peak is not None
    assert held.peak.value == 130_000


def test_a_jump_stays_until_the_value_comes_back() -> None:
    held = after(reading(100_000, prior_net_liquidation=PRIOR), reading(150_000, 3), reading(151_000, 6))
    assert held.jump != ""
    assert held.last is not None
    assert held.last.value == 100_000
    assert after(reading(101_000, 9), history=held).jump == ""


def test_an_unexplained_rise_never_becomes_the_peak() -> None:
    held = after(reading(100_000, prior_net_liquidation=PRIOR), reading(150_000, 3))
    assert held.peak is not None
    assert held.peak.value == 100_000


# --- confirmations of a loss ---


def test_three_distinct_broker_times_are_counted_and_one_repeated_is_not() -> None:
    first = reading(100_000, prior_net_liquidation=PRIOR)
    assert len(after(first, reading(96_000, 3), reading(96_000, 3), reading(96_000, 3)).losing) == 1
    assert len(after(first, reading(96_000, 3), reading(95_900, 6), reading(95_800, 9)).losing) == 3


def test_an_older_reading_says_nothing_new() -> None:
    held = after(reading(100_000, prior_net_liquidation=PRIOR), reading(99_000, 6))
    assert after(reading(50_000, 3), history=held) == held


def test_a_reading_dated_in_the_future_does_not_poison_what_follows() -> None:
    held = remember(AccountHistory(), reading(100_000, 60), None, MAX_LOSS, RULES, NOW)
    assert held.last is None
    assert after(reading(100_000, 3), history=held).last is not None


# 3 % of 100,000
@pytest.mark.parametrize(("value", "count"), [(97_000, 0), (96_999, 1)])
def test_only_readings_over_the_limit_confirm(value: float, count: int) -> None:
    assert len(after(reading(100_000, prior_net_liquidation=PRIOR), reading(value, 3)).losing) == count


def test_a_recovery_starts_the_count_anew() -> None:
    first = reading(100_000, prior_net_liquidation=PRIOR)
    assert after(first, reading(96_000, 3), reading(98_000, 6)).losing == ()
    assert len(after(first, reading(96_000, 3), reading(98_000, 6), reading(96_000, 9)).losing) == 1


def test_a_new_session_starts_the_count_anew() -> None:
    held = after(reading(100_000, prior_net_liquidation=PRIOR), reading(96_000, 3))
    tomorrow = NOW + timedelta(days=1)
    closing = Observed(96_000.0, CLOSE_BEFORE + timedelta(days=1), "ibkr")
    following = account(net_liquidation=96_000.0, time=tomorrow, prior_net_liquidation=closing)
    assert remember(held, following, None, MAX_LOSS, RULES, tomorrow).losing == ()


# --- peak ---


def test_the_peak_is_the_highest_reading_and_survives_the_session() -> None:
    held = after(reading(100_000, prior_net_liquidation=PRIOR), reading(104_000, 3), reading(102_000, 6))
    assert held.peak is not None
    assert held.peak.value == 104_000
    tomorrow = NOW + timedelta(days=1)
    later = account(net_liquidation=101_000.0, time=tomorrow)
    kept = remember(held, later, None, MAX_LOSS, RULES, tomorrow)
    assert kept.peak is not None
    assert kept.peak.value == 104_000


def test_a_withdrawal_lowers_the_peak_and_is_no_loss() -> None:
    first = reading(100_000, prior_net_liquidation=PRIOR, cash_flows=0.0)
    held = after(first, reading(75_000, 3, cash_flows=-25_000.0))
    assert held.peak is not None
    assert held.peak.value == 75_000
    assert held.losing == ()


def test_no_figure_no_memory() -> None:
    held = after(reading(None))
    assert (held.last, held.peak, held.since) == (None, None, None)


# --- the file ---


def some_memory() -> Memory:
    return healthy().memory


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path, memory = tmp_path / "state.json", some_memory()
    write_memory(path, ["ibkr", "tastytrade"], memory)
    assert read_memory(path, ["tastytrade", "ibkr", "ibkr"]) == memory
    assert memory.regime is not None
    assert set(memory.history([account(IBKR), account(TASTY)])) == {IBKR, TASTY}


def test_the_demo_never_seeds_a_live_book(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_memory(path, ["demo"], some_memory())
    assert read_memory(path, ["ibkr"]) == Memory()
    assert read_memory(path, ["demo", "ibkr"]) == Memory()
    write_memory(path, ["ibkr"], Memory())
    assert read_memory(path, ["demo"]) == some_memory()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"demo": 3}', b"\xff\xfe", b'{"demo": {"accounts": {"x": 1}}}']
)
def test_a_file_that_cannot_be_read_begins_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    assert read_memory(path, ["demo"]) == Memory()
    write_memory(path, ["demo"], some_memory())
    assert read_memory(path, ["demo"]) == some_memory()


def test_no_file_is_no_memory(tmp_path: Path) -> None:
    assert read_memory(tmp_path / "none" / "state.json", ["demo"]) == Memory()


def test_the_file_names_no_account(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_memory(path, ["ibkr"], some_memory())
    text = path.read_text(encoding="utf-8")
    assert IBKR.number not in text
    assert TASTY.number not in text
    assert account_key(IBKR) in json.loads(text)["ibkr"]["accounts"]


def test_two_accounts_with_the_same_last_four_have_two_keys() -> None:
    assert account_key(AccountId("IBKR", "U1114567")) != account_key(AccountId("IBKR", "U2224567"))
    assert account_key(AccountId("IBKR", "U1114567")) != account_key(AccountId("tastytrade", "U1114567"))


def test_sources_have_no_order() -> None:
    assert sources_key(["b", "a", "b"]) == sources_key(["a", "b"])


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    write_atomically(path, b"old")
    blocked = tmp_path / "deep" / "folder"
    blocked.mkdir()
    (blocked / "inside").write_text("x")
    with pytest.raises(OSError):
        write_atomically(blocked, b"new")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert sorted(p.name for p in path.parent.iterdir()) == ["folder", "state.json"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.json"
    write_memory(path, ["demo"], some_memory())
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_histories_survive_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    held = after(reading(100_000, prior_net_liquidation=PRIOR), reading(96_000, 3), reading(150_000, 6))
    memory = replace(Memory(), accounts={account_key(IBKR): held})
    write_memory(path, ["ibkr"], memory)
    assert read_memory(path, ["ibkr"]).accounts[account_key(IBKR)] == held


def test_each_scenario_of_the_demo_is_remembered_apart() -> None:
    assert remembered_as(["demo", "statement:a.xml"], "crash") == ("demo:crash", "statement:a.xml")
    assert remembered_as(["ibkr"], "crash") == ("ibkr",)

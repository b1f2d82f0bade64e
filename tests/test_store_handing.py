"""What of each Snapshot is handed over: a whole moment every minute and soon after a change, never in a storm."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from guardrails.assess import Inputs
from guardrails.findings import Level
from guardrails.memory import Memory
from guardrails.snapshot import Snapshot
from guardrails.store.captures import Captured, capture_row
from guardrails.store.handing import Handing
from guardrails.store.inbox import Inbox
from guardrails.store.metadata import StoreError
from guardrails.store.metadata import moment as time_of
from guardrails.store.news import Numbers
from tests.books import NOW
from tests.healthy import healthy
from tests.stored import HEALTHY, MATRIX_TEXT, finding, moment

INPUTS = Inputs((healthy().view(),), Memory(), NOW)
OK, BREACH = Level.OK, Level.BREACH


def captured(*moments: tuple[float, Level], is_open: bool = True) -> list[tuple[float, str]]:
    """Seconds and cause of the whole moments among these, handed over with the level of one finding."""
    inbox = Inbox(10_000, 10_000)
    handing = Handing(inbox, Numbers("run"), 15.0, 60.0)
    for seconds, level in moments:
        snapshot = moment(seconds, findings=(finding(level),), market_open=is_open)
        handing.take(snapshot, MATRIX_TEXT, HEALTHY.portfolio, "", INPUTS)
    assert handing.problem == ""
    found: list[tuple[float, str]] = []
    while (one := inbox.take_moment()) is not None:
        if one.capture is not None:
            found.append(((one.snapshot.as_of - NOW).total_seconds(), one.capture.cause))
    return found


def test_the_first_moment_and_one_a_minute_are_whole() -> None:
    quiet = [(float(second), OK) for second in range(0, 181, 2)]
    assert captured(*quiet) == [(0, "level"), (60, "period"), (120, "period"), (180, "period")]


def test_a_change_is_captured_when_it_happens_or_ten_seconds_after_the_last() -> None:
    assert captured((0, OK), (10, BREACH), (12, OK), (19, OK), (20, OK)) == [(0, "level"), (10, "level"), (20, "level")]


def test_a_level_that_flaps_fills_no_disk() -> None:
    flapping = [(float(second), (OK, BREACH)[second // 2 % 2]) for second in range(0, 3600, 2)]
    assert len(captured(*flapping)) == 360


def test_a_closed_market_is_captured_every_quarter_of_an_hour() -> None:
    night = [(float(second), OK) for second in range(0, 3601, 20)]
    assert [seconds for seconds, _ in captured(*night, is_open=False)] == [0, 900, 1800, 2700, 3600]


def test_a_clock_set_back_goes_on_being_captured() -> None:
    assert captured((3600, OK), (0, OK), (30, OK), (60, OK)) == [(3600, "level"), (0, "period"), (60, "period")]


def read(inputs: Inputs, snapshot: Snapshot) -> Captured:
    _, time, cause, level, version, levels, content, shown = capture_row("b", "period", inputs, snapshot)
    assert isinstance(time, int)
    assert isinstance(content, bytes)
    assert isinstance(shown, bytes)
    return Captured(time_of(time), str(cause), Level(str(level)), str(version), str(levels), content, shown)


def test_a_capture_reads_back_without_account_numbers() -> None:
    broker_words = replace(INPUTS.views[0].source, detail=f"no data for {HEALTHY.portfolio.accounts[0].id.number}")
    inputs = replace(INPUTS, views=(replace(INPUTS.views[0], source=broker_words),))
    one = read(inputs, HEALTHY.snapshot)
    assert one.read_snapshot() == HEALTHY.snapshot
    again = one.read_inputs()
    assert [str(a.id) for a in again.views[0].accounts] == [str(a.id) for a in INPUTS.views[0].accounts]
    assert again.views[0].market == INPUTS.views[0].market
    for account in HEALTHY.portfolio.accounts:
        assert account.id.number not in repr(again) + one.levels
        assert account.id.number not in str([held.account.number for held in again.views[0].positions])


def test_a_damaged_capture_is_an_error_with_a_sentence() -> None:
    one = read(INPUTS, HEALTHY.snapshot)
    for content in (one.snapshot[:-10], b"", b"\xff" * 30):
        with pytest.raises(StoreError, match=r"damaged and cannot be read|cannot be read"):
            replace(one, inputs=content).read_inputs()


def test_seconds_are_exact() -> None:
    late = NOW + timedelta(microseconds=1)
    assert read(INPUTS, replace(HEALTHY.snapshot, as_of=late)).time == late

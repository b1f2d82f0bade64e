"""What of each Snapshot is handed over: a whole moment every minute and soon after a change, never in a storm."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from itertools import chain

import pytest

from guardrails.assess import Inputs, assess, judge
from guardrails.findings import Level
from guardrails.memory import Memory
from guardrails.snapshot import Snapshot
from guardrails.store.captures import Captured, capture_row
from guardrails.store.handing import Handing
from guardrails.store.inbox import Inbox
from guardrails.store.metadata import StoreError
from guardrails.store.metadata import moment as time_of
from guardrails.store.news import Numbers
from guardrails.store.packing import unpacked
from guardrails.values import AccountId, Observed, Stream, View
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
    assert captured((3600, OK), (0, OK), (30, OK), (60, OK)) == [(3600, "level"), (0, "level"), (60, "period")]


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


VIEW = INPUTS.views[0]
QUOTED = next(n for n, position in enumerate(VIEW.positions) if position.greeks is not None)


def odd(where: str, value: float) -> View:
    """The healthy view with one figure exchanged."""
    position, market = VIEW.positions[QUOTED], VIEW.market
    if where in ("vix", "price"):
        seen = Observed(value, NOW, "test")
        prices = {**market.prices, next(iter(market.prices)): seen}
        new = replace(market, prices=prices) if where == "price" else replace(market, vix=seen)
        return replace(VIEW, market=new)
    if where == "net_liquidation":
        return replace(VIEW, accounts=(replace(VIEW.accounts[0], net_liquidation=value), *VIEW.accounts[1:]))
    assert position.greeks is not None
    greeks = replace(position.greeks, delta=value)
    changed = replace(position, greeks=greeks) if where == "delta" else replace(position, **{where: value})
    return replace(VIEW, positions=(*VIEW.positions[:QUOTED], changed, *VIEW.positions[QUOTED + 1 :]))


def figures(view: View) -> list[str]:
    """As text, for one NaN is not another."""
    held = [(p.quantity, p.multiplier, p.mark, p.greeks and p.greeks.delta) for p in view.positions]
    seen = [view.market.vix, *view.market.prices.values()]
    found = [*(one and one.value for one in seen), *(a.net_liquidation for a in view.accounts), *chain(*held)]
    return [repr(one if one is None else float(one)) for one in found]


def judged(inputs: Inputs) -> list[tuple[str, str, str]]:
    found = judge(inputs.views, healthy().matrix, inputs.memory, inputs.now).findings
    return sorted((finding.check, finding.subject, finding.level.value) for finding in found)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of sums that overflow, then and again
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.797e308])
@pytest.mark.parametrize("where", ["quantity", "multiplier", "mark", "delta", "vix", "price", "net_liquidation"])
def test_what_is_no_figure_is_none_either_when_a_capture_is_judged_again(where: str, value: float) -> None:
    inputs = replace(INPUTS, views=(odd(where, value),))
    again = read(inputs, HEALTHY.snapshot).read_inputs()
    assert figures(again.views[0]) == figures(inputs.views[0])
    assert judged(again) == judged(inputs)


def numbered(number: str) -> View:
    """The healthy view with another number of the first account."""
    old = VIEW.accounts[0].id
    new = AccountId(old.broker, number)
    positions = [replace(p, account=new) if p.account == old else p for p in VIEW.positions]
    return replace(VIEW, accounts=(replace(VIEW.accounts[0], id=new), *VIEW.accounts[1:]), positions=tuple(positions))


@pytest.mark.parametrize("number", ["0", "12", "2026", "1234", "main", "time", "SPX"])
def test_an_account_with_a_short_name_changes_nothing_else(number: str) -> None:
    inputs = replace(INPUTS, views=(numbered(number),))
    again = read(inputs, HEALTHY.snapshot).read_inputs()
    assert again.views[0].market == VIEW.market
    assert [p.instrument for p in again.views[0].positions] == [p.instrument for p in VIEW.positions]
    assert [level for _, _, level in judged(again)] == [level for _, _, level in judged(inputs)]


def test_a_number_of_digits_alone_is_not_taken_for_a_figure() -> None:
    """246000 is the figure here, and 246000 the account."""
    inputs = replace(INPUTS, views=(numbered("246000"),))
    inputs = replace(inputs, views=(replace(inputs.views[0], accounts=tuple(
        replace(account, net_liquidation=246_000.0) for account in inputs.views[0].accounts)),))  # fmt: skip
    again = read(inputs, HEALTHY.snapshot).read_inputs()
    assert [account.net_liquidation for account in again.views[0].accounts] == [
        account.net_liquidation for account in inputs.views[0].accounts
    ]


def test_accounts_that_a_broker_names_are_not_stored_listed_or_not() -> None:
    listed, foreign = VIEW.accounts[0].id.number, "U" + "7654321"
    source = replace(
        VIEW.source,
        detail=f"account {listed} not entitled; {foreign} neither",
        warnings=(f"account {foreign}",),
        exclusions=(f"{foreign} is left out",),
        streams=(Stream("quotes", NOW, works=True, detail=f"for {foreign}"),),
    )
    noted = replace(VIEW.positions[0], reasons=(f"row of {listed} is odd",))
    view = replace(VIEW, source=source, positions=(noted, *VIEW.positions[1:]))
    snapshot = assess((view,), healthy().matrix, Memory(), NOW).snapshot
    one = read(replace(INPUTS, views=(view,)), snapshot)
    assert listed.encode() not in unpacked(one.inputs) + unpacked(one.snapshot) + one.levels.encode()
    assert foreign.encode() not in unpacked(one.inputs)


def test_seconds_are_exact() -> None:
    late = NOW + timedelta(microseconds=1)
    assert read(INPUTS, replace(HEALTHY.snapshot, as_of=late)).time == late

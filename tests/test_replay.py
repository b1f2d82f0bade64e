"""The past judged again: exactly as it was, or under another matrix, with nothing known that was not known then."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.demo.source import DemoSource
from guardrails import checks
from guardrails.assess import Inputs
from guardrails.comparison import compare
from guardrails.findings import Finding, Level
from guardrails.limits import Limits
from guardrails.matrix import RiskMatrix, parse
from guardrails.portfolio import Portfolio
from guardrails.replay import Judged, replay
from guardrails.snapshot import to_json
from guardrails.store.captures import Captured
from guardrails.store.packing import packed, unpacked
from guardrails.values import SourceState
from tests.books import IBKR, MATRIX, NOW
from tests.healthy import GENEROUS_MATRIX, SHIPPED, SPX_PUT, World, edited, healthy, limited
from tests.lived import at, captured, lived

SHIPPED_AGAIN = parse(SHIPPED + "# another file that says the same\n")
LIMITED = {GENEROUS_MATRIX.version: GENEROUS_MATRIX}
TIGHT, WIDE = limited(max_daily_loss_pct=0.01, watch_daily_loss_pct=0.008), limited(max_daily_loss_pct=0.05)
KNOWN = {matrix.version: matrix for matrix in (TIGHT, WIDE)}
LOSS = "daily_loss account:IBKR •••4567"


def demo(scenario: str, count: int = 8, seconds: float = 20.0) -> list[Captured]:
    """The demo from the start of a scenario on."""
    source = DemoSource(scenario)
    source.switch(scenario, NOW)
    times = [NOW + timedelta(seconds=seconds * nth) for nth in range(count)]
    return lived([(now, asyncio.run(source.view(now))) for now in times], MATRIX)


def of(judged: list[Judged], name: str) -> list[str]:
    """The level of one finding at every moment."""
    return [str(one.again.levels[name]) for one in judged]


# --- under the matrix then in force everything comes out as it was ---


@pytest.mark.parametrize("scenario", ["calm", "selloff", "crash", "stale"])
def test_the_demo_comes_out_as_it_was(scenario: str) -> None:
    past = demo(scenario)
    judged = list(replay(past, None, {MATRIX.version: MATRIX}))
    assert [one.time for one in judged] == [one.time for one in past]
    assert [one.problem for one in judged] == [""] * len(past)
    assert [(one.again.level, one.again.levels) for one in judged] == [(one.level, one.read_levels()) for one in past]
    assert all(len(one.again.levels) > 20 for one in judged)


WORLDS = {
    "healthy": healthy(),
    "loss": healthy().account(IBKR, net_liquidation=480_000.0, day_pnl=-20_000.0).position("SPY", day_pnl=-20_000.0),
    "unconfirmed loss": healthy().account(IBKR, net_liquidation=480_000.0).position("SPY", day_pnl=None),
    "no net liquidation": healthy().account(IBKR, net_liquidation=None),
    "no greeks": healthy().position(SPX_PUT, greeks=None, mark=None, bid=None, ask=None),
    "no vix": healthy().markets(vix=None, vix_closes=(), vix3m_closes=()),
    "silent": replace(healthy(), source=replace(healthy().source, state=SourceState.STALE)),
    "down": replace(healthy(), source=replace(healthy().source, state=SourceState.DOWN, time=None)),
    "empty": replace(healthy(), positions={}),
    "nothing": replace(healthy(), positions={}, accounts={}),
}


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("matrix", [GENEROUS_MATRIX, MATRIX], ids=["generous", "shipped"])
def test_a_world_comes_out_as_it_was(name: str, matrix: RiskMatrix) -> None:
    world = replace(WORLDS[name], matrix=matrix)
    past = captured(Inputs((world.view(),), world.memory, world.now), world.assess())
    (judged,) = replay([past], None, {matrix.version: matrix})
    assert judged.problem == ""
    assert (judged.again.level, judged.again.levels) == (past.level, past.read_levels())


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([13.0, 17.0, 21.0, 33.0]), st.sampled_from([500e3, 495e3, 489e3, 470e3, 503e3])),
        min_size=2,
        max_size=9,
    ),
    st.integers(1, 4),
)
def test_another_file_with_the_same_rules_changes_nothing(days: list[tuple[float, float]], every: int) -> None:
    """Also when only some cycles were captured: what lay between them is remembered in those that were."""
    words = [at(3.0 * nth, vix=vix, net_liquidation=value) for nth, (vix, value) in enumerate(days)]
    past = lived(words, MATRIX, healthy().memory, every, compiling=True)
    judged = list(replay(past, SHIPPED_AGAIN, {MATRIX.version: MATRIX}))
    assert SHIPPED_AGAIN.version != MATRIX.version
    assert [(one.again.levels, one.again.regime) for one in judged] == [
        (one.then.levels, one.then.regime) for one in judged
    ]


def test_the_same_input_gives_the_same_bytes() -> None:
    past = demo("selloff", 4)
    matrix = edited({"regimes.*.limits.max_negative_vega": -10.0})
    once, twice = ([repr(one) for one in replay(past, matrix, {MATRIX.version: MATRIX})] for _ in range(2))
    assert once == twice


# --- nothing later than the moment is known ---


def test_each_moment_is_handed_out_before_the_next_is_touched() -> None:
    past = lived([at(0), at(1)], GENEROUS_MATRIX)

    def poisoned() -> Iterator[Captured]:
        yield from past
        raise RuntimeError("the future was read")

    judged = replay(poisoned(), MATRIX, LIMITED)
    assert [next(judged).time, next(judged).time] == [NOW, NOW + timedelta(minutes=1)]
    with pytest.raises(RuntimeError, match="the future"):
        next(judged)


@pytest.mark.parametrize("matrix", [None, MATRIX, edited({"data.vix_stale_after_minutes": 7})])
def test_what_comes_later_changes_nothing_before(matrix: RiskMatrix | None) -> None:
    known = LIMITED
    begin = [at(minutes) for minutes in (0, 3, 6)]
    calm = lived([*begin, at(9), at(20)], GENEROUS_MATRIX)
    wild = lived([*begin, at(9, vix=70.0, net_liquidation=100_000.0), at(20, vix=80.0)], GENEROUS_MATRIX)
    first, second = list(replay(calm, matrix, known)), list(replay(wild, matrix, known))
    assert first[:3] == second[:3]
    assert first[3:] != second[3:]


def test_closes_dated_after_the_moment_are_not_used() -> None:
    """A close of 80 tomorrow, and of today before it is official, would be crisis_mode."""
    world = healthy()
    today = NOW.date()
    later = ((today, 80.0), (today + timedelta(days=1), 80.0), (today + timedelta(days=2), 80.0))
    poisoned = world.markets(vix_closes=(*world.market.vix_closes, *later))
    other = edited({"data.vix_stale_after_minutes": 7})  # its regime is the replay's own
    for matrix in (None, other):
        for words in (world, poisoned):
            past = lived([at(0, words), at(10, words)], GENEROUS_MATRIX)
            assert [one.again.regime for one in replay(past, matrix, LIMITED)] == ["neutral_volatility"] * 2


# --- what cannot be judged is UNKNOWN, and says why ---


def _of_another_version(content: bytes) -> bytes:
    data = json.loads(unpacked(content))
    data["views"][0]["accounts"][0]["time"] = "yesterday"
    return packed(json.dumps(data).encode())


DAMAGES = {
    "cut": (lambda one: replace(one, inputs=one.inputs[:-9]), "damaged"),
    "empty": (lambda one: replace(one, inputs=b""), "damaged|cannot be read"),
    "other": (lambda one: replace(one, inputs=_of_another_version(one.inputs)), "this version of the program"),
    "moved": (lambda one: replace(one, time=one.time + timedelta(seconds=1)), "but what it was made of says"),
    "levels": (lambda one: replace(one, levels='{"vega portfolio": "FINE"}'), "levels stored of it"),
    "no levels": (lambda one: replace(one, levels="[]"), "levels stored of it"),
    "no snapshot": (lambda one: replace(one, snapshot=b"none"), "its regime is not known"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("matrix", [None, MATRIX], ids=["then", "other"])
def test_a_moment_that_cannot_be_read_says_so_and_the_others_are_judged(damage: str, matrix: RiskMatrix | None) -> None:
    broken, reason = DAMAGES[damage]
    past = lived([at(0), at(3), at(6)], GENEROUS_MATRIX, compiling=True)
    whole = list(replay(past, matrix, LIMITED))
    judged = list(replay([past[0], broken(past[1]), past[2]], matrix, LIMITED))
    assert [bool(one.problem) for one in judged] == [False, True, False]
    assert re.search(reason, judged[1].problem)
    assert [judged[0], judged[2]] == [whole[0], whole[2]]
    if damage in ("cut", "empty", "other", "moved"):
        assert judged[1].again.level is Level.UNKNOWN
        assert set(judged[1].again.levels.values()) == {Level.UNKNOWN}
        assert judged[1].again.levels.keys() == past[1].read_levels().keys()


def test_a_matrix_that_is_not_stored_leaves_its_moments_unknown() -> None:
    (judged,) = replay(lived([at(0)], GENEROUS_MATRIX), None, {})
    assert judged.again.level is Level.UNKNOWN
    assert GENEROUS_MATRIX.version in judged.problem


def test_under_another_matrix_the_one_then_in_force_need_not_be_known() -> None:
    (judged,) = replay(lived([at(0)], GENEROUS_MATRIX), limited(max_position_contracts=0), {})
    assert (judged.problem, judged.again.level) == ("", Level.BREACH)
    assert judged.then.regime == "neutral_volatility"  # as it was stored, not as it would come out


@pytest.mark.parametrize("matrix", [None, GENEROUS_MATRIX, TIGHT], ids=["then", "same", "other"])
def test_a_regime_that_comes_out_differently_is_seen(matrix: RiskMatrix | None) -> None:
    past = lived([at(0), at(3)], GENEROUS_MATRIX)
    was = past[1].read_snapshot()
    other = replace(was, regime=replace(was.regime, name="crisis_mode"))
    found = compare(replay([past[0], replace(past[1], snapshot=packed(to_json(other)))], matrix, LIMITED))
    assert [(m.old, m.new) for m in found.then.regime_changes] == [("neutral_volatility", "crisis_mode")]
    assert found.again.regime_changes == ()
    assert found.differing == 1


def test_a_regime_then_is_read_however_the_snapshot_is_written() -> None:
    """Another order of its fields and spaces between them."""
    (one,) = lived([at(0)], GENEROUS_MATRIX)
    data = json.loads(unpacked(one.snapshot))
    data["regime"] = dict(reversed(data["regime"].items()))
    (judged,) = replay([replace(one, snapshot=packed(json.dumps(data).encode()))], None, LIMITED)
    assert (judged.then.regime, judged.problem) == ("neutral_volatility", "")


def test_deposits_are_known_only_where_every_broker_reports_them() -> None:
    silent, told = (lived([at(0, cash_flows=flows)], GENEROUS_MATRIX) for flows in (None, 0.0))
    assert [next(replay(past, None, LIMITED)).deposits_known for past in (silent, told)] == [False, True]


@pytest.mark.parametrize("revalue", [False, True])
def test_a_check_that_raises_is_unknown(monkeypatch: pytest.MonkeyPatch, *, revalue: bool) -> None:
    def broken(_portfolio: Portfolio, _limits: Limits) -> list[Finding]:
        raise ZeroDivisionError

    past = lived([at(0)], GENEROUS_MATRIX)
    monkeypatch.setattr(checks, "CHECKS", (*checks.CHECKS, broken))
    monkeypatch.setattr(checks.run, "__defaults__", (checks.CHECKS,))
    (judged,) = replay(past, None, LIMITED, revalue=revalue)
    assert judged.again.levels["broken portfolio"] is Level.UNKNOWN
    assert judged.problem == ""


def test_whatever_goes_wrong_with_a_moment_leaves_it_unknown() -> None:
    """Here what stands for the matrix is none."""
    wrong: dict[str, RiskMatrix] = {GENEROUS_MATRIX.version: "no matrix"}  # type: ignore[dict-item]  # on purpose
    judged = list(replay(lived([at(0), at(1)], GENEROUS_MATRIX), None, wrong))
    assert [one.again.level for one in judged] == [Level.UNKNOWN] * 2
    assert all("see the log" in one.problem for one in judged)


# --- what follows from the matrix is carried from moment to moment ---


def test_the_regime_is_stepped_by_the_replay_when_its_rules_are_others() -> None:
    """Thresholds at 15, 18, 30: VIX of 18.5 at 10:30 is confirmed by the next reading, 5 minutes later and not at 3."""
    other = edited({"regimes.neutral_volatility.vix_max": 18.0, "regimes.high_volatility.vix_min": 18.0})
    past = lived([at(minutes, vix=18.5) for minutes in (0, 3, 5, 8)], MATRIX)
    judged = list(replay(past, other, {MATRIX.version: MATRIX}))
    assert [one.then.regime for one in judged] == ["neutral_volatility"] * 4
    assert [one.again.regime for one in judged] == [
        "neutral_volatility", "neutral_volatility", "high_volatility", "high_volatility",
    ]  # fmt: skip


def unconfirmed(minutes: float, value: float) -> tuple:  # type: ignore[type-arg]  # as `at`
    """A loss that our own quotes neither confirm nor deny."""
    world: World = healthy().position("SPY", day_pnl=None).position("AAPL", day_pnl=None)
    return at(minutes, world, net_liquidation=value)


def test_a_tighter_loss_limit_is_confirmed_by_three_readings_of_the_replay() -> None:
    """500,000 at the start, 494,000 now: 1.2 %, over a limit of 1 %, under that of 5 % in force."""
    past = lived([unconfirmed(minutes, 494_000.0) for minutes in (0, 3, 6, 9)], WIDE, healthy().memory)
    judged = list(replay(past, TIGHT, KNOWN))
    assert of(judged, LOSS) == ["UNKNOWN", "UNKNOWN", "BREACH", "BREACH"]
    assert {one.then.levels[LOSS] for one in judged} == {Level.OK}


def test_the_last_reading_between_two_moments_confirms_too() -> None:
    """Captured at minutes 0 and 6; the reading of minute 3 is remembered at minute 6."""
    past = lived([unconfirmed(minutes, 494_000.0) for minutes in (0, 3, 6)], WIDE, healthy().memory, every=2)
    assert of(list(replay(past, TIGHT, KNOWN)), LOSS) == ["UNKNOWN", "BREACH"]


def test_what_was_over_a_wider_limit_was_over_a_tighter_one() -> None:
    """The one moment stored, at minute 9, remembers losses over 1 % at minutes 0, 3 and 6; the new limit is 0.9 %."""
    tighter = limited(max_daily_loss_pct=0.009, watch_daily_loss_pct=0.008)
    words = [unconfirmed(minutes, 494_000.0) for minutes in (0, 3, 6, 9)]
    past = lived(words, TIGHT, healthy().memory)[-1:]
    assert of(list(replay(past, tighter, KNOWN)), LOSS) == ["BREACH"]
    assert of(list(replay(past, tighter, {})), LOSS) == ["UNKNOWN"]  # the limit they were over is not known


def test_a_reading_that_is_not_over_the_limit_begins_the_count_anew() -> None:
    values = (494_000.0, 494_000.0, 499_000.0, 494_000.0, 494_000.0)
    words = [unconfirmed(3.0 * nth, value) for nth, value in enumerate(values)]
    past = lived(words, WIDE, healthy().memory)
    judged = list(replay(past, TIGHT, KNOWN))
    assert of(judged, LOSS) == ["UNKNOWN", "UNKNOWN", "OK", "UNKNOWN", "UNKNOWN"]


def test_readings_of_another_session_do_not_confirm() -> None:
    """Two readings at the end of Wednesday and one of Thursday morning, whose loss counts from another start."""
    evening, morning = 5 * 60.0, 23.5 * 60.0  # 15:30 on Wednesday and 10:00 on Thursday
    words = [unconfirmed(evening, 494_000.0), unconfirmed(evening + 3, 494_000.0), unconfirmed(morning, 488_000.0)]
    judged = list(replay(lived(words, WIDE, healthy().memory), TIGHT, KNOWN))
    assert of(judged, LOSS) == ["UNKNOWN", "UNKNOWN", "UNKNOWN"]


def test_a_wider_loss_limit_clears_what_a_tighter_one_had_confirmed() -> None:
    past = lived([unconfirmed(minutes, 494_000.0) for minutes in (0, 3, 6)], TIGHT, healthy().memory)
    judged = list(replay(past, WIDE, KNOWN))
    assert [str(one.then.levels[LOSS]) for one in judged] == ["UNKNOWN", "UNKNOWN", "BREACH"]
    assert of(judged, LOSS) == ["OK", "OK", "OK"]


def test_the_rules_for_data_are_those_of_the_new_matrix() -> None:
    """Quotes 3 minutes old are quiet once the matrix says so."""
    now, view = at(0)
    old = now - timedelta(minutes=3)
    view = replace(view, source=replace(view.source, time=old))
    past = lived([(now, view)], edited({"data.stale_after_seconds": 300}))
    assert past[0].read_levels()["source_state source:test"] is Level.OK
    (judged,) = replay(past, edited({"data.stale_after_seconds": 60}), {})
    assert judged.again.levels["source_state source:test"] is not Level.OK


def test_net_liquidation_is_told_only_of_a_book_without_gaps() -> None:
    silent = replace(healthy(), source=replace(healthy().source, state=SourceState.STALE))
    whole, blind = (next(replay(lived([at(0, w)], GENEROUS_MATRIX), None, LIMITED)) for w in (healthy(), silent))
    assert (whole.net_liquidation, whole.cash_flows) == (1_000_000.0, 0.0)
    assert blind.net_liquidation is None

"""The safety state: who may change it, when, and what of it survives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.execution import safety_rules
from guardrails.execution.safety_file import SAFETY_FILE, STOP_FILE, SafetyFile
from guardrails.safety import Cause, Safety, SafetyChange, SafetyState

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)
NORMAL, NO_NEW_RISK, REDUCE_ONLY, STOPPED = SafetyState


def opened(folder: Path, told: list[SafetyChange] | None = None, book: str = "ibkr") -> SafetyFile:
    kept = SafetyFile(folder, (told if told is not None else []).append)
    kept.open(book, None, NOW)
    return kept


def by_person(kept: SafetyFile, new: SafetyState, now: datetime = NOW, why_not: str = "") -> SafetyChange:
    return kept.change(new, "Ann", "lunch", now, HALF_AN_HOUR, why_not)


@pytest.mark.parametrize("state", [NO_NEW_RISK, REDUCE_ONLY, STOPPED])
def test_a_stricter_state_is_open_at_once_and_survives_a_restart(tmp_path: Path, state: SafetyState) -> None:
    by_person(opened(tmp_path), state)
    again = opened(tmp_path)
    assert again.now.state is state
    assert (again.now.author, again.now.reason, again.now.until) == ("Ann", "lunch", NOW + HALF_AN_HOUR)
    assert "Under Stop, on every page, a person sets" in again.now.leave


def test_another_book_knows_nothing_of_it(tmp_path: Path) -> None:
    by_person(opened(tmp_path), STOPPED)
    assert opened(tmp_path, book="demo").now == Safety()


def test_normal_waits_for_the_end_of_the_cooling_off_and_not_a_second_longer(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    by_person(kept, NO_NEW_RISK)
    with pytest.raises(ValueError, match=r"NORMAL is open again at Fri 20 Nov 10:30 ET: the cooling-off"):
        by_person(kept, NORMAL, NOW + HALF_AN_HOUR - timedelta(seconds=1))
    assert by_person(kept, NORMAL, NOW + HALF_AN_HOUR).new.state is NORMAL


def test_its_owner_cannot_shorten_the_cooling_off_by_setting_the_state_again_with_another_matrix(
    tmp_path: Path,
) -> None:
    kept = opened(tmp_path)
    by_person(kept, NO_NEW_RISK)
    kept.change(REDUCE_ONLY, "Ann", "again", NOW, timedelta())
    kept.change(NO_NEW_RISK, "Ann", "again", NOW, timedelta())
    assert kept.now.until == NOW + HALF_AN_HOUR


def test_a_person_steps_from_stopped_to_reduce_only_even_where_nothing_can_be_written(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    by_person(kept, STOPPED)
    (tmp_path / SAFETY_FILE).unlink()
    (tmp_path / SAFETY_FILE / "in the way").mkdir(parents=True)
    assert by_person(kept, REDUCE_ONLY).new.state is REDUCE_ONLY
    assert "cannot be written" in kept.problem
    with pytest.raises(ValueError, match="Make the data folder writable"):
        by_person(kept, NORMAL, NOW + HALF_AN_HOUR)
    assert kept.now.state is REDUCE_ONLY


def test_normal_is_refused_while_what_set_the_state_lasts(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    kept.tighten(NO_NEW_RISK, Cause.DAILY_LOSS, "the daily loss is 3.4 %, limit 3 %", NOW, HALF_AN_HOUR)
    with pytest.raises(ValueError, match="NORMAL is not open: the daily loss"):
        by_person(kept, NORMAL, NOW + HALF_AN_HOUR, "the daily loss still stands over its limit.")


def test_a_reason_is_needed_and_the_same_state_is_no_change(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    with pytest.raises(ValueError, match="Say why"):
        kept.change(STOPPED, "Ann", "  ", NOW, HALF_AN_HOUR)
    with pytest.raises(ValueError, match="It is NORMAL already"):
        by_person(kept, NORMAL)


def test_the_program_never_makes_a_state_looser(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    by_person(kept, STOPPED)
    assert kept.tighten(NO_NEW_RISK, Cause.REJECTS, "3 rejects in a minute", NOW, HALF_AN_HOUR) is None
    assert kept.now.state is STOPPED


def test_doubt_about_an_order_ends_by_itself_unless_something_else_has_set_the_state_meanwhile(tmp_path: Path) -> None:
    told: list[SafetyChange] = []
    kept = opened(tmp_path, told)
    kept.tighten(NO_NEW_RISK, Cause.UNRECONCILED, "g-1 is unknown", NOW, HALF_AN_HOUR)
    made = kept.passed(Cause.UNRECONCILED, NOW)
    assert made is not None
    assert kept.now.state is NORMAL

    kept.tighten(NO_NEW_RISK, Cause.UNRECONCILED, "g-2 is unknown", NOW, HALF_AN_HOUR)
    kept.tighten(NO_NEW_RISK, Cause.DAILY_LOSS, "halt", NOW, HALF_AN_HOUR)
    assert kept.passed(Cause.UNRECONCILED, NOW) is None
    assert (kept.now.state, kept.now.cause) == (NO_NEW_RISK, Cause.DAILY_LOSS)
    assert [(one.old, one.new.state) for one in told] == [
        (NORMAL, NO_NEW_RISK), (NO_NEW_RISK, NORMAL), (NORMAL, NO_NEW_RISK), (NO_NEW_RISK, NO_NEW_RISK),
    ]  # fmt: skip


def test_a_file_stop_stops_once_and_stepping_out_puts_it_away(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    assert kept.look(NOW, HALF_AN_HOUR) is None
    (tmp_path / STOP_FILE).write_text("the office burns\n", encoding="utf-8")
    made = kept.look(NOW, HALF_AN_HOUR)
    assert made is not None
    assert (kept.now.state, kept.now.cause, kept.now.reason) == (STOPPED, Cause.STOP_FILE, "the office burns")
    assert kept.look(NOW, HALF_AN_HOUR) is None
    by_person(kept, REDUCE_ONLY)
    assert not (tmp_path / STOP_FILE).exists()
    assert kept.look(NOW, HALF_AN_HOUR) is None
    assert kept.now.state is REDUCE_ONLY


def test_a_file_stop_of_before_the_start_is_obeyed_at_the_start(tmp_path: Path) -> None:
    (tmp_path / STOP_FILE).touch()
    kept = opened(tmp_path)
    kept.look(NOW, HALF_AN_HOUR)
    assert kept.now.state is STOPPED
    again = opened(tmp_path)
    assert again.now.state is STOPPED


def test_a_file_that_cannot_be_read_lets_no_new_risk_in(tmp_path: Path) -> None:
    by_person(opened(tmp_path), REDUCE_ONLY)
    (tmp_path / SAFETY_FILE).write_text("{half a fi", encoding="utf-8")
    again = opened(tmp_path)
    assert (again.now.state, again.now.cause) == (NO_NEW_RISK, Cause.UNREADABLE)


def at(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


def stored(state: SafetyState, minutes: int, count: int, **more: object) -> SafetyChange:
    """The last change that the store has."""
    safety = Safety(state, at(minutes), author="Bob", reason="the feed is wrong", count=count)
    return SafetyChange(at(minutes), NORMAL, replace(safety, **more))  # type: ignore[arg-type]  # fields of Safety


def in_file(folder: Path, *states: SafetyState, minutes: int = 0) -> None:
    """What a program that ended has left in the data folder, by its own clock."""
    kept = opened(folder)
    for state in states:
        kept.change(state, "Ann", "lunch", at(minutes), timedelta())


def begun(folder: Path, change: SafetyChange | None, told: list[SafetyChange] | None = None) -> SafetyFile:
    kept = SafetyFile(folder, (told if told is not None else []).append)
    kept.open("ibkr", change, at(60))
    return kept


@pytest.mark.parametrize(
    ("files", "minutes", "store", "state"),
    [
        ([STOPPED], 0, stored(NORMAL, 1, 2), NORMAL),  # stepped down on another machine, or before the file was lost
        ([STOPPED, NORMAL], 1, stored(STOPPED, 0, 1), NORMAL),  # stepped down here; it ended before the store knew
        ([REDUCE_ONLY], 0, stored(STOPPED, 1, 2), STOPPED),
        ([NO_NEW_RISK, STOPPED], 1, stored(NO_NEW_RISK, 0, 1), STOPPED),
        ([], 0, stored(REDUCE_ONLY, 0, 1), REDUCE_ONLY),
        ([REDUCE_ONLY], 0, None, REDUCE_ONLY),
    ],
)
def test_what_is_proven_to_be_later_of_file_and_store_counts(
    tmp_path: Path, files: list[SafetyState], minutes: int, store: SafetyChange | None, state: SafetyState
) -> None:
    in_file(tmp_path, *files, minutes=minutes)
    kept = begun(tmp_path, store)
    kept.tell_untold(store)
    assert (kept.now.state, "cannot be told" in kept.now.reason) == (state, False)


@pytest.mark.parametrize(
    ("files", "minutes", "store", "state"),
    [
        # the clock was set back an hour, STOPPED was set, and the program ended before the store knew
        ([NO_NEW_RISK, NORMAL, STOPPED], -60, stored(NORMAL, 0, 2), STOPPED),
        ([NO_NEW_RISK, NORMAL], -60, stored(STOPPED, 0, 1), STOPPED),
        # two machines went on from the same state
        ([NO_NEW_RISK, NORMAL], 1, stored(REDUCE_ONLY, 0, 2), REDUCE_ONLY),
        ([STOPPED], 0, stored(NORMAL, 1, 1), STOPPED),
        # the store was written by a version that did not count
        ([STOPPED], 0, stored(NORMAL, 1, 0), STOPPED),
    ],
)
def test_where_it_cannot_be_told_which_is_later_the_stricter_counts_and_both_learn_it(
    tmp_path: Path, files: list[SafetyState], minutes: int, store: SafetyChange, state: SafetyState
) -> None:
    in_file(tmp_path, *files, minutes=minutes)
    told: list[SafetyChange] = []
    kept = begun(tmp_path, store, told)
    kept.tell_untold(store)
    assert kept.now.state is state
    assert "which came later cannot be told, so the stricter counts" in kept.now.reason
    assert [one.new for one in told] == [kept.now]
    again = begun(tmp_path, told[0], told)
    again.tell_untold(told[0])
    assert (again.now, len(told)) == (kept.now, 1)
    by_person(again, REDUCE_ONLY if state is STOPPED else NORMAL, at(90))  # as out of any other
    assert begun(tmp_path, told[-1]).now.state is again.now.state is not state


def test_in_doubt_the_longer_cooling_off_and_a_halt_of_the_day_hold(tmp_path: Path) -> None:
    in_file(tmp_path, STOPPED)
    kept = begun(tmp_path, stored(NO_NEW_RISK, 0, 1, cause=Cause.DAILY_LOSS, until=at(500)))
    assert (kept.now.state, kept.now.cause, kept.now.until) == (STOPPED, Cause.DAILY_LOSS, at(500))


def test_in_doubt_a_state_that_ends_by_itself_gives_way_to_one_that_does_not(tmp_path: Path) -> None:
    in_file(tmp_path, NO_NEW_RISK)
    kept = begun(tmp_path, stored(NO_NEW_RISK, 0, 5, cause=Cause.UNRECONCILED))
    assert kept.now.cause is Cause.PERSON
    assert kept.passed(Cause.UNRECONCILED, at(90)) is None


@pytest.mark.parametrize(
    ("files", "store", "state"),
    [
        ([NO_NEW_RISK, NORMAL], stored(STOPPED, 1, 3), STOPPED),
        ([STOPPED], stored(NORMAL, 1, 2), NORMAL),
        ([NO_NEW_RISK, NORMAL], stored(STOPPED, -1, 3), STOPPED),
        ([], stored(STOPPED, 0, 1), STOPPED),
    ],
)
def test_a_store_that_could_not_be_read_at_first_counts_as_soon_as_it_is(
    tmp_path: Path, files: list[SafetyState], store: SafetyChange, state: SafetyState
) -> None:
    in_file(tmp_path, *files)
    kept = begun(tmp_path, None)
    kept.tell_untold(store)
    assert kept.now.state is state


def test_a_stored_stop_counts_also_where_the_file_is_damaged_and_the_store_came_late(tmp_path: Path) -> None:
    (tmp_path / SAFETY_FILE).write_text("{half a fi", encoding="utf-8")
    told: list[SafetyChange] = []
    kept = begun(tmp_path, None, told)
    assert kept.now.state is NO_NEW_RISK
    kept.tell_untold(stored(STOPPED, 0, 4))
    assert kept.now.state is STOPPED
    kept.tell_untold(None)
    assert [one.new.state for one in told] == [NO_NEW_RISK, STOPPED]


def test_a_change_before_the_store_could_be_read_is_not_told_after_the_fact_it_followed(tmp_path: Path) -> None:
    """The last row of the store must be the state in force, not the one that was taken up."""
    in_file(tmp_path, NO_NEW_RISK, STOPPED)
    told: list[SafetyChange] = []
    kept = begun(tmp_path, None, told)
    kept.change(REDUCE_ONLY, "Ann", "lunch", at(61), timedelta())
    kept.tell_untold(stored(NO_NEW_RISK, 0, 1))
    assert (kept.now.state, [one.new.state for one in told]) == (REDUCE_ONLY, [REDUCE_ONLY])


_STATES = st.sampled_from(list(SafetyState))


@given(st.lists(st.tuples(st.booleans(), _STATES, st.sampled_from(list(Cause)), st.integers(0, 2_000)), max_size=12))
def test_no_way_leads_to_normal_before_a_cooling_off_has_ended(
    wishes: list[tuple[bool, SafetyState, Cause, int]],
) -> None:
    """Whatever is asked in whatever order: an end of a cooling-off that was ever promised is kept."""
    safety, now, promised = Safety(), NOW, NOW
    for is_person, new, cause, wait in wishes:
        now += timedelta(seconds=wait)
        try:
            if is_person:
                made = safety_rules.set_by_person(safety, new, "Ann", "why", now, HALF_AN_HOUR)
            elif cause is Cause.UNRECONCILED and new is NORMAL:
                made = safety_rules.passed(safety, cause, now)
            else:
                made = safety_rules.set_by_program(safety, new, cause, "why", now, HALF_AN_HOUR)
        except ValueError:
            continue
        if made is None:
            continue
        if made.new.state is NORMAL and safety.state is not NORMAL:
            assert now >= promised
        safety = made.new
        if safety.until is not None:
            assert safety.until >= promised or now >= promised
            promised = max(promised, safety.until)


def test_a_stop_file_that_nobody_has_obeyed_yet_is_not_swept_away_by_a_person_who_loosens(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    by_person(kept, NO_NEW_RISK)
    (tmp_path / STOP_FILE).write_text("risk desk\n", encoding="utf-8")
    with pytest.raises(ValueError, match="a file STOP"):
        by_person(kept, NORMAL, NOW + HALF_AN_HOUR)
    assert (kept.now.state, kept.now.cause, kept.now.reason) == (STOPPED, Cause.STOP_FILE, "risk desk")
    assert by_person(kept, REDUCE_ONLY).new.state is REDUCE_ONLY


def test_the_same_stop_file_put_back_stops_again(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    (tmp_path / STOP_FILE).write_text("", encoding="utf-8")
    assert kept.look(NOW, HALF_AN_HOUR) is not None
    assert kept.look(NOW, HALF_AN_HOUR) is None
    by_person(kept, REDUCE_ONLY)
    next(tmp_path.glob("STOP-obeyed-*")).rename(tmp_path / STOP_FILE)  # it bears the time it always had
    assert kept.look(NOW, HALF_AN_HOUR) is not None
    assert kept.now.state is STOPPED


def test_a_halt_of_the_day_stays_one_whoever_sets_the_state_again(tmp_path: Path) -> None:
    """Else an override would pass it: those yield to what a person has set, never to the daily loss."""
    kept = opened(tmp_path)
    kept.tighten(NO_NEW_RISK, Cause.DAILY_LOSS, "the daily loss is 3.4 %, limit 3 %", NOW, HALF_AN_HOUR)
    with pytest.raises(ValueError, match="NO_NEW_RISK already"):
        by_person(kept, NO_NEW_RISK)
    by_person(kept, REDUCE_ONLY)
    by_person(kept, NO_NEW_RISK)
    assert kept.now.cause is Cause.DAILY_LOSS
    assert by_person(kept, NORMAL, NOW + HALF_AN_HOUR).new.cause is Cause.PERSON

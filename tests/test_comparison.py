"""What another matrix would have changed, worked by hand: moments a quarter of an hour apart, one letter per level."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails import replay_words
from guardrails.breaches import Kind
from guardrails.comparison import Comparison, compare
from guardrails.findings import Level, worst
from guardrails.replay import Judged, Outcome

START = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
"""a Monday, 10:00 in New York"""
QUARTER = timedelta(minutes=15)
DAY = 24 * 4
LETTERS = {"O": Level.OK, "W": Level.WATCH, "?": Level.UNKNOWN, "B": Level.BREACH}


def outcome(levels: Mapping[str, Level], version: str = "then", regime: str = "calm") -> Outcome:
    return Outcome(worst(levels.values()), levels, regime, version)


def moments(then: str, again: str, money: Sequence[float | None] = (), flows: Sequence[float] = ()) -> list[Judged]:
    """Of one check; `.` is a finding that is not there."""
    return [
        Judged(
            START + nth * QUARTER,
            outcome({"vega portfolio": LETTERS[one]} if one != "." else {"gamma portfolio": Level.OK}),
            outcome({"vega portfolio": LETTERS[two]} if two != "." else {"gamma portfolio": Level.OK}, "again"),
            money[nth] if money else 100.0,
            flows[nth] if flows else 0.0,
        )
        for nth, (one, two) in enumerate(zip(then, again, strict=True))
    ]


def kinds(found: Comparison) -> list[str]:
    return [breach.kind.value for breach in found.breaches]


@pytest.mark.parametrize(
    ("then", "again", "kind"),
    [
        ("OBBO", "OBBO", "same"),
        ("OBBO", "OBOO", "same"),  # it began at the same moment
        ("OOBO", "OBBO", "earlier"),
        ("OBBO", "OOBO", "later"),
        ("OBBO", "OOOO", "missed"),
        ("OBBO", "OWWO", "missed"),
        ("OBBO", "OB.O", "same"),
        ("OBBO", "O..O", "missed"),  # the matrix does not judge it
        ("OBBO", "O?WO", "not known"),
        ("OBBO", "????", "not known"),
        ("OOOO", "OBBO", "new alarm"),
        ("O??O", "OBBO", "new alarm"),
        ("OB?B", "OB?B", "same"),
        ("B?BO", "BOBO", "same"),  # one breach then, and its second half is no new alarm
        ("BBBB", "BOBB", "same"),
    ],
)
def test_a_breach_is_named_for_what_became_of_it(then: str, again: str, kind: str) -> None:
    assert kinds(compare(moments(then, again))) == [kind]


def test_what_is_unknown_in_between_does_not_end_a_breach_and_ok_does() -> None:
    one = compare(moments("B?BO", "OOOO"))
    two = compare(moments("BOBO", "OOOO"))
    assert [(b.then.begin, b.then.end) for b in one.breaches if b.then] == [(START, START + 2 * QUARTER)]
    assert kinds(two) == ["missed", "missed"]


def test_a_breach_that_still_runs_at_the_end_counts() -> None:
    (breach,) = compare(moments("OOB?", "OBBB")).breaches
    assert breach.then is not None
    assert breach.again is not None
    assert (breach.then.end, breach.again.end) == (START + 2 * QUARTER, START + 3 * QUARTER)
    assert breach.kind is Kind.EARLIER


def test_a_moment_that_was_not_judged_ends_no_breach_of_either_side() -> None:
    blind = Judged(START + QUARTER, outcome({}), outcome({}, "again"), problem="damaged")
    past = moments("BBB", "BBB")
    (breach,) = compare([past[0], blind, past[2]]).breaches
    assert breach.kind is Kind.SAME
    assert breach.then is not None
    assert breach.then.begin == START
    assert breach.then.end == START + 2 * QUARTER


def test_the_worst_fall_within_a_day_tells_a_false_alarm() -> None:
    """From 100 at the alarm: 99.5 is 0.5 %, 98.9 is 1.1 %; exactly 1 % is no false alarm."""
    then, again = "O" * (DAY + 1), "B" + "O" * DAY
    for low, kind, fall in ((99.5, Kind.FALSE, 0.005), (98.9, Kind.NEW, 0.011), (99.0, Kind.NEW, 0.01)):
        money = [100.0, 101.0, low, *[103.0] * (DAY - 2)]
        (breach,) = compare(moments(then, again, money)).breaches
        assert breach.kind is kind
        assert breach.fall == pytest.approx(fall)
        assert breach.fall_known


def test_a_fall_after_the_day_does_not_count() -> None:
    money = [100.0] * (DAY + 1) + [50.0]
    (breach,) = compare(moments("O" * (DAY + 2), "B" + "O" * (DAY + 1), money)).breaches
    assert (breach.kind, breach.fall) == (Kind.FALSE, 0.0)


@pytest.mark.parametrize("hole", [0, 7])
def test_without_all_the_figures_of_the_day_no_alarm_is_called_false(hole: int) -> None:
    money: list[float | None] = [100.0] * (DAY + 1)
    money[hole] = None
    (breach,) = compare(moments("O" * (DAY + 1), "B" + "O" * DAY, money)).breaches
    assert breach.kind is Kind.NEW
    assert not breach.fall_known
    assert breach.fall == (None if hole == 0 else 0.0)


def test_a_range_that_ends_before_the_day_does_calls_no_alarm_false() -> None:
    (breach,) = compare(moments("O" * DAY, "B" + "O" * (DAY - 1))).breaches
    assert (breach.kind, breach.fall, breach.fall_known) == (Kind.NEW, 0.0, False)


def test_a_deposit_hides_no_loss_and_a_withdrawal_makes_none() -> None:
    """20 paid in and 5 lost, on paper a gain; 20 taken out and nothing lost. The next session counts from nothing."""
    size = DAY + 1
    flows = [0.0, *[20.0] * 93, *[0.0] * (size - 94)]  # the next session begins at 9:30, 94 quarters later
    paid = compare(moments("O" * size, "B" + "O" * DAY, [100.0, *[115.0] * DAY], flows))
    taken = compare(moments("O" * size, "B" + "O" * DAY, [100.0, *[80.0] * DAY], [-flow for flow in flows]))
    assert [round(b.fall or 0.0, 9) for b in (*paid.breaches, *taken.breaches)] == [0.05, 0.0]
    assert [b.kind for b in (*paid.breaches, *taken.breaches)] == [Kind.NEW, Kind.FALSE]


def test_time_at_each_level_is_that_until_the_next_moment() -> None:
    found = compare(moments("OOBO", "OWB?"))
    assert found.then.seconds == {"vega": {Level.BREACH: 900, Level.OK: 1800}}
    assert found.again.seconds == {"vega": {Level.BREACH: 900, Level.WATCH: 900, Level.OK: 900}}
    assert (found.then.unknown, found.again.unknown) == (0, 1)


def test_a_breach_beside_it_does_not_hide_what_is_unknown() -> None:
    both = outcome({"vega portfolio": Level.BREACH, "gamma portfolio": Level.UNKNOWN}, "again")
    found = compare([replace(moments("O", "O")[0], again=both)])
    assert (found.then.unknown, found.again.unknown) == (0, 1)


def test_a_moment_speaks_for_half_an_hour_at_most() -> None:
    one, two, three = moments("OBO", "OBO")
    found = compare([one, two, replace(three, time=two.time + timedelta(hours=60))])
    assert found.then.seconds["vega"] == {Level.BREACH: 1800, Level.OK: 900}
    assert found.unwatched_seconds == 60 * 3600 - 1800
    assert found.longest_seconds == 60 * 3600


def test_the_worst_subject_counts_for_its_check() -> None:
    levels = {"loss account:A": Level.OK, "loss account:B": Level.BREACH, "loss account:C": Level.WATCH}
    past = [Judged(START + n * QUARTER, outcome(levels), outcome(levels), 1.0, 0.0) for n in range(2)]
    assert compare(past).then.seconds == {"loss": {Level.BREACH: 900}}


def test_changes_of_regime_are_told_of_both_sides() -> None:
    past = moments("OOO", "OOO")
    past[1] = replace(past[1], again=outcome({"vega portfolio": Level.OK}, "again", "crisis"))
    found = compare(past)
    assert found.then.regime_changes == ()
    assert [(m.time, m.old, m.new) for m in found.again.regime_changes] == [
        (START + QUARTER, "calm", "crisis"),
        (START + 2 * QUARTER, "crisis", "calm"),
    ]
    assert found.differing == 1


def test_what_could_not_be_read_is_counted_and_not_called_different() -> None:
    past = moments("OO", "OO")
    unknown = Outcome(Level.UNKNOWN, {"vega portfolio": Level.UNKNOWN}, "", "again")
    past[1] = replace(past[1], again=unknown, problem="the moment is damaged.")
    found = compare(past)
    assert (found.differing, found.unreadable, found.again.unknown) == (0, 1, 1)
    assert replay_words.exit_code(found) == 3
    assert "    Mon 16 Nov 2026 10:15:00: the moment is damaged." in replay_words.sentences(found)


def test_exit_codes() -> None:
    found = {name: compare(moments(*both)) for name, both in {"same": ("OB", "OB"), "other": ("OB", "OW")}.items()}
    assert replay_words.exit_code(found["same"]) == 0
    assert replay_words.exit_code(found["other"]) == 1
    assert replay_words.exit_code(compare([])) == 3
    assert "nothing is known" in replay_words.sentences(compare([]))[0]


def test_the_words_are_worst_first_and_say_what_cannot_be_seen() -> None:
    size = DAY + 8
    then = ("OOOB" + "O" * size)[:size]
    past = [
        replace(
            one,
            again=outcome(
                {"vega portfolio": Level.OK, "gamma portfolio": Level.BREACH if nth == 1 else Level.OK}, "again"
            ),
        )
        for nth, one in enumerate(moments(then, "O" * size))
    ]
    said = replay_words.sentences(compare(past))
    assert said[0].startswith("104 moments from Mon 16 Nov 2026 10:00:00 to Tue 17 Nov 2026 11:45:00 New York")
    assert said[1:5] == [
        "Missed (1): a breach then, and none now.",
        "    Mon 16 Nov 2026 10:45:00 vega, until Mon 16 Nov 2026 10:45:00",
        "False alarms (1): no breach then, and net liquidation fell by less than 1 % in the 24 hours after.",
        "    Mon 16 Nov 2026 10:15:00 gamma: net liquidation fell by 0.00 % in the 24 hours after",
    ]
    assert said[-1] == "The moments are usually 15 min apart, at most 15 min: what was shorter cannot be seen."


@given(st.lists(st.tuples(st.sampled_from("OW?B."), st.sampled_from("OW?B.")), max_size=12))
def test_every_breach_of_either_side_is_accounted_for(pairs: list[tuple[str, str]]) -> None:
    """Each breach then is named once; each now is met by one of then, or is an alarm; like sides are the same."""
    then, again = ("".join(side) for side in zip(*pairs, strict=True)) if pairs else ("", "")
    found = compare(moments(then, again))
    assert sum(b.then is not None for b in found.breaches) == runs(then)
    alarms = [b for b in found.breaches if b.kind in (Kind.NEW, Kind.FALSE)]
    assert len(alarms) <= runs(again)
    assert set(kinds(compare(moments(then, then)))) <= {"same"}
    mirrored = compare(moments(again, then))
    assert sum(b.kind in (Kind.MISSED, Kind.UNKNOWN) for b in mirrored.breaches) == len(alarms)


def runs(levels: str) -> int:
    """Breaches in a row of letters: `?` neither begins nor ends one."""
    known = levels.replace("?", "")
    return sum(one == "B" and (nth == 0 or known[nth - 1] != "B") for nth, one in enumerate(known))


def test_the_document_is_plain_and_the_same_for_the_same_past() -> None:
    past = moments("OBOO", "OOBB", [100.0, 99.0, 100.0 / 3, 30.0])
    once, twice = (json.dumps(replay_words.document(compare(past)), sort_keys=True) for _ in range(2))
    assert once == twice
    assert json.loads(once)["breaches"][1]["fall"] == 0.1  # from 33.33 to 30
    rows = replay_words.table(compare(past))
    assert [row["What"] for row in rows] == ["missed", "new alarm"]
    assert rows[1]["Fall"] == "net liquidation fell by at least 10.00 % in the 24 hours after"

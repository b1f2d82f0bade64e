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
from guardrails.breaches import Breach, Kind
from guardrails.comparison import Comparison, compare
from guardrails.findings import Level, worst
from guardrails.replay import Judged, Outcome
from guardrails.replay_document import document

START = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
"""a Monday, 10:00 in New York"""
QUARTER = timedelta(minutes=15)
TO_CLOSE = 30 * 4
"""quarters of an hour to 16:00 on Tuesday, the close of the next session"""
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
            deposits_known=True,
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
        ("OB?BO", "OBOBO", "same"),  # one breach then, and its second half is no new alarm
        ("OBBBB", "OBOBB", "same"),
        ("OOB", "OOB", "same"),
        ("OOB", "OBB", "earlier"),
        ("BBO", "BBO", "cut by the range"),  # both ran already: who was earlier?
        ("BBO", "OBO", "cut by the range"),
        ("OBO", "BBO", "cut by the range"),
        ("OOB", "OOO", "cut by the range"),  # the next moment may meet it
        ("OOO", "OOB", "cut by the range"),
        ("OO?", "OOB", "cut by the range"),
        ("OOB", "OO?", "not known"),
        ("B", "B", "cut by the range"),
        ("BBO", "OOO", "missed"),  # the worst it can be
        ("OOO", "BBO", "new alarm"),
        ("OBB", "OOO", "missed"),
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
    blind = Judged(START + 2 * QUARTER, outcome({}), outcome({}, "again"), problem="damaged")
    past = moments("OBBB", "OBBB")
    (breach,) = compare([*past[:2], blind, past[3]]).breaches
    assert breach.kind is Kind.SAME
    assert breach.then is not None
    assert breach.then.begin == START + QUARTER
    assert breach.then.end == START + 3 * QUARTER


def test_a_time_in_which_nobody_watched_ends_a_breach() -> None:
    """Over five days; an hour; and 10 minutes among moments a minute apart, where one that is left out is no hole."""
    one, two, three, four = moments("OBBB", "OOBB")
    for hole in (timedelta(days=5), timedelta(hours=1)):
        past = [one, two, replace(three, time=two.time + hole), replace(four, time=two.time + hole + QUARTER)]
        assert kinds(compare(past)) == ["missed", "same"]  # whoever started to watch again saw both sides at once
    for hole, expected in ((10, ["missed", "same"]), (1, ["later"])):
        past = spaced([*range(60), 60 + hole, 61 + hole], "O" * 59 + "BBB", "O" * 60 + "BB")
        assert kinds(compare(past)) == expected


def spaced(minutes: Sequence[float], then: str, again: str) -> list[Judged]:
    past = zip(minutes, moments(then, again), strict=True)
    return [replace(one, time=START + timedelta(minutes=minute)) for minute, one in past]


@pytest.mark.parametrize(
    ("minutes", "unwatched"),
    [
        ([*range(60), 61.5, 62], 0),  # one a minute: 2.5 minutes are no hole
        ([*range(60), 70, 71], 11 - 2.5),
        ([*range(0, 120, 15), *range(120, 150, 2), 165], 0),  # thinned, and two hours later one a minute
        ([*range(0, 120, 15), 105.5, 106, 120, 150], 0),
        ([0, 29, 30], 0),  # nothing is known of what is usual: half an hour
        ([0, 31, 32], 1),
        ([*range(301, 360), 374, 389, 404], 0),  # closed from minute 360 on: one in a quarter of an hour
        ([*range(301, 360), 374, 405], 1),
        ([*range(330, 360), 1404, 1430], 1045 - 30),  # until 9:24 of the next day; the market opens at minute 1410
    ],
)
def test_how_long_a_moment_speaks_follows_the_moments_around_it(minutes: list[float], unwatched: float) -> None:
    found = compare(spaced(minutes, "O" * len(minutes), "O" * len(minutes)))
    assert found.unwatched_seconds == round(unwatched * 60)
    assert sum(found.then.seconds["vega"].values()) == round((minutes[-1] - minutes[0] - unwatched) * 60)


@pytest.mark.parametrize(("low", "kind", "fall"), [(99.5, "false", 0.005), (98.9, "new", 0.011), (99.0, "new", 0.01)])
def test_the_worst_fall_to_the_close_of_the_next_session_tells_a_false_alarm(
    low: float, kind: str, fall: float
) -> None:
    """From 100 at the alarm: 99.5 is 0.5 %, 98.9 is 1.1 %; exactly 1 % is no false alarm."""
    money = [100.0, 100.0, 101.0, low, *[103.0] * (TO_CLOSE - 3)]
    breach = alarm(money)
    assert (breach.kind.value, breach.fall_known) == (f"{kind} alarm", True)
    assert breach.fall == pytest.approx(fall)


def alarm(
    money: Sequence[float | None], flows: Sequence[float] = (), without: Sequence[int] = (), **values: object
) -> Breach:
    """An alarm at the second of these moments, a quarter of an hour apart; those of `without` are left out."""
    size = len(money)
    past = [
        replace(one, **values)  # type: ignore[arg-type]  # fields of Judged
        for nth, one in enumerate(moments("O" * size, "OB" + "O" * (size - 2), money, flows))
        if nth not in without
    ]
    (breach,) = compare(past).breaches
    return breach


def test_a_fall_after_the_close_of_the_next_session_does_not_count() -> None:
    breach = alarm([*[100.0] * (TO_CLOSE + 1), 50.0])
    assert (breach.kind, breach.fall) == (Kind.FALSE, 0.0)


def test_a_fall_on_monday_belongs_to_an_alarm_of_friday_afternoon() -> None:
    """From Friday 15:30 on; the weekend is 65.5 hours long. Monday is seen in full only in the second past."""
    friday = datetime(2026, 11, 13, 20, 30, tzinfo=UTC)
    whole = 4 * 72 + 2  # quarters of an hour to Monday 16:00
    for size, kind, known in ((4 * 66 + 3, Kind.NEW, False), (whole + 1, Kind.FALSE, True)):
        for last, fall in ((70.0, 0.3), (100.0, 0.0)):
            past = moments("O" * size, "OB" + "O" * (size - 2), [100.0] * (size - 1) + [last])
            past = [replace(one, time=friday + nth * QUARTER) for nth, one in enumerate(past)]
            (breach,) = compare(past).breaches
            assert (breach.kind, breach.fall_known) == (Kind.NEW if fall else kind, known)
            assert breach.fall == pytest.approx(fall)


@pytest.mark.parametrize(
    ("holes", "fall", "known"),
    [
        ([1], None, False),  # at the alarm
        ([8], 0.0, False),
        ([TO_CLOSE], 0.0, False),
        ([*range(30, 90)], 0.0, True),  # while the market is closed; the next session shows what became of it
    ],
)
def test_without_the_figures_of_the_sessions_no_alarm_is_called_false(
    holes: list[int], fall: float | None, *, known: bool
) -> None:
    breach = alarm([None if nth in holes else 100.0 for nth in range(TO_CLOSE + 1)])
    assert (breach.kind, breach.fall, breach.fall_known) == (Kind.FALSE if known else Kind.NEW, fall, known)


@pytest.mark.parametrize(
    ("without", "known"),
    [
        ([5], True),  # half an hour
        ([5, 6], False),
        ([23, *range(24, 93)], True),  # from 15:30 on, and all night
        ([*range(22, 93)], False),
        ([*range(25, 96)], True),  # all night and until 10:00
        ([*range(25, 97)], False),
        ([TO_CLOSE], True),  # to 15:45 of the second day
        ([TO_CLOSE - 2, TO_CLOSE - 1, TO_CLOSE], False),
    ],
)
def test_where_nobody_watched_an_open_market_no_alarm_is_called_false(without: list[int], *, known: bool) -> None:
    breach = alarm([100.0] * (TO_CLOSE + 1), without=without)
    assert (breach.kind, breach.fall, breach.fall_known) == (Kind.FALSE if known else Kind.NEW, 0.0, known)


def test_where_deposits_are_not_reported_no_alarm_is_called_false_and_the_words_say_so() -> None:
    breach = alarm([100.0] * (TO_CLOSE + 1), deposits_known=False)
    assert (breach.kind, breach.fall, breach.fall_known, breach.deposits_known) == (Kind.NEW, 0.0, True, False)
    past = [replace(one, deposits_known=False) for one in moments("OOO", "OBO")]
    assert any("; deposits are not known" in line for line in replay_words.sentences(compare(past)))
    assert not any("deposits" in line for line in replay_words.sentences(compare(moments("OOO", "OBO"))))


def test_an_alarm_at_the_first_moment_of_the_range_is_not_called_false() -> None:
    """Net liquidation may have fallen before."""
    size = TO_CLOSE + 1
    assert kinds(compare(moments("O" * size, "B" + "O" * (size - 1)))) == ["new alarm"]


def test_a_deposit_hides_no_loss_and_a_withdrawal_makes_none() -> None:
    """20 paid in and 5 lost, on paper a gain; 20 taken out and nothing lost. The next session counts from nothing."""
    flows = [0.0, 0.0, *[20.0] * 92, *[0.0] * (TO_CLOSE - 93)]  # the next session begins at 9:30, 94 quarters later
    paid = alarm([100.0, 100.0, *[115.0] * (TO_CLOSE - 1)], flows)
    taken = alarm([100.0, 100.0, *[80.0] * (TO_CLOSE - 1)], [-flow for flow in flows])
    assert [round(b.fall or 0.0, 9) for b in (paid, taken)] == [0.05, 0.0]
    assert [b.kind for b in (paid, taken)] == [Kind.NEW, Kind.FALSE]


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
    size = TO_CLOSE + 1
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
    assert said[0].startswith("121 moments from Mon 16 Nov 2026 10:00:00 to Tue 17 Nov 2026 16:00:00 New York")
    assert said[1:5] == [
        "Missed (1): a breach then, and none now.",
        "    Mon 16 Nov 2026 10:45:00 Vega, until Mon 16 Nov 2026 10:45:00",
        "False alarms (1): no breach then, and net liquidation fell by less than 1 % to the close of the next session.",
        "    Mon 16 Nov 2026 10:15:00 Gamma for a 1 % move: "
        "net liquidation fell by 0.00 % to the close of the next session",
    ]
    assert said[-1] == "The moments are usually 15 min apart, at most 15 min: what was shorter cannot be seen."


def test_a_breach_that_the_range_cuts_is_told_without_a_difference_of_time() -> None:
    found = compare(moments("BBO", "BBO"))
    assert "    Mon 16 Nov 2026 10:00:00 Vega, until Mon 16 Nov 2026 10:15:00, and now" in replay_words.sentences(found)
    assert [row["Minutes later"] for row in replay_words.table(found)] == [None]


@given(st.lists(st.tuples(st.sampled_from("OW?B."), st.sampled_from("OW?B.")), max_size=12))
def test_every_breach_of_either_side_is_accounted_for(pairs: list[tuple[str, str]]) -> None:
    """Each breach then is named once; each now is met by one of then, or is an alarm; like sides are the same."""
    then, again = (f"O{''.join(side)}O" for side in zip(*pairs, strict=True)) if pairs else ("", "")
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
    past = moments("OBOOO", "OOBBO", [100.0, 99.0, 100.0 / 3, 30.0, 30.0])
    once, twice = (json.dumps(document(compare(past)), sort_keys=True) for _ in range(2))
    assert once == twice
    assert json.loads(once)["breaches"][1]["fall"] == 0.1  # from 33.33 to 30
    rows = replay_words.table(compare(past))
    assert [row["What"] for row in rows] == ["missed", "new alarm"]
    assert rows[1]["Fall"] == "net liquidation fell by at least 10.00 % to the close of the next session"

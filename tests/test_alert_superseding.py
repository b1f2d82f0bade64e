"""What waits for a channel that is down: the newest word about the same alerts, and nothing milder in its place."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.alerts import message as messages
from guardrails.alerts.lane import Lane
from guardrails.alerts.superseding import supersedes
from guardrails.alerts.values import (
    Alert,
    Delivery,
    DeliveryState,
    Line,
    Message,
    Notice,
    Outcome,
    Problem,
    Reason,
    Receipt,
    Severity,
    State,
)
from guardrails.store.alert_history import DeliveryRow
from pages._deliveries import delivery_table
from tests.books import NOW
from tests.desks import RULES, SENT, Clocks, Memory, Stand, at_desk, cycle, loud
from tests.stored import eventually

FAILED = Receipt(Outcome.FAILED, "503")
ORDER = ("RESOLVED", "WATCH", "UNKNOWN", "BREACH", "CRITICAL")
"""from the mildest word to the loudest"""


def line(identity: str, word: str) -> Line:
    over = word == "RESOLVED"
    severity, state = (Severity.BREACH, State.RESOLVED) if over else (Severity(word), State.FIRED)
    return Line(severity, state, identity, "", "", NOW, "", "", "", identity)


def said(minutes: float, key: str = "", hidden: tuple[str, ...] = (), **words: str) -> Delivery:
    """A message made so long after NOW that says of each alert, in order, the word that is given; `hidden` it names."""
    lines = tuple(line(identity, word) for identity, word in words.items())
    time, over = NOW + timedelta(minutes=minutes), all(one.state is State.RESOLVED for one in lines)
    severity = max((one.severity for one in lines), key=lambda one: one.rank, default=Severity.WATCH)
    message = Message(key or f"m{minutes:g}", time, severity, over, "", lines, len(hidden), "")
    return Delivery(message.key, "slack", message, (*words, *hidden), created=time, changed=time)


def names(found: list[Delivery]) -> list[str]:
    return [one.key for one in found]


# --- the rule


@pytest.mark.parametrize("older", ORDER)
@pytest.mark.parametrize("newer", ORDER)
def test_a_newer_word_about_the_same_alert_stands_for_an_older_one_unless_it_is_milder(newer: str, older: str) -> None:
    assert supersedes(said(5, A=newer), said(0, A=older)) is (ORDER.index(newer) >= ORDER.index(older))


@pytest.mark.parametrize(
    ("newer", "older", "stands"),
    [
        ({"A": "BREACH", "B": "BREACH"}, {"A": "BREACH"}, True),
        ({"A": "BREACH"}, {"A": "BREACH", "B": "BREACH"}, False),
        ({"A": "CRITICAL"}, {"A": "WATCH", "B": "WATCH"}, False),
        ({"A": "BREACH", "B": "RESOLVED"}, {"A": "BREACH", "B": "BREACH"}, False),
        ({"A": "BREACH", "B": "BREACH"}, {"A": "BREACH", "B": "RESOLVED"}, True),
        ({"A": "BREACH", "B": "CRITICAL"}, {"A": "CRITICAL", "B": "BREACH"}, False),
        ({"A": "BREACH"}, {"B": "BREACH"}, False),
    ],
)
def test_of_several_alerts_each_must_be_told_and_none_milder(
    newer: dict[str, str], older: dict[str, str], *, stands: bool
) -> None:
    assert supersedes(said(5, **newer), said(0, **older)) is stands


def test_an_alert_that_is_only_counted_among_more_does_not_stand_for_one_that_was_shown() -> None:
    many = said(5, hidden=("A",), B="BREACH")
    assert not supersedes(many, said(0, A="BREACH", B="BREACH"))
    assert supersedes(many, said(0, hidden=("A",), B="BREACH"))
    assert not supersedes(many, said(0, hidden=("C",), B="BREACH"))


def test_what_is_older_or_was_said_at_the_same_moment_stands_for_nothing() -> None:
    for minutes in (0.0, -5.0):
        assert not supersedes(said(minutes, A="CRITICAL"), said(0, A="WATCH"))


def test_what_a_person_has_sent_again_counts_as_said_then() -> None:
    """Given up at 0, sent again at 30: what was said at 10 does not stand for it, and it stands for nothing itself."""
    again = replace(said(0, A="BREACH"), created=NOW + timedelta(minutes=30))
    assert not supersedes(said(10, A="BREACH"), again)
    assert not supersedes(again, said(10, A="BREACH"))
    assert supersedes(said(40, A="BREACH"), again)


def test_a_test_and_a_message_that_names_no_alert_stand_apart() -> None:
    """One that could not be put in words has no lines, lines of an earlier version name no alert."""
    tests = [Delivery(key, "slack", messages.test_message(key, NOW + timedelta(seconds=n), ""), (), created=NOW)
             for n, key in enumerate("ab")]  # fmt: skip
    assert not supersedes(tests[1], tests[0])
    assert not supersedes(said(5, A="BREACH"), tests[0])
    bare = replace(said(0), alerts=("A",))
    assert not supersedes(said(5, A="BREACH"), bare)
    assert not supersedes(replace(bare, message=replace(bare.message, time=NOW + timedelta(1))), said(0, A="BREACH"))
    old, new = (
        replace(one, message=replace(one.message, lines=tuple(replace(line, alert="") for line in one.message.lines)))
        for one in (said(0, A="BREACH"), said(5, A="BREACH"))
    )
    assert not supersedes(new, old)


def test_the_words_of_a_message_say_which_alert_they_tell_of() -> None:
    problem = Problem("short_vega", "account:IBKR •••4567", Severity.BREACH, "Short vega is over.")
    alert = Alert(problem, Severity.BREACH, 0, NOW, NOW, fired=NOW)

    def made(minutes: float, reason: Reason) -> Delivery:
        now = NOW + timedelta(minutes=minutes)
        message = messages.message_of([Notice(alert, reason, ("slack",))], f"m{minutes}", now, "", demo=False)
        return Delivery(message.key, "slack", message, (alert.identity,), created=now)

    first, repeat, over = made(0, Reason.FIRST), made(30, Reason.REPEAT), made(60, Reason.RESOLVED)
    assert supersedes(repeat, first)
    assert not supersedes(over, repeat)
    assert supersedes(made(90, Reason.FIRST), over)


# --- the lane


def lane(*deliveries: Delivery) -> tuple[Lane, list[Delivery]]:
    made = Lane(Stand())
    return made, [after for one in deliveries for after in made.put(one, None, NOW, 0.0)]


def emptied(made: Lane) -> list[str]:
    """What is sent, in order, once the channel works again."""
    order = []
    while (waiting := made.take(1e9)) is not None:
        order.append(waiting.delivery.key)
        made.finish(SENT, NOW, 1e9, 0.5, keep=False)
    return order


def test_of_a_night_of_repeats_the_last_is_sent_and_then_that_it_is_over() -> None:
    made, ended = lane(*(said(30 * n, A="BREACH") for n in range(60)), said(1800, A="RESOLVED"))
    assert [one.state for one in ended] == [DeliveryState.SUPERSEDED] * 59
    assert {one.detail for one in ended} == {"a newer message tells of the same"}
    row = made.row(NOW, 0.0)
    assert (row.waiting, row.superseded, row.dead, row.failures) == (2, 59, 0, 0)
    assert emptied(made) == ["m1770", "m1800"]


def test_of_a_night_of_flaps_the_last_one_is_sent() -> None:
    flaps = [one for n in range(30) for one in (said(20 * n, A="CRITICAL"), said(20 * n + 10, A="RESOLVED"))]
    made, _ = lane(*flaps)
    assert emptied(made) == ["m580", "m590"]


def test_what_eased_is_told_from_the_loudest_word_down() -> None:
    made, _ = lane(*(said(n, A=word) for n, word in enumerate(reversed(ORDER))))
    assert emptied(made) == ["m0", "m1", "m2", "m3", "m4"]
    made, ended = lane(*(said(n, A=word) for n, word in enumerate(ORDER)))
    assert names(ended) == ["m0", "m1", "m2", "m3"]
    assert emptied(made) == ["m4"]


def test_what_failed_gives_way_and_keeps_what_was_answered() -> None:
    made, _ = lane(said(0, A="BREACH"))
    made.take(0.0)
    made.finish(FAILED, NOW, 0.0, 0.5, keep=False)
    (ended,) = made.put(said(30, A="BREACH"), None, NOW, 1.0)
    assert (ended.key, ended.attempts, ended.due) == ("m0", 1, None)
    assert ended.detail == "a newer message tells of the same; before: 503"


def test_what_is_in_hand_is_sent_or_gives_way_when_that_fails() -> None:
    for receipt, state in [(SENT, DeliveryState.SENT), (FAILED, DeliveryState.SUPERSEDED)]:
        made, _ = lane(said(0, A="BREACH"))
        made.take(0.0)
        assert made.put(said(30, A="BREACH"), None, NOW, 0.0) == []
        after = made.finish(receipt, NOW, 0.0, 0.5, keep=True)
        assert after is not None
        assert (after.key, after.state) == ("m0", state)
        assert emptied(made) == ["m30"]
    assert made.row(NOW, 0.0).failures == 1


def test_what_an_earlier_run_has_left_gives_way_to_what_waits_or_is_in_hand() -> None:
    made, _ = lane(said(30, A="BREACH"))
    assert names(made.put(said(0, A="BREACH"), None, NOW, 0.0)) == ["m0"]
    made.take(0.0)
    assert names(made.put(said(10, A="BREACH"), None, NOW, 0.0)) == ["m10"]
    made.forget()  # what is in hand belongs to another program now, so it stands for nothing here
    assert made.put(said(20, A="BREACH"), None, NOW, 0.0) == []


def test_what_gave_way_is_not_put_again_unless_all_was_forgotten() -> None:
    made, (ended,) = lane(said(0, A="BREACH"), said(30, A="BREACH"))
    assert emptied(made) == ["m30"]
    assert made.put(said(0, A="BREACH"), None, NOW, 0.0) == [ended]
    made.forget()
    assert made.put(said(0, A="BREACH"), None, NOW, 0.0) == []
    assert emptied(made) == ["m0"]


def test_what_gave_way_and_was_taken_late_was_sent() -> None:
    made, _ = lane(said(0, A="BREACH"), said(30, A="BREACH"))
    late = made.late("m0", Receipt(Outcome.SENT, "ok"), NOW)
    assert late is not None
    assert late.state is DeliveryState.SENT
    assert made.late("m0", Receipt(Outcome.SENT, "ok"), NOW) is None
    assert made.row(NOW, 0.0).waiting == 1


@given(st.lists(st.dictionaries(st.sampled_from("ABC"), st.sampled_from(ORDER), min_size=1), max_size=25))
def test_whatever_is_said_every_alert_is_told_its_loudest_word_and_its_last(told: list[dict[str, str]]) -> None:
    """Of each alert: nothing that was said is without a message at least as loud at that time or later."""
    made, ended = lane(*(said(n, **words) for n, words in enumerate(told)))
    left = [int(key[1:]) for key in emptied(made)]
    assert sorted([*left, *(int(one.key[1:]) for one in ended)]) == list(range(len(told)))
    for n, words in enumerate(told):
        for name, word in words.items():
            assert any(m >= n and ORDER.index(told[m].get(name, "RESOLVED")) >= ORDER.index(word) and name in told[m]
                       for m in left)  # fmt: skip
    assert not told or len(told) - 1 in left


def test_the_page_says_of_a_delivery_what_came_of_it() -> None:
    one = said(0, A="BREACH")
    rows = [DeliveryRow(one.key, "slack", state, 0, NOW, NOW, None, "", one.alerts, one.message)
            for state in DeliveryState]  # fmt: skip
    assert list(delivery_table(rows)["State"]) == [
        "… waiting", "◐ failed, tried again", "✓ sent", "✖ given up", "↷ superseded by a newer one"
    ]  # fmt: skip


# --- from the finding to the channel


def test_a_channel_that_was_down_for_a_night_brings_each_alert_once_and_that_it_is_over() -> None:
    works, took = threading.Event(), list[str]()

    def answer(message: Message) -> Receipt:
        if not works.is_set():
            return FAILED
        took.append(message.title)
        return SENT

    slack, mail, clocks, store = Stand(answer=answer), Stand("email", "e-mail"), Clocks(), Memory()

    def of(titles: list[str]) -> list[str]:
        return [title for title in titles if "Expiry of shorts" in title]

    def stored(state: DeliveryState) -> int:
        return sum(one.state is state and "Expiry of shorts" in one.message.title for one in store.deliveries)

    with at_desk(slack, mail, clocks=clocks, store=store) as desk:
        for told in range(12):  # a CRITICAL is repeated every quarter of an hour while nobody acknowledges it
            desk.see(cycle(loud()), RULES)
            assert eventually(lambda told=told: len(of(mail.titles)) == told + 1)  # type: ignore[misc]  # bound
            clocks.now += timedelta(minutes=16)
        assert eventually(lambda: stored(DeliveryState.SUPERSEDED) == 11)
        desk.see(cycle(), RULES)
        clocks.now += timedelta(minutes=16)
        desk.see(cycle(), RULES)
        assert eventually(lambda: len(of(mail.titles)) == 13)
        works.set()
        assert eventually(lambda: not desk.now.channels[0].waiting and len(of(took)) == 2)
        assert [title.partition(":")[0] for title in of(took)] == ["CRITICAL", "RESOLVED"]
        assert desk.now.channels[0].dead == 0
        assert eventually(lambda: len(store.open_alerts((), "").deliveries) == 0)

"""What becomes of a delivery after one attempt: every wait is worked by hand from 2 s doubling to 5 min."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.alerts.retries import next_try, pause_seconds
from guardrails.alerts.values import Delivery, DeliveryState, Message, Outcome, Receipt, Severity

NOW = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
MESSAGE = Message("m", NOW, Severity.WATCH, resolved=False, title="WATCH: Vega", lines=(), more=0, link="")
DELIVERY = Delivery("m:slack", "slack", MESSAGE, ("vega portfolio",), created=NOW)
FAILED = Receipt(Outcome.FAILED, "Slack answers 503")


def waited(delivery: Delivery) -> float:
    assert delivery.due is not None
    return (delivery.due - NOW).total_seconds()


def test_what_was_sent_is_done_and_keeps_the_words_of_the_other_side() -> None:
    after = next_try(DELIVERY, Receipt(Outcome.SENT, "ok"), NOW, 0.5)
    assert after == replace(DELIVERY, state=DeliveryState.SENT, attempts=1, detail="ok", changed=NOW)


REFUSED = Receipt(Outcome.REFUSED, "no_service")


def test_what_was_refused_is_given_up_at_once() -> None:
    after = next_try(DELIVERY, REFUSED, NOW, 0.5)
    assert after == replace(DELIVERY, state=DeliveryState.DEAD, attempts=1, detail="no_service", changed=NOW)


@pytest.mark.parametrize("jitter", [0.0, 0.99])
def test_what_was_refused_but_is_critical_and_open_is_tried_again_after_the_longest_pause(jitter: float) -> None:
    after = next_try(DELIVERY, REFUSED, NOW, jitter, keep=True)
    assert (after.state, after.attempts, after.detail) == (DeliveryState.FAILED, 1, "no_service")
    assert waited(after) == 300.0
    test = replace(DELIVERY, message=replace(MESSAGE, test=True))
    assert next_try(test, REFUSED, NOW, jitter, keep=True).state is DeliveryState.DEAD


@pytest.mark.parametrize(
    ("attempts", "ceiling"),
    [(0, 2), (1, 4), (2, 8), (3, 16), (4, 32), (5, 64), (6, 128), (7, 256), (8, 300), (9, 300), (98, 300)],
)
def test_the_ceiling_doubles_from_two_seconds_to_five_minutes(attempts: int, ceiling: float) -> None:
    tried = replace(DELIVERY, attempts=attempts)
    half = next_try(tried, FAILED, NOW, 0.5)
    assert (half.state, half.attempts, half.detail) == (DeliveryState.FAILED, attempts + 1, "Slack answers 503")
    assert waited(half) == ceiling / 2
    assert waited(next_try(tried, FAILED, NOW, 0.0)) == 0.0


def test_a_channel_that_has_failed_often_waits_longer_also_for_a_new_delivery() -> None:
    assert waited(next_try(DELIVERY, FAILED, NOW, 0.5, failures=4)) == 16.0
    assert waited(next_try(replace(DELIVERY, attempts=6), FAILED, NOW, 0.5, failures=4)) == 64.0


@pytest.mark.parametrize(
    ("asked", "least"),
    [(None, 1.0), (0.0, 1.0), (0.9, 1.0), (30.0, 30.0), (899.0, 899.0), (901.0, 900.0), (1e12, 900.0),
     (math.inf, 900.0), (math.nan, 1.0), (-5.0, 1.0)],
)  # fmt: skip
def test_retry_after_is_a_least_up_to_a_quarter_of_an_hour(asked: float | None, least: float) -> None:
    assert waited(next_try(DELIVERY, replace(FAILED, retry_after_seconds=asked), NOW, 0.5)) == least


@pytest.mark.parametrize(
    ("attempts", "hours", "dead"),
    [(9_999, 0.0, False), (5, 23.99, False), (5, 24.0, True), (0, -3.0, False)],
)
def test_it_is_given_up_after_a_day_however_often_it_was_tried(attempts: int, hours: float, *, dead: bool) -> None:
    delivery = replace(DELIVERY, attempts=attempts, created=NOW - timedelta(hours=hours))
    after = next_try(delivery, FAILED, NOW, 0.5)
    assert (after.state is DeliveryState.DEAD) is dead
    assert (after.due is None) is dead
    kept = next_try(delivery, FAILED, NOW, 0.5, keep=True)
    assert kept.state is DeliveryState.FAILED


def test_a_delivery_that_is_given_up_says_after_how_much() -> None:
    delivery = replace(DELIVERY, attempts=41, created=NOW - timedelta(hours=25, minutes=30))
    assert next_try(delivery, FAILED, NOW, 0.5).detail == "Slack answers 503; given up after 42 attempts in 25.5 h"


def test_a_test_message_is_tried_once() -> None:
    test = replace(DELIVERY, message=replace(MESSAGE, test=True))
    assert next_try(test, FAILED, NOW, 0.5).state is DeliveryState.DEAD


@given(
    st.integers(-5, 10**9),
    st.one_of(st.none(), st.floats()),
    st.floats(0.0, 1.0, exclude_max=True),
)
def test_a_pause_is_never_negative_nor_longer_than_a_quarter_of_an_hour(
    failures: int, asked: float | None, jitter: float
) -> None:
    assert 0.0 <= pause_seconds(failures, asked, jitter) <= 900.0


@pytest.mark.parametrize("seed", range(20))
def test_failing_for_ever_ends_after_a_day_and_not_before(seed: int) -> None:
    """The longest pause beyond the day is five minutes."""
    delivery, now, failures, dice = DELIVERY, NOW, 0, Random(seed)  # noqa: S311  # draws of a test, the same each time
    while delivery.state is not DeliveryState.DEAD:
        now = delivery.due or now
        delivery, failures = next_try(delivery, FAILED, now, dice.random(), failures=failures), failures + 1
    assert timedelta(hours=24) <= now - NOW <= timedelta(hours=24, minutes=5)


def test_what_does_not_say_when_it_was_made_is_given_up_a_day_after_its_message() -> None:
    old = replace(DELIVERY, created=None)
    assert next_try(old, FAILED, NOW + timedelta(hours=23), 0.5).state is DeliveryState.FAILED
    assert next_try(old, FAILED, NOW + timedelta(hours=24), 0.5).state is DeliveryState.DEAD

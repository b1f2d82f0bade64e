"""The log as a channel: one record for each alert, loud for what is broken, with figures for a structured log."""

from __future__ import annotations

import logging

import pytest

from adapters.channels.log import LogChannel
from guardrails.alerts.message import message_of
from guardrails.alerts.message import test_message as a_test
from guardrails.alerts.values import Outcome, Reason, Severity
from tests.channels import LINK, NOW, notice


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "guardrails.alerts")
    return caplog


def test_each_alert_is_one_record(log: pytest.LogCaptureFixture) -> None:
    group = [notice(), notice(check="gamma", subject="portfolio", severity=Severity.WATCH)]
    assert LogChannel().send(message_of(group, "k1", NOW, LINK, demo=False)).outcome is Outcome.SENT
    loud, quiet = log.records
    assert loud.getMessage() == (
        "[!] BREACH  Margin cushion, IBKR •••4567: 14 %, limit 20 %, since 15:27:05 ET (4 min), first notice"
    )
    told = loud.__dict__
    assert {key: told[key] for key in ("alert", "severity", "state", "figures", "since", "reason", "message_key")} == {
        "alert": "Margin cushion, IBKR •••4567",
        "severity": "BREACH",
        "state": "fired",
        "figures": "14 %, limit 20 %",
        "since": "2026-11-18T20:27:05+00:00",
        "reason": "first notice",
        "message_key": "k1",
    }
    assert (loud.levelno, quiet.levelno, loud.name) == (logging.CRITICAL, logging.WARNING, "guardrails.alerts")


@pytest.mark.parametrize(
    ("severity", "reason", "level"),
    [
        (Severity.CRITICAL, Reason.FIRST, logging.CRITICAL),
        (Severity.BREACH, Reason.REPEAT, logging.CRITICAL),
        (Severity.UNKNOWN, Reason.FIRST, logging.WARNING),
        (Severity.WATCH, Reason.FIRST, logging.WARNING),
        (Severity.CRITICAL, Reason.RESOLVED, logging.WARNING),
    ],
)
def test_what_is_broken_is_loud(log: pytest.LogCaptureFixture, severity: Severity, reason: Reason, level: int) -> None:
    LogChannel().send(message_of([notice(reason, severity=severity)], "k", NOW, LINK, demo=False))
    assert [record.levelno for record in log.records] == [level]


def test_the_demo_a_test_and_what_is_not_listed_are_said(log: pytest.LogCaptureFixture) -> None:
    group = [notice(check=f"c{n:02}", severity=Severity.WATCH) for n in range(23)]
    LogChannel().send(message_of(group, "k", NOW, LINK, demo=True))
    assert len(log.records) == 21
    assert all(record.getMessage().startswith("DEMO: ") for record in log.records)
    assert log.records[-1].getMessage().endswith("(and 3 alerts that are not listed)")
    log.clear()
    LogChannel().send(a_test("k", NOW, LINK))
    assert [record.getMessage() for record in log.records] == ["TEST: Portfolio Guardrails reaches you here"]


def test_a_text_with_a_percent_sign_or_a_line_end_is_one_line(log: pytest.LogCaptureFixture) -> None:
    LogChannel().send(message_of([notice(subject="underlying:%s\n%d")], "k", NOW, LINK, demo=False))
    assert "\n" not in log.records[0].getMessage()
    assert "%s %d" in log.records[0].getMessage()

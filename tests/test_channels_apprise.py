"""The real apprise against servers on loopback; what ALERT_URLS may look like; which channels the settings open."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.channels import check_channels, open_channels
from adapters.channels.apprise_urls import AppriseChannel, Entry, entries, scrubbed, secrets_of
from guardrails.alerts.message import message_of
from guardrails.alerts.message import test_message as a_test
from guardrails.alerts.values import Message, Outcome, Reason, Severity
from guardrails.settings import Settings
from tests.channels import LINK, NOW, PASSWORD, SECRET, Reply, Web, free_port, notice


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        yield server


def opened(url: str, seconds: float = 20.0) -> AppriseChannel:
    [entry] = entries(url)
    return AppriseChannel(entry, seconds)


def breach(**more: Any) -> Message:
    return message_of([notice(**more)], "k1", NOW, LINK, demo=False)


def test_json_gets_title_text_and_how_bad(web: Web) -> None:
    channel = opened(f"json://127.0.0.1:{web.port}/{SECRET}")
    assert (channel.name, channel.kind, channel.problem) == ("json", "JSON", "")
    receipt = channel.send(breach())
    assert (receipt.outcome, receipt.detail) == (Outcome.SENT, "JSON took it")
    told = web.requests[0].json
    assert told["title"] == "BREACH: Margin cushion, IBKR •••4567: 14 %, limit 20 %"
    assert told["type"] == "failure"
    assert told["message"].startswith("[!] BREACH  Margin cushion, IBKR •••4567\n")
    assert "Next: Close 1 of SPXW 18Dec26 5700P (frees $9,800)." in told["message"]
    assert "Alerts page: http://127.0.0.1:8501/alerts" in told["message"]


def test_every_severity_has_its_urgency(web: Web) -> None:
    channel = opened(f"json://127.0.0.1:{web.port}")
    for severity in Severity:
        channel.send(breach(severity=severity))
    channel.send(message_of([notice(Reason.RESOLVED)], "k", NOW, LINK, demo=False))
    channel.send(a_test("k", NOW, LINK))
    told = [said.json["type"] for said in web.requests]
    assert told == ["warning", "warning", "failure", "failure", "success", "info"]


def test_ntfy_gets_it_with_its_password(web: Web) -> None:
    receipt = opened(f"ntfy://ann:{PASSWORD}@127.0.0.1:{web.port}/alerts").send(breach())
    assert receipt.outcome is Outcome.SENT
    assert b"BREACH: Margin cushion" in web.requests[0].body
    assert web.requests[0].headers["authorization"].startswith("Basic ")


def test_what_is_longer_than_the_service_takes_comes_in_parts(web: Web) -> None:
    """This one takes 32,768 characters; left alone, apprise would send all at once, and it would be refused."""
    group = [notice(check=f"check_{n:04}", severity=Severity.CRITICAL) for n in range(1000)]
    message = message_of(group, "k", NOW, LINK, demo=False)
    assert opened(f"json://127.0.0.1:{web.port}").send(message).outcome is Outcome.SENT
    parts = [said.json["message"] for said in web.requests]
    assert 1 < len(parts) <= 4
    assert [n for n in range(1000) if not any(f"Check {n:04}" in part for part in parts)] == []


@pytest.mark.parametrize(
    "reply",
    [Reply(500, b"broken"), Reply(404), Reply(301, b"", {"Location": "/elsewhere"}), Reply(manner="reset")],
)
def test_a_refusal_is_told_in_apprises_words_without_the_address(
    web: Web, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    web.replies.append(reply)
    receipt = opened(f"json://ann:{PASSWORD}@127.0.0.1:{web.port}/{SECRET}?+X-Key={SECRET}9").send(breach())
    assert receipt.outcome is Outcome.FAILED
    assert receipt.detail.startswith("JSON did not take it: ")
    assert receipt.detail != "JSON did not take it: no reason given"
    for secret in (PASSWORD, SECRET, "ann:"):
        assert secret not in receipt.detail + caplog.text
    assert len(web.requests) == 1, "a redirected POST would count as taken"


def test_nobody_there_and_one_that_hangs(web: Web) -> None:
    nobody = opened(f"json://127.0.0.1:{free_port()}/{SECRET}").send(breach())
    assert nobody.outcome is Outcome.FAILED
    assert nobody.detail == "JSON did not take it: A Connection error occurred sending JSON notification to •••."
    web.replies.append(Reply(manner="drip_head"))
    slow = opened(f"json://127.0.0.1:{web.port}/{SECRET}", 0.4).send(breach())
    assert (slow.outcome, slow.detail) == (Outcome.FAILED, "JSON: no answer within 0.4 s")


@pytest.mark.parametrize(
    "url",
    [
        f"nosuch://{SECRET}/x",
        f"tgram://{SECRET}",
        f"mailto://{SECRET}",
    ],
)
def test_a_url_that_cannot_be_used_is_a_problem_that_does_not_repeat_it(
    url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    channel = opened(f"desk={url}")
    scheme = url.partition(":")[0]
    assert channel.problem == f"the URL of desk ({scheme}) in ALERT_URLS is not one that apprise can use"
    assert channel.send(breach()).outcome is Outcome.REFUSED
    assert SECRET not in channel.problem + caplog.text + str(capfd.readouterr())


def test_without_the_package_the_channel_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    channel = opened(f"phone=ntfy://{SECRET}")
    assert channel.problem.endswith("pip install 'portfolio-guardrails[apprise]'")
    assert channel.send(breach()).detail == channel.problem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ntfy://a", [("ntfy", "ntfy://a")]),
        (" ntfy://a , json://b,\n", [("ntfy", "ntfy://a"), ("json", "json://b")]),
        ("Phone=ntfy://a\tdesk-2=json://b", [("phone", "ntfy://a"), ("desk-2", "json://b")]),
        ("mailtos://u:p@h?to=a,b,ntfy://c", [("mailtos", "mailtos://u:p@h?to=a,b"), ("ntfy", "ntfy://c")]),
        ("json://h/?x=a://b", [("json", "json://h/?x=a://b")]),
        ("ntfys://a,phone=tgram://t/c", [("ntfys", "ntfys://a"), ("phone", "tgram://t/c")]),
        ("", []),
        (" , ", []),
    ],
)
def test_the_list_is_read(text: str, told: list[tuple[str, str]]) -> None:
    assert [(entry.name, entry.url.get_secret_value()) for entry in entries(text)] == told


def test_what_is_no_url_is_told_by_its_place() -> None:
    told = list(entries(f"ntfy://a, {SECRET} =json://b"))
    assert [entry.problem for entry in told] == [
        "",
        "entry 2 of ALERT_URLS is not a URL: write scheme://... or name=scheme://...",
        "entry 3 of ALERT_URLS is not a URL: write scheme://... or name=scheme://...",
    ]
    assert SECRET not in str(told)


def test_every_part_of_a_url_is_a_secret_however_it_is_written() -> None:
    secrets = secrets_of("tgram://12345:AbC%2Fdef/chat/?key=s%20x9")
    text = "bot 12345:AbC/def chat AbC%2Fdef CHAT s x9 s%20x9 by"
    told = scrubbed(text, secrets)
    for secret in ("12345", "AbC", "def", "chat", "CHAT", "x9"):
        assert secret not in told
    assert told.endswith(" by")


# --- which channels there are ---


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[call-arg]  # pydantic-settings takes it


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def names(**given: Any) -> list[tuple[str, str]]:
    return [(channel.name, channel.problem) for channel in open_channels(settings(**given))]


def test_without_settings_there_is_the_log() -> None:
    assert names() == [("log", "")]
    assert names(slack_webhook_url=" ", alert_urls="", smtp_password=None) == [("log", "")]


def test_everything_configured_is_opened_under_its_own_name() -> None:
    given = {
        "slack_webhook_url": f"https://hooks.example.com/{SECRET}",
        "smtp_host": "mail.example.com",
        "smtp_user": "ann@example.com",
        "smtp_password": PASSWORD,
        "alert_email_to": "ann@example.com, bob@example.com",
        "alert_urls": "ntfy://a, ntfy://b, slack=json://c, log=json://d",
    }
    assert names(**given) == [(n, "") for n in ("log", "slack", "email", "ntfy", "ntfy-2", "slack-2", "log-2")]


@pytest.mark.parametrize(
    ("given", "name", "problem"),
    [
        ({"smtp_host": "mail.example.com"}, "email", "ALERT_EMAIL_TO is not set"),
        ({"alert_email_to": "ann@example.com"}, "email", "SMTP_HOST is not set"),
        ({"slack_webhook_url": SECRET}, "slack", "SLACK_WEBHOOK_URL is not an address"),
        ({"alert_urls": SECRET}, "url-1", "entry 1 of ALERT_URLS"),
    ],
)
def test_what_is_half_configured_is_a_channel_with_a_problem(given: dict[str, Any], name: str, problem: str) -> None:
    told = names(**given)
    assert told[1][0] == name
    assert told[1][1].startswith(problem)
    found = {line[0]: line for line in check_channels(settings(**given))}
    assert found[f"alerts to {name}"][1] is False
    assert SECRET not in str(found) + str(told)


def test_the_doctor_hears_what_is_ready_and_what_is_missing() -> None:
    bare = check_channels(settings())
    assert [(name, works) for name, works, _ in bare] == [("alerts to log", True), ("heartbeat", True)]
    assert "SLACK_WEBHOOK_URL" in bare[0][2]
    assert "HEARTBEAT_URL is not set" in bare[1][2]
    full = check_channels(
        settings(slack_webhook_url=f"https://h/{SECRET}", heartbeat_url=f"https://hc.example/{SECRET}")
    )
    assert full == [
        ("alerts to log", True, "ready"),
        ("alerts to slack", True, "Slack, complete; `guardrails alerts test` sends one to see whether it arrives"),
        ("heartbeat", True, "hc.example is pinged once a minute while all is well"),
    ]
    assert check_channels(settings(heartbeat_url=SECRET))[-1][1] is False


def test_an_entry_does_not_show_its_url() -> None:
    assert SECRET not in repr(Entry("a", "json", SecretStr(f"json://{SECRET}")))

"""Slack as a server on loopback sees it, what is made of every answer, and the heartbeat, which asks alike."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.channels.heartbeat import ping
from adapters.channels.slack import SlackChannel, escaped
from adapters.channels.web import retry_after
from guardrails.alerts.message import message_of
from guardrails.alerts.message import test_message as a_test
from guardrails.alerts.values import Outcome, Reason, Receipt, Severity
from tests.channels import LINK, NOW, SECRET, Reply, Web, certificate, free_port, notice
from tests.stored import eventually

HOOK = f"/services/{SECRET}"
PAGE = "answered 200 with a page, not with ok: a login page or proxy in between?"


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        yield server


def channel(web: Web, seconds: float = 20.0) -> SlackChannel:
    return SlackChannel(SecretStr(web.url(HOOK)), seconds)


def breach(*more: Any) -> Any:
    return message_of([notice(), *more], "k1", NOW, LINK, demo=False)


def test_a_breach_arrives_as_blocks_and_as_text(web: Web) -> None:
    receipt = channel(web).send(breach())
    assert (receipt.outcome, receipt.detail) == (Outcome.SENT, "127.0.0.1 answered 200: ok")
    [said] = web.requests
    assert (said.method, said.path) == ("POST", HOOK)
    header, section, context = said.json["blocks"]
    title = "BREACH: Margin cushion, IBKR •••4567: 14 %, limit 20 %"
    assert header == {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}}
    assert section["text"]["text"] == (
        "*[!] BREACH*  *Margin cushion, IBKR •••4567*\n"
        "Margin cushion, IBKR •••4567: 14 % (look-ahead, excess $35,100), at least 20 %.\n"
        "since 15:27:05 ET (4 min) · data 3 s old\n"
        "Next: Close 1 of SPXW 18Dec26 5700P (frees $9,800).\n"
        "Why now: first notice"
    )
    assert context["elements"][0]["text"] == (
        "<http://127.0.0.1:8501/alerts|Alerts page> · said Wed 18 Nov 2026 15:31:05 ET"
    )
    for words in ("BREACH: Margin cushion", "14 %, limit 20 %", "Alerts page: http://127.0.0.1:8501/alerts"):
        assert words in said.json["text"], "services that imitate the webhook show only this"


def test_a_test_arrives(web: Web) -> None:
    assert channel(web).send(a_test("k", NOW, LINK)).outcome is Outcome.SENT
    assert web.requests[0].json["blocks"][0]["text"]["text"] == "TEST: Portfolio Guardrails reaches you here"


def test_nothing_in_a_text_is_a_mention_or_a_link(web: Web) -> None:
    channel(web).send(breach(notice(check="gamma", message="<!channel> a & b <http://x|y>")))
    told = web.requests[0].json
    assert "&lt;!channel&gt; a &amp; b &lt;http://x|y&gt;" in told["blocks"][1]["text"]["text"]
    assert "<!" not in told["text"]


def test_an_escape_is_never_cut_in_two() -> None:
    assert escaped("a&&&", 12) == "a&amp;&amp;…"
    assert escaped("a&&&", 17) == "a&amp;&amp;&amp;"
    assert all(len(escaped("&<>" * 50, most)) <= most for most in range(1, 200))


def critical(count: int) -> Any:
    group = [
        notice(check=f"check_{n:04}", severity=Severity.CRITICAL, message="long <words> " * 60) for n in range(count)
    ]
    return message_of(group, "k2", NOW, LINK, demo=False)


def test_what_slack_does_not_take_at_once_comes_in_several_posts(web: Web) -> None:
    assert channel(web).send(critical(1000)).outcome is Outcome.SENT
    for said in web.requests:
        blocks = said.json["blocks"]
        assert len(blocks) <= 50
        assert len(blocks[0]["text"]["text"]) <= 150
        assert all(len(block["text"]["text"]) <= 3000 for block in blocks if block["type"] == "section")
        assert sum(len(b["text"]["text"]) for b in blocks if b["type"] == "section") < 11_000
        assert len(said.json["text"]) < 40_000
    told = "".join(str(said.json["blocks"]) for said in web.requests)
    assert [n for n in range(1000) if f"Check {n:04}" not in told] == []
    first, last = web.requests[0].json, web.requests[-1].json
    count = len(web.requests)
    assert first["blocks"][0]["text"]["text"].endswith(f"(and 999 more) (1 of {count})")
    assert last["blocks"][0]["text"]["text"].endswith(f"({count} of {count})")


def test_an_attempt_that_stops_between_two_posts_goes_on_there(web: Web) -> None:
    web.replies.extend([Reply(), Reply(429, b"rate_limited", {"Retry-After": "7"})])
    slack, message = channel(web), critical(200)
    first = slack.send(message)
    assert (first.outcome, first.retry_after_seconds) == (Outcome.FAILED, 7.0)
    assert slack.send(message).outcome is Outcome.SENT
    headers = [said.json["blocks"][0]["text"]["text"].rpartition("(")[2] for said in web.requests]
    count = len(headers) - 1
    assert headers == [f"{n} of {count})" for n in (1, 2, *range(2, count + 1))]


@pytest.mark.parametrize(
    ("reply", "outcome", "detail", "wait"),
    [
        (Reply(200, b"ok"), Outcome.SENT, "127.0.0.1 answered 200: ok", None),
        (Reply(200, b'{"id": 7}'), Outcome.SENT, '127.0.0.1 answered 200: {"id": 7}', None),
        (Reply(204, b""), Outcome.SENT, "127.0.0.1 answered 204", None),
        (Reply(200, b"<html>log in</html>"), Outcome.FAILED, PAGE, None),
        (Reply(200, b" <!doctype html>"), Outcome.FAILED, PAGE, None),
        (Reply(200, b"welcome to the wireless " * 20), Outcome.FAILED, PAGE, None),
        (Reply(429, b"", {"Retry-After": "30"}), Outcome.FAILED, "127.0.0.1 answered 429", 30.0),
        (Reply(429, b"", {"Retry-After": "soon"}), Outcome.FAILED, "127.0.0.1 answered 429", None),
        (Reply(500, b"rollup_error"), Outcome.FAILED, "127.0.0.1 answered 500: rollup_error", None),
        (Reply(503, b"", {"Retry-After": "-5"}), Outcome.FAILED, "127.0.0.1 answered 503", None),
        (Reply(400, b"invalid_payload"), Outcome.REFUSED, "127.0.0.1 answered 400: invalid_payload", None),
        (Reply(403, b"action_prohibited"), Outcome.REFUSED, "127.0.0.1 answered 403: action_prohibited", None),
        (Reply(404, b"no_service"), Outcome.REFUSED, "127.0.0.1 answered 404: no_service", None),
        (Reply(410, b"channel_is_archived"), Outcome.REFUSED, "127.0.0.1 answered 410: channel_is_archived", None),
        (Reply(302, b"", {"Location": "/login"}), Outcome.FAILED, "127.0.0.1 answered 302", None),
        (Reply(407, b"who are you"), Outcome.FAILED, "127.0.0.1 answered 407: who are you", None),
        (Reply(511, b"log in"), Outcome.FAILED, "127.0.0.1 answered 511: log in", None),
        (Reply(500, b"\xff\x00\r\n<b>"), Outcome.FAILED, "127.0.0.1 answered 500: \ufffd <b>", None),
        (Reply(manner="reset"), Outcome.FAILED, "127.0.0.1: the connection was cut", None),
    ],
)
def test_every_answer_has_its_meaning(
    web: Web, reply: Reply, outcome: Outcome, detail: str, wait: float | None
) -> None:
    web.replies.append(reply)
    receipt = channel(web).send(breach())
    assert (receipt.outcome, receipt.detail, receipt.retry_after_seconds) == (outcome, detail, wait)
    assert len(web.requests) == 1, "whoever calls decides about another attempt"


@pytest.mark.parametrize("manner", ["hang", "drip_head", "drip_body"])
def test_a_server_that_never_finishes_is_left_and_the_connection_cut(web: Web, manner: str) -> None:
    web.replies.append(Reply(manner=manner))
    receipt = channel(web, 0.4).send(breach())
    assert (receipt.outcome, receipt.detail) == (Outcome.FAILED, "127.0.0.1: no answer within 0.4 s")
    if manner != "hang":
        assert eventually(web.cut.is_set)


def test_an_answer_without_end_is_not_read_to_its_end(web: Web) -> None:
    web.replies.append(Reply(200, manner="endless"))
    receipt = channel(web).send(breach())
    assert receipt.outcome is Outcome.FAILED
    assert len(receipt.detail) < 250
    assert eventually(web.cut.is_set)
    web.replies.append(Reply(500, b"x" * 10_000_000))
    assert len(channel(web).send(breach()).detail) < 250


def test_nobody_there_and_no_such_name() -> None:
    nobody = SlackChannel(SecretStr(f"http://127.0.0.1:{free_port()}{HOOK}"))
    assert nobody.send(breach()).detail == "127.0.0.1: the connection was refused"
    nowhere = SlackChannel(SecretStr(f"https://no-such-host.invalid{HOOK}"))
    receipt = nowhere.send(breach())
    assert receipt.outcome is Outcome.FAILED
    assert receipt.detail == "no-such-host.invalid: the name of the host cannot be looked up"


def test_a_webhook_with_a_password_is_a_problem_that_does_not_repeat_it() -> None:
    word = "Wort" + "7391"
    slack = SlackChannel(SecretStr(f"https://ann:{word}" + "@127.0.0.1/x"))
    assert slack.problem.startswith("SLACK_WEBHOOK_URL has a user name or a password")
    assert word not in slack.problem
    assert slack.send(breach()) == Receipt(Outcome.REFUSED, slack.problem)


@pytest.mark.parametrize(
    "address", ["", "hooks.slack.com/x", "ftp://x/y", "https://", "http://x:port/y", "https://x/a b", "https://[x/y"]
)
def test_an_address_that_is_none_is_a_problem_and_not_repeated(address: str) -> None:
    slack = SlackChannel(SecretStr(f"{address}"))
    assert slack.problem.startswith("SLACK_WEBHOOK_URL is not an address")
    assert slack.send(breach()).outcome is Outcome.REFUSED


def test_a_proxy_of_the_environment_is_used(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", web.url())
    assert SlackChannel(SecretStr(f"http://hooks.example.com{HOOK}")).send(breach()).outcome is Outcome.SENT
    assert web.requests[0].path == f"http://hooks.example.com{HOOK}"


def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = certificate(tmp_path)
    with Web(shown.server()) as web:
        receipt = channel(web).send(breach())
        assert receipt.outcome is Outcome.REFUSED
        assert receipt.detail == "127.0.0.1: its certificate is not trusted: self-signed certificate"
        assert web.requests == []
        shown.trust(monkeypatch)
        assert channel(web).send(breach()).outcome is Outcome.SENT
    with Web() as web:
        receipt = SlackChannel(SecretStr(web.url(HOOK).replace("http:", "https:"))).send(breach())
        assert receipt.detail == "127.0.0.1: it speaks no TLS on this port, or none that is secure"


def test_the_secret_is_in_no_receipt_and_no_log(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    web.replies.extend([Reply(), Reply(404, b"no_service"), Reply(manner="reset"), Reply(manner="hang")])
    details = [channel(web, 0.3).send(breach()).detail for _ in range(4)]
    details.append(SlackChannel(SecretStr(f"https://u:{SECRET}@127.0.0.1:x/{SECRET}")).send(breach()).detail)
    details.append(SlackChannel(SecretStr(f"https://127.0.0.1:{free_port()}/{SECRET}\x7f")).send(breach()).detail)
    web.replies.extend([Reply(500), Reply(manner="reset")])
    details += [ping(SecretStr(web.url(HOOK)), "fail", "x").detail for _ in range(2)]
    assert SECRET not in " ".join(details) + caplog.text


@pytest.mark.parametrize(
    ("after", "date", "seconds"),
    [
        ("120", "", 120.0),
        (" 0 ", "", 0.0),
        ("Wed, 18 Nov 2026 20:33:05 GMT", "Wed, 18 Nov 2026 20:31:05 GMT", 120.0),
        ("Wed, 18 Nov 2026 20:30:05 GMT", "Wed, 18 Nov 2026 20:31:05 GMT", 0.0),
        ("Wed, 18 Nov 2026 20:33:05 GMT", "", None),
        ("1.5", "", None),
        ("١٢", "", None),
        ("9" * 400, "", 999_999_999.0),
        ("", "", None),
    ],
)
def test_how_long_to_wait_is_read_from_numbers_and_dates(after: str, date: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": after, "date": date}) == seconds


# --- the heartbeat ---


@pytest.mark.parametrize(("kind", "path"), [("success", HOOK), ("start", f"{HOOK}/start"), ("fail", f"{HOOK}/fail")])
def test_a_ping_says_what_happened_in_the_manner_of_healthchecks(web: Web, kind: Any, path: str) -> None:
    assert ping(SecretStr(web.url(f"{HOOK}/?rid=7")), kind, "cycle 12 s old").outcome is Outcome.SENT
    assert ping(SecretStr(web.url(HOOK)), kind).outcome is Outcome.SENT
    posted, got = web.requests
    assert (posted.method, posted.path, posted.body) == ("POST", f"{path}?rid=7", b"cycle 12 s old")
    assert (got.method, got.path, got.body) == ("GET", path, b"")


def test_a_ping_follows_to_the_web_and_nowhere_else(web: Web) -> None:
    url = SecretStr(web.url(HOOK))
    web.replies.append(Reply(301, b"", {"Location": web.url("/moved")}))
    assert ping(url, "success").outcome is Outcome.SENT
    assert [said.path for said in web.requests] == [HOOK, "/moved"]
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/x"):
        web.replies.append(Reply(301, b"", {"Location": target}))
        assert ping(url, "success").outcome is not Outcome.SENT
    web.replies.extend(Reply(302, b"", {"Location": HOOK}) for _ in range(30))
    assert ping(url, "success").outcome is Outcome.FAILED, "a circle"


def test_a_ping_is_bounded_and_never_raises(web: Web) -> None:
    web.replies.extend([Reply(manner="drip_head"), Reply(429, b"", {"Retry-After": "5"}), Reply(404, b"not found")])
    url = SecretStr(web.url(HOOK))
    assert ping(url, "success", seconds=0.3).detail == "127.0.0.1: no answer within 0.3 s"
    assert eventually(lambda: len(web.replies) == 2)  # else the next one may get the answer that was meant for it
    assert ping(url, "success").retry_after_seconds == 5.0
    assert ping(url, "success").detail == "127.0.0.1 answered 404: not found"
    assert ping(SecretStr("hc-ping.com/x"), "success").detail.startswith("HEARTBEAT_URL is not an address")
    number = "U" + "1119876"
    ping(url, "fail", f"account {number} " + "x" * 20_000)
    assert number.encode() not in web.requests[-1].body
    assert len(web.requests[-1].body) == 10_000


def test_a_resolved_message_says_so_in_slack(web: Web) -> None:
    channel(web).send(message_of([notice(Reason.RESOLVED)], "k3", NOW, LINK, demo=True))
    told = web.requests[0].json["blocks"]
    assert told[0]["text"]["text"] == "DEMO: RESOLVED: Margin cushion, IBKR •••4567"
    assert told[1]["text"]["text"].startswith("*[-] RESOLVED (was BREACH)*")

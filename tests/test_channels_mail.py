"""Mail as SMTP servers on loopback take it or refuse it, and as a mail program finds it."""

from __future__ import annotations

import email
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.channels.mail import MailChannel
from adapters.channels.mail_html import DARK, LIGHT, html_of
from adapters.channels.post import Post, hidden
from guardrails.alerts.message import message_of
from guardrails.alerts.values import Message, Outcome, Reason, Receipt, Severity
from tests.channels import (
    LINK,
    NOW,
    PASSWORD,
    Certificate,
    Mailbox,
    certificate,
    encoded,
    free_port,
    line_server,
    mail_server,
    notice,
)
from tests.stored import eventually
from tests.test_pages_parts import luminance

POST = Post("127.0.0.1", 0, "", None, False, "Guardrails <desk@example.com>", ("ann@example.com",))  # noqa: FBT003  # a value's field
HELLO = (b"220 here\r\n", b"250-here\r\n250 AUTH PLAIN LOGIN\r\n")


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """A certificate for localhost that this machine trusts."""
    made = certificate(tmp_path)
    made.trust(monkeypatch)
    return made


@pytest.fixture
def secured(box: Mailbox, known: Certificate) -> Iterator[Post]:
    """A server that wants STARTTLS and a password, and how to reach it."""
    with mail_server(box, known) as port:
        yield replace(POST, host="localhost", port=port, user="ann", password=SecretStr(PASSWORD), starttls=True)


def breach(*more: Any) -> Message:
    return message_of([notice(), *more], "k1", NOW, LINK, demo=False)


def sent(post: Post, message: Message | None = None, seconds: float = 20.0) -> Receipt:
    return MailChannel(post, seconds).send(message or breach())


def read(box: Mailbox) -> EmailMessage:
    [envelope] = box.taken
    content = envelope.original_content
    assert isinstance(content, bytes)
    found = email.message_from_bytes(content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def test_a_breach_arrives_encrypted_and_readable(box: Mailbox, secured: Post) -> None:
    receipt = sent(secured)
    assert (receipt.outcome, receipt.detail) == (Outcome.SENT, "localhost took it for 1 of 1")
    assert (box.encrypted, box.logins) == ([True], [("ann", PASSWORD)])
    mail = read(box)
    assert mail["Subject"] == "BREACH: Margin cushion, IBKR •••4567: 14 %, limit 20 %"
    assert (mail["From"], mail["To"]) == ("Guardrails <desk@example.com>", "ann@example.com")
    assert mail["Date"] == "Wed, 18 Nov 2026 20:31:05 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "Importance" not in mail
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    lines = plain.get_content().splitlines()
    assert "[!] BREACH  Margin cushion, IBKR •••4567" in lines
    assert "     Next: Close 1 of SPXW 18Dec26 5700P (frees $9,800)." in lines
    assert "Alerts page: http://127.0.0.1:8501/alerts" in plain.get_content()
    assert "<b>Next: Close 1 of SPXW 18Dec26 5700P (frees $9,800).</b>" in html.get_content()
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"], "the last is shown"
    raw = box.taken[0].original_content
    assert isinstance(raw, bytes)
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998, "RFC 5322 2.1.1"


def test_a_critical_one_is_marked_and_one_that_is_over_is_not(box: Mailbox) -> None:
    with mail_server(box) as port:
        post = replace(POST, port=port)
        assert sent(post, message_of([notice(severity=Severity.CRITICAL)], "a", NOW, LINK, demo=False)).outcome
        over = message_of([notice(Reason.RESOLVED, severity=Severity.CRITICAL)], "b", NOW, LINK, demo=False)
        assert sent(post, over).outcome is Outcome.SENT
    mails = [email.message_from_bytes(bytes(one.original_content or b"")) for one in box.taken]
    assert [(mail["Importance"], mail["X-Priority"]) for mail in mails] == [("high", "1"), (None, None)]


def test_the_same_message_twice_is_seen_as_one(box: Mailbox) -> None:
    with mail_server(box) as port:
        for key in ("k1", "k1", "k2"):
            assert sent(replace(POST, port=port), replace(breach(), key=key)).outcome is Outcome.SENT
    mails = [email.message_from_bytes(bytes(one.original_content or b"")) for one in box.taken]
    first, again, other = [mail["Message-ID"] for mail in mails]
    assert first == again != other
    assert first.endswith("@example.com>")


def test_one_refused_recipient_does_not_keep_the_others_from_it(box: Mailbox) -> None:
    box.recipients["bob@example.com"] = "550 no such person bob@example.com"
    with mail_server(box) as port:
        receipt = sent(replace(POST, port=port, recipients=("ann@example.com", "Bob <bob@example.com>")))
    assert receipt.outcome is Outcome.SENT
    assert receipt.detail == (
        "127.0.0.1 took it for 1 of 2; not for b•••@example.com (550 no such person b•••@example.com)"
    )
    assert box.taken[0].rcpt_tos == ["ann@example.com"]


def test_whoever_was_put_off_gets_it_later_and_nobody_gets_it_twice(box: Mailbox) -> None:
    box.recipients["bob@example.com"] = "451 greylisted, come again"
    with mail_server(box) as port:
        mail = MailChannel(replace(POST, port=port, recipients=("ann@example.com", "bob@example.com")))
        first = mail.send(breach())
        assert first.outcome is Outcome.FAILED
        assert "took it for 1 of 2; not for b•••@example.com (451 greylisted" in first.detail
        assert mail.send(breach()).outcome is Outcome.FAILED
        box.recipients.clear()
        assert mail.send(breach()).detail == "127.0.0.1 took it for 2 of 2"
    assert [one.rcpt_tos for one in box.taken] == [["ann@example.com"], ["bob@example.com"]]


@pytest.mark.parametrize(
    ("facts", "outcome", "words"),
    [
        ({"sender": "550 5.7.1 you are not welcome"}, Outcome.REFUSED, "127.0.0.1 refused the sender (550 5.7.1 you"),
        ({"sender": "451 try later"}, Outcome.FAILED, "127.0.0.1 refused the sender (451 try later)"),
        ({"data": "554 spam"}, Outcome.REFUSED, "127.0.0.1 refused the mail (554 spam)"),
        ({"data": "452 disk full"}, Outcome.FAILED, "127.0.0.1 refused the mail (452 disk full)"),
        ({"recipients": {"ann@example.com": "550 unknown"}}, Outcome.REFUSED, "took it for 0 of 1; not for a•••@exam"),
        ({"recipients": {"ann@example.com": "450 later"}}, Outcome.FAILED, "took it for 0 of 1; not for a•••@example"),
        ({"recipients": {"ann@example.com": "421 closing"}}, Outcome.FAILED, "took it for 0 of 1; not for a•••@exampl"),
    ],
)
def test_every_refusal_has_its_meaning(box: Mailbox, facts: dict[str, Any], outcome: Outcome, words: str) -> None:
    for name, value in facts.items():
        setattr(box, name, value)
    with mail_server(box) as port:
        receipt = sent(replace(POST, port=port))
    assert receipt.outcome is outcome
    assert words in receipt.detail
    assert box.taken == []


def test_a_server_that_ends_the_talk_between_two_recipients_has_given_it_to_nobody(box: Mailbox) -> None:
    box.recipients["bob@example.com"] = "421 closing"
    with mail_server(box) as port:
        everybody = ("ann@example.com", "bob@example.com", "cy@example.com")
        mail = MailChannel(replace(POST, port=port, recipients=everybody))
        assert mail.send(breach()).detail.startswith("127.0.0.1 took it for 0 of 3")
        box.recipients.clear()
        assert mail.send(breach()).detail == "127.0.0.1 took it for 3 of 3"


def test_a_wrong_password_is_refused_and_told_nowhere(secured: Post, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = PASSWORD + "x"
    receipt = sent(replace(secured, password=SecretStr(wrong)))
    assert receipt.outcome is Outcome.REFUSED
    assert receipt.detail.startswith("localhost refused user name or password (535 ")
    assert PASSWORD not in receipt.detail + caplog.text


@pytest.mark.parametrize("echo", [PASSWORD, encoded("", "ann", PASSWORD), encoded(PASSWORD)])
def test_a_server_that_repeats_the_password_is_not_quoted(echo: str) -> None:
    post = replace(POST, user="ann", password=SecretStr(PASSWORD))
    with line_server(*HELLO, *[b"535 not " + echo.encode() + b"\r\n"] * 4) as port:
        receipt = sent(replace(post, port=port))
    assert receipt.outcome is Outcome.REFUSED
    assert "(535 not •••)" in receipt.detail


def test_a_password_put_off_is_tried_again() -> None:
    with line_server(*HELLO, *[b"454 temporary authentication failure\r\n"] * 4) as port:
        receipt = sent(replace(POST, port=port, user="ann", password=SecretStr(PASSWORD)))
    assert receipt.outcome is Outcome.FAILED
    assert "(454 temporary" in receipt.detail


def test_no_starttls_means_no_password_and_no_mail(box: Mailbox) -> None:
    with mail_server(box) as port:
        receipt = sent(replace(POST, port=port, starttls=True, user="ann", password=SecretStr(PASSWORD)))
    assert (receipt.outcome, receipt.detail) == (
        Outcome.REFUSED,
        "127.0.0.1 offers no TLS, so neither the password nor the mail was sent",
    )
    assert (box.taken, box.logins) == ([], [])


def test_a_certificate_nobody_vouches_for_gets_no_password(box: Mailbox, tmp_path: Path) -> None:
    with mail_server(box, certificate(tmp_path)) as port:
        post = replace(POST, host="localhost", port=port, starttls=True, user="ann", password=SecretStr(PASSWORD))
        receipt = sent(post)
    assert receipt.outcome is Outcome.REFUSED
    assert receipt.detail == "localhost: its certificate is not trusted: self-signed certificate"
    assert box.logins == []


def test_a_certificate_of_somebody_else_gets_no_password(
    box: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = certificate(tmp_path, "mail.example.com")
    other.trust(monkeypatch)
    with mail_server(box, other) as port:
        receipt = sent(
            replace(POST, host="localhost", port=port, starttls=True, user="ann", password=SecretStr(PASSWORD))
        )
    assert receipt.outcome is Outcome.REFUSED
    assert "certificate is not valid for 'localhost'" in receipt.detail
    assert box.logins == []


def test_port_465_speaks_tls_from_the_first_byte(
    box: Mailbox, known: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(box) as plain:
        monkeypatch.setattr("adapters.channels.post.TLS_PORT", plain)
        receipt = sent(replace(POST, port=plain))
        assert receipt.outcome is Outcome.REFUSED
        assert receipt.detail == "127.0.0.1: it speaks no TLS on this port, or none that is secure"
    with mail_server(box, ssl_context=known.server()) as port:
        monkeypatch.setattr("adapters.channels.post.TLS_PORT", port)
        assert sent(replace(POST, host="localhost", port=port)).outcome is Outcome.SENT


@pytest.mark.parametrize(
    ("lines", "then", "outcome", "words"),
    [
        ((), "hang", Outcome.FAILED, "no answer within 0.4 s"),
        ((b"220 here\r\n",), "hang", Outcome.FAILED, "no answer within 0.4 s"),
        ((), "close", Outcome.FAILED, "the connection was cut"),
        ((b"421 too many\r\n",), "close", Outcome.FAILED, "does not take connections (421 too many)"),
        ((b"554 go away\r\n",), "close", Outcome.REFUSED, "does not take connections (554 go away)"),
        ((b"rubbish\r\n",), "close", Outcome.FAILED, "does not take connections"),
        ((b"220 " + b"x" * 10_000_000 + b"\r\n",), "hang", Outcome.FAILED, "did not take the mail (500 Line too long"),
        ((b"220-" + b"x" * 70 + b"\r\n") * 140_000, "hang", Outcome.FAILED, ""),
    ],
)
def test_a_server_that_does_not_talk_as_it_should_is_left(
    lines: tuple[bytes, ...] | bytes, then: str, outcome: Outcome, words: str
) -> None:
    spoken = (lines,) if isinstance(lines, bytes) else lines
    with line_server(*spoken, then=then) as port:
        # who waits for nothing waits briefly; what is said may be heard later where much else runs
        receipt = sent(replace(POST, port=port), seconds=20.0 if words and "no answer" not in words else 0.4)
        assert eventually(lambda: all(one.name != "channel attempt" for one in threading.enumerate()))
    assert receipt.outcome is outcome
    assert words in receipt.detail
    assert len(receipt.detail) < 300


def test_a_server_slow_to_say_goodbye_has_the_mail() -> None:
    answers = (b"220 here\r\n", b"250 here\r\n", b"250 from\r\n", b"250 to\r\n", b"354 go\r\n")
    with line_server(*answers, then="hang") as port:
        assert sent(replace(POST, port=port), seconds=0.4).outcome is Outcome.FAILED, "it never said that it took it"
    with line_server(*answers, b"250 taken\r\n", then="hang") as port:
        assert sent(replace(POST, port=port)).outcome is Outcome.SENT


def test_nobody_there_and_no_such_name() -> None:
    assert sent(replace(POST, port=free_port())).detail == "127.0.0.1: the connection was refused"
    nowhere = sent(replace(POST, host="no-such-host.invalid", port=587, starttls=True))
    assert (nowhere.outcome, nowhere.detail) == (
        Outcome.FAILED,
        "no-such-host.invalid: the name of the host cannot be looked up",
    )


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, ""),
        ({"host": "", "port": 587}, "SMTP_HOST is not set"),
        ({"recipients": ()}, "ALERT_EMAIL_TO is not set"),
        ({"sender": ""}, "ALERT_EMAIL_FROM is not set"),
        ({"sender": "desk"}, "ALERT_EMAIL_FROM cannot be read"),
        ({"recipients": ("ann@example.com", "bob@")}, "address 2 of ALERT_EMAIL_TO cannot be read"),
        ({"recipients": ("ann@example.com\r\nBcc: x@y",)}, "address 1 of ALERT_EMAIL_TO cannot be read"),
        ({"user": "ann"}, "SMTP_PASSWORD is not set"),
        ({"password": SecretStr(PASSWORD)}, "SMTP_USER is not set"),
        ({"host": "mail.example.com"}, ""),
        ({"host": "mail.example.com", "user": "ann", "password": SecretStr(PASSWORD)}, "SMTP_STARTTLS is off"),
        ({"host": "127.0.0.2", "user": "ann", "password": SecretStr(PASSWORD)}, ""),
        ({"host": "mail.example.com", "starttls": True}, ""),
        ({"host": "mail.example.com", "port": 465}, ""),
        ({"host": "https://mail.example.com"}, "SMTP_HOST is not the name of a server"),
        ({"host": "smtp example.com"}, "SMTP_HOST is not the name of a server"),
        ({"host": "mail.example.com:587"}, "SMTP_HOST is not the name of a server"),
        ({"host": "localhost"}, ""),
        ({"host": "::1"}, ""),
    ],
)
def test_what_is_missing_or_unsafe_is_named(changed: dict[str, Any], problem: str) -> None:
    post = replace(POST, port=25)
    mail = MailChannel(replace(post, **changed))
    assert mail.problem.startswith(problem)
    assert bool(mail.problem) == bool(problem)
    if problem:
        assert mail.send(breach()) == Receipt(Outcome.REFUSED, mail.problem)


def test_an_address_is_told_so_that_only_its_owner_knows_it() -> None:
    assert hidden("no ann.lee@example.com <b@c.d>") == "no a•••@example.com <b•••@c.d>"


# --- HTML ---


def test_html_repeats_the_text_and_cannot_be_anything_else() -> None:
    html = html_of(breach(notice(check="gamma", message='<script>x</script> & "q"', subject="portfolio")))
    assert "<script>" not in html
    assert "&lt;script&gt;x&lt;/script&gt; &amp; &quot;q&quot;" in html
    for words in ("[!] BREACH", "14 %, limit 20 %", "Why now: first notice", "Said Wed 18 Nov 2026 15:31:05 ET"):
        assert words in html
    assert "<img" not in html
    assert html.count("http") == 2, "the link and its text; nothing is loaded from outside"
    assert "prefers-color-scheme:dark" in html


def test_every_critical_one_is_in_the_html() -> None:
    group = [notice(check=f"check_{n:04}", severity=Severity.CRITICAL) for n in range(1000)]
    html = html_of(message_of(group, "k", NOW, LINK, demo=False))
    assert [n for n in range(1000) if f"Check {n:04}" not in html] == []
    assert len(html) < 500_000


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_the_words_stand_out_from_their_ground(colours: dict[str, tuple[str, str]]) -> None:
    """WCAG 2.1, 1.4.3: 4.5 to 1."""
    for name, (ink, ground) in colours.items():
        light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name
    assert set(LIGHT) == set(DARK)

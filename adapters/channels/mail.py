"""Mail over SMTP: encrypted before a password is sent, once per person however often it is tried."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import smtplib
import socket
from collections.abc import Mapping
from dataclasses import replace
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from adapters.channels.bounded import Recent, is_lasting, within, words_of
from adapters.channels.mail_html import html_of
from adapters.channels.post import Post, bare, hidden
from adapters.channels.web import verified
from guardrails import wording
from guardrails.alerts.message import clean
from guardrails.alerts.plain import text_of
from guardrails.alerts.values import Message, Outcome, Receipt, Severity
from guardrails.redaction import MASK

SECONDS = 25.0
"""for the whole attempt; a server that thinks about a mail needs more than one that takes a webhook"""
_STEP_SECONDS = 15.0
"""for one answer"""
_LITERAL = "[127.0.0.1]"
"""how we greet: the name of this machine is nobody's business, and looking it up may take for ever"""
_WORDS = 160


class MailChannel:
    """Sends each message to every recipient; those who have it are left out when it is tried again."""

    name = "email"
    kind = "e-mail"

    def __init__(self, post: Post, seconds: float = SECONDS) -> None:
        self.post = post
        self.problem = post.problem
        self._seconds = seconds
        self._have_it: Recent[frozenset[str]] = Recent()

    def send(self, message: Message) -> Receipt:
        """SENT when somebody has it and nobody else may still get it; who was refused is named, masked."""
        if self.problem:
            return Receipt(Outcome.REFUSED, self.problem)
        had = self._have_it.get(message.key, frozenset())
        left = tuple(one for one in self.post.recipients if one not in had)
        try:
            mail = mail_of(message, self.post)
        except (MessageError, ValueError) as error:
            return Receipt(Outcome.REFUSED, f"no mail can be made of this message ({type(error).__name__})")
        try:
            smtp = _smtp(self.post)
            refused = within(self._seconds, lambda: _deliver(smtp, self.post, mail, left), lambda: _cut(smtp))
        except smtplib.SMTPRecipientsRefused as error:
            return self._hushed(_outcome(self.post, had, error.recipients))
        except Exception as error:  # whatever it is, the other channels go on
            return self._hushed(_receipt(error, self.post))
        took = had | {one for one in left if bare(one) not in refused}
        self._have_it.keep(message.key, took)
        return self._hushed(_outcome(self.post, took, refused))

    def _hushed(self, receipt: Receipt) -> Receipt:
        """`receipt` without the password in any of the forms in which a server can send it back."""
        detail = receipt.detail
        for form in _forms(self.post):
            detail = detail.replace(form, MASK)
        return replace(receipt, detail=detail)


def mail_of(message: Message, post: Post) -> EmailMessage:
    """Text and HTML. The same message has the same Message-ID, so that a second copy is seen as one."""
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = clean(message.title)
    mail["From"] = post.sender
    mail["To"] = ", ".join(post.recipients)
    mail["Date"] = format_datetime(message.time)
    digest = hashlib.sha256(message.key.encode()).hexdigest()[:32]
    mail["Message-ID"] = f"<{digest}@{bare(post.sender).rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notice comes back
    if message.severity is Severity.CRITICAL and not message.resolved:
        mail["Importance"] = "high"
        mail["X-Priority"] = "1"
    # lines of any length and any sign, through servers that take only ASCII
    mail.set_content(text_of(message), cte="quoted-printable")
    mail.add_alternative(html_of(message), subtype="html", cte="quoted-printable")
    return mail


def _smtp(post: Post) -> smtplib.SMTP:
    """Not connected yet."""
    if post.tls_from_the_start:
        return smtplib.SMTP_SSL(timeout=_STEP_SECONDS, local_hostname=_LITERAL, context=verified())
    return smtplib.SMTP(timeout=_STEP_SECONDS, local_hostname=_LITERAL)


def _deliver(
    smtp: smtplib.SMTP, post: Post, mail: EmailMessage, recipients: tuple[str, ...]
) -> Mapping[str, tuple[int, bytes]]:
    """Refused addresses with their answers; raises what smtplib raises."""
    smtp._host = post.host  # type: ignore[attr-defined]  # noqa: SLF001  # connect() forgets whose certificate to ask for
    code, words = smtp.connect(post.host, post.port)
    try:
        if code != 220:
            raise smtplib.SMTPConnectError(code, words)
        smtp.ehlo_or_helo_if_needed()
        if not post.tls_from_the_start and post.starttls:
            smtp.starttls(context=verified())
            smtp.ehlo()
        if post.user and post.password is not None:
            smtp.login(post.user, post.password.get_secret_value())
        refused = smtp.send_message(mail, bare(post.sender), [bare(one) for one in recipients])
        _leave(smtp)
        return refused
    finally:
        smtp.close()


def _leave(smtp: smtplib.SMTP) -> None:
    """The mail is taken: a server that is slow to say goodbye must not make it come twice."""
    with contextlib.suppress(OSError, smtplib.SMTPException):
        if smtp.sock is not None:
            smtp.sock.settimeout(1.0)
        smtp.quit()


def _cut(smtp: smtplib.SMTP) -> None:
    if smtp.sock is not None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(smtp.sock, socket.SHUT_RDWR)  # below TLS, which would wait for the other side


def _outcome(post: Post, took: frozenset[str], refused: Mapping[str, tuple[int, bytes]]) -> Receipt:
    told = f"{post.host} took it for {len(took)} of {len(post.recipients)}"
    if not refused:
        return Receipt(Outcome.SENT, told)
    reasons = [f"{hidden(one)} {_said(*answer)}" for one, answer in sorted(refused.items())]
    detail = f"{told}; not for {wording.names(reasons, 3, '; ')}"
    if any(400 <= code < 500 for code, _ in refused.values()):
        return Receipt(Outcome.FAILED, detail)
    return Receipt(Outcome.SENT if took else Outcome.REFUSED, detail)


def _receipt(error: Exception, post: Post) -> Receipt:
    """What an attempt that reached nobody came to."""
    if isinstance(error, smtplib.SMTPNotSupportedError):
        if post.starttls and "STARTTLS" in str(error):
            kept = "neither the password nor the mail was sent" if post.password else "nothing was sent"
            return Receipt(Outcome.REFUSED, f"{post.host} offers no TLS, so {kept}")
        return Receipt(Outcome.REFUSED, f"{post.host} lacks what this mail needs; nothing was sent")
    if isinstance(error, smtplib.SMTPResponseException):
        what = _STEPS.get(type(error), "did not take the mail")
        lasting = 500 <= error.smtp_code < 600 and error.smtp_error not in _OUR_WORDS
        told = f"{post.host} {what} {_said(error.smtp_code, error.smtp_error)}"
        return Receipt(Outcome.REFUSED if lasting else Outcome.FAILED, told)
    if isinstance(error, smtplib.SMTPException) and "AUTH" in str(error):
        return Receipt(Outcome.REFUSED, f"{post.host} takes no password by a way that is known here")
    return Receipt(Outcome.REFUSED if is_lasting(error) else Outcome.FAILED, f"{post.host}: {words_of(error)}")


_STEPS: Mapping[type[Exception], str] = {
    smtplib.SMTPAuthenticationError: "refused user name or password",
    smtplib.SMTPSenderRefused: "refused the sender",
    smtplib.SMTPConnectError: "does not take connections",
    smtplib.SMTPHeloError: "did not take the greeting",
    smtplib.SMTPDataError: "refused the mail",
}
_OUR_WORDS = ("Line too long.", b"Line too long.")
"""smtplib's own verdict on an answer, not the server's"""


def _said(code: int, words: bytes | str) -> str:
    """`(550 no such person)`; a server may repeat what it was sent, so addresses are masked."""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"({code} {clean(hidden(text), _WORDS)})"


def _forms(post: Post) -> tuple[str, ...]:
    """The password as it stands and as AUTH PLAIN and AUTH LOGIN send it (RFC 4616)."""
    if post.password is None or not post.password.get_secret_value():
        return ()
    word = post.password.get_secret_value()
    plain = [f"\0{post.user}\0{word}", word]
    return (*(base64.b64encode(form.encode()).decode() for form in plain), word)

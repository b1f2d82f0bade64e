"""Slack by an incoming webhook: Block Kit, with the whole text beside it for services that only imitate the webhook.

What Slack takes: header 150 characters, section 3,000, 50 blocks, and over all blocks of a message about 12,000
characters (not documented: slackapi/bolt-js issues 2509 and 2867). A message that is larger becomes several posts;
an attempt that fails between two of them goes on where it stopped.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from urllib.request import Request

from pydantic import SecretStr
from slack_sdk.models.blocks import Block, ContextBlock, HeaderBlock, MarkdownTextObject, PlainTextObject, SectionBlock
from slack_sdk.webhook import WebhookClient, WebhookResponse

from adapters.channels.bounded import Recent
from adapters.channels.web import SECONDS, Reply, ask, host_of, problem_of, receipt_of, receipt_of_error
from guardrails.alerts import plain
from guardrails.alerts.message import clean
from guardrails.alerts.values import Line, Message, Outcome, Receipt

SETTING = "SLACK_WEBHOOK_URL"
_HEADER, _SECTION, _BLOCKS, _POST = 150, 2_900, 48, 9_000
"""what we fill of the limits; the blocks of a post leave room for header and context"""
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""the three signs that mean something in a text (Slack, formatting message text)"""
_LONGEST_WORD = 300
"""characters: services that imitate the webhook answer with nothing, or some words of their own"""
_FRAME = len(json.dumps(SectionBlock(text=MarkdownTextObject(text="", verbatim=True)).to_dict()))
"""what a section weighs beside its text"""
_MUTE = logging.getLogger("guardrails.channels.unheard")
"""the client logs the whole address, which is the secret"""
_MUTE.setLevel(logging.CRITICAL + 1)


class _Webhook(WebhookClient):
    """The client with a bounded transport: its own reads an answer of any length and for any time."""

    seconds = SECONDS

    def _perform_http_request_internal(self, url: str, req: Request) -> WebhookResponse:
        reply = ask(req, seconds=self.seconds)
        return WebhookResponse(url=url, status_code=reply.status, body=reply.text, headers=dict(reply.headers))


class SlackChannel:
    """Posts to one webhook."""

    name = "slack"
    kind = "Slack"

    def __init__(self, url: SecretStr, seconds: float = SECONDS) -> None:
        address = url.get_secret_value().strip()
        self.problem = problem_of(address, SETTING)
        self._host = host_of(address)
        self._client = _Webhook(address, logger=_MUTE, retry_handlers=[])  # whoever calls tries again
        self._client.seconds = seconds
        self._posted: Recent[int] = Recent()

    def send(self, message: Message) -> Receipt:
        """Every post of the message that was not taken before; the first that fails ends the attempt."""
        if self.problem:
            return Receipt(Outcome.REFUSED, self.problem)
        posts = list(posts_of(message))
        receipt = Receipt(Outcome.SENT, f"{self._host} took it before")
        for number in range(self._posted.get(message.key, 0), len(posts)):
            receipt = self._post(*posts[number])
            if receipt.outcome is not Outcome.SENT:
                return receipt
            self._posted.keep(message.key, number + 1)
        return receipt

    def _post(self, text: str, blocks: list[Block]) -> Receipt:
        try:
            answer = self._client.send(text=text, blocks=blocks, unfurl_links=False, unfurl_media=False)
        except Exception as error:  # whatever it is, the other channels go on
            return receipt_of_error(error, self._host)
        return _proven(receipt_of(Reply(answer.status_code, dict(answer.headers), answer.body), self._host), answer)


def _proven(receipt: Receipt, answer: WebhookResponse) -> Receipt:
    """`receipt`, unless a page came instead of the word of a service: then nobody has the message."""
    body = answer.body.strip()
    is_page = len(body) > _LONGEST_WORD or body.startswith("<")
    if receipt.outcome is not Outcome.SENT or body == "ok" or not is_page:
        return receipt
    told = f"answered {answer.status_code} with a page, not with ok: a login page or proxy in between?"
    return Receipt(Outcome.FAILED, told)


def posts_of(message: Message) -> Iterator[tuple[str, list[Block]]]:
    """Text and blocks of each post that `message` needs; usually one."""
    parts = list(_filled(_sections(message)))
    for number, sections in enumerate(parts):
        count = f" ({number + 1} of {len(parts)})" if len(parts) > 1 else ""
        title = clean(message.title, _HEADER - len(count)) + count
        last = number == len(parts) - 1
        text = "\n".join([escaped(title), *sections, *([escaped(plain.closing(message).strip())] if last else [])])
        link = f"<{escaped(message.link)}|Alerts page> · said {plain.said_at(message.time)}"
        blocks: list[Block] = [
            HeaderBlock(text=PlainTextObject(text=title, emoji=False)),
            *(SectionBlock(text=MarkdownTextObject(text=section, verbatim=True)) for section in sections),
            ContextBlock(elements=[MarkdownTextObject(text=link, verbatim=True)]),
        ]
        yield text, blocks


def escaped(text: str, most: int | None = None) -> str:
    """`text` in which nothing is a mention, a link or a tag; cut to `most` characters as they are sent."""
    signs: list[str] = []
    size = 0
    for sign in text:
        sent = _ESCAPES.get(sign, sign)
        size += len(sent)
        if most is not None and size > most - 1:
            return "".join(signs) + "…"
        signs.append(sent)
    return "".join(signs)


def _sections(message: Message) -> Iterator[str]:
    """Texts of sections: one for each alert told in full, the rest packed into as few as hold them."""
    if message.test:
        yield escaped(plain.TEST_WORDS)
    for line in message.lines[: plain.IN_FULL]:
        yield _section(line, message)
    yield from _packed(escaped(plain.brief(line), _SECTION) for line in message.lines[plain.IN_FULL :])
    if message.more:
        yield escaped(plain.left_out(message.more).strip())


def _section(line: Line, message: Message) -> str:
    head = f"*{escaped(plain.label(line))}*  *{escaped(line.title)}*"
    return head + "\n" + escaped("\n".join(plain.details(line, message.time)), _SECTION - len(head) - 1)


def _packed(lines: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    for line in lines:
        if held and sum(len(one) + 1 for one in held) + len(line) > _SECTION:
            yield "\n".join(held)
            held = []
        held.append(line)
    if held:
        yield "\n".join(held)


def _filled(sections: Iterable[str]) -> Iterator[list[str]]:
    """The sections of each post; at least one post, which may have none."""
    held: list[str] = []
    size = 0
    for section in sections:
        weight = len(json.dumps(section)) + _FRAME
        if held and (size + weight > _POST or len(held) >= _BLOCKS):
            yield held
            held, size = [], 0
        held.append(section)
        size += weight
    yield held

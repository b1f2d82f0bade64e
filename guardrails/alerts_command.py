"""`guardrails alerts test`: a message to every channel, to see whether it arrives."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from guardrails.alerts.channel import Channel
from guardrails.alerts.message import test_message
from guardrails.alerts.own_problems import LOG
from guardrails.alerts.values import Outcome
from guardrails.redaction import redact

_TAKEN, _NOT_TAKEN, _NOTHING = 0, 2, 64
SET = "set SLACK_WEBHOOK_URL, SMTP_HOST and ALERT_EMAIL_TO, or ALERT_URLS"


def send_tests(
    channels: Sequence[Channel], only: str | None, clock: Callable[[], datetime], link: str, say: Callable[[str], None]
) -> int:
    """Send a test message to each of `channels`, or to the one called `only`; `say` what each answers.

    Exit code 0 when all took it, 2 when one did not, 64 when there is nobody to send it to.
    """
    chosen = [channel for channel in channels if only in (None, channel.name)]
    if not chosen:
        say(f"there is no channel {only!r}; there are {', '.join(channel.name for channel in channels)}")
        return _NOTHING
    if only is None and all(channel.kind == LOG for channel in chosen):
        say(f"nothing is configured but the log, so alerts reach nobody: {SET}")
        return _NOTHING
    taken = [_is_taken(channel, clock(), link, say) for channel in chosen]
    return _TAKEN if all(taken) else _NOT_TAKEN


def _is_taken(channel: Channel, now: datetime, link: str, say: Callable[[str], None]) -> bool:
    if channel.problem:
        say(f"✖ {channel.name} ({channel.kind}): cannot be used: {redact(channel.problem)}")
        return False
    began = time.perf_counter()
    receipt = channel.send(test_message(f"test-{secrets.token_hex(4)}", now, link))
    answer = f"{redact(receipt.detail)} ({time.perf_counter() - began:.1f} s)"
    if receipt.outcome is Outcome.SENT:
        say(f"● {channel.name} ({channel.kind}): took it. {answer}")
        return True
    again = "refused it, and will again" if receipt.outcome is Outcome.REFUSED else "did not take it; try again"
    say(f"✖ {channel.name} ({channel.kind}): {again}. {answer}")
    return False

"""What becomes of a delivery after one attempt, and when the next one is due: exponential backoff with full jitter.

The wait is drawn evenly between nothing and a ceiling that doubles from 2 s to 5 min: `random_between(0, min(cap,
base * 2 ** attempt))`, "Exponential Backoff And Jitter", AWS Architecture Blog, 4 March 2015, so that the programs of
many people do not all come back to one server at the same moment.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

from guardrails.alerts.values import Delivery, DeliveryState, Outcome, Receipt

BASE_SECONDS, CAP_SECONDS = 2.0, 300.0
MOST_ASKED_SECONDS = 900.0
"""no server makes us wait for longer, whatever its Retry-After says"""
LONGEST = timedelta(hours=24)
"""however many attempts that are: of drawn pauses a hundred take four hours, or two days"""
_DOUBLINGS = 32
"""beyond, the ceiling is the cap anyway and the power only grows"""


def pause_seconds(failures: int, asked: float | None, jitter: float) -> float:
    """Seconds until the next attempt, after `failures` in a row before the last one.

    `jitter` in [0, 1) is the draw. `asked` is the Retry-After in seconds: a least, up to a quarter of an hour; one
    that is no number is passed over.
    """
    drawn = jitter * min(CAP_SECONDS, BASE_SECONDS * 2.0 ** min(max(failures, 0), _DOUBLINGS))
    if asked is None or math.isnan(asked):
        return drawn
    return max(drawn, min(asked, MOST_ASKED_SECONDS))


def next_try(
    delivery: Delivery,
    receipt: Receipt,
    now: datetime,
    jitter: float,
    *,
    failures: int = 0,
    keep: bool = False,
) -> Delivery:
    """The delivery after an attempt that ended with `receipt`: sent, given up, or due again.

    `failures` are those of its channel in a row before this one, of whichever deliveries: the channel as a whole is
    left alone for longer. It is given up when it was refused, and when it failed for 24 h. With `keep` (something
    CRITICAL that is still open) neither ends it, as it may be somebody in between who refused: a proxy, a portal, a
    server in the middle of its own repair; then it is tried again after the longest pause. A test is tried once.
    """
    after = replace(delivery, attempts=delivery.attempts + 1, due=None, detail=receipt.detail, changed=now)
    if receipt.outcome is Outcome.SENT:
        return replace(after, state=DeliveryState.SENT)
    is_refused = receipt.outcome is Outcome.REFUSED
    if delivery.message.test or (is_refused and not keep):
        return replace(after, state=DeliveryState.DEAD)
    if now - (delivery.created or delivery.message.time) >= LONGEST and not keep:
        return replace(after, state=DeliveryState.DEAD, detail=f"{receipt.detail}; given up {_after(after, now)}")
    wait = pause_seconds(max(delivery.attempts, failures), receipt.retry_after_seconds, jitter)
    wait = max(wait, CAP_SECONDS) if is_refused else wait
    return replace(after, state=DeliveryState.FAILED, due=now + timedelta(seconds=wait))


def _after(delivery: Delivery, now: datetime) -> str:
    hours = "" if delivery.created is None else f" in {(now - delivery.created) / timedelta(hours=1):.1f} h"
    return f"after {delivery.attempts} attempt{'' if delivery.attempts == 1 else 's'}{hours}"

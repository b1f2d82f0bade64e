"""From an approved order to the broker: asked anew, judged anew, kept, sent once, followed."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, replace
from datetime import datetime

from guardrails import logs
from guardrails.errors import NotSentError
from guardrails.execution import journaling, life, overrides
from guardrails.execution.asked import InDoubtError, RefusedError
from guardrails.execution.confirming import Confirming
from guardrails.execution.desk import Desk
from guardrails.execution.following import Following
from guardrails.execution.judging import Fresh, Judged
from guardrails.execution.keeping import doubt, keep, said
from guardrails.execution.life import Event, IllegalTransitionError, Step
from guardrails.execution.values import MANUAL, OrderRecord
from guardrails.execution.venues import Venue
from guardrails.gate.approval import Basis, moved
from guardrails.gate.values import Impact, OrderKind, Verdict
from guardrails.memory import account_key
from guardrails.order_json import impact_json
from guardrails.orders import Order, OrderState
from guardrails.safety import SafetyState
from guardrails.values import AccountId

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proposal:
    """An order on its way, and whose it is."""

    order: Order
    author: str
    origin: str = "ticket"
    tag: str = MANUAL
    rationale: str = ""
    reason: str = ""
    """against a warning"""
    flatten: str = ""
    replaces: str = ""
    key: str = ""
    """given, when it must be known before; else a new one is made"""


@dataclass(frozen=True, slots=True)
class Approved:
    """What an order was approved as."""

    basis: Basis
    kind: OrderKind
    until: datetime | None = None
    """what is no exit is not sent later: it may have stood behind others of its account"""


class Sending:
    """Belongs to the loop."""

    def __init__(self, desk: Desk, confirming: Confirming, following: Following) -> None:
        self._desk, self._confirming, self._following = desk, confirming, following

    async def submit(
        self, proposal: Proposal, approved: Approved | None = None, *, exits_only: bool = False
    ) -> tuple[OrderRecord, Impact]:
        """Judge `proposal` on what is asked anew, and send it; RefusedError says why not.

        When what it was `approved` on no longer holds, only an exit goes on.
        """
        venue = self._desk.venue_that_sends(proposal.order.account)
        if refusal := venue.broker.refusal(proposal.order.account):
            raise RefusedError(f"Nothing was sent: {refusal}")
        async with self._desk.lock(proposal.order.account):
            judged, fresh = await self._confirming.judge(venue, proposal.order)
            self._check(proposal, judged, approved, exits_only=exits_only)
            record = await self._save(proposal, judged.impact, fresh)
            with logs.correlated(order=record.key):
                await self._send(venue, record)
        return self._desk.record(record.key), judged.impact

    def _check(self, proposal: Proposal, judged: Judged, approved: Approved | None, *, exits_only: bool) -> None:
        desk, impact = self._desk, judged.impact
        is_exit = impact.kind is OrderKind.EXIT
        if desk.safety.now.state is SafetyState.STOPPED:
            raise RefusedError("The safety state is STOPPED: nothing is sent. Set REDUCE_ONLY to let exits through.")
        if impact.verdict is Verdict.BLOCK:
            now = desk.clock()
            desk.do(
                journaling.blocked_entry(
                    desk.new_key(), proposal.order, impact, proposal.author, proposal.rationale, now
                )
            )
            raise RefusedError(f"Blocked: {_worst(impact)}", sent_json("", "", impact))
        if exits_only and not is_exit:
            raise RefusedError(f"This order is no exit any more: {_worst(impact)}", sent_json("", "", impact))
        if is_exit:
            return
        if approved is not None and approved.kind is not impact.kind and impact.kind is OrderKind.NEW_RISK:
            words = f"It was approved as {approved.kind.value} and is {impact.kind.value} now. Simulate again."
            raise RefusedError(words, sent_json("", "", impact))
        if approved is not None and approved.until is not None and desk.clock() > approved.until:
            raise RefusedError("The approval expired while other orders were sent. Simulate again.")
        changed = "" if approved is None else moved(approved.basis, judged.ground)
        if changed:
            raise RefusedError(f"What was approved has changed: {changed}. Simulate again.", sent_json("", "", impact))
        if impact.verdict is Verdict.WARN and not proposal.reason.strip():
            raise RefusedError(f"A reason is needed against the warning: {_worst(impact)}", sent_json("", "", impact))

    # --- on the way

    async def _save(self, proposal: Proposal, impact: Impact, fresh: Fresh) -> OrderRecord:
        """Make the intent durable."""
        desk, now, order = self._desk, self._desk.clock(), proposal.order
        used = overrides.used_by(impact, desk.deeds.overrides.values(), now)
        rationale = proposal.rationale.strip()
        if proposal.reason:
            against = f"Against the warning: {proposal.reason}"
            rationale = f"{rationale.rstrip('.')}. {against}" if rationale else against
        record = OrderRecord(
            key=proposal.key or desk.new_key(),
            order=order,
            state=OrderState.DRAFT,
            created=now,
            changed=now,
            author=proposal.author,
            origin=proposal.origin,
            tag=proposal.tag,
            rationale=rationale,
            verdict=impact.verdict.value,
            kind=impact.kind.value,
            reasons=tuple(reason.code for reason in impact.reasons),
            overrides=tuple(one.key for one in used),
            limit=order.limit,
            before=None if desk.seen is None else journaling.book_then(desk.seen),
            flatten=proposal.flatten,
            replaces=proposal.replaces,
            owner=account_key(order.account),
        )
        record = life.step(life.step(record, Event(Step.APPROVE), now), Event(Step.SAVE), now)
        desk.before[record.key] = self._held(order.account, fresh)
        problem = await keep(desk, record, may_use_file=impact.kind is OrderKind.EXIT)
        if problem:
            self._not_sent(record.key, problem)
            raise RefusedError(f"Nothing was sent: {problem}", sent_json(record.key, "", impact))
        for one in used:
            desk.do(replace(one, used=(*one.used, record.key)))
        return record

    def _held(self, account: AccountId, fresh: Fresh) -> dict[str, float]:
        """What the account holds before the order, confirmed or as last known."""
        if fresh.held is not None:
            return dict(fresh.held)
        seen = self._desk.seen
        positions = () if seen is None else seen.portfolio.positions
        return {
            one.instrument.key: one.quantity for one in positions if one.account == account and one.quantity is not None
        }

    async def _send(self, venue: Venue, record: OrderRecord) -> None:
        """Hand the order to the broker, once."""
        desk, key = self._desk, record.key
        if refusal := venue.broker.refusal(record.order.account) or desk.why_not() or self._shut(record):
            self._not_sent(key, refusal)
            raise RefusedError(f"Nothing was sent: {desk.record(key).detail}")
        try:
            async with asyncio.timeout(desk.waits.send):
                await venue.broker.submit(record.order, key)
        except NotSentError as error:
            self._not_sent(key, str(error))
            desk.failed()
            raise RefusedError(f"Nothing was sent: {str(error).removesuffix('; nothing was sent.')}") from None
        except Exception as error:  # whatever it is: it may have been sent
            log.warning("it is not known whether the order was sent: %s", said(error))
            self._must_know(venue, key)
            doubt(desk, key, f"{venue.name} gave no answer when it was sent ({said(error)})")
            desk.failed()
        else:
            self._must_know(venue, key)
            desk.do(life.step(desk.record(key), Event(Step.SEND), desk.clock()))
        self._following.absorb(venue)

    def _must_know(self, venue: Venue, key: str) -> None:
        """The watch may have begun anew while the order was on its way, as after a sleep: it reads what was kept."""
        if key not in self._desk.deeds.records:
            raise InDoubtError(
                f"Order {key} was handed to {venue.name} while this program began its watch anew: what became of it "
                f"stands in the blotter once it is read. Do not send it again"
            )

    def _shut(self, record: OrderRecord) -> str:
        """What a safety state that came while the order was being kept has against it; empty when nothing."""
        state = self._desk.safety.now.state
        if state is SafetyState.STOPPED:
            return "the safety state is STOPPED now"
        if record.kind != OrderKind.NEW_RISK or state is SafetyState.NORMAL:
            return ""
        passes = state is SafetyState.NO_NEW_RISK and record.overrides
        return "" if passes else f"the safety state is {state.value} now"

    def _not_sent(self, key: str, words: str) -> None:
        desk, record = self._desk, self._desk.record(key)
        try:
            desk.do(life.step(record, Event(Step.NOT_SENT, f"not sent: {words}"), desk.clock()))
        except IllegalTransitionError:
            doubt(desk, key, f"it counts as not sent ({words}), and yet it is {record.state.value}")


def sent_json(key: str, state: str, impact: Impact) -> str:
    """{key, state, impact}; key and state are empty when nothing was sent."""
    return json.dumps({"key": key, "state": state, "impact": json.loads(impact_json(impact))})


def _worst(impact: Impact) -> str:
    return impact.reasons[0].message if impact.reasons else impact.verdict.value

"""What each kind of request about orders does: a table, so that other kinds can stand beside them.

A function does what is asked and returns what to answer; ValueError (`RefusedError` with content) carries a sentence
for the person when it cannot be done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from guardrails import calendar
from guardrails.execution import journaling, life, overrides
from guardrails.execution.approvals import LASTS, Approvals
from guardrails.execution.asked import Done, RefusedError
from guardrails.execution.changing import Changing
from guardrails.execution.confirming import Confirming
from guardrails.execution.desk import Desk
from guardrails.execution.following import Following
from guardrails.execution.halts import loss_of_today, unacknowledged
from guardrails.execution.judging import Judge, Judged
from guardrails.execution.life import Event, Step
from guardrails.execution.looking import Looking
from guardrails.execution.reconcile import is_alike, is_same
from guardrails.execution.sending import Approved, Proposal, Sending, sent_json
from guardrails.execution.values import MANUAL, OrderRecord
from guardrails.execution.venues import Venue
from guardrails.gate.approval import basis_of
from guardrails.gate.values import Impact, OrderKind, Verdict
from guardrails.journal.entries import note_entry
from guardrails.order_json import account_named, impact_json, parse_order
from guardrails.orders import Order, OrderState
from guardrails.requests import Kind, Request
from guardrails.safety import SafetyState
from guardrails.values import finite

LONGEST = 2_000
"""characters of what a person may write"""
Doing = Callable[[Request], Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class Doings:
    """The kinds of requests that execution does itself."""

    desk: Desk
    judge: Judge
    confirming: Confirming
    sending: Sending
    changing: Changing
    following: Following
    looking: Looking
    approvals: Approvals[Approved]
    replacing: set[str] = field(default_factory=set)
    """keys of orders that are being replaced: from the cancellation to the new order nobody else does it too"""

    def table(self) -> Mapping[str, Doing]:
        """By kind."""
        return {
            Kind.SIMULATE: self.simulate,
            Kind.SUBMIT: self.submit,
            Kind.CANCEL: self.cancel,
            Kind.REPLACE: self.replace,
            Kind.RESOLVE: self.resolve,
            Kind.SAFETY: self.safety,
            Kind.OVERRIDE: self.override,
            Kind.END_OVERRIDE: self.end_override,
            Kind.NOTE: self.note,
        }

    async def simulate(self, request: Request) -> Done:
        """What an order would do; with the broker's what-if it may be approved."""
        order, _ = self._order(request)
        with_preview = request.body.get("preview", "yes") != "no"
        try:
            venue = self.desk.venue_of(order.account)
        except RefusedError:
            return self._answer((await self.judge.judge(order)).impact)  # a statement's account: no orders, no what-if
        self.looking.at_legs(venue, (leg.instrument for leg in order.legs))
        if not with_preview:
            return self._answer((await self.judge.judge(order)).impact)
        judged = await self._with_preview(venue, order)
        impact = judged.impact
        if impact.verdict is not Verdict.BLOCK:
            basis = basis_of(order, judged.ground, impact)
            now, waits = self.desk.clock(), self.desk.waits
            until = now + LASTS + timedelta(seconds=waits.preview + waits.held)
            approval = self.approvals.give(order, Approved(basis, impact.kind, until), now)
            impact = replace(impact, approval=approval)
        return self._answer(impact)

    async def _with_preview(self, venue: Venue, order: Order) -> Judged:
        """Judged with the broker's what-if; an exit waits for it only a moment."""
        asked = asyncio.create_task(self.judge.preview(venue, order))
        try:
            await self._first_quotes(order)
            judged, fresh = await self.judge.judge(order), None
            if judged.impact.kind is not OrderKind.EXIT and _is_blind(judged):
                fresh = await self.confirming.read(order.account)
                judged = await self.judge.judge(order, fresh=fresh)
            is_exit = judged.impact.kind is OrderKind.EXIT
            await asyncio.wait({asked}, timeout=self.desk.waits.exit_preview if is_exit else None)
            return await self.judge.judge(order, asked.result(), venue.name, fresh) if asked.done() else judged
        finally:
            asked.cancel()

    async def _first_quotes(self, order: Order) -> None:
        """Wait a moment for what nobody streamed before: quotes, or of what is no option a price."""
        desk, legs = self.desk, [leg.instrument for leg in order.legs]

        def came() -> bool:
            market = None if desk.seen is None else desk.seen.portfolio.market
            return market is None or all(
                one.key in market.quotes or (not one.is_option and one.symbol in market.prices) for one in legs
            )

        await desk.until(came, desk.waits.quotes)

    @staticmethod
    def _answer(impact: Impact) -> Done:
        worst = f": {impact.reasons[0].message}" if impact.reasons else ""
        return Done(f"{impact.verdict.value}{worst}", impact_json(impact))

    async def submit(self, request: Request) -> Done:
        """Send an order that was approved."""
        order, rationale = self._order(request)
        approved = self.approvals.take(of(request, "token"), order, self.desk.clock())
        proposal = Proposal(
            order=order,
            author=request.author,
            origin=request.body.get("origin", "ticket"),
            tag=request.body.get("tag", MANUAL) or MANUAL,
            rationale=short(request.body.get("rationale", "") or rationale),
            reason=short(request.body.get("reason", "")),
        )
        record, impact = await self.sending.submit(proposal, approved)
        return Done(_told(record), sent_json(record.key, record.state.value, impact))

    async def cancel(self, request: Request) -> Done:
        """Ask for the cancellation of an order, ours or another sender's."""
        if key := request.body.get("order", ""):
            return Done(_told(await self.changing.cancel(key, request.author)))
        account = account_named(of(request, "account"), self.desk.accounts)
        await self.changing.cancel_other(account, of(request, "reference"))
        return Done("The cancellation is requested. It is cancelled once the broker says so.")

    async def replace(self, request: Request) -> Done:
        """Cancel an order, and once that is confirmed judge and send another with a new limit: never two live."""
        old = self.desk.record(of(request, "order"))
        limit, reason = finite(of(request, "limit")), short(request.body.get("reason", ""))
        if limit is None or old.order.limit is None:
            raise ValueError("Only the limit of a limit order can be replaced, by a number.")
        if old.key in self.replacing:
            raise ValueError(f"Order {old.key} is being replaced already: nothing else was done.")
        self.replacing.add(old.key)
        try:
            return await self._replaced(old, limit, reason, request.author)
        finally:
            self.replacing.discard(old.key)

    async def _replaced(self, old: OrderRecord, limit: float, reason: str, author: str) -> Done:
        desk = self.desk
        foreseen = await self._foreseen(old, limit)
        wants_reason = foreseen.verdict is Verdict.WARN and foreseen.kind is not OrderKind.EXIT
        if foreseen.verdict is Verdict.BLOCK or (wants_reason and not reason):
            worst = foreseen.reasons[0].message if foreseen.reasons else foreseen.verdict.value
            wants = "a reason is needed against the warning" if wants_reason else "it is blocked"
            raise RefusedError(f"Nothing was changed, {wants}: {worst}", sent_json("", "", foreseen))
        await self.changing.cancel(old.key, author)
        if not await desk.until(lambda: desk.record(old.key).state.is_over, desk.waits.cancelled):
            raise ValueError(
                f"The cancellation of {old.key} is requested and not confirmed after {desk.waits.cancelled:g} s: "
                f"nothing else was sent."
            )
        ended = desk.record(old.key)
        if ended.state is not OrderState.CANCELLED:
            raise ValueError(f"Order {old.key} is {ended.state.value}: nothing else was sent.")
        proposal = Proposal(
            order=_rest(ended, limit), author=author, origin=old.origin, tag=old.tag, rationale=old.rationale,
            reason=reason, flatten=old.flatten, replaces=old.key,
        )  # fmt: skip
        try:
            record, impact = await self.sending.submit(proposal)
        except RefusedError as error:
            raise RefusedError(f"Order {old.key} is cancelled, and no other was sent: {error}", error.content) from None
        return Done(_told(record), sent_json(record.key, record.state.value, impact))

    async def _foreseen(self, old: OrderRecord, limit: float) -> Impact:
        order = _rest(old, limit)
        venue = self.desk.venue_that_sends(order.account)
        return (await self.confirming.judge(venue, order, without=old.key))[0].impact

    async def resolve(self, request: Request) -> Done:
        """A person has looked and says that an order in doubt does not live."""
        desk, record, note = self.desk, self.desk.record(of(request, "order")), short(of(request, "note"))
        venue = desk.venue_of(record.order.account)
        answered = await self.following.reconcile(venue)
        record = desk.record(record.key)
        if record.state is not OrderState.UNKNOWN:
            return Done(f"It is known by now: order {record.key} is {record.state.value}.")
        if not answered:
            raise ValueError(f"{venue.unknown()}. It may live: order {record.key} stays in doubt until it answers.")
        if any(is_same(order, record) and not order.state.is_over for order in venue.told().orders):
            raise ValueError(f"{venue.name} lists order {record.key} as one that lives: cancel it instead.")
        if like := next((one for one in venue.told().orders if is_alike(one, record)), None):
            raise ValueError(
                f"{venue.name} lists a working order like it (reference {like.reference}) without a key of ours: it "
                f"may be order {record.key}. Cancel that one first, or wait until it is over."
            )
        words = f"{request.author} looked and says that it does not live: {note}"
        after = life.step(record, Event(Step.RESOLVE, words), desk.clock())
        desk.do(after)
        return Done(f"Order {record.key} is {after.state.value}, as {request.author} says.")

    async def safety(self, request: Request) -> Done:
        """Another safety state; of a book that is still being opened once it is, as the one in force is not known
        before, and would be taken up over what was set."""
        desk = self.desk
        try:
            new = SafetyState(of(request, "state"))
        except ValueError:
            raise ValueError(f"The safety state is one of {', '.join(SafetyState)}.") from None
        if not await desk.until(lambda: desk.is_open, desk.waits.read + desk.waits.keep):
            raise ValueError("This program has not taken up this book yet, sends nothing, and set nothing. Ask again.")
        now = desk.clock()
        change = await asyncio.to_thread(
            desk.safety.change,
            new,
            request.author,
            short(request.body.get("reason", "")),
            now,
            timedelta(minutes=desk.matrix.orders.cooling_off_minutes),
            self._why_not_normal(),
        )
        return Done(f"The safety state is {change.new.state.value}. {change.new.leave}")

    def _why_not_normal(self) -> str:
        """What keeps the book from NORMAL, in a sentence; empty when nothing does."""
        desk, rules = self.desk, self.desk.matrix.orders.unacknowledged
        lost = None if desk.seen is None else loss_of_today(desk.seen.snapshot.findings)
        untaken = "" if rules is None else unacknowledged(desk.alerts(), rules, desk.clock())
        return next(iter(desk.doubtful()), "") or ("" if lost is None else lost.message) or untaken

    async def override(self, request: Request) -> Done:
        """Leave to pass one limit for a while."""
        desk, now = self.desk, self.desk.clock()
        one = overrides.begun(desk.new_key(), request, desk.matrix.orders, desk.safety.now.state, now)
        one = replace(one, reason=short(one.reason))
        until = f"{one.until.astimezone(calendar.NEW_YORK):%a %H:%M} New York"
        entry = journaling.override_entry(desk.new_key(), one, f"until {until}, because {one.reason}", one.author, now)
        desk.do(one, entry)
        return Done(f"{one.check} may be passed until {until}. It reverts by itself.")

    async def end_override(self, request: Request) -> Done:
        """End an override before its time."""
        desk, now = self.desk, self.desk.clock()
        one = desk.deeds.overrides.get(of(request, "override"))
        if one is None or one not in overrides.in_force(desk.deeds.overrides.values(), now):
            raise ValueError("No such override is in force.")
        ended = replace(one, ended=now)
        desk.do(ended, journaling.override_entry(desk.new_key(), ended, "ended by hand", request.author, now))
        return Done(f"{one.check} counts again.")

    async def note(self, request: Request) -> Done:
        """Write something into the journal."""
        desk = self.desk
        key = request.body.get("entry", "")
        entry = note_entry(
            desk.new_key(), desk.clock(), request.author, short(of(request, "words")), desk.deeds.entries.get(key)
        )
        desk.do(entry if entry.trade else replace(entry, trade=key))  # an old one is not in memory; its trade is found
        return Done("It is in the journal.")

    def _order(self, request: Request) -> tuple[Order, str]:
        as_of = calendar.exchange_date(self.desk.clock())
        order, rationale = parse_order(of(request, "order"), self.desk.accounts, as_of)
        return order, rationale


def _is_blind(judged: Judged) -> bool:
    """Whether the book cannot say what is held of the legs, so that the broker has to: it may be an exit."""
    return bool(judged.ground.portfolio.gaps) or any(leg.held_before is None for leg in judged.impact.legs)


def _rest(old: OrderRecord, limit: float) -> Order:
    """What of `old` is not filled, at another limit."""
    left = int(old.order.quantity - old.filled)
    if left < 1:
        raise ValueError(f"Order {old.key} is filled: there is nothing to replace.")
    return replace(old.order, limit=limit, quantity=left)


def _told(record: OrderRecord) -> str:
    words = f"Order {record.key} is {record.state.value}"
    return f"{words}: {record.detail}" if record.detail else words


def of(request: Request, name: str) -> str:
    """What `request` names under `name`; ValueError when it names nothing."""
    value = request.body.get(name, "").strip()
    if not value:
        raise ValueError(f"The request to {request.kind} names no {name}.")
    return value


def short(text: str) -> str:
    """What a person wrote, as it is kept; ValueError when it is too long to be kept whole."""
    if len(text) > LONGEST:
        raise ValueError(f"That is {len(text)} characters; at most {LONGEST} are kept.")
    return "".join(char for char in text if char.isprintable() or char in "\n\t").strip()  # no store takes the rest

"""How a plan is carried out, as a pure step: what has been told in, the next state and what to do now out.

    cancel what rests -> wait until the broker confirms -> read positions anew -> send in the order of the plan
    -> walk each limit to its cap -> stay there until it is filled, ends or is stopped -> read positions anew -> done

Accounts go side by side. Within one, the next order may be sent while others work, unless it would take cover away
from a short that may still be open, whichever of them fill. What was sent is never sent again: an order of which it is
not known what became waits for reconciliation, and so does what depends on it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from guardrails.execution.values import OrderRecord
from guardrails.flatten import ending
from guardrails.flatten.pricing import Quoted, usual_rule, walked
from guardrails.flatten.turn import FOR_COVER, is_due, turn_of
from guardrails.flatten.walking import (
    Action,
    At,
    Cancel,
    Cancelling,
    Held,
    Line,
    Read,
    Reprice,
    Told,
    WalkState,
    Withdraw,
    heard,
    with_line,
)
from guardrails.matrix.orders import FlattenRules
from guardrails.orders import OrderState
from guardrails.values import AccountId

CANCEL_PATIENCE = timedelta(seconds=30)
"""for a cancellation to be confirmed; later its order counts as working, and what it would close is left to it, but
where the broker was away the cancellation is asked for anew when it is back"""
FRESH = timedelta(seconds=5)
"""positions that were asked for earlier are read anew before an order is sent"""
LAG = timedelta(seconds=15)
"""positions may lag so far behind the last fill"""
SILENCE = timedelta(seconds=60)
"""for the positions to be confirmed at the end"""
_EPSILON = 1e-9
_Step = tuple[WalkState, tuple[Action, ...]]


def step(run: WalkState, told: Told, quotes: Quoted, now: datetime, rules: FlattenRules) -> _Step:
    """The state after `told`, and what is to be done now; called again whenever something is told, or a second passed.

    `quotes` are those of now. Actions are done in their order; what comes of a Send is told to `walking.answered`.
    """
    run = heard(run, told.records, now)
    if run.done:
        return run, ()
    if run.stopping:
        run, actions = _withdraw(run, told, now)
    else:
        run, asked = _cancel(run, told, now)
        run, sent = _send(run, told, quotes, now, rules)
        run, moved = _walk(run, told, now, rules)
        actions = (*asked, *sent, *moved)
    run, last = _finish(run, told, now)
    return run, (*actions, *last)


def stopped(run: WalkState, now: datetime) -> WalkState:
    """`run` that a person stopped: nothing more is sent, what works of it is cancelled."""
    return run if run.done else replace(run, stopping=True, changed=now)


def _withdraw(run: WalkState, told: Told, now: datetime) -> _Step:
    """Nothing more is sent; what works is asked to be cancelled, again when that changes nothing."""
    actions: list[Action] = []
    for line in run.lines:
        record = told.records.get(line.key)
        if line.at is At.WAITING:
            run = with_line(run, replace(line, at=At.OVER, why="not sent: stopped by a person"))
        elif line.at is At.LIVE and record is not None and _may_be_withdrawn(record) and is_due(line.withdrawn, now):
            run = with_line(run, replace(line, withdrawn=now))
            actions.append(Withdraw(line.number, line.key))
    return run, tuple(actions)


def _may_be_withdrawn(record: OrderRecord) -> bool:
    return record.state in (OrderState.SENT, OrderState.WORKING, OrderState.PARTIAL)


def _cancel(run: WalkState, told: Told, now: datetime) -> _Step:
    """Ask for what rests to be cancelled, and see whether it is."""
    actions: list[Action] = []
    cancels = []
    for one in run.cancels:
        after = _settled(one, told, now)
        if not after.settled and (after.asked is None or _still_works(after, told, now)):
            after = replace(after, asked=after.asked or now, again=now)
            actions.append(Cancel(one.account, one.reference))
        cancels.append(after)
    return replace(run, cancels=tuple(cancels)), tuple(actions)


def _still_works(one: Cancelling, told: Told, now: datetime) -> bool:
    """Whether its broker lists it, a while after it was asked, as if it had not been: the request may be lost."""
    known = told.working.get(one.account)
    mine = () if known is None else [order for order in known.orders if order.reference == one.reference]
    lives = any(order.remaining > 0 and order.state is not OrderState.CANCEL_REQUESTED for order in mine)
    return lives and is_due(one.again, now)


def _settled(one: Cancelling, told: Told, now: datetime) -> Cancelling:
    if one.settled and not one.why:
        return one
    known = told.working.get(one.account)
    works = known is None or any(o.reference == one.reference and o.remaining > 0 for o in known.orders)
    if known is not None and not works and (one.asked is None or known.time >= one.asked):
        return replace(one, settled=True, why="")
    if not one.cancellable:
        return replace(one, settled=True, why="it belongs to another program, cancel it there")
    if one.unheard and one.account not in told.away:
        return replace(one, asked=None, settled=False, why="", unheard=False)
    if one.asked is not None and now - one.asked > CANCEL_PATIENCE:
        return replace(one, settled=True, why="its cancellation is not confirmed", unheard=one.account in told.away)
    return one


def _send(run: WalkState, told: Told, quotes: Quoted, now: datetime, rules: FlattenRules) -> _Step:
    """The next order of each account whose turn it is."""
    actions: list[Action] = []
    for account in run.accounts:
        waiting = [line for line in run.lines if line.order.account == account and line.at is At.WAITING]
        pending = any(not one.settled for one in run.cancels if one.account == account)
        sending = any(line.at is At.SENDING for line in run.lines if line.order.account == account)
        if pending or sending or not waiting:
            continue
        held = told.held.get(account)
        if held is None or _is_old(held, run, told, account, now):
            if is_due(run.asked.get(account), now, _last_fill(run, told, account)):
                run = replace(run, asked={**run.asked, account: now})
                actions.append(Read(account))
            continue
        for line in waiting:
            run, action = turn_of(run, line, told, held, quotes, now, rules)
            if action is not None:
                actions.append(action)
                break
    return run, tuple(actions)


def _is_old(held: Held | None, run: WalkState, told: Told, account: AccountId, now: datetime) -> bool:
    """Whether the positions were asked for too long ago, or before the last fill of the run."""
    if held is None:
        return True
    filled = _last_fill(run, told, account)
    return now - held.time > FRESH or (filled is not None and filled > held.time)


def _last_fill(run: WalkState, told: Told, account: AccountId) -> datetime | None:
    """When an order of the run that has fills last changed: what is held may be another since."""
    fills = (
        record.changed for line in run.lines
        if line.order.account == account and (record := told.records.get(line.key)) is not None and record.filled
    )  # fmt: skip
    return max(fills, default=None)


def _walk(run: WalkState, told: Told, now: datetime, rules: FlattenRules) -> _Step:
    """Limits that are due go one step towards their cap."""
    actions: list[Action] = []
    for line in run.lines:
        record = told.records.get(line.key)
        if record is None or record.state not in (OrderState.WORKING, OrderState.PARTIAL):
            continue
        if line.at is not At.LIVE or line.first is None or line.cap is None or line.stepped is None:
            continue
        if line.step >= rules.steps or now - line.stepped < timedelta(seconds=rules.step_seconds):
            continue
        rule = told.rules.get(line.number) or usual_rule(line.order.legs)
        limit = walked(line.first, line.cap, line.step + 1, rules.steps, rule)
        run = with_line(run, replace(line, step=line.step + 1, stepped=now))
        if record.limit is None or limit > record.limit + _EPSILON:
            actions.append(Reprice(line.number, line.key, limit))
    return run, tuple(actions)


def _finish(run: WalkState, told: Told, now: datetime) -> _Step:
    """Drop what can never be sent; when nothing is left to do, let fresh positions speak."""
    moving = [line for line in run.lines if line.at in (At.SENDING, At.LIVE) and not _is_given_up(line, run, told)]
    settled = all(one.settled for one in run.cancels) or run.stopping
    waiting = [line for line in run.lines if line.at is At.WAITING]
    if moving or not settled or any(line.why != FOR_COVER for line in waiting):
        return run, ()
    if any(_is_old(told.held.get(line.order.account), run, told, line.order.account, now) for line in waiting):
        return run, ()  # it waits by positions of before the last fill
    if any(_may_yet_go(line, run, told, now) for line in waiting):
        return run, ()  # a position may still be shown that was closed: it is read again
    for line in waiting:
        why = "not sent: it covers a short that stays, or of which it is not known what became"
        run = with_line(run, replace(line, at=At.OVER, why=why))
    if waiting:
        run = replace(run, changed=now)
    return _spoken(run, told, now)


def _may_yet_go(line: Line, run: WalkState, told: Told, now: datetime) -> bool:
    """Whether what it waits for may be closed already: positions lag behind the last fill, and longer where the broker
    does not confirm them."""
    account = line.order.account
    last, held = _last_fill(run, told, account), told.held.get(account)
    patience = LAG if held is not None and held.confirmed else SILENCE
    return now - (last or run.begun) < patience


def _is_given_up(line: Line, run: WalkState, told: Told) -> bool:
    """Whether nothing more is done about it: stopped, and nobody knows what became of it."""
    record = told.records.get(line.key)
    return run.stopping and record is not None and record.state is OrderState.UNKNOWN


def _spoken(run: WalkState, told: Told, now: datetime) -> _Step:
    late = [
        account for account in run.accounts
        if account not in told.held or told.held[account].time < run.changed or not told.held[account].confirmed
    ]  # fmt: skip
    lags = not late and bool(ending.still_held(run, told.held)) and ending.is_filled(run) and now - run.changed < LAG
    if (late and now - run.changed < SILENCE) or lags:
        due = [account for account in (late or run.accounts) if is_due(run.asked.get(account), now, run.changed)]
        return replace(run, asked={**run.asked, **dict.fromkeys(due, now)}), tuple(Read(one) for one in due)
    flat, words = ending.told(run, told.held)
    return replace(run, done=True, flat=flat, words=words), ()

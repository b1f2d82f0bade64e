"""A plan as JSON, as pages and the store have it: without account numbers, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pydantic import TypeAdapter

from guardrails.flatten.values import Plan, PlannedClose, Wish
from guardrails.memory import account_key
from guardrails.values import AccountId

_PLAN: TypeAdapter[Plan] = TypeAdapter(Plan)
_WISH: TypeAdapter[Wish] = TypeAdapter(Wish)


def plan_json(plan: Plan) -> str:
    """All of `plan`, its accounts without numbers."""
    closes = tuple(replace(one, order=replace(one.order, account=one.order.account.hidden)) for one in plan.closes)
    hedges = tuple(replace(one, order=replace(one.order, account=one.order.account.hidden)) for one in plan.hedges)
    return _PLAN.dump_json(replace(plan, closes=closes, hedges=hedges)).decode()


def plan_from(text: str, accounts: Iterable[AccountId] = ()) -> Plan:
    """What `plan_json` wrote, with the numbers of `accounts`; ValueError when it is something else, or one is missing.

    Without any `accounts` they stay as they were written.
    """
    plan = _PLAN.validate_json(text)
    known = {account_key(account): account for account in accounts}
    return replace(plan, closes=tuple(_named(one, known) for one in plan.closes)) if known else plan


def wish_json(wish: Wish) -> str:
    """`wish` as a page asks it."""
    return _WISH.dump_json(wish).decode()


def wish_from(text: str) -> Wish:
    """What `wish_json` wrote; ValueError when it is something else."""
    return _WISH.validate_json(text)


def _named(close: PlannedClose, known: Mapping[str, AccountId]) -> PlannedClose:
    account = known.get(close.owner)
    if account is None:
        raise ValueError(f"{close.account} is no account of this book now: its order cannot be taken up.")
    return replace(close, order=replace(close.order, account=account))

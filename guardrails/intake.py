"""What may be believed of the accounts and sources at all, before anything is computed from them.

An account that holds positions but gives no figures is an account whose figures are not known, not an absent one; NaN
is absence; and while a source or an account is silent, old or ahead of the clock, the book as a whole is not what is
held now: a gap, under which nothing is cleared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from guardrails import calendar, wording
from guardrails.matrix import DataRules
from guardrails.values import Account, AccountId, Observed, Source, SourceState, View, finite

CLOCK_SKEW = timedelta(minutes=1)
"""how far another clock may run ahead of ours before what it says contradicts it"""
_FILE_AHEAD = timedelta(days=1)
"""a statement carries a date; it may be dated as of the end of the day at which it is assessed"""
_NOT_HEARD = {
    SourceState.DOWN: "cannot be reached or read",
    SourceState.STALE: "has gone silent",
    SourceState.CONNECTING: "has not delivered a complete book yet",
}


def accounts_of(views: Sequence[View]) -> tuple[Account, ...]:
    """Each account once, those that only hold positions included: of two reports the one with a net liquidation, then
    the newer one."""
    best: dict[AccountId, Account] = {}
    for account in (_finite(account) for view in views for account in view.accounts):
        held = best.get(account.id)
        if held is None or _weight(account) > _weight(held):
            best[account.id] = account
    for view in views:
        for position in view.positions:
            if position.account not in best:
                best[position.account] = Account(position.account, position.source, position.time)
    return tuple(best.values())


def gaps_of(
    views: Sequence[View], accounts: Iterable[Account], rules: DataRules, now: datetime, *, market_open: bool
) -> tuple[str, ...]:
    """Why the book is not what is held now, in plain words; empty when it is."""
    if not views:
        return ("no source is configured",)
    live = {view.source.name for view in views if view.source.state is SourceState.LIVE}
    silent = [silence(view.source, rules, now, market_open=market_open) for view in views]
    old = [account_age(account, rules, now, live=market_open and account.source in live) for account in accounts]
    return tuple(gap for gap in (*silent, *old, *_twice(views)) if gap)


def account_age(account: Account, rules: DataRules, now: datetime, *, live: bool) -> str:
    """Why the figures of `account` are not of now, or nothing; `live` when they should be."""
    if account.time - now > CLOCK_SKEW and (live or account.time - now > _FILE_AHEAD):
        return f"{account.id}: figures are dated {account.time:%Y-%m-%d %H:%M} UTC, in the future"
    age = (now - account.time).total_seconds()
    if live and age > rules.account_stale_minutes * 60:
        return f"{account.id}: figures are {wording.age(age)} old, more than {rules.account_stale_minutes:g} min"
    return ""


def silence(source: Source, rules: DataRules, now: datetime, *, market_open: bool) -> str:
    """Why what `source` says is not what is held now, or nothing."""
    heard = None if source.time is None else (now - source.time).total_seconds()
    if said := _NOT_HEARD.get(source.state):
        return f"{source.name} {said}" + ("" if heard is None else f" for {wording.age(heard)}")
    if source.time is None or heard is None:
        return f"{source.name} does not say of when its figures are"
    if source.state is SourceState.FILE:
        passed = len(calendar.sessions_between(calendar.exchange_date(source.time), calendar.session_of(now)))
        if passed > rules.statement_max_sessions:
            return f"{source.name} is {passed} sessions old"
        return f"{source.name} is dated after the time of this assessment" if source.time - now > _FILE_AHEAD else ""
    if source.time - now > CLOCK_SKEW:
        return f"{source.name} is dated after the time of this assessment"
    if source.state is SourceState.CLOSED:
        return f"{source.name} says the market is closed while it is open" if calendar.is_open(now) else ""
    if market_open and heard > rules.stale_after_seconds:
        return f"{source.name} has gone silent for {wording.age(heard)}"
    return ""


def _twice(views: Sequence[View]) -> Iterator[str]:
    """Accounts of which two sources report the same instrument: it may be one holding counted twice."""
    reporters: dict[tuple[AccountId, str], set[int]] = defaultdict(set)
    if len(views) > 1:
        for place, view in enumerate(views):
            for position in view.positions:
                reporters[position.account, position.instrument.key].add(place)
    for account in dict.fromkeys(account for (account, _), places in reporters.items() if len(places) > 1):
        yield f"{account} is reported by two sources, so its positions may be counted twice"


def _finite(account: Account) -> Account:
    """`account` with None for every figure that is not a number."""
    prior, by_name = account.prior_net_liquidation, account.margin_by_underlying
    return replace(
        account,
        net_liquidation=finite(account.net_liquidation),
        cash=finite(account.cash),
        buying_power=finite(account.buying_power),
        day_pnl=finite(account.day_pnl),
        cash_flows=finite(account.cash_flows),
        margins=tuple(
            replace(
                margin,
                net_liquidation=finite(margin.net_liquidation),
                maintenance=finite(margin.maintenance),
                excess=finite(margin.excess),
            )
            for margin in account.margins
        ),
        margin_by_underlying=None if by_name is None else {k: v for k, v in by_name.items() if finite(v) is not None},
        prior_net_liquidation=_known(prior),
    )


def _known(reading: Observed | None) -> Observed | None:
    return None if reading is None or finite(reading.value) is None else reading


def _weight(account: Account) -> tuple[bool, datetime]:
    return account.net_liquidation is not None, account.time

"""What a tastytrade account is worth, owes and may not do, from the answers of the REST API; pure.

Three habits of the API decide what is written here. Balances send requirements without a sign, the margin report sends
them as debits: here a requirement is positive. `updated-at` is the only thing that says how old a balance is: without
it the figures are of no known time and are left out. An answer that names another account is not this account's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from adapters.tastytrade.fields import day, flag, moment, number, requirement, signed, underlying
from adapters.tastytrade.rows import BROKER, account_id, kebab
from adapters.tastytrade.transfers import Since, cash_flows
from guardrails import calendar
from guardrails.errors import GuardrailsError
from guardrails.values import Account, Margin, MarginView, Observed, Position, Restriction, finite

Record = Mapping[str, object]
_CALLS = ("maintenance-call-value", "reg-t-call-value", "day-trading-call-value", "day-equity-call-value")
_RESTRICTIONS = {
    "is-closed": Restriction.CLOSED,
    "is-frozen": Restriction.FROZEN,
    "is-closing-only": Restriction.CLOSING_ONLY,
    "is-futures-closing-only": Restriction.FUTURES_CLOSING_ONLY,
    "is-cryptocurrency-closing-only": Restriction.CRYPTO_CLOSING_ONLY,
    "is-risk-reducing-only": Restriction.RISK_REDUCING_ONLY,
    "is-in-margin-call": Restriction.MARGIN_CALL,
    "is-in-day-trade-equity-maintenance-call": Restriction.DAY_TRADE_CALL,
}
_NOT_ALWAYS_SENT = ("is-cryptocurrency-closing-only", "is-risk-reducing-only")
"""flags the API leaves out of accounts they do not concern (optional in the client library's model)"""


@dataclass(frozen=True, slots=True)
class AccountRecords:
    """What the API said of one account, each answer kebab-cased as it came; None for one that was not read."""

    number: str
    read: datetime
    balance: Record | None
    status: Record | None
    """trading status"""
    margin: Record | None
    """margin report"""
    last_end_of_day: Record | None
    """balance snapshot of the last end of day"""
    transfers: tuple[Record, ...] | None
    """transactions since; those that move no money in or out are left aside"""


def to_account(records: AccountRecords, source: str) -> Account:
    """The account of these records; `day_pnl` is for the caller, who has the positions.

    A figure that was not read, cannot be true, or is of no known time is None. A margin call counts whoever reports it.
    """
    name, read = records.number, records.read
    balance, status, report = (_own(it, name) for it in (records.balance, records.status, records.margin))
    closed = _own(records.last_end_of_day, name)
    account = of_balance({**(balance or {}), "account-number": name}, source, read)
    told = None if balance is None else moment(balance.get("updated-at"))
    if told is None:  # a call is believed at any age, that there is none is not
        account = Account(account.id, source, read, account.currency, margin_call=account.margin_call or None)
    else:
        account = replace(
            account, time=told, margins=tuple(_completed(it, balance or {}, report) for it in account.margins)
        )
    since = None if closed is None else _end_of_day(closed, read)
    return replace(
        account,
        margin_by_underlying=None if report is None else margin_by_underlying(report, calendar.exchange_date(read)),
        prior_net_liquidation=_prior(closed, since, source),
        cash_flows=None if since is None else cash_flows(records.transfers, name, since),
        margin_call=_either(account.margin_call, None if status is None else flag(status.get("is-in-margin-call"))),
        restrictions=None if status is None else restrictions(status),
    )


def _own(record: Record | None, account: str) -> Record | None:
    """The record, unless it names another account."""
    if record is None or str(record.get("account-number") or account).strip() != account:
        return None
    return record


def of_balance(record: Record, source: str, time: datetime) -> Account:
    """The account of one balance record alone; `time` is its own `updated-at` (the caller reads it)."""
    fields = kebab(record)
    net_liquidation, required = signed(fields, "net-liquidating-value"), requirement(fields, "maintenance-requirement")
    margin = Margin(MarginView.CURRENT, "total", net_liquidation, required, _excess(fields, required))
    return Account(
        id=account_id(fields),
        source=source,
        time=time,
        currency=str(fields.get("currency") or "USD").upper(),
        net_liquidation=net_liquidation,
        cash=signed(fields, "cash-balance"),
        buying_power=signed(fields, "derivative-buying-power"),
        margins=(margin,),
        expected_views=(MarginView.CURRENT,),
        margin_call=_called(fields),
    )


def _excess(fields: Record, required: float | None) -> float | None:
    """Maintenance excess; None when it is above zero although the equity does not cover the requirement."""
    excess, equity = signed(fields, "maintenance-excess"), signed(fields, "margin-equity")
    if excess is not None and excess > 0 and equity is not None and required is not None and equity < required:
        return None
    return excess


def _completed(margin: Margin, balance: Record, report: Record | None) -> Margin:
    """The margin of the balance, with what it leaves out from the margin report, which states the same two figures.

    A figure the balance does state but that cannot be true is not replaced.
    """
    if report is None:
        return margin
    if balance.get("maintenance-requirement") is None:
        margin = replace(margin, maintenance=requirement(report, "maintenance-requirement"))
    if balance.get("maintenance-excess") is None:
        margin = replace(margin, excess=signed(report, "maintenance-excess"))
    return margin


def _called(balance: Record) -> bool | None:
    """True when any call is open, None when one that matters is not reported."""
    calls = [number(balance.get(name)) for name in _CALLS]
    if any(call is not None and call != 0 for call in calls):
        return True
    return None if None in calls else False


def _either(*witnesses: bool | None) -> bool | None:
    """True when one of them says so, False only when all deny it."""
    return True if any(witnesses) else None if None in witnesses else False


def restrictions(status: Record) -> tuple[Restriction, ...] | None:
    """What a trading status forbids; None when a flag that is always sent is missing, or one is no true or false."""
    found = {name: flag(status.get(name)) for name in _RESTRICTIONS}
    for name in _NOT_ALWAYS_SENT:
        if status.get(name) is None:
            found[name] = False
    return None if None in found.values() else tuple(_RESTRICTIONS[name] for name, is_set in found.items() if is_set)


def margin_by_underlying(report: Record, written: date) -> dict[str, float] | None:
    """Maintenance by canonical underlying, positive, from the groups of a margin report.

    `{}` is how the report writes no group. None when a group has no figure or no name: without it the shares of all
    the others would be too large, and its own would not be seen. `written`, the exchange date, as in `underlying`.
    """
    groups = report.get("groups")
    if not isinstance(groups, list | tuple):
        return None
    found: dict[str, float] = {}
    for group in groups:
        if group == {}:
            continue
        if not isinstance(group, Mapping):
            return None
        required = requirement(group, "maintenance-requirement")
        named = [underlying(group.get(name), written) for name in ("underlying-symbol", "code")]
        key = next((name for name in named if name is not None), None)
        if required is None or key is None:
            return None
        found[key] = found.get(key, 0.0) + required
    return found


def _end_of_day(closed: Record, read: datetime) -> Since | None:
    """The end of day a snapshot is of; None unless it names one that is over."""
    snapshot = day(closed.get("snapshot-date"))
    if snapshot is None or str(closed.get("time-of-day") or "EOD").strip().upper() != "EOD":
        return None
    try:
        close = calendar.session_bounds(calendar.session_on_or_before(snapshot))[1]
    except GuardrailsError:
        return None
    return Since(close, snapshot) if close <= read else None


def _prior(closed: Record | None, since: Since | None, source: str) -> Observed | None:
    """Net liquidation at the last end of day, timed at the close of that session."""
    value = None if closed is None else signed(closed, "net-liquidating-value")
    return None if value is None or since is None else Observed(value, since.close, source)


def day_pnl(positions: Iterable[Position]) -> float | None:
    """Profit of the day in the account's currency: the sum over all positions, also those closed today.

    One position: quantity × multiplier × (mark − average daily market close) + gain realized today. None when one of
    them is not known or they are in more than one currency: part of a sum is no sum.
    """
    held = list(positions)
    if any(it.day_pnl is None for it in held) or len({it.currency for it in held}) > 1:
        return None
    return finite(sum(it.day_pnl or 0.0 for it in held))


def net_liquidation_history(items: Iterable[object]) -> tuple[Observed, ...]:
    """Net liquidation with pending cash at the end of each interval, oldest first, of the API's history rows.

    Rows without a number or a time are left out, and so is a time that has two different values. The keys come as
    `total-close` or `totalClose`.
    """
    found: dict[datetime, set[float]] = {}
    for item in items:
        fields = kebab(item) if isinstance(item, Mapping) else {}
        value, time = number(fields.get("total-close", fields.get("totalclose"))), moment(fields.get("time"))
        if value is not None and time is not None:
            found.setdefault(time, set()).add(value)
    return tuple(Observed(values.pop(), time, BROKER) for time, values in sorted(found.items()) if len(values) == 1)

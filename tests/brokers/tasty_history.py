"""What accounts were: balance snapshots, transactions, net liquidating value by session."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING

from tests.brokers.tasty_accounts import balance, owner, stamp
from tests.brokers.tasty_book import NEW_YORK, Row
from tests.brokers.tasty_lists import listed
from tests.brokers.tasty_wire import Answer, Request

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty

SNAPSHOT_LACKS = (
    "reg-t-margin-requirement", "futures-overnight-margin-requirement", "futures-intraday-margin-requirement",
    "maintenance-excess", "pending-margin-interest", "effective-cryptocurrency-buying-power", "updated-at",
)  # fmt: skip
"""fields of a balance that its snapshots do not have"""


def snapshots(tasty: Tasty, request: Request, number: str) -> Answer:
    """Balances at the end (EOD) or beginning (BOD) of sessions, newest first; BOD is the EOD of the session before."""
    account, ends = owner(tasty, number), request.one("time-of-day", "EOD") == "EOD"
    values = account.get("eod_net_liquidating_values", [])
    days = [*tasty.book.sessions(len(values)), tasty.book.today]
    now = {key: told for key, told in balance(tasty, number).items() if key not in SNAPSHOT_LACKS}
    rows = [
        {**now, "net-liquidating-value": value, "margin-equity": value, "snapshot-date": day,
         "time-of-day": "EOD" if ends else "BOD"}
        for value, day in zip(values, days if ends else days[1:], strict=False)
    ]  # fmt: skip
    day = request.one("snapshot-date")
    rows = [row for row in rows if not day or str(row["snapshot-date"]) == day]
    return listed(tasty, request, "snapshots", _between(rows[::-1], "snapshot-date", request), 250)


def _between(rows: list[Row], key: str, request: Request) -> list[Row]:
    first, last = request.one("start-date"), request.one("end-date")
    return [row for row in rows if (not first or str(row[key]) >= first) and (not last or str(row[key]) <= last)]


def transactions(tasty: Tasty, request: Request, number: str) -> Answer:
    """The transactions, newest first, filtered as asked."""
    rows = [_transaction(tasty, number, told) for told in owner(tasty, number).get("transactions", [])]
    kinds, subs = request.many("type") + request.many("types"), request.many("sub-type")
    rows = [row for row in rows if not kinds or row["transaction-type"] in kinds]
    rows = [row for row in rows if not subs or row["transaction-sub-type"] in subs]
    rows.sort(key=lambda row: row["executed-at"], reverse=request.one("sort", "Desc") == "Desc")
    return listed(tasty, request, "transactions", _between(rows, "transaction-date", request), 250)


def _transaction(tasty: Tasty, number: str, told: Row) -> Row:
    day = tasty.book.at(told["date"])
    return {
        "account-number": number, "transaction-date": day, "executed-at": _opening(day), "is-estimated-fee": True,
        "net-value": told["value"], "net-value-effect": told["value-effect"],
        **{key: value for key, value in told.items() if key != "date"},
    }  # fmt: skip


def net_liq(tasty: Tasty, request: Request, number: str) -> Answer:
    """Net liquidating value by session."""
    values = owner(tasty, number).get("eod_net_liquidating_values", [])
    keys = ("open", "high", "low", "close", "total-open", "total-high", "total-low", "total-close")
    pending = dict.fromkeys(("pending-cash-open", "pending-cash-high", "pending-cash-low", "pending-cash-close"), "0.0")
    rows: list[Row] = [
        {**dict.fromkeys(keys, value), **pending, "time": _opening(day)}
        for day, value in zip(tasty.book.sessions(len(values)), values, strict=True)
    ]
    return listed(tasty, request, "net_liq", rows)


def _opening(day: date) -> str:
    return stamp(datetime.combine(day, time(9, 30), NEW_YORK))

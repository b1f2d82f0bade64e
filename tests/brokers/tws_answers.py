"""What the stand-in answers to each request that is not about quotes or orders: one function per message name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.brokers import tws_messages as messages
from tests.brokers.tws_book import multiplier
from tests.brokers.tws_wire import UNSET, Fields, frame

if TYPE_CHECKING:
    from tests.brokers.tws_session import Session

NEW_YORK = ZoneInfo("America/New_York")
BARS_PER = {"D": 1, "W": 5, "M": 21, "Y": 252}
"""sessions in one unit of a duration such as `1 Y`"""


def req_current_time(session: Session, fields: Fields) -> None:
    """Seconds since 1970, wrong by the fault `skew`."""
    skew = (session.tws.hit("skew") or {}).get("seconds", 0)
    session.send(frame(49, 1, int(session.tws.clock().timestamp() + skew)))


def req_ids(session: Session, fields: Fields) -> None:
    session.send(frame(9, 1, session.tws.next_id))


def req_managed_accounts(session: Session, fields: Fields) -> None:
    session.send(frame(15, 1, ",".join(session.tws.book.accounts)))


def req_positions(session: Session, fields: Fields) -> None:
    """Every position of every account, now and whenever one changes."""
    book = session.tws.book
    if not session.tws.hit("empty_positions"):
        for (account, con_id), (quantity, cost) in book.positions.items():
            session.send(messages.position(account, book.contracts[con_id], quantity, cost))
    session.wants_positions = True
    session.send(frame(62, 1))


def cancel_positions(session: Session, fields: Fields) -> None:
    session.wants_positions = False


def req_account_updates(session: Session, fields: Fields) -> None:
    """Values and portfolio of one account; a second call replaces the first, as TWS does."""
    _, subscribe, account = fields.word(), fields.flag(), fields.word()
    book = session.tws.book
    account = account or next(iter(book.accounts))
    if account not in book.accounts:
        session.send(messages.error(-1, 321, "Error validating request.-'bQ' : cause - Invalid account code"))
        return
    session.account = account if subscribe else ""
    if subscribe:
        send_account(session, account)
        session.send(frame(54, 1, account))


def send_account(session: Session, account: str) -> None:
    """Everything an account download holds, without its end."""
    book = session.tws.book
    for (tag, currency), value in book.accounts[account].items():
        session.send(frame(6, 2, tag, value, currency, account))
    for (owner, con_id), (quantity, cost) in book.positions.items():
        if owner == account:
            session.send(messages.portfolio(account, book.contracts[con_id], quantity, cost, book.mark(con_id)))
    session.send(frame(8, 1, f"{session.tws.clock().astimezone(NEW_YORK):%H:%M}"))


def req_account_updates_multi(session: Session, fields: Fields) -> None:
    """The values of one account, now and whenever one changes."""
    _, req_id, account, model, _ledger = fields.take(5)
    values = session.tws.book.accounts.get(account)
    if values is None:
        session.send(messages.error(int(req_id), 321, "Error validating request.-'cd' : cause - Invalid account code"))
        return
    session.multi[int(req_id)] = account
    for (tag, currency), value in values.items():
        session.send(frame(73, 1, req_id, account, model, tag, value, currency))
    session.send(frame(74, 1, req_id))


def cancel_account_updates_multi(session: Session, fields: Fields) -> None:
    session.multi.pop(int(fields.take(2)[1]), None)


def req_account_summary(session: Session, fields: Fields) -> None:
    """The tags asked for, of every account; TWS allows two of these at once (322)."""
    _, req_id, _group, tags = fields.take(4)
    if len(session.summaries) >= 2:
        words = "Error processing request.-'cc' : cause - Maximum number of account summary requests exceeded"
        session.send(messages.error(int(req_id), 322, words))
        return
    wanted = session.summaries[int(req_id)] = set(tags.split(","))
    for account, values in session.tws.book.accounts.items():
        for (tag, currency), value in values.items():
            if tag in wanted or ("$LEDGER:ALL" in wanted and tag in session.tws.book.ledger_tags):
                session.send(frame(63, 1, req_id, account, tag, value, currency))
    session.send(frame(64, 1, req_id))


def cancel_account_summary(session: Session, fields: Fields) -> None:
    session.summaries.pop(int(fields.take(2)[1]), None)


def req_pnl(session: Session, fields: Fields) -> None:
    """P&L of an account, about every second."""
    req_id, account, _model = fields.take(3)
    session.pnl[int(req_id)] = (account, 0)
    send_pnl(session, int(req_id))


def req_pnl_single(session: Session, fields: Fields) -> None:
    """P&L of one position, about every second."""
    req_id, account, _model, con_id = fields.take(4)
    session.pnl[int(req_id)] = (account, int(con_id))
    send_pnl(session, int(req_id))


def send_pnl(session: Session, req_id: int) -> None:
    """What a P&L subscription says now; absent figures are unset, an unknown position is silence."""
    account, con_id = session.pnl[req_id]
    book = session.tws.book
    row: dict[str, Any] = book.pnl.get(account, {})
    if not con_id:
        session.send(frame(94, req_id, *(row.get(key, UNSET) for key in ("daily", "unrealized", "realized"))))
    elif (account, con_id) in book.positions:
        quantity, cost = book.positions[account, con_id]
        mark, size = book.mark(con_id), multiplier(book.contracts[con_id])
        value = UNSET if mark is None else mark * size * quantity
        gain = UNSET if mark is None else value - cost * quantity
        daily = row.get("positions", {}).get(con_id, UNSET)
        session.send(frame(95, req_id, float(quantity), daily, gain, UNSET, value))


def cancel_pnl(session: Session, fields: Fields) -> None:
    session.pnl.pop(fields.whole(), None)


def req_contract_details(session: Session, fields: Fields) -> None:
    """Every contract that fits, or error 200."""
    fields.word()
    req_id, asked = fields.whole(), fields.contract()
    if asked.secType == "BAG" or (not asked.con_id and not asked.secType):
        words = "Error validating request.-'bt' : cause - Please enter a valid security type"
        session.send(messages.error(req_id, 321, words))
        return
    rows = [row for row in session.tws.book.find(asked) if not session.tws.hit("contract_unknown", row["conId"])]
    if not rows:
        session.send(messages.error(req_id, 200, "No security definition has been found for the request"))
        return
    for row in rows:
        session.send(messages.details(req_id, row))
    session.send(frame(52, 1, req_id))


def req_historical_data(session: Session, fields: Fields) -> None:
    """Daily bars, or error 162 for anything the book has no bars of."""
    req_id, asked, _expired = fields.whole(), fields.contract(), fields.word()
    end, size, duration = fields.take(3)
    rows = session.tws.book.find(asked)
    last = datetime.strptime(end[:8], "%Y%m%d").date() if end else session.tws.book.today  # noqa: DTZ007  # a day only
    bars = session.tws.book.bars(rows[0]["conId"], last) if len(rows) == 1 and size == "1 day" else []
    count, unit = (duration.split() or ["0", "D"])[:2]
    bars = bars[-int(count) * BARS_PER.get(unit, 0) :] if unit in BARS_PER else []
    if not rows:
        session.send(messages.error(req_id, 200, "No security definition has been found for the request"))
    elif not bars:
        session.send(
            messages.error(req_id, 162, "Historical Market Data Service error message:HMDS query returned no data")
        )
    else:
        session.send(messages.history(req_id, bars))


def req_executions(session: Session, fields: Fields) -> None:
    """Today's executions that fit the filter, each with its commission, then the end."""
    _, req_id, _client, account, _time, symbol, sec_type, _exchange, side = fields.take(9)
    book = session.tws.book
    for row in book.executions:
        traded = book.contracts[row["conId"]]
        if account in ("", row["account"]) and symbol in ("", traded["symbol"]) and sec_type in ("", traded["secType"]):
            if side and side[:1] != row["side"][:1]:
                continue
            today = session.tws.clock().astimezone(NEW_YORK)
            session.send(messages.execution(int(req_id), row, traded, today, session.version))
            session.send(messages.commission(row))
    session.send(frame(55, 1, req_id))


ANSWERS: dict[str, Callable[[Session, Fields], None]] = {
    "reqCurrentTime": req_current_time,
    "reqIds": req_ids,
    "reqManagedAccts": req_managed_accounts,
    "reqPositions": req_positions,
    "cancelPositions": cancel_positions,
    "reqAccountUpdates": req_account_updates,
    "reqAccountUpdatesMulti": req_account_updates_multi,
    "cancelAccountUpdatesMulti": cancel_account_updates_multi,
    "reqAccountSummary": req_account_summary,
    "cancelAccountSummary": cancel_account_summary,
    "reqPnL": req_pnl,
    "cancelPnL": cancel_pnl,
    "reqPnLSingle": req_pnl_single,
    "cancelPnLSingle": cancel_pnl,
    "reqContractDetails": req_contract_details,
    "reqHistoricalData": req_historical_data,
    "reqExecutions": req_executions,
}

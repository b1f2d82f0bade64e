"""How the connection is told to a person: the one condition it is in, and each stream by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from adapters.condition import Condition
from adapters.ibkr import conditions, history, rows
from adapters.ibkr.quotes import DataType
from adapters.ibkr.session import POSITIONS_SILENT_SECONDS, Session
from adapters.ibkr.streams import Streams
from adapters.ibkr.supervisor import Supervisor
from guardrails import calendar, wording
from guardrails.values import AccountId, Stream

QUOTES_SILENT = timedelta(seconds=30)
_SKEW_SECONDS = 2.0


def condition_of(supervisor: Supervisor, now: datetime) -> Condition:
    """The worst that is true now."""
    session, streams = supervisor.session, supervisor.streams
    if session is None or streams is None:
        return supervisor.trouble
    if session.silent:
        return conditions.NOT_ANSWERING
    if session.link_lost:
        return conditions.link_lost(now)
    if session.doubted:
        return conditions.EMPTY_DOUBTED if session.rows_time is not None else conditions.EMPTY_AT_START
    if session.resynchronising:
        return conditions.RESYNCHRONISING
    if _late(session, now):
        return conditions.POSITIONS_SILENT
    if session.broken_farms:
        return conditions.FARM_DOWN
    quiet = streams.heard is None or now - streams.heard > QUOTES_SILENT
    if not calendar.is_open(now):
        return conditions.MARKET_CLOSED if quiet else conditions.CONNECTED
    return conditions.QUOTES_SILENT if quiet and streams.heard is not None else conditions.CONNECTED


def streams_of(supervisor: Supervisor, now: datetime) -> tuple[Stream, ...]:
    """Connection, positions, account figures, P&L, quotes, closes and orders, each with its last word."""
    session, streams = supervisor.session, supervisor.streams
    if session is None or streams is None:
        return (Stream("connection", None, works=False, detail=supervisor.trouble.sentence),)
    return (
        Stream("connection", session.answered, works=not (session.silent or session.link_lost), detail=_clock(session)),
        _positions(session, now),
        *(_account(number, session) for number in session.accounts),
        *(_pnl(number, session) for number in session.accounts),
        _quotes(session, streams, now),
        *(_closes(symbol, supervisor) for symbol in history.SYMBOLS),
        _orders(session),
    )


def warnings_of(supervisor: Supervisor) -> tuple[str, ...]:
    """What works only in part."""
    session, streams = supervisor.session, supervisor.streams
    if session is None or streams is None:
        return ()
    return tuple(_warnings(supervisor, session, streams))


def _warnings(supervisor: Supervisor, session: Session, streams: Streams) -> Iterator[str]:
    types = Counter(quote.data_type for want in streams.wants if (quote := streams.quotes.get(want.con_id)) is not None)
    late = types[DataType.DELAYED] + types[DataType.DELAYED_FROZEN]
    if late:
        yield f"{late} of {len(streams.wants)} quotes are delayed by 15 to 20 minutes: subscribe to live data at IBKR"
    if streams.rotating:
        yield (
            f"{len(streams.rotating)} quotes are refreshed in turns: {len(streams.wants)} are wanted and "
            f"{streams.budget} market data lines are free; raise IBKR_MARKET_DATA_LINES if IBKR grants more"
        )
    wanted = {want.con_id for want in streams.wants}
    refused = {number: told for number, told in session.contract_errors.items() if number in wanted}
    competing = [number for number, (code, _) in refused.items() if code == conditions.COMPETING_SESSION]
    if competing:
        yield "IBKR gives no quotes while the same user is logged in elsewhere: end the other session"
    others = len(refused) - len(competing)
    if others:
        code, text = next(told for number, told in refused.items() if number not in competing)
        yield f"{others} of {len(wanted)} contracts have no or incomplete quotes; for one IBKR says {code}: {text}"
    yield from supervisor.no_closes.values()


def _clock(session: Session) -> str:
    skew = session.skew.seconds
    if skew is None or abs(skew) <= _SKEW_SECONDS:
        return "answers"
    return f"answers; its clock {wording.skew(skew)}"


def _positions(session: Session, now: datetime) -> Stream:
    count = f"{len(session.held)} positions"
    detail = f"{count}; IBKR listed fewer, which is not believed" if session.doubted else count
    return Stream("positions", session.rows_time, works=not (_late(session, now) or session.doubted), detail=detail)


def _late(session: Session, now: datetime) -> bool:
    """Whether the positions have not been read whole for too long."""
    return session.rows_time is None or now - session.rows_time > timedelta(seconds=POSITIONS_SILENT_SECONDS)


def _account(number: str, session: Session) -> Stream:
    time = session.account_times.get(number)
    name = f"account {AccountId(rows.BROKER, number)}"
    return Stream(name, time, works=time is not None, detail="IBKR refreshes margin figures every 3 minutes")


def _pnl(number: str, session: Session) -> Stream:
    time = session.pnl_times.get(number)
    return Stream(f"P&L {AccountId(rows.BROKER, number)}", time, works=None if time is None else True)


def _quotes(session: Session, streams: Streams, now: datetime) -> Stream:
    refused = sum(1 for want in streams.wants if want.con_id in session.contract_errors)
    detail = f"{len(streams.active)} of {streams.budget} lines in use for {len(streams.wants)} contracts"
    if streams.rotating:
        detail += f", {len(streams.rotating)} in turns"
    if refused:
        detail += f", {refused} refused"
    quiet = calendar.is_open(now) and streams.heard is not None and now - streams.heard > QUOTES_SILENT
    works = False if quiet or session.broken_farms else None if streams.heard is None and streams.wants else True
    return Stream("quotes", streams.heard, works=works, detail=detail)


def _closes(symbol: str, supervisor: Supervisor) -> Stream:
    closes, reason = supervisor.closes.get(symbol), supervisor.no_closes.get(symbol, "")
    if closes:
        time = supervisor.closes_times.get(symbol)
        return Stream(f"closes of {symbol}", time, detail=f"{len(closes)} days until {closes[-1][0]:%d %b}")
    return Stream(f"closes of {symbol}", None, works=False if reason else None, detail=reason or "being read")


def _orders(session: Session) -> Stream:
    if session.working_orders is None:
        return Stream("orders", None, works=None, detail="IBKR has not said which orders rest (read-only API?)")
    fills = "" if session.executions_known else "; today's fills are not known, so positions have no own day P&L"
    return Stream("orders", session.orders_time, detail=f"{session.working_orders} resting at IBKR{fills}")

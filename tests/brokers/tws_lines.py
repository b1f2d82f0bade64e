"""Market data: who asked for what, the picture each line gets at once, and the prepared updates it streams.

Tick numbers are IBKR's: a delayed line carries other numbers than a live one for the same figure.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.brokers import tws_messages as messages
from tests.brokers.tws_book import Row
from tests.brokers.tws_wire import UNSET, Asked, Fields, frame

if TYPE_CHECKING:
    from tests.brokers.tws_session import Session

LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4
PRICES = {
    "bid": (1, 66),
    "ask": (2, 67),
    "last": (4, 68),
    "high": (6, 72),
    "low": (7, 73),
    "close": (9, 75),
    "open": (14, 76),
}
"""figure -> tick number when live, when delayed"""
GREEKS = {"bid_greeks": (10, 80), "ask_greeks": (11, 81), "last_greeks": (12, 82), "model": (13, 83)}
VOLUME, LAST_TIME, HALTED = (8, 74), (45, 88), (49, 90)
DIVIDENDS = 59
"""text: sum of the past year, of the next, date and amount of the next one"""
GREEK_FIELDS = ("iv", "delta", "price", "pvDividend", "gamma", "vega", "theta", "undPrice")
UNSET_GREEKS = {"iv": -1.0, "price": -1.0, "pvDividend": -1.0, "undPrice": -1.0}
"""how IBKR says "not computed" for these; -2 for the others"""
REFUSALS = {
    354: "Requested market data is not subscribed.",
    10089: "Requested market data requires additional subscription for API. Delayed market data is available.",
    10168: "Requested market data is not subscribed. Delayed market data is not enabled.",
    10197: "No market data during competing live session",
}
WALK = 32
"""updates prepared for each line, sent round and round"""


@dataclass(slots=True)
class Line:
    """One open subscription."""

    req_id: int
    con_id: int
    ticks: str = ""
    """generic ticks asked for, with commas between"""
    served: int = 0
    """market data type given; 0 when the line was refused"""
    updates: list[bytes] = field(default_factory=list)
    at: int = 0


def req_market_data_type(session: Session, fields: Fields) -> None:
    session.data_type = int(fields.take(2)[1])


def req_mkt_data(session: Session, fields: Fields) -> None:
    """A full picture at once, or the error IBKR gives; a snapshot ends there, anything else holds a line."""
    fields.word()
    req_id, asked = fields.whole(), fields.contract()
    if asked.secType == "BAG":
        fields.take(4 * fields.whole())
    if fields.flag():
        fields.take(3)
    ticks, snapshot = fields.word(), fields.flag()
    refusal = _invalid(session, asked)
    if refusal:
        session.send(messages.error(req_id, *refusal))
        return
    line = Line(req_id, asked.con_id or _only(session, asked), ticks)
    if not snapshot:
        session.lines[req_id] = line
        session.tws.count_lines()
    serve(session, line)
    if snapshot:
        session.send(frame(57, 1, req_id))


def _only(session: Session, asked: Asked) -> int:
    rows = session.tws.book.find(asked)
    return int(rows[0]["conId"]) if rows else 0  # a BAG: it takes a line and stays silent


def _invalid(session: Session, asked: Asked) -> tuple[int, str] | None:
    """Why a request cannot be served at all, or None."""
    tws = session.tws
    if asked.secType in ("OPT", "FUT", "FOP") and not asked.exchange:
        return 321, "Error validating request.-'bO' : cause - Missing order exchange"
    if asked.secType != "BAG":
        rows = tws.book.find(asked)
        if len(rows) != 1 or tws.hit("contract_unknown", rows[0]["conId"]):
            return 200, "No security definition has been found for the request"
    if tws.lines >= tws.max_lines:
        return 101, "Max number of tickers has been reached"
    return None


def cancel_mkt_data(session: Session, fields: Fields) -> None:
    req_id = int(fields.take(2)[1])
    if session.lines.pop(req_id, None) is None:
        session.send(messages.error(req_id, 300, f"Can't find EId with tickerId:{req_id}"))


def serve(session: Session, line: Line) -> None:
    """Send a line what it may see now: an error, or its type and a full picture; and prepare its updates."""
    line.updates = []
    line.served = _permitted(session, line)
    if not line.served:
        return
    row = session.tws.book.contracts.get(line.con_id, {})
    session.send(frame(81, line.req_id, row.get("minTick", 0.01), "9c0001", 3))
    session.send(frame(58, 1, line.req_id, line.served))
    tell(session, line, session.tws.book.quotes.get(line.con_id, {}))


def tell(session: Session, line: Line, figures: Row) -> None:
    """Send a line what changed in its quote, unless it was refused, and prepare its updates anew."""
    if line.served:
        for message in picture(session, line, figures):
            session.send(message)
        prepare(session, line)


def prepare(session: Session, line: Line) -> None:
    """Make a line's updates from its quote as it stands."""
    line.updates = _walk(session, line, session.tws.book.quotes.get(line.con_id, {})) if line.served else []


def _permitted(session: Session, line: Line) -> int:
    """The market data type a line gets; 0 after telling the client why it gets none.

    Type 3 or 4 gives live data where there is permission for it, as IBKR documents.
    """
    tws = session.tws
    wants_delayed = session.data_type in (DELAYED, DELAYED_FROZEN)
    denied = tws.hit("no_permission", line.con_id)
    code = denied.get("code", 354) if denied else 0
    if tws.hit("competing_session", line.con_id):
        code = 10197
    if code and not (wants_delayed and code in (10089, 10168)):
        session.send(messages.error(line.req_id, code, REFUSALS[code]))
        return 0
    if code or tws.hit("delayed", line.con_id):
        words = "Requested market data is not subscribed. Displaying delayed market data."
        session.send(messages.error(line.req_id, 10167, words))
        return DELAYED_FROZEN if session.data_type == DELAYED_FROZEN else DELAYED
    frozen = tws.hit("market_closed") is not None and session.data_type in (FROZEN, DELAYED_FROZEN)
    return FROZEN if frozen else LIVE


def picture(session: Session, line: Line, quote: Row) -> list[bytes]:
    """Ticks for every figure in `quote`: prices with their sizes, volume, halt, time of last trade, greeks."""
    late = line.served in (DELAYED, DELAYED_FROZEN)
    closed = session.tws.hit("market_closed") and line.served == LIVE
    ticks = []
    for name, numbers in PRICES.items():
        if quote.get(name) is not None:
            price, size = float(quote[name]), quote.get(f"{name}Size", 0)
            if closed and name in ("bid", "ask"):
                price, size = -1.0, 0
            ticks.append(frame(1, 6, line.req_id, numbers[late], price, size, 0))
    if "volume" in quote:
        ticks.append(frame(2, 6, line.req_id, VOLUME[late], quote["volume"]))
    if "halted" in quote:
        ticks.append(frame(45, 6, line.req_id, HALTED[late], float(quote["halted"])))
    if "last" in quote:
        ticks.append(frame(46, 6, line.req_id, LAST_TIME[late], int(session.tws.clock().timestamp())))
    if "dividends" in quote and "456" in line.ticks.split(","):
        ticks.append(frame(46, 6, line.req_id, DIVIDENDS, quote["dividends"]))
    for name, numbers in GREEKS.items():
        if quote.get(name) is not None:
            ticks += _greeks(session, line, numbers[late], quote[name])
    return ticks


def _greeks(session: Session, line: Line, number: int, values: Row) -> list[bytes]:
    """One option computation, as the greek faults leave it; empty when it is withheld."""
    tws = session.tws
    if tws.hit("no_greeks", line.con_id):
        return []
    if tws.hit("nan_greeks", line.con_id):
        values = dict.fromkeys(GREEK_FIELDS, math.nan)
    elif tws.hit("unset_greeks", line.con_id):
        values = UNSET_GREEKS
    elif tws.hit("sentinel_greeks", line.con_id):
        values = dict.fromkeys(GREEK_FIELDS, UNSET)
    told = [values.get(name, UNSET_GREEKS.get(name, -2.0)) for name in GREEK_FIELDS]
    return [frame(21, line.req_id, number, 0, *(float(figure) for figure in told))]


def _walk(session: Session, line: Line, quote: Row) -> list[bytes]:
    """Updates that wander around the quote and come back, so that streaming costs a list look-up.

    Sizes always change; prices only when the stand-in was told to walk, so that totals stay what the book says.
    """
    if quote.get("bid") is None and quote.get("last") is None:
        return []
    late = line.served in (DELAYED, DELAYED_FROZEN)
    rng = random.Random(line.con_id)  # noqa: S311  # repeatable test prices, no secret
    tick = float(session.tws.book.contracts.get(line.con_id, {}).get("minTick", 0.01))
    names = [name for name in ("bid", "ask") if (quote.get(name) or -1) > 0] or ["last"]
    updates, offset = [], 0
    for step in range(WALK):
        offset = 0 if not session.tws.walks or step >= WALK - 2 else max(-3, min(3, offset + rng.choice((-1, 0, 1))))
        name = names[step % len(names)]
        size = 0 if name == "last" else rng.randint(1, 50)
        price = round(float(quote.get(name, 0)) + offset * tick, 6)
        updates.append(frame(1, 6, line.req_id, PRICES[name][late], price, size, 0))
        if step % 8 == 7 and quote.get("model"):
            updates += _greeks(session, line, GREEKS["model"][late], quote["model"])
    return updates


ANSWERS: dict[str, Callable[[Session, Fields], None]] = {
    "reqMktData": req_mkt_data,
    "cancelMktData": cancel_mkt_data,
    "reqMarketDataType": req_market_data_type,
}

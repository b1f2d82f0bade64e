"""Option chains and market rules: what is listed on an underlying, and which prices an exchange takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.brokers import tws_messages as messages
from tests.brokers.tws_wire import Fields, frame

if TYPE_CHECKING:
    from tests.brokers.tws_session import Session

RULES = {
    26: [(0.0, 0.01)],
    32: [(0.0, 0.01), (3.0, 0.05)],
    109: [(0.0, 0.05), (3.0, 0.1)],
    67: [(0.0, 0.25)],
    239: [(0.0, 0.05), (5.0, 0.25)],
}
"""number -> (from this price on, a multiple of this): shares, penny classes, SPX, ES, options on ES"""


def req_sec_def_opt_params(session: Session, fields: Fields) -> None:
    """Expiries and strikes by trading class, of every option of the book on that underlying."""
    req_id, _symbol, exchange, _kind, under = fields.take(5)
    listed: defaultdict[tuple[str, str], tuple[set[str], set[float]]] = defaultdict(lambda: (set(), set()))
    for row in session.tws.book.contracts.values():
        if row["secType"] in ("OPT", "FOP") and row.get("underConId") == int(under or 0):
            days, strikes = listed[row["tradingClass"], row["multiplier"]]
            days.add(row["lastTradeDateOrContractMonth"])
            strikes.add(float(row["strike"]))
    for (name, size), (days, strikes) in listed.items():
        for venue in (exchange or "SMART", "CBOE"):
            numbers = [f"{strike:g}" for strike in sorted(strikes)]
            session.send(frame(75, req_id, venue, under, name, size, len(days), *sorted(days), len(numbers), *numbers))
    session.send(frame(76, req_id))


def req_market_rule(session: Session, fields: Fields) -> None:
    """The increments of one rule; an error without a number for one that is not known."""
    number = fields.whole()
    steps = RULES.get(number)
    if steps is None:
        session.send(messages.error(-1, 321, "Error validating request.-'dd' : cause - Invalid market rule id"))
        return
    session.send(frame(93, number, len(steps), *(value for step in steps for value in step)))


ANSWERS: dict[str, Callable[[Session, Fields], None]] = {
    "reqSecDefOptParams": req_sec_def_opt_params,
    "reqMarketRule": req_market_rule,
}

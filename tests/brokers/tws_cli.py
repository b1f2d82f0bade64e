"""The stand-in as a process of its own, to be killed and started again by a test or a person."""

from __future__ import annotations

import argparse
import threading
from datetime import UTC, datetime
from pathlib import Path

from tests.brokers import tws_control, tws_strikes
from tests.brokers.tws import Tws
from tests.brokers.tws_answers import NEW_YORK
from tests.brokers.tws_book import Book
from tests.brokers.tws_faults import FAULTS
from tests.brokers.tws_wire import HIGHEST, LOWEST

MIXED = Path(__file__).parent / "books" / "mixed.yaml"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.brokers.tws", description="A stand-in for TWS.")
    parser.add_argument("--book", type=Path, default=MIXED, help="what it knows (YAML)")
    parser.add_argument("--port", type=int, default=4002, help="0 takes any free one")
    parser.add_argument("--fault", action="append", default=[], choices=FAULTS, help="may be given several times")
    parser.add_argument("--rate", type=float, default=1.0, help="updates a second for each market data line")
    parser.add_argument("--walk", action="store_true", help="prices wander instead of staying as in the book")
    parser.add_argument("--version", type=int, default=176, choices=range(LOWEST, HIGHEST + 1), help="server version")
    parser.add_argument("--lines", type=int, default=100, help="market data lines")
    parser.add_argument("--orders", action="store_true", help="takes real orders")
    parser.add_argument("--chain", action="store_true", help="with whole option chains on SPX and AAPL")
    parser.add_argument("--control", type=int, default=None, help="port for commands (tws_control); 0 any free one")
    return parser.parse_args()


def main() -> None:
    """Listen until the process is ended; prints `listening on PORT` once it does."""
    told = _arguments()
    book = Book.load(told.book, datetime.now(UTC).astimezone(NEW_YORK).date())
    for chain in tws_strikes.SHIPPED if told.chain else ():
        tws_strikes.add_chain(book, **chain)
    with Tws(book, port=told.port, version=told.version, max_lines=told.lines, takes_orders=told.orders) as tws:
        for name in told.fault:
            tws.fault(name)
        tws.stream(told.rate, walk=told.walk)
        also = "" if told.control is None else f" controlled on {tws_control.listen(tws, told.control)}"
        print(f"listening on {tws.port}{also}", flush=True)  # the one line a caller waits for
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return

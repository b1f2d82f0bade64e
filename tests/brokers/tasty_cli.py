"""The stand-in as a process of its own, to be killed and started again by a test or a person."""

from __future__ import annotations

import argparse
import threading
from datetime import UTC, datetime
from pathlib import Path

import yaml

from tests.brokers.tasty import Tasty
from tests.brokers.tasty_book import NEW_YORK, Book
from tests.brokers.tasty_exchange import MANNERS
from tests.brokers.tasty_faults import FAULTS

BOOK = Path(__file__).parent / "books" / "tasty.yaml"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.brokers.tasty", description="A stand-in for tastytrade.")
    parser.add_argument("--book", type=Path, default=BOOK, help="what it knows (YAML)")
    parser.add_argument("--port", type=int, default=8787, help="0 takes any free one")
    parser.add_argument("--fault", action="append", default=[], help="NAME or NAME:key=value,key=value; several times")
    parser.add_argument("--rate", type=float, default=1.0, help="updates a second for each subscription")
    parser.add_argument("--walk", action="store_true", help="prices wander instead of staying as in the book")
    parser.add_argument("--trades", action="store_true", help="take orders; without it they are refused")
    parser.add_argument("--fills", choices=MANNERS, default="never", help="which orders fill by themselves")
    parser.add_argument("--expires-in", type=int, default=900, help="seconds a bearer lives")
    parser.add_argument("--keepalive", type=float, default=30.0, help="seconds between KEEPALIVE messages")
    told = parser.parse_args()
    for text in told.fault:
        if text.partition(":")[0] not in FAULTS:
            parser.error(f"no fault is called {text!r}: choose one of {', '.join(FAULTS)}")
    return told


def main() -> None:
    """Listen until the process is ended; prints `listening on PORT` once it does."""
    told = _arguments()
    book = Book.load(told.book, datetime.now(UTC).astimezone(NEW_YORK).date())
    with Tasty(book, port=told.port, expires_in=told.expires_in, keepalive=told.keepalive, trades=told.trades) as tasty:
        tasty.fills_by_itself(told.fills)
        for text in told.fault:
            name, _, settings = text.partition(":")
            pairs = (pair.partition("=") for pair in settings.split(",") if pair)
            tasty.fault(name, **{key: yaml.safe_load(value) for key, _, value in pairs})
        tasty.stream(per_symbol=told.rate, walk=told.walk)
        print(f"listening on {tasty.port}", flush=True)  # the one line a caller waits for
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return

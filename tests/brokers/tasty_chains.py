"""Option chains as the API nests them, and strikes to put into a book that has too few for an order of four legs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from math import erf, exp, log, pi, sqrt
from typing import TYPE_CHECKING

from tests.brokers.tasty_accounts import stamp
from tests.brokers.tasty_book import Book, Row
from tests.brokers.tasty_instruments import option_ticks
from tests.brokers.tasty_lists import listed
from tests.brokers.tasty_wire import Answer, Refused, Request, data

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty


def nested(tasty: Tasty, request: Request, symbol: str) -> Answer:
    """One chain for each root of the options on a share or an index."""
    rows = [row for row in tasty.book.of_type("Equity Option") if row["underlying-symbol"] == symbol]
    if not rows:
        raise Refused(404, "record_not_found", f"Couldn't find an option chain for {symbol}")
    roots = sorted({_root(row) for row in rows})
    chains = [
        {
            "underlying-symbol": symbol, "root-symbol": root, "option-chain-type": "Standard",
            "shares-per-contract": 100, "tick-sizes": option_ticks(symbol),
            "expirations": _expirations([row for row in rows if _root(row) == root]),
        }
        for root in roots
    ]  # fmt: skip
    return listed(tasty, request, "option_chains", chains)


def nested_futures(tasty: Tasty, request: Request, product: str) -> Answer:
    """The chains of a futures product."""
    rows = [row for row in tasty.book.of_type("Future Option") if row["product"] == f"/{product}"]
    if not rows:
        raise Refused(404, "record_not_found", f"Couldn't find a futures option chain for {product}")
    chain = {
        "underlying-symbol": f"/{product}", "root-symbol": f"/{product}", "exercise-style": "European",
        "expirations": _expirations(rows, futures=True),
    }  # fmt: skip
    return data({"futures": [], "option-chains": [chain]}, context=request.path)


def _root(row: Row) -> str:
    return str(row["symbol"][:6]).strip()


def _expirations(rows: list[Row], *, futures: bool = False) -> list[Row]:
    found = []
    for key in sorted({_when(row, futures=futures) for row in rows}):
        own = [row for row in rows if _when(row, futures=futures) == key]
        first = own[0]
        told: Row = {
            "expiration-type": first.get("expiration-type", "Regular"), "expiration-date": first["expiry"],
            "days-to-expiration": 1, "settlement-type": first.get("settlement-type", "PM"), "strikes": _strikes(own),
        }  # fmt: skip
        if futures:
            told |= {
                "underlying-symbol": first["underlying-symbol"], "root-symbol": first["product"],
                "option-root-symbol": key[1][:-2], "option-contract-symbol": key[1],
                "expires-at": stamp(first["expires"]), "tick-sizes": [{"value": "0.05"}],
                "strike-factor": "1.0", "asset": first["product"].lstrip("/"), "notional-value": "0.5",
                "stops-trading-at": stamp(first["stops"]), "display-factor": "0.01",
            }  # fmt: skip
        found.append(told)
    return found


def _when(row: Row, *, futures: bool) -> tuple[date, str]:
    return row["expiry"], str(row["symbol"])[7:13].strip() if futures else _root(row)


def _strikes(rows: list[Row]) -> list[Row]:
    """Calls and puts by strike; the side that is not in the book is named all the same."""
    found: dict[float, Row] = {}
    for row in rows:
        symbol, streamer = str(row["symbol"]), str(row["streamer-symbol"])
        terms = symbol[6:] if row["instrument-type"] == "Equity Option" else symbol.rsplit(maxsplit=1)[-1]
        strike = int(terms[7:]) / 1000 if row["instrument-type"] == "Equity Option" else float(terms[7:])
        told = found.setdefault(strike, {"strike-price": f"{strike:.1f}"})
        right, (code, number) = terms[6], streamer.rsplit(terms[6], 1)
        for side, letter in (("call", "C"), ("put", "P")):
            if letter == right or side not in told:
                told[side] = symbol.removesuffix(terms) + terms[:6] + letter + terms[7:]
                told[f"{side}-streamer-symbol"] = f"{code}{letter}{number}"
    return [found[strike] for strike in sorted(found)]


def add_strikes(
    book: Book, root: str, underlying: str, expiry: date, strikes: Iterable[int], *, volatility: float = 0.18
) -> list[str]:
    """Put options of whole strikes on an index or share into a book, calls and puts, with a market (Black-Scholes).

    Their symbols, calls before puts at each strike. The market is 0.10 wide around the price, in steps of 0.05.
    """
    spot, years = book.price(underlying) or 0.0, max((expiry - book.today).days, 1) / 365
    found = []
    for strike in strikes:
        for right in "CP":
            symbol = f"{root:<6}{expiry:%y%m%d}{right}{strike * 1000:08d}"
            streamer = f".{root}{expiry:%y%m%d}{right}{strike}"
            book.add(
                {
                    "symbol": symbol, "streamer-symbol": streamer, "instrument-type": "Equity Option",
                    "underlying-symbol": underlying, "multiplier": 100, "expiry": str(expiry), "root-symbol": root,
                }
            )  # fmt: skip
            greeks = _greeks(spot, strike, years, volatility, call=right == "C")
            middle = max(round(greeks["price"] * 20) / 20, 0.10)
            book.market[symbol] = {
                "bid": round(middle - 0.05, 2), "ask": round(middle + 0.05, 2), "last": middle, "close": middle,
                "greeks": greeks,
            }  # fmt: skip
            found.append(symbol)
    return found


def _greeks(spot: float, strike: float, years: float, volatility: float, *, call: bool) -> dict[str, float]:
    """Black-Scholes without interest: theta per calendar day, vega per point."""
    width = volatility * sqrt(years)
    d1 = log(spot / strike) / width + width / 2
    up, up2 = ((1 + erf(x / sqrt(2))) / 2 for x in (d1, d1 - width))
    density = exp(-d1 * d1 / 2) / sqrt(2 * pi)
    price = spot * up - strike * up2 - (0 if call else spot - strike)
    return {
        "price": round(price, 4), "volatility": volatility, "delta": round(up - (0 if call else 1), 5),
        "gamma": density / spot / width, "theta": -spot * density * volatility / 2 / sqrt(years) / 365,
        "rho": 0.0, "vega": spot * density * sqrt(years) / 100,
    }  # fmt: skip

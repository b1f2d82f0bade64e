"""The chain of one expiry as rows of JSON: what is streamed of each strike now, absent where nothing is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from guardrails.instruments import Instrument, Right
from guardrails.orders import ChainExpiry
from guardrails.values import Market


def expiries_json(expiries: Sequence[ChainExpiry]) -> str:
    """A list of {underlying, expiry, root, settlement}, as given."""
    rows = [
        {
            "underlying": one.underlying,
            "expiry": one.expiry.isoformat(),
            "root": one.root,
            "settlement": None if one.settlement is None else one.settlement.value,
        }
        for one in expiries
    ]
    return json.dumps(rows)


def chain_json(expiry: ChainExpiry, listed: Sequence[Instrument], market: Market) -> str:
    """{underlying, expiry, root, price, rows}; a row is {strike, call, put}, by strike.

    A side is {symbol, key, bid, ask, quote_time, iv, delta, gamma, theta, vega, greeks_time}, or null when it is not
    listed. Greeks are of one unit, iv a fraction.
    """
    strikes: dict[Decimal, dict[str, Any]] = {}
    for instrument in listed:
        if instrument.strike is None or instrument.right is None or instrument.expiry != expiry.expiry:
            continue
        row = strikes.setdefault(instrument.strike, {"strike": float(instrument.strike), "call": None, "put": None})
        row["call" if instrument.right is Right.CALL else "put"] = _side(instrument, market)
    price = market.prices.get(expiry.underlying)
    content = {
        "underlying": expiry.underlying,
        "expiry": expiry.expiry.isoformat(),
        "root": expiry.root,
        "price": None if price is None else price.value,
        "rows": [strikes[strike] for strike in sorted(strikes)],
    }
    return json.dumps(content)


def _side(instrument: Instrument, market: Market) -> dict[str, Any]:
    quote, greeks = market.quotes.get(instrument.key), market.greeks.get(instrument.key)
    return {
        "symbol": instrument.symbol,
        "key": instrument.key,
        "bid": None if quote is None else quote.bid,
        "ask": None if quote is None else quote.ask,
        "quote_time": None if quote is None else quote.time.isoformat(),
        "iv": None if greeks is None else greeks.iv,
        "delta": None if greeks is None else greeks.delta,
        "gamma": None if greeks is None else greeks.gamma,
        "theta": None if greeks is None else greeks.theta,
        "vega": None if greeks is None else greeks.vega,
        "greeks_time": None if greeks is None else greeks.time.isoformat(),
    }

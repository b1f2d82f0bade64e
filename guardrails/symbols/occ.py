"""OCC symbols of listed options, 21 characters: root padded to 6, yymmdd, C or P, strike times 1000 in 8 digits.

    SPXW  260619P05500000     SPXW, 19 June 2026, put, 5500
    USO1  210129P00014500     adjusted: the deliverable is not 100 shares of USO

Exports lose the padding; the last 15 characters are fixed, so the root is what stands before them.
"""

from __future__ import annotations

import re

from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Kind, Right
from guardrails.symbols import contracts

_OCC = re.compile(r"(?P<root>[A-Z0-9/]{1,7}?)\s*(?P<day>[0-9]{6})(?P<right>[CP])(?P<strike>[0-9]{8})")


def parse(text: str) -> Instrument:
    """The option an OCC symbol names, padded or not; SymbolError with the reason when it names none."""
    found = _OCC.fullmatch(text.strip().upper())
    if found is None:
        raise SymbolError(text[:80], "OCC", "a root, yymmdd, C or P and eight digits of strike are expected")
    try:
        strike = contracts.strike_price(found["strike"]) / 1000
        return contracts.option(found["root"], contracts.short_date(found["day"]), Right(found["right"]), strike)
    except ValueError as error:
        raise SymbolError(text[:80], "OCC", str(error)) from error


def format(instrument: Instrument) -> str:  # noqa: A001  # always read through the module: occ.format
    """The 21 characters of an option on a share or an index; SymbolError for anything else."""
    if instrument.kind not in (Kind.OPTION, Kind.INDEX_OPTION):
        raise SymbolError(instrument.symbol, "OCC", f"a {instrument.kind.value} has none")
    return instrument.symbol


def slashed_root(instrument: Instrument) -> str:
    """Root as tastytrade and dxFeed write it: `BRK/B` where OCC writes `BRKB`."""
    spelled = instrument.underlying
    return spelled if "/" in spelled and spelled.replace("/", "") == instrument.root else instrument.root

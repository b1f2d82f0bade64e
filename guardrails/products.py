"""Facts about products that no record carries, as data: futures, index option roots, codes of future options, groups.

Everything here is a fallback or a classification; the multiplier of a position comes from the broker's record first.
What is not in a table is None, never a default: an unknown root is neither 1 nor 100.

Cents. Grains and livestock are quoted in cents, by the exchange and by both brokers (ZC 450.25 is 4.5025 dollars a
bushel). `FutureSpec.multiplier` and `tick` are in the unit of that quote: ZC is 50 dollars per 1.00 cent. A record
that shows dollars (4.5025) needs the hundredfold: `future_multiplier("/ZC", quoted_in_cents=False)` is 5,000.

Sources: multipliers, ticks and exchanges are from the QuantConnect Lean symbol properties (domain facts 5), index roots
from Cboe and Nasdaq (domain facts 3), option codes from the CME product pages. CME states that its weekly and
end-of-month equity-index options, although settled against a fixing, are exercised into the future: they are physical.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

from guardrails.instruments import Instrument, Kind, Settlement

SP500 = "SPX"
"""group of the S&P 500: its members have beta 1 by construction"""
VOLATILITY_GROUP = "VIX"
"""group of volatility products: their vega never offsets the vega of equity indices"""
BROAD_INDEX_GROUPS = frozenset({"SPX", "NDX", "RUT", "DJX", "OEX"})
"""groups that stand for a whole market, exempt from single-name concentration by default"""

_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "SPX": ("SPY", "XSP"),
    "NDX": ("QQQ", "XND"),
    "RUT": ("IWM", "MRUT"),
    "DJX": ("DIA",),
    "VIX": ("VXX", "UVXY", "SVXY", "VIXY", "UVIX", "SVIX", "VXZ", "VIXM"),
}
"""what joins a group besides the index itself, its option roots and its futures"""
_ABROAD = ("ESTX50", "N225", "K200", "CAC40")
"""indices abroad whose name ends in digits, which behind an option root otherwise means an adjusted deliverable"""
_UNOPTIONED_INDICES = ("DJI", "VIX1D", "VIX9D", "VIX3M", "VIX6M", "VIX1Y", "VVIX", "VXN", "RVX", "SKEW", "SOX")
_ONE = (Kind.EQUITY, Kind.CASH, Kind.CRYPTO)
_LISTED = 100.0
_CONTRACT = re.compile(r"(?P<root>/[A-Z0-9]{1,4}?)[FGHJKMNQUVXZ]\d{1,2}")
_WEEKLY_VIX_FUTURE = re.compile(r"/VX\d\d")


@dataclass(frozen=True, slots=True)
class FutureSpec:
    """One futures product."""

    root: str
    """with the slash: `/ES`"""
    exchange: str
    mic: str
    """market code dxFeed puts behind the colon: XCME, XCBT, XNYM, XCEC, XCBF"""
    multiplier: float
    """dollars per contract for a change of 1.00 in the quoted price, which may be in cents"""
    tick: float
    """smallest step of the quoted price"""
    quoted_in_cents: bool
    months_ahead: int = 0
    """contract month minus month of the last trade: CLZ26 stops trading in November"""


@dataclass(frozen=True, slots=True)
class LeveragedFund:
    """A listed fund that moves by a multiple of what it follows each day."""

    leverage: float
    """how many times, negative against it"""
    on_shares: bool
    """whether it follows shares, which move with the market; False: bonds, goods, currencies, volatility"""


@dataclass(frozen=True, slots=True)
class IndexRoot:
    """One root of listed index options."""

    root: str
    underlying: str
    settlement: Settlement
    american: bool


@dataclass(frozen=True, slots=True)
class OptionCode:
    """One product code of options on futures."""

    root: str
    """the future it is exercised into: `/ES`"""
    settlement: Settlement | None
    american: bool | None
    """ours, not the broker's: tastytrade calls the European weeklies American"""
    months_ahead: int | None
    """month in the code minus month of expiry: OGV25 expires in September"""


def _rows(name: str) -> Iterator[dict[str, str]]:
    with resources.files("guardrails").joinpath("data", name).open(encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


def _settlement(text: str) -> Settlement | None:
    return Settlement(text) if text else None


FUTURES: Mapping[str, FutureSpec] = MappingProxyType({
    row["root"]: FutureSpec(
        root=row["root"],
        exchange=row["exchange"],
        mic=row["mic"],
        multiplier=float(row["multiplier"]),
        tick=float(row["tick"]),
        quoted_in_cents=row["quoted_in_cents"] == "yes",
        months_ahead=int(row["months_ahead"]),
    )
    for row in _rows("futures.csv")
})  # fmt: skip
"""the 44 futures whose multiplier is known, by root with slash"""

INDEX_ROOTS: Mapping[str, IndexRoot] = MappingProxyType({
    row["root"]: IndexRoot(row["root"], row["underlying"], Settlement(row["settlement"]), row["american"] == "yes")
    for row in _rows("index_options.csv")
})  # fmt: skip
"""roots of index options; the root alone tells AM from PM (SPX is AM, SPXW is PM)"""

CLASS_SHARES: Mapping[str, str] = MappingProxyType({row["root"]: row["symbol"] for row in _rows("class_shares.csv")})
"""class shares by the option root that runs the two parts together: `BRKB` is `BRK/B`"""

INDICES = frozenset(root.underlying for root in INDEX_ROOTS.values()).union(_UNOPTIONED_INDICES, _ABROAD)
"""symbols that are an index, not a share"""

LEVERAGED_FUNDS: Mapping[str, LeveragedFund] = MappingProxyType({
    row["symbol"]: LeveragedFund(float(row["leverage"]), row["on"] == "shares")
    for row in _rows("leveraged_funds.csv")
})  # fmt: skip
"""leveraged and inverse funds by symbol, from memory of their prospectuses; what is not listed counts once. Those short
volatility are not here: they ask for no less margin than others"""

_OPTION_CODES: tuple[tuple[re.Pattern[str], OptionCode], ...] = tuple(
    (
        re.compile(row["codes"]),
        OptionCode(
            root=row["root"],
            settlement=_settlement(row["settlement"]),
            american=row["american"] == "yes" if row["american"] else None,
            months_ahead=int(row["months_ahead"]) if row["months_ahead"] else None,
        ),
    )
    for row in _rows("future_options.csv")
)
_GROUPS: Mapping[str, str] = {
    **{root: spec.underlying for root, spec in INDEX_ROOTS.items()},
    **{member: group for group, members in _MEMBERS.items() for member in members},
    **{row["root"]: row["group"] for row in _rows("futures_groups.csv")},
}


def future_multiplier(root: str, *, quoted_in_cents: bool = True) -> float | None:
    """Dollars per contract for a change of 1.00 in the price, by product root (`/ZC` or `ZC`); None when unknown.

    `quoted_in_cents` False says that a product quoted in cents is priced in dollars here; it matters to no other.
    """
    spec = FUTURES.get(f"/{root.lstrip('/')}")
    if spec is None:
        return None
    return spec.multiplier if quoted_in_cents or not spec.quoted_in_cents else spec.multiplier * 100.0


def standard_multiplier(instrument: Instrument) -> float | None:
    """Currency units per 1.00 of the price of one unit, as the contract itself is defined; None where only a broker's
    record says: an adjusted option, an index that is not in the table, what may be quoted in cents or in dollars.

    100 is the unit of trading of an unadjusted listed option (OCC By-Laws, Article I).
    """
    if instrument.adjusted:
        return None
    if instrument.kind in _ONE:
        return 1.0
    if instrument.kind is Kind.OPTION:
        return _LISTED
    if instrument.kind is Kind.INDEX_OPTION:
        return _LISTED if instrument.root in INDEX_ROOTS else None
    if instrument.kind in (Kind.FUTURE, Kind.FUTURE_OPTION):
        spec = FUTURES.get(future_root(instrument))
        return None if spec is None or spec.quoted_in_cents else spec.multiplier
    return None


def future_root(instrument: Instrument) -> str:
    """The product of a future, or of the one an option is on (`/ES`), also where its code alone tells; else empty."""
    root = product_root(instrument.underlying or instrument.symbol)
    if root in FUTURES or instrument.kind is not Kind.FUTURE_OPTION:
        return root
    code = option_code(instrument.root)
    return "" if code is None else code.root


def leverage_of(symbol: str) -> float | None:
    """How many times what it follows a listed leveraged or inverse fund moves, negative against it; None of others."""
    fund = LEVERAGED_FUNDS.get(symbol)
    return None if fund is None else fund.leverage


@lru_cache(maxsize=4096)
def option_code(code: str) -> OptionCode | None:
    """The future, settlement and style behind a product code of future options (`EW4`, `OG`); None when unknown."""
    return next((known for pattern, known in _OPTION_CODES if pattern.fullmatch(code)), None)


def product_root(symbol: str) -> str:
    """Product of a futures contract, `/ESZ26` to `/ES`; anything else comes back as it is."""
    if symbol in FUTURES:
        return symbol
    contract = _CONTRACT.fullmatch(symbol)
    return contract["root"] if contract else symbol


@lru_cache(maxsize=16384)
def group_of(symbol: str) -> str:
    """Underlying group of a canonical underlying, index root or futures contract: `XSP`, `SPY` and `/MESZ26` are `SPX`.

    What belongs to nothing larger is its own group, a future by its product (`/CLZ26` is `/CL`). The slash decides:
    `ES` is Eversource and stays alone.
    """
    root = product_root(symbol)
    if _WEEKLY_VIX_FUTURE.fullmatch(root):
        return VOLATILITY_GROUP
    return _GROUPS.get(root, root)


def is_american(instrument: Instrument) -> bool | None:
    """Whether the option can be exercised before expiry; None when that is not known or it is no option."""
    if instrument.kind is Kind.OPTION:
        return True
    if instrument.kind is Kind.INDEX_OPTION:
        index = INDEX_ROOTS.get(instrument.root)
        return index.american if index else None
    if instrument.kind is Kind.FUTURE_OPTION:
        code = option_code(instrument.root)
        return code.american if code else None
    return None

"""Random small books and what they amount to, by plain sums over raw Greeks: the oracle of the gate's properties.

Nothing in here asks the code under test for a figure. A book is quantities by key; a measure is the sum of quantity
times what one contract of it brings; a finding is made from the sum and a limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property, lru_cache
from random import Random

from guardrails.execution.values import OrderRecord
from guardrails.exposures import measure_exposures
from guardrails.findings import Finding, Level
from guardrails.gate.case import Case, World
from guardrails.gate.ground import Ground
from guardrails.gate.moves import changes_of, reach_of
from guardrails.gate.package_price import priced
from guardrails.gate.projection import Prepared
from guardrails.gate.stress_worst import Worst
from guardrails.gate.values import MarginChange
from guardrails.instruments import Instrument, Right
from guardrails.limits import Limits
from guardrails.orders import BrokerOrder, Leg, Order, OrderState
from guardrails.portfolio import Portfolio
from guardrails.safety import Safety, SafetyState
from guardrails.symbols import parse
from guardrails.values import Greeks, Market, Position, Quote, Source, SourceState
from tests.books import IBKR, NOW, account
from tests.gates import limited, quoted

WORTH = 100_000.0
SHOCKS = ("SPX -20 %", "SPX -10 %", "SPX +5 %")
HARD = ("beta_delta", "short_vega", "gamma", *SHOCKS)
SOFT = ("delta_concentration",)
SUMS = (*HARD, "theta")


@dataclass(frozen=True)
class Thing:
    """One instrument and what one contract of it brings, in dollars."""

    instrument: Instrument
    multiplier: float
    price: float
    group: str
    brings: Mapping[str, float]
    greeks: Greeks | None


def _option(symbol: str, spot: float, rng: Random) -> Thing:
    found = parse(symbol, NOW.date())
    call = found.right is Right.CALL
    delta = rng.uniform(0.05, 0.5) * (1 if call else -1)
    gamma, vega, theta = rng.uniform(0.0003, 0.002), rng.uniform(1.0, 6.0), -rng.uniform(0.2, 2.0)
    fall = rng.uniform(20.0, 300.0) * (spot / 6000.0)
    brings = {
        "beta_delta": delta * 100 * spot,
        "short_vega": vega * 100,
        "gamma": gamma * 100 * spot * spot * 0.01,
        "theta": theta * 100,
        SHOCKS[0]: (-0.2 * fall if call else 2.0 * fall) * 100,
        SHOCKS[1]: (-0.2 * fall if call else fall) * 100,
        SHOCKS[2]: (fall if call else -0.1 * fall) * 100,
    }
    greeks = Greeks(delta, gamma, vega, theta, 0.2, "test", NOW)
    return Thing(found, 100.0, rng.uniform(1.0, 40.0), "SPX" if found.root == "SPXW" else "QQQ", brings, greeks)


def _share(symbol: str, multiplier: float, price: float, group: str) -> Thing:
    moved = {SHOCKS[0]: -0.2, SHOCKS[1]: -0.1, SHOCKS[2]: 0.05}
    size = multiplier * price
    brings = {
        "beta_delta": size,
        "short_vega": 0.0,
        "gamma": 0.0,
        "theta": 0.0,
        **{n: m * size for n, m in moved.items()},
    }
    return Thing(parse(symbol, NOW.date()), multiplier, price, group, brings, None)


def _things() -> dict[str, Thing]:
    rng, found = Random(7), []  # noqa: S311  # seeded, for tests
    for day in ("261218", "270115"):
        for strike in (5000, 5300, 5600, 5900, 6200, 6500):
            found += [_option(f"SPXW  {day}{right}0{strike}000", 6000.0, rng) for right in "CP"]
        for strike in (450, 500, 550):
            found += [_option(f"QQQ   {day}{right}00{strike}000", 500.0, rng) for right in "CP"]
    found += [_share("SPY", 1.0, 600.0, "SPX"), _share("QQQ", 1.0, 500.0, "QQQ"), _share("/MESZ26", 5.0, 6000.0, "SPX")]
    return {one.instrument.key: one for one in found}


THINGS = _things()
KEYS = tuple(THINGS)
OPTIONS = tuple(key for key, one in THINGS.items() if one.greeks is not None)
LINEAR = tuple(key for key, one in THINGS.items() if one.greeks is None)
_NOTHING = measure_exposures((), Market(), NOW)
_SOURCE = (Source("test", SourceState.LIVE, NOW),)
_OWNER = (account(net_liquidation=WORTH),)
RULES: Limits = limited()
_QUOTES = {key: Quote(one.price - 0.1, one.price + 0.1, NOW, "test") for key, one in THINGS.items() if one.greeks}
MARKET = replace(quoted(), quotes=_QUOTES)
Book = Mapping[str, float]


def uses(book: Book) -> dict[str, float]:
    """How much of each measure a book takes, zero or more; delta_concentration is the share of QQQ."""
    return dict(_used(tuple(book.items())))


@lru_cache(maxsize=16)
def _used(held: tuple[tuple[str, float], ...]) -> Book:
    """Remembered, as one case asks the same of the same two books again and again."""
    book = dict(held)
    sums = {name: math.fsum(n * THINGS[key].brings[name] for key, n in book.items()) for name in SUMS}
    found = {"beta_delta": abs(sums["beta_delta"]), **{name: max(-sums[name], 0.0) for name in HARD[1:]}}
    by_group = {"SPX": 0.0, "QQQ": 0.0}
    for key, n in book.items():
        by_group[THINGS[key].group] += n * THINGS[key].brings["beta_delta"]
    gross = sum(abs(value) for value in by_group.values())
    found["delta_concentration"] = abs(by_group["QQQ"]) / gross if gross else 0.0
    return found


def worst(book: Book) -> float:
    """The least P&L over the shocks and no move at all."""
    return min(0.0, *(math.fsum(n * THINGS[key].brings[name] for key, n in book.items()) for name in SHOCKS))


Cell = tuple[str, Right | None, float | None, date | None]


def _cells() -> dict[str, tuple[Cell, ...]]:
    """Where a line of options counts: the strikes it lies beyond and the lives it lasts for, of all that are listed."""
    found = {}
    for key in OPTIONS:
        one, group, call = THINGS[key].instrument, THINGS[key].group, THINGS[key].instrument.right is Right.CALL
        side = [THINGS[k].instrument for k in OPTIONS if THINGS[k].group == group]
        found[key] = tuple({
            (group, one.right, at.strike, at.expiry): None for at in side
            if at.right is one.right and at.expiry <= one.expiry
            and (one.strike <= at.strike if call else one.strike >= at.strike)
        })  # fmt: skip
    return found


_CELLS = _cells()


def uncovered(book: Book) -> dict[Cell, float]:
    """Contracts short beyond every strike of every line, that no long of the same right and life and no share covers;
    at a strike and a life that no line reaches nothing is short.

    Of the shares and futures here only QQQ is what options are struck on.
    """
    found: dict[Cell, float] = {}
    for key, n in book.items():
        for cell in _CELLS.get(key, ()):
            found[cell] = found.get(cell, 0.0) - n
    shares = book.get("equity:QQQ", 0.0) / 100
    cover = {("QQQ", Right.CALL): max(shares, 0.0), ("QQQ", Right.PUT): max(-shares, 0.0)}
    return {cell: max(n - cover.get(cell[:2], 0.0), 0.0) for cell, n in found.items()}


def opens(book: Book, trades: Book) -> bool:
    """Whether the trades leave some short option less covered, one that they sell among them."""
    if all(n > 0 for key, n in trades.items() if key in OPTIONS) and "equity:QQQ" not in trades:
        return False
    then, lives = after(book, trades), set()
    for one in (book, then):
        lives |= {
            (THINGS[k].group, THINGS[k].instrument.right, THINGS[k].instrument.expiry) for k, n in one.items()
            if k in OPTIONS and n < 0
        }  # fmt: skip
    old, new = uncovered(book), uncovered(then)
    return any(new[name] > old.get(name, 0.0) + 1e-9 for name in new if (name[0], name[1], name[3]) in lives)


def after(book: Book, trades: Book) -> dict[str, float]:
    """The book with `trades`; what is flat is left out."""
    total = {key: book.get(key, 0.0) + trades.get(key, 0.0) for key in {*book, *trades}}
    return {key: n for key, n in total.items() if n}


def broken(use: float, limit: float) -> bool:
    """Whether a use is over its limit."""
    return use > limit * (1 + 1e-9)


def findings(book: Book, limits: Mapping[str, float], missing: frozenset[str]) -> tuple[Finding, ...]:
    """What checks would say: UNKNOWN for every sum that a held instrument without data is in."""
    used, blind = uses(book), bool(missing & book.keys())
    found = []
    for name, limit in limits.items():
        use, rung = used[name], name in SHOCKS
        known = not blind
        level = Level.BREACH if broken(use, limit) else Level.WATCH if use >= 0.8 * limit > 0 else Level.OK
        check, subject = ("stress_ladder", f"portfolio:{name}") if rung else (name, "portfolio")
        subject = "underlying:QQQ" if name == "delta_concentration" else subject
        found.append(
            Finding(
                check, subject, level if known else Level.UNKNOWN, use if known else None, limit, "USD",
                limit - use if known else None, f"{name} {use:.0f} of {limit:.0f}",
            )
        )  # fmt: skip
    return tuple(found)


@dataclass(frozen=True)
class Trouble:
    """What else is wrong around an order."""

    safety: SafetyState = SafetyState.NORMAL
    gaps: tuple[str, ...] = ()
    orders_unknown: str = ""
    daily: Level = Level.OK
    margin: bool = True
    quotes: bool = True
    doubtful: tuple[str, ...] = ()
    overlay: bool | None = False
    working: tuple[BrokerOrder, ...] = ()
    sent: tuple[OrderRecord, ...] = ()
    missing: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Drawn:
    """One random case: what is known of it by plain sums, and the Case that the gate judges, made when it is asked for:
    most that are drawn are of a sort that a test leaves out.
    """

    book: Book
    trades: Book
    limits: Mapping[str, float]
    order: Order
    trouble: Trouble
    excess: float | None

    @property
    def missing(self) -> frozenset[str]:
        """What is held or traded without data."""
        return self.trouble.missing

    @cached_property
    def then(self) -> Book:
        """The book with the order."""
        return after(self.book, self.trades)

    @property
    def blind(self) -> bool:
        """Whether something without data is in a sum."""
        return bool(self.missing & {*self.book, *self.then})

    @property
    def data_missing(self) -> bool:
        """Whether anything at all is not known."""
        it = self.trouble
        nothing = self.blind or not it.margin or not it.quotes or bool(it.gaps or it.orders_unknown)
        return nothing or it.daily is Level.UNKNOWN or it.overlay is None or bool(it.doubtful)

    @cached_property
    def ground(self) -> Ground:
        """The book as the gate stands on it."""
        it = self.trouble
        at = MARKET if it.quotes else replace(MARKET, quotes={})
        portfolio = Portfolio(
            time=NOW, accounts=_OWNER, positions=tuple(_row(key, n, it) for key, n in self.book.items()), market=at,
            sources=_SOURCE, exposures=_NOTHING, net_liquidation=WORTH, gaps=it.gaps,
        )  # fmt: skip
        rules = RULES if it.overlay is False else replace(RULES, overlay=it.overlay)
        first = (*findings(self.book, self.limits, it.missing), _daily(it))
        return Ground(
            Prepared(portfolio, rules, first, {}, None), NOW, it.working, it.orders_unknown,
            Safety(it.safety), it.sent, doubtful=it.doubtful,
        )  # fmt: skip

    @cached_property
    def case(self) -> Case:
        """What the gate judges."""
        it, base = self.trouble, self.ground.prepared
        lost = (Worst(), Worst()) if self.blind else (Worst(worst(self.book)), Worst(worst(self.then)))
        known = MarginChange("test", 0.0, 1.0, 0.0, 1.0, self.excess)
        margin = known if it.margin else MarginChange("test", unknown="silent")
        second = (*findings(self.then, self.limits, it.missing), _daily(it))
        world = World("", changes_of(base.findings, second), *lost)
        rows = {key: _row(key, 1.0, it) for key in self.trades}
        price = priced(self.order, base.portfolio)
        return Case(self.order, self.ground, margin, price, reach_of(self.order), (world,), _rows=rows)

    def breached_before(self) -> bool:
        """Whether a limit is broken without the order."""
        used = uses(self.book)
        return any(broken(used[name], limit) for name, limit in self.limits.items())

    def newly(self, names: tuple[str, ...]) -> bool:
        """Whether a limit of these that is kept is broken with the order."""
        old, new = uses(self.book), uses(self.then)
        return any(
            broken(new[name], self.limits[name]) and not broken(old[name], self.limits[name])
            for name in names if name in self.limits
        )  # fmt: skip

    def worse(self, names: tuple[str, ...]) -> bool:
        """Whether a broken limit of these is broken by more than rounding."""
        old, new = uses(self.book), uses(self.then)
        return any(
            broken(old[name], self.limits[name]) and new[name] - old[name] > 2e-6 * max(self.limits[name], new[name])
            for name in names if name in self.limits
        )  # fmt: skip

    def reduces(self) -> bool:
        """Whether some hard use falls."""
        old, new = uses(self.book), uses(self.then)
        return any(new[name] < old[name] - 1.0 for name in HARD)


def drawn(
    book: Book, trades: Book, limits: Mapping[str, float], excess: float, trouble: Trouble, limit: float
) -> Drawn:
    """The case of an order for `trades`, at a package price of `limit` where it takes one."""
    return Drawn(book, trades, limits, order_for(trades, limit), trouble, excess if trouble.margin else None)


def _daily(trouble: Trouble) -> Finding:
    return Finding("daily_loss", f"account:{IBKR}", trouble.daily, -0.04, -0.03, "fraction", -0.01, "lost")


def order_for(trades: Book, limit: float) -> Order:
    """The order that trades exactly this."""
    sizes = [int(n) for n in trades.values()]
    packages = math.gcd(*sizes)
    legs = tuple(Leg(THINGS[key].instrument, int(n) // packages) for key, n in trades.items())
    priced_at = None if len(legs) == 1 and THINGS[next(iter(trades))].greeks is None else limit
    return Order(IBKR, legs, packages, priced_at)


def mid_of(trades: Book) -> float:
    """Mid of one package of `trades`, per unit of its largest multiplier."""
    packages = math.gcd(*(int(n) for n in trades.values()))
    unit = max(THINGS[key].multiplier for key in trades)
    return sum(n / packages * THINGS[key].multiplier / unit * THINGS[key].price for key, n in trades.items())


def _row(key: str, n: float, trouble: Trouble) -> Position:
    thing = THINGS[key]
    greeks = None if key in trouble.missing else thing.greeks
    mark = None if thing.greeks else thing.price
    return Position(IBKR, thing.instrument, n, thing.multiplier, "test", NOW, mark=mark, mark_time=NOW, greeks=greeks)


def rests(trades: Book, name: str) -> BrokerOrder:
    """A working order of somebody for exactly this."""
    made = order_for(trades, 1.0)
    return BrokerOrder(IBKR, name, "", made.legs, made.quantity, 0.0, OrderState.WORKING, sender="TWS")


def sent(order: Order) -> OrderRecord:
    """The same order, filled five seconds ago."""
    when = NOW - timedelta(seconds=5)
    return OrderRecord(
        "k-1", order, OrderState.FILLED, when, when, "Ada", "ticket", kind="NEW_RISK", filled=order.quantity
    )


def random_book(rng: Random, least: int = 0) -> dict[str, float]:
    """Up to a dozen lines."""
    found: dict[str, float] = {}
    for key in rng.sample(KEYS, rng.randint(least, 12)):
        size = rng.randint(1, 10) * (20 if THINGS[key].multiplier == 1.0 else 1)
        found[key] = float(size if rng.random() < 0.4 else -size)
    return found


def random_limits(
    rng: Random, old: Mapping[str, float], new: Mapping[str, float], between: str = ""
) -> dict[str, float]:
    """Limits around what is used before and after; that of `between` lies between the two, where it can."""
    found = {}
    for name in (*HARD, *SOFT):
        high = max(old[name], new[name])
        found[name] = max(high, 0.01) * (rng.uniform(1.05, 3.0) if rng.random() < 0.85 else rng.uniform(0.3, 0.95))
    if between and new[between] > old[between] * 1.001:
        found[between] = old[between] + rng.uniform(0.05, 0.95) * (new[between] - old[between])
    return found

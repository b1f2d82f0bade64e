"""The first peer's verdicts: its sums held against the same limits, one object at a time.

It yields a Finding per check as the product does, with level, value, limit, headroom, the largest contributor and a
sentence, though a shorter one. Only the checks that read positions; the rest costs the same whoever adds up.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.objects import DELTA, GAMMA, NEAR_DAYS, VEGA_30D, WHOLE, Five, Row, Totals, beta_of
from guardrails import calendar, checks, wording
from guardrails.checks.concentration import NEGLIGIBLE
from guardrails.checks.theta import NEGLIGIBLE_VEGA
from guardrails.findings import Finding, Level
from guardrails.intervals import Interval
from guardrails.limits import Bound, Limits, short_side, size_of, stricter
from guardrails.portfolio import Portfolio

Sums = Mapping[str, Mapping[str, Totals]]
EMPTY = Totals((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), missing=False)
JUDGED = (
    "short_option_expiry", "beta_delta", "short_vega", "gamma", "near_expiry_gamma", "theta_floor", "theta_cap",
    "theta_vega_ratio", "vega_concentration", "delta_concentration", "position_contracts", "position_notional",
    "greeks_coverage", "position_data",
)  # fmt: skip
CHECKS = tuple(check for check in checks.CHECKS if check.__name__ in JUDGED)
"""the product's checks that this peer also makes"""


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged."""

    rows: list[Row]
    known: list[Five]
    sums: Sums
    portfolio: Portfolio
    limits: Limits


def judged(case: Case) -> list[Finding]:
    """One Finding per check."""
    return [
        expiry(case),
        *of_the_book(case),
        *of_theta(case),
        concentration("vega", case),
        concentration("delta", case),
        *of_the_lines(case),
        coverage(case),
        trust(case),
    ]


def of_the_book(case: Case) -> list[Finding]:
    """Delta, vega, gamma of the whole book."""
    keys, book, near = case.limits.keys, case.sums["whole"][WHOLE], case.sums["near"].get(WHOLE, EMPTY)
    spx = case.portfolio.market.prices["SPX"].value
    betas = {name: max(beta_of(name, case.portfolio.market)) for name in case.sums["underlying"]}
    delta = Interval(*book.beta_delta, book.missing)
    vega, gamma = Interval(*book.vega_30d, book.missing), Interval(*book.beta_gamma, book.missing)
    soon = Interval(*near.beta_gamma, near.missing)
    way = -1.0 if abs(delta.low) > abs(delta.high) else 1.0
    pairs = list(zip(case.rows, case.known, strict=True))
    deltas = [way * part[DELTA] * betas[row.underlying] for row, part in pairs]
    vegas = [-part[VEGA_30D] for part in case.known]
    gammas = [-part[GAMMA] * betas[row.underlying] ** 2 for row, part in pairs]
    soons = [use if 0 <= row.dte <= NEAR_DAYS else 0.0 for use, row in zip(gammas, case.rows, strict=True)]
    absolute = None if keys.max_beta_delta is None else keys.max_beta_delta * spx
    least = None if keys.max_negative_vega is None else -keys.max_negative_vega
    share = None if keys.max_negative_vega_pct_nlv is None else -keys.max_negative_vega_pct_nlv
    near_share = keys.max_near_expiry_gamma_pct_nlv
    return [
        measured("beta_delta", delta, size_of(delta), (absolute, keys.max_beta_delta_pct_nlv), deltas, case),
        measured("short_vega", vega, short_side(vega), (least, share), vegas, case),
        measured("gamma", gamma, short_side(gamma), (keys.max_gamma, keys.max_gamma_pct_nlv), gammas, case),
        measured("near_expiry_gamma", soon, short_side(soon), (keys.max_near_expiry_gamma, near_share), soons, case),
    ]


def measured(
    check: str,
    value: Interval,
    use: Interval,
    keys: tuple[float | None, float | None],
    uses: Sequence[float],
    case: Case,
) -> Finding:
    """One measure against its limit."""
    bound = stricter(*keys, case.portfolio.net_liquidation, "net liquidation")
    level = bound.level(use, case.limits.matrix.watch_at)
    headroom = None if use.known is None or bound.value is None else bound.value - use.known
    most = max(range(len(uses)), key=uses.__getitem__, default=None)
    blind = [row.position.instrument.label for row in case.rows if row.is_option and row.delta is None]
    evidence: dict[str, object] = {"missing": blind} if blind else {}
    if most is not None and uses[most] > 0 and (held := case.rows[most].quantity):
        evidence["contributor"] = case.rows[most].position.instrument.label
        evidence["headroom_contracts"] = None if headroom is None else math.floor(headroom / (uses[most] / abs(held)))
    text = f"{check} {wording.money(value.known)}, limit {wording.money(bound.value)}."
    return case.limits.finding(
        check, "portfolio", level, text, key=check, value=value.known, limit=bound.value, unit="USD",
        headroom=headroom, evidence=evidence, age=case.portfolio.data_age_seconds,
    )  # fmt: skip


def of_theta(case: Case) -> list[Finding]:
    """Floor, cap and ratio, which advise."""
    keys, book, nav = case.limits.keys, case.sums["whole"][WHOLE], case.portfolio.net_liquidation
    theta, vega = Interval(*book.theta, book.missing), Interval(*book.vega, book.missing)
    floor = keys.min_daily_theta
    level = Level.NOT_APPLICABLE
    if floor is not None:
        level = Level.BREACH if theta.high < floor else Level.UNKNOWN if theta.missing else Level.OK
    bound = stricter(keys.max_daily_theta, keys.max_daily_theta_pct_nlv, nav, "net liquidation")
    earned = Interval(max(theta.low, 0.0), max(theta.high, 0.0), theta.missing)
    cap = bound.level(earned, case.limits.matrix.watch_at)
    band, ratio = keys.theta_vega_ratio, Level.NOT_APPLICABLE
    if band and vega.low < 0 < theta.low and (nav is None or -vega.low >= NEGLIGIBLE_VEGA * nav):
        inside = band.green_min <= theta.low / -vega.low <= band.green_max
        ratio = Level.UNKNOWN if book.missing else Level.OK if inside else Level.WATCH
    said = f"Theta {wording.money(theta.known)}"
    return [
        case.limits.finding("theta_floor", "portfolio", level, said, key="min_daily_theta", value=theta.known),
        case.limits.finding("theta_cap", "portfolio", cap, said, key="max_daily_theta", value=theta.known),
        case.limits.finding("theta_vega_ratio", "portfolio", ratio, said, key="theta_vega_ratio"),
    ]


def concentration(what: str, case: Case) -> Finding:
    """The largest share of one group in the gross."""
    limits, check = case.limits, f"{what}_concentration"
    limit: float | None = getattr(limits.keys, f"max_single_underlying_{what}_pct")
    nets = {name: part.delta if what == "delta" else part.vega_30d for name, part in case.sums["group"].items()}
    sizes = {name: max(abs(low), abs(high)) for name, (low, high) in nets.items()}
    gross = sum(sizes.values())
    if limit is None or gross < NEGLIGIBLE[what] * (case.portfolio.net_liquidation or 0.0):
        return limits.finding(check, "portfolio", Level.NOT_APPLICABLE, "Not applicable.")
    shares = {name: size / gross for name, size in sizes.items() if name not in limits.matrix.exempt_groups}
    top = max(shares, key=shares.__getitem__)
    level = Bound(limit, is_set=True).level(Interval(shares[top], shares[top]), limits.matrix.watch_at)
    text = f"{top} holds {wording.percent(shares[top])}, limit {wording.percent(limit)}."
    return limits.finding(check, f"underlying:{top}", level, text, value=shares[top], limit=limit)


def of_the_lines(case: Case) -> list[Finding]:
    """Contracts and notional of the largest line, over accounts."""
    contracts: dict[str, float] = defaultdict(float)
    notional: dict[str, float] = defaultdict(float)
    for row in case.rows:
        held = math.inf if row.quantity is None else abs(row.quantity)
        if row.is_contract:
            contracts[row.line] += held
        if not row.is_cash:
            multiplier, spot, fx = row.multiplier, row.spot, row.fx
            known = multiplier is not None and spot is not None and fx is not None
            notional[row.line] += held * multiplier * spot * fx if known else math.inf  # type: ignore[operator]  # `known`
    keys = case.limits.keys
    most, share = keys.max_position_contracts, keys.max_position_notional_pct_nlv
    bounds = {
        "position_contracts": (contracts, Bound(most, is_set=most is not None)),
        "position_notional": (notional, stricter(None, share, case.portfolio.net_liquidation, "net liquidation")),
    }
    return [line(check, held, bound, case) for check, (held, bound) in bounds.items()]


def line(check: str, held: Mapping[str, float], bound: Bound, case: Case) -> Finding:
    """The largest line against its limit."""
    top = max(held, key=held.__getitem__)
    level = bound.level(Interval(held[top], held[top]), case.limits.matrix.watch_at)
    text = f"{top}: {wording.quantity(held[top])}, limit {wording.quantity(bound.value)}."
    return case.limits.finding(check, f"position:{top}", level, text, value=held[top], limit=bound.value)


def expiry(case: Case) -> Finding:
    """The short option nearest to its expiry."""
    rule, days, worst, nearest = case.limits.keys.short_option_dte, dict[object, int](), Level.OK, None
    for row in case.rows:
        i = row.position.instrument
        if not row.is_option or row.sign > 0 or rule is None or i.expiry is None or i.settlement is None:
            continue
        if i.expiry not in days:
            days[i.expiry] = calendar.trading_days_to(i.expiry, case.portfolio.time)
        left, bounds = days[i.expiry], getattr(rule, i.settlement.value)
        level = Level.BREACH if left <= bounds.breach else Level.WATCH if left <= bounds.watch else Level.OK
        if not row.readable and level is not Level.BREACH:
            level = Level.UNKNOWN
        if level.rank > worst.rank or nearest is None or left < nearest[0]:
            nearest, worst = (left, i.label), max(level, worst, key=lambda one: one.rank)
    text = "No short option." if nearest is None else f"{nearest[1]} expires in {nearest[0]} trading days."
    return case.limits.finding("short_option_expiry", "portfolio", worst, text, value=nearest and nearest[0])


def coverage(case: Case) -> Finding:
    """Whether every option has its four Greeks."""
    options = [row for row in case.rows if row.is_option]
    blind = [row.line for row in options if None in (row.delta, row.gamma, row.vega, row.theta)]
    level = Level.NOT_APPLICABLE if not options else Level.UNKNOWN if blind else Level.OK
    return case.limits.finding("greeks_coverage", "portfolio", level, f"{len(blind)} without Greeks.")


def trust(case: Case) -> Finding:
    """Whether every row can be read, priced and converted."""
    bad = [row.line for row in case.rows if not is_trusted(row)]
    level = Level.UNKNOWN if bad else Level.OK
    return case.limits.finding("position_data", "portfolio", level, f"{len(bad)} cannot be trusted.")


def is_trusted(row: Row) -> bool:
    return row.readable and (row.is_cash or None not in (row.multiplier, row.spot, row.fx))


def levels(findings: Iterable[Finding]) -> dict[str, Level]:
    """The worst level of every check."""
    worst: dict[str, Level] = {}
    for finding in findings:
        worst[finding.check] = max(
            finding.level, worst.get(finding.check, Level.NOT_APPLICABLE), key=lambda one: one.rank
        )
    return worst

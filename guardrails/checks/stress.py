"""What the book would lose under shocks, held against limits: a ladder of index moves, named scenarios, excess
liquidity account by account; and whether the model that says so agrees with the market.

A loss is an interval: positions that cannot be revalued lie between the bounds no price can leave. Its lower end may
prove a breach. While more of the book than `max_unvalued_share` is without a model value nothing is cleared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from guardrails import wording
from guardrails.checks import lacking
from guardrails.checks.measured import Contributor, Measured, judge, largest
from guardrails.checks.stress_levels import believed, clears, excess_level, loss_bound, residual_level, rung_name
from guardrails.columns import Array, Mask
from guardrails.findings import Finding, Level
from guardrails.intervals import Interval
from guardrails.limits import Bound, Limits, short_side
from guardrails.portfolio import Portfolio
from guardrails.stress import COMPILING
from guardrails.stress.accounts import AccountAfter, accounts_after
from guardrails.stress.book import Book
from guardrails.stress.cases import gap_case, spreads_case
from guardrails.stress.ladder import Cell, at_returns
from guardrails.stress.outcome import by_position
from guardrails.stress.part import apart_from_market
from guardrails.stress.scenarios import GAP, SPREADS, TITLES
from guardrails.stress.spreads import unquoted
from guardrails.stress.standing import Standing

WAITS_FOR, COMPILATION = "waits_for", "compilation"
"""evidence of a Finding that is UNKNOWN only until the pricing kernels are compiled"""
_TOP = 3
"""positions named as losing most"""


def stress_ladder(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """One Finding per rung: the loss at a return of the index, with the volatility that comes with it."""
    rule, stress = limits.keys.stress, portfolio.stress
    if rule is None or not rule.ladder:
        return [_not_set("stress_ladder", limits)]
    if isinstance(stress, str):
        return [_unknown("stress_ladder", stress, limits, f"portfolio:{rung_name(rung.index)}") for rung in rule.ladder]
    cells = at_returns(stress, [rung.index for rung in rule.ladder])
    losses = -by_position(stress.book, [cell.shock for cell in cells])
    cases = [
        _Case("stress_ladder", rung_name(rung.index), f"at {_where(cell)}", cell, losses[:, place])
        for place, (rung, cell) in enumerate(zip(rule.ladder, cells, strict=True))
    ]
    shares = [rung.max_loss_pct_nlv for rung in rule.ladder]
    return [_loss(case, share, portfolio, limits) for case, share in zip(cases, shares, strict=True)]


def stress_scenarios(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """One Finding per named scenario that has a limit."""
    rule, stress = limits.keys.stress, portfolio.stress
    if rule is None or not rule.scenarios:
        return [_not_set("stress_scenarios", limits)]
    if isinstance(stress, str):
        return [_unknown("stress_scenarios", stress, limits, f"portfolio:{name}") for name in rule.scenarios]
    places = {shock.name: place for place, shock in enumerate(stress.scenarios.shocks)}
    losses = -by_position(stress.book, stress.scenarios.shocks)
    return [
        _loss(_scenario(name, Cell(stress.scenarios, places[name]), losses, stress), share, portfolio, limits)
        for name, share in rule.scenarios.items()
    ]


def stress_excess(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """One Finding per account: its excess liquidity after the worst of the moves, by our estimate of its margin.

    Accounts are judged one by one; what one of them has to spare clears no other.
    """
    rule, stress = limits.keys.stress, portfolio.stress
    if rule is None or not rule.min_excess_after:
        return [_not_set("stress_excess", limits)]
    if not portfolio.accounts:
        return [_unknown("stress_excess", "no account has been read", limits, action="Connect a broker.")]
    if isinstance(stress, str):
        return [_unknown("stress_excess", stress, limits, f"account:{one.id}") for one in portfolio.accounts]
    found = accounts_after(stress, rule.min_excess_after)
    too_many = stress.unvalued_share > rule.max_unvalued_share
    doubted = [replace(after, reason=after.reason or "; ".join(stress.doubts)) for after in found]
    return [_excess(after, portfolio, limits, stress.book, too_many=too_many) for after in doubted]


def model_residual(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Options whose model price differs from the market by more than a tenth, half the quote's spread and a few ticks.

    WATCH: each stress figure of such a position is doubtful by about as much. UNKNOWN where together they matter to the
    net liquidation, or where nothing can be compared.
    """
    stress = portfolio.stress
    if isinstance(stress, str):
        return [_unknown("model_residual", stress, limits)]
    book = stress.book
    options, far, blind = apart_from_market(book)
    if not options.any():
        return [limits.finding("model_residual", "portfolio", Level.NOT_APPLICABLE, "Model prices: no option is held.")]
    return [_residual(portfolio, limits, stress, far, blind)]


@dataclass(frozen=True, slots=True)
class _Case:
    """One thing that could happen, to be held against a limit."""

    check: str
    name: str
    """as in the subject of its Finding"""
    where: str
    """as a person says it: `at S&P 500 −10 %, volatility +21.5 points`"""
    cell: Cell
    loss: Array
    """dollars by position; NaN where it is not known"""


def _loss(case: _Case, share: float, portfolio: Portfolio, limits: Limits) -> Finding:
    """The loss of one case against a part of net liquidation."""
    rule, stress, pnl = limits.keys.stress, portfolio.stress, case.cell.pnl
    unvalued = np.ones(len(case.loss), dtype=bool) if isinstance(stress, str) else stress.unvalued
    known = not isinstance(stress, str) and rule is not None and _clears(case, stress, rule.max_unvalued_share)
    pnl = believed(pnl, clears=known)
    bound = loss_bound(share, portfolio)
    measured = Measured(
        check=case.check,
        key="stress",
        title=f"P&L {case.where}:",
        unit="USD",
        value=pnl,
        use=short_side(pnl),
        bound=bound,
        sign=-1.0,
        subject=f"portfolio:{case.name}",
    )
    finding = judge(measured, portfolio, limits, case.loss, unvalued)
    evidence = {**finding.evidence, **_evidence(case, portfolio)}
    lacks = "" if isinstance(stress, str) else _lacks(case, stress, limits)
    level = bound.level(measured.use, limits.matrix.watch_at)  # an advisory limit shows WATCH where it is broken
    action = _loss_action(replace(finding, level=level), bound, largest(portfolio, case.loss), case.where, lacks)
    told = finding.message
    if finding.level is Level.UNKNOWN and not isinstance(stress, str) and stress.doubts:
        told += f" Cannot be cleared: {'; '.join(stress.doubts)}."
    return replace(finding, message=told, evidence=evidence, next_action=action)


def _clears(case: _Case, stress: Standing, most: float) -> bool:
    """Whether the P&L of `case` may do more than prove a breach."""
    assumed = case.name == SPREADS and bool(unquoted(stress.book).any())
    return clears(case.name, stress.unvalued_share, most, doubtful=bool(stress.doubts), unquoted=assumed)


def _scenario(name: str, cell: Cell, by_shock: Array, stress: Standing) -> _Case:
    """A named scenario: `in the scenario 5 Feb 2018 (S&P 500 −4.1 %, volatility +20 points)`.

    `by_shock` are losses by (position, shock) of all scenarios that are moves of the whole market.
    """
    title = f"in the scenario {TITLES[name]}"
    if name not in (GAP, SPREADS):
        return _Case("stress_scenarios", name, f"{title} ({_where(cell)})", cell, by_shock[:, cell.place])
    worst = stress.gaps.worst
    if name == GAP and worst is not None:
        sign = "+" if stress.gaps.rising else wording.MINUS
        title += f" ({worst.group} {sign}{worst.size * 100:.3g} %, {worst.words})"
    if name == GAP and (proven := stress.gaps.proven) is not None and proven is not worst:
        sign = "+" if stress.gaps.proven_rising else wording.MINUS
        title += f", at the very least {proven.group} {sign}{proven.size * 100:.3g} %"
    found = spreads_case(stress.book) if name == SPREADS else gap_case(stress.book, stress.gaps)
    none = np.zeros(len(stress.book.weight))
    losses = none if found is None else np.where(found.low == found.high, -found.low, math.nan)
    return _Case("stress_scenarios", name, title, cell, losses)


def _where(cell: Cell) -> str:
    """`S&P 500 −10 %, volatility +15 points`."""
    shock = cell.shock
    return f"S&P 500 {_signed(shock.index * 100)} %, volatility {_signed(shock.vol * 100)} points"


def _evidence(case: _Case, portfolio: Portfolio) -> dict[str, Any]:
    """What a person needs to see why: the shock, which account loses most, which positions do."""
    cell, loss_by_row, stress = case.cell, case.loss, portfolio.stress
    known = {str(account): pnl.low for account, pnl in cell.by_account().items() if math.isfinite(pnl.low)}
    worst = min(known, key=lambda account: known[account], default=None)
    order = np.argsort(-np.nan_to_num(loss_by_row, nan=-math.inf))[:_TOP]
    top = [
        {"position": portfolio.positions[row].instrument.label, "pnl": -float(loss_by_row[row])}
        for row in order
        if loss_by_row[row] > 0
    ]
    return {
        "index_return": cell.shock.index,
        "volatility_points": cell.shock.vol * 100.0,
        "unvalued_share": None if isinstance(stress, str) else stress.unvalued_share,
        "worst_account": worst,
        "worst_account_pnl": None if worst is None else known[worst],
        "top_losses": top,
    }


def _lacks(case: _Case, stress: Standing, limits: Limits) -> str:
    """What the loss of `case` is not known for want of; empty where nothing is missing."""
    if case.name == SPREADS:
        return lacking.of_spreads(stress.book)
    return lacking.unvalued(stress.book) if case.name == GAP else lacking.of_move(stress.book, limits)


def _loss_action(finding: Finding, bound: Bound, contributor: Contributor | None, where: str, lacks: str) -> str:
    """What to do about a loss whose level, before any advisory limit softens it, is that of `finding`."""
    if finding.level is Level.UNKNOWN:
        if bound.unknown:
            return "Restore the net liquidation of every account."
        return f"Find {lacks}, or close what rests on it." if lacks else f"Hold less of what may lose {where}."
    if finding.level.rank < Level.WATCH.rank:
        return ""
    if contributor is None or finding.headroom is None:
        return f"Add nothing that loses {where}." if finding.level is Level.WATCH else f"Close what loses most {where}."
    each, label = contributor.each, contributor.label
    if finding.level is Level.WATCH:
        more = wording.quantity(math.floor(finding.headroom / each))
        return f"Room for {more} more {label} {where}; add nothing that loses there."
    needed = math.ceil(-finding.headroom / each - 1e-9)
    if needed <= contributor.contracts:
        return f"Closing {wording.quantity(needed)} of {label} gives back {wording.money(needed * each)} {where}."
    whole = wording.money(contributor.contracts * each)
    return (
        f"Closing all {wording.quantity(contributor.contracts)} of {label} gives back {whole} of the "
        f"{wording.money(-finding.headroom)} too much {where}: close more besides."
    )


def _excess(after: AccountAfter, portfolio: Portfolio, limits: Limits, book: Book, *, too_many: bool) -> Finding:
    """The worst of the moves for one account; WATCH when it takes most of the excess there is, or there is none."""
    place = after.worst
    excess, shock = after.excess[place], after.shocks[place]
    level = excess_level(excess, after.now, limits.matrix.watch_at, clears=not (too_many or after.reason))
    where = f"S&P 500 {_signed(shock.index * 100)} %"
    said = wording.money(excess.known) if excess.known is not None else _between(excess)
    now = wording.money(after.now)
    text = f"Excess liquidity of {after.name} at {where}: {said} by our estimate, at least $0; now {now}."
    if after.now is not None and after.now < 0:
        text += " It is below zero already."
    if after.reason:
        text += f" Cannot be cleared: {after.reason}."
    elif too_many:
        text += " Cannot be cleared: too much of the book has no model value."
    return limits.finding(
        "stress_excess",
        f"account:{after.account}",
        level,
        text,
        key="stress",
        value=excess.known,
        limit=0.0,
        unit="USD",
        headroom=excess.known if level is not Level.BREACH else excess.high,
        evidence={
            "use": after.use(place),
            "index_return": shock.index,
            "volatility_points": shock.vol * 100.0,
            "excess_now": after.now,
            "pnl": after.pnl[place].known,
            "rule": after.rule,
            "margin_estimate_now": after.estimate_now,
            "margin_estimate_after": after.estimate[place].known,
            "margin_broker_now": after.maintenance,
            "house_factor": after.factor,
        },
        age=portfolio.data_age_seconds,
        action=_excess_action(level, excess, where, after, lacking.of_move(book, limits, _rows_of(book, after))),
    )


def _rows_of(book: Book, after: AccountAfter) -> Mask:
    return book.columns.of_account(after.account)


def _excess_action(level: Level, excess: Interval, where: str, after: AccountAfter, lacks: str) -> str:
    if level is Level.BREACH:
        return f"Free {wording.money(-excess.high)} of margin in {after.name} (as of {where}), or add cash."
    if level is Level.UNKNOWN:
        missing = f"Find {lacks}" if lacks else "Restore what is named"
        return f"{missing}, or read the margin of {after.account} at the broker."
    return f"Add nothing to {after.account} that loses or takes margin at {where}." if level is Level.WATCH else ""


def _between(interval: Interval) -> str:
    return wording.between(interval.low, interval.high, wording.money)


def _residual(portfolio: Portfolio, limits: Limits, stress: Standing, far: Array, blind: Mask) -> Finding:
    """What the rows `far` (dollars apart, 0 where near) and `blind` (not comparable) say together."""
    book, nav = stress.book, portfolio.net_liquidation
    apart, gross = float(far.sum()), float(np.nansum(np.abs(book.quoted * book.weight)[book.columns.is_option]))
    share = apart / gross if gross > 0 else None
    level = residual_level(apart, nav, blind=bool(blind.any()))
    rows = [int(row) for row in np.argsort(-far) if far[row] > 0]
    named = [portfolio.positions[row].instrument.label for row in rows]
    missing = [portfolio.positions[row].instrument.label for row in np.flatnonzero(blind)]
    compared = book.columns.is_option & (book.columns.reported != 0.0) & ~blind
    text = "Model prices agree with the market." if compared.any() else "Model prices: none can be compared."
    if compared.any() and missing:
        text = "Model prices that can be compared agree with the market."
    if rows:
        model, quoted = (wording.number(float(column[rows[0]]), 2) for column in (book.as_told, book.quoted))
        text = (
            f"Model prices of {wording.names(named, _TOP)} differ from the market by {wording.money(apart)} in all; "
            f"the most: {named[0]} by model {model}, market {quoted}."
        )
    if missing:
        text += f" No price or no volatility to compare: {wording.names(missing)}."
    evidence = {
        "share_of_options": share,
        "share_of_nlv": apart / nav if nav else None,
        "differ": named,
        "missing": missing,
    }
    return limits.finding(
        "model_residual",
        "portfolio",
        level,
        text,
        value=apart,
        unit="USD",
        evidence=evidence,
        age=portfolio.data_age_seconds,
        action="Look at the quotes of what is named; its stress is doubtful by as much."
        if level is not Level.OK
        else "",
    )


def _not_set(check: str, limits: Limits) -> Finding:
    text = f"{_TITLES[check]}: not set. Write a `stress:` section under the limits of this regime (docs/limits.md)."
    return limits.finding(check, "portfolio", Level.NOT_APPLICABLE, text)


def _unknown(check: str, reason: str, limits: Limits, subject: str = "portfolio", action: str = "") -> Finding:
    """What is not known keeps the subject it has when it is: a breach whose subject is gone would read as over."""
    compiles = reason == COMPILING
    if not action:
        compiling = "Wait a minute; it is compiled once."
        action = compiling if compiles else "Report this; treat the limit as not met."
    name = subject.partition(":")[2]
    of = f" ({TITLES.get(name, name)})" if name else ""
    return limits.finding(
        check,
        subject,
        Level.UNKNOWN,
        f"{_TITLES[check]}{of}: not known, because {reason}.",
        key="stress",
        evidence={WAITS_FOR: COMPILATION} if compiles else None,
        action=action,
    )


def _signed(value: float) -> str:
    """`+15`, `−7.5`, `+0.4`."""
    text = f"{abs(value):.3g}"
    return ("+" if value >= 0 else wording.MINUS) + text


_TITLES = {
    "stress_ladder": "Loss when the index moves",
    "stress_scenarios": "Loss in named scenarios",
    "stress_excess": "Excess liquidity after a shock",
    "model_residual": "Model prices",
}

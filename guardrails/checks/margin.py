"""How far each account is from a margin call, account by account and segment by segment.

No margin is netted across accounts or brokers: a merged total never clears an account, and a rich securities segment
never clears a short commodities segment. The cushion is the worst of the requirement now, overnight and after the
next change:

    cushion      = excess liquidity / net liquidation     (IBKR Cushion; tastytrade maintenance-excess / net liq)
    utilisation  = maintenance margin / net liquidation
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guardrails import wording
from guardrails.calendar import NEW_YORK
from guardrails.findings import Finding, Level
from guardrails.intervals import Interval
from guardrails.limits import Bound, Limits
from guardrails.portfolio import Portfolio
from guardrails.values import Account, Margin, MarginView

_WORDS = {
    MarginView.CURRENT: "now",
    MarginView.FULL: "overnight",
    MarginView.LOOK_AHEAD: "look-ahead",
    MarginView.POST_EXPIRY: "post-expiry",
}


@dataclass(frozen=True, slots=True)
class Cushion:
    """The worst cushion of one segment and where it comes from."""

    segment: str
    view: MarginView | None
    fraction: float | None
    excess: float | None
    net_liquidation: float | None
    absent: tuple[str, ...]
    """views that should be there and are not"""

    def short_of(self, least: float) -> float | None:
        """Money to free before the cushion is `least`; None when it is not known."""
        if self.excess is None or self.net_liquidation is None:
            return None
        return max(least * max(self.net_liquidation, 0.0) - self.excess, 0.0)


def margin_cushion(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """One Finding per account and segment."""
    if limits.keys.min_cushion is None:
        return [limits.finding("margin_cushion", "portfolio", Level.NOT_APPLICABLE, "Margin cushion: not set.")]
    if not portfolio.accounts:
        return [_no_account("margin_cushion", limits)]
    return [
        _cushion_finding(account, c, portfolio, limits) for account in portfolio.accounts for c in cushions(account)
    ]


def cushions(account: Account) -> list[Cushion]:
    """Worst cushion of every segment the account uses; of the whole account when no segment is reported."""
    segments = sorted({margin.segment for margin in account.margins}) or ["total"]
    used = [segment for segment in segments if _is_used([m for m in account.margins if m.segment == segment])]
    return [_worst(account, segment) for segment in used or ["total"]]


def margin_utilisation(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Maintenance margin as a share of net liquidation, worst view, per account."""
    limit = limits.keys.max_margin_utilisation
    if limit is None:
        return [limits.finding("margin_utilisation", "portfolio", Level.NOT_APPLICABLE, "Margin utilisation: not set.")]
    if not portfolio.accounts:
        return [_no_account("margin_utilisation", limits)]
    return [_utilisation_finding(account, limit, portfolio, limits) for account in portfolio.accounts]


def _worst(account: Account, segment: str) -> Cushion:
    rows = {margin.view: margin for margin in account.margins if margin.segment == segment}
    fractions: dict[MarginView, float] = {}
    absent: list[str] = []
    for view in account.expected_views:
        fraction = _fraction(rows.get(view))
        if fraction is None:
            absent.append(_WORDS[view])
        else:
            fractions[view] = fraction
    worst = min(fractions, key=lambda view: fractions[view], default=None)
    if worst is None:
        return Cushion(segment, None, None, None, None, tuple(absent))
    chosen = rows[worst]
    return Cushion(segment, worst, fractions[worst], chosen.excess, chosen.net_liquidation, tuple(absent))


def _fraction(margin: Margin | None) -> float | None:
    if margin is None or margin.excess is None or margin.net_liquidation is None:
        return None
    if margin.net_liquidation <= 0:
        return -1.0 if margin.excess < 0 else 0.0  # nothing is left to cushion with
    return margin.excess / margin.net_liquidation


def _is_used(margins: Sequence[Margin]) -> bool:
    """A segment without money and without requirement is not used; one with a missing figure counts as used."""
    return any(
        m.net_liquidation is None or m.net_liquidation != 0 or m.maintenance is None or m.maintenance > 0
        for m in margins
    )


def _cushion_finding(account: Account, cushion: Cushion, portfolio: Portfolio, limits: Limits) -> Finding:
    least, watch = limits.keys.min_cushion or 0.0, limits.keys.watch_cushion
    level = _cushion_level(cushion, least, watch)
    subject = f"account:{account.id}" + ("" if cushion.segment == "total" else f":{cushion.segment}")
    return limits.finding(
        "margin_cushion",
        subject,
        level,
        _cushion_message(account, cushion, least),
        key="min_cushion",
        value=cushion.fraction,
        limit=least,
        unit="fraction",
        headroom=None if cushion.fraction is None else cushion.fraction - least,
        evidence={
            "view": None if cushion.view is None else cushion.view.value,
            "excess": cushion.excess,
            "absent": list(cushion.absent),
            "next_margin_change": None
            if account.next_margin_change is None
            else account.next_margin_change.isoformat(),
            "watch_at": watch,
        },
        age=portfolio.age_of(account.time),
        action=_cushion_action(level, wording.money(cushion.short_of(least), account.currency), cushion),
    )


def _cushion_level(cushion: Cushion, least: float, watch: float | None) -> Level:
    if cushion.fraction is not None and cushion.fraction < least:
        return Level.BREACH
    if cushion.fraction is None or cushion.absent:
        return Level.UNKNOWN
    return Level.WATCH if watch is not None and cushion.fraction < watch else Level.OK


def _cushion_message(account: Account, cushion: Cushion, least: float) -> str:
    where = f"Margin cushion, {account.id}" + ("" if cushion.segment == "total" else f" {cushion.segment}")
    if cushion.fraction is None or cushion.view is None:
        return f"{where}: the broker's margin figures ({', '.join(cushion.absent)}) are missing."
    text = (
        f"{where}: {wording.percent(cushion.fraction)} ({_WORDS[cushion.view]}, excess "
        f"{wording.money(cushion.excess, account.currency)}), at least {wording.percent(least)}."
    )
    if cushion.absent:
        text += f" Not reported: {', '.join(cushion.absent)}."
    if account.next_margin_change is not None:
        text += f" Margin changes {account.next_margin_change.astimezone(NEW_YORK):%a %d %b %H:%M} ET."
    if account.margin_call:
        text += " The broker reports a margin call."
    return text


def _cushion_action(level: Level, short: str, cushion: Cushion) -> str:
    if level is Level.BREACH:
        return f"Free {short} of margin or add cash before the broker liquidates."
    if level is Level.UNKNOWN:
        return f"Read the margin figures ({', '.join(cushion.absent)}) at the broker."
    return "Add no position that takes margin." if level is Level.WATCH else ""


_TITLES = {"margin_cushion": "Margin cushion", "margin_utilisation": "Margin used"}
_UTILISATION_ACTIONS = {
    Level.BREACH: "Close what takes the most margin.",
    Level.UNKNOWN: "Read the margin figures at the broker.",
    Level.WATCH: "Add no position that takes margin.",
}


def _utilisation_finding(account: Account, limit: float, portfolio: Portfolio, limits: Limits) -> Finding:
    rows = {margin.view: margin for margin in account.margins if margin.segment == "total"}
    known: list[float] = []
    absent: list[str] = []
    for view in account.expected_views:
        margin = rows.get(view)
        nav = None if margin is None else margin.net_liquidation
        if margin is None or margin.maintenance is None or nav is None:
            absent.append(_WORDS[view])
        else:
            known.append(margin.maintenance / nav if nav > 0 else float("inf") if margin.maintenance > 0 else 0.0)
    used = max(known, default=None)
    use = Interval(used or 0.0, used or 0.0, missing=bool(absent))
    level = Bound(limit, is_set=True).level(use, limits.matrix.watch_at)
    share = "not known" if used is None else f"{wording.percent(used)} of net liquidation"
    text = f"Margin used, {account.id}: {share}, limit {wording.percent(limit)}."
    return limits.finding(
        "margin_utilisation",
        f"account:{account.id}",
        level,
        text + (f" Not reported: {', '.join(absent)}." if absent else ""),
        key="max_margin_utilisation",
        value=used,
        limit=limit,
        unit="fraction",
        headroom=None if used is None else limit - used,
        evidence={"absent": absent},
        age=portfolio.age_of(account.time),
        action=_UTILISATION_ACTIONS.get(level, ""),
    )


def _no_account(check: str, limits: Limits) -> Finding:
    return limits.finding(
        check,
        "portfolio",
        Level.UNKNOWN,
        f"{_TITLES[check]}: no account has been read.",
        action="Connect a broker or a statement.",
    )

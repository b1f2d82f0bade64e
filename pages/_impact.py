"""What an order would do, drawn: everything that moves, before and after side by side, behind the verdict.

Nothing here is a widget, and nothing asks anybody. Each block is one piece of HTML, so that a new age does not move
what stands around it; the curve is rounded, so that an equal one is not drawn anew.
"""

from __future__ import annotations

import plotly.graph_objects as go

from guardrails import wording
from guardrails.findings import Level
from guardrails.gate.values import Impact, LegLine, MarginChange, Number
from pages._alerts import said
from pages._limit_pairs import AFTER, BEFORE, limit_pairs
from pages._parts import pill, text
from pages._ticket import price_words
from pages._verdict import reason_list

MEASURES = {
    "delta_dollars": ("Delta", "USD", "Sum of quantity × delta × multiplier × price of the underlying."),
    "beta_delta_dollars": ("Beta delta", "USD", "Delta dollars × beta to the S&P 500, summed."),
    "gamma_1pct_dollars": ("Gamma for 1 %", "USD", "Change of beta delta when the index moves 1 %."),
    "vega_per_point": ("Vega", "USD/pt", "Change of value when every volatility rises one point."),
    "vega_30d_per_point": ("Vega, 30-day", "USD/pt", "Vega, each expiry scaled by how much its volatility follows."),
    "theta_per_day": ("Theta", "USD/day", "Change of value in one calendar day."),
    "net_liquidation": ("Net liquidation", "USD", "What the book is worth."),
    "cash": ("Cash of the account", "USD", "Cash after what the package costs at its limit."),
}
_FEWEST_POINTS = 3
"""of a curve: the one at 0 % is known of every book"""
HEIGHT = 260
_COLOURS = {BEFORE: ("#8a94a3", "dot"), AFTER: ("#3f83cf", "solid")}


def details(impact: Impact) -> str:
    """HTML of everything behind the verdict: reasons, flags, legs, margin, stress, measures, limits."""
    blocks = [
        reason_list(impact),
        _flags(impact),
        _legs(impact.legs),
        _prices(impact),
        _section("Margin", margin_lines(impact.margin, impact.order.account.broker)),
        _section("Worst stress loss", [stress_words(impact)]),
        _section("Measures of the book", measure_rows(impact), "pg-pairs"),
        _section("Limits: without the order → with it", [limit_pairs(impact.findings)]),
    ]
    return f'<div class="pg-impact">{"".join(blocks)}</div>'


def _section(title: str, lines: list[str], look: str = "") -> str:
    """A titled block of lines that are HTML already; nothing without lines."""
    return f'<section class="{look}"><h4>{text(title)}</h4>{"".join(lines)}</section>' if lines else ""


def _flags(impact: Impact) -> str:
    lines = [f"<div>◆ {said(flag)}</div>" for flag in impact.flags]
    if impact.working:
        lines.append(f'<div class="pg-soft">Judged with working orders: {said(impact.working)}</div>')
    else:
        lines.append('<div class="pg-soft">No other order is working.</div>')
    return _section("In its life, and beside it", lines)


def _legs(legs: tuple[LegLine, ...]) -> str:
    rows = [
        f"<tr><td>{said(leg.side)} {wording.quantity(leg.quantity)}</td><td>{said(leg.label)}</td>"
        f"<td>{wording.quantity(leg.held_before)} → {wording.quantity(leg.held_after)}</td>"
        f"<td>{wording.number(leg.bid, 2)} / {wording.number(leg.ask, 2)}</td>"
        f"<td>{wording.number(leg.delta, 2)}</td><td>{wording.percent(leg.iv)}</td></tr>"
        for leg in legs
    ]
    head = "".join(f"<th>{name}</th>" for name in ("Leg", "", "Held", "Bid / ask", "Delta", "IV"))
    return f'<table class="pg-legs"><tr>{head}</tr>{"".join(rows)}</table>' if rows else ""


def _prices(impact: Impact) -> str:
    limit = impact.order.limit
    asked = "at whatever price it gets" if limit is None else f"limit {price_words(limit)}"
    return (
        f'<div title="Of one package. Natural: bought at the ask, sold at the bid.">{text(asked)} · mid '
        f"{price_words(impact.mid)} · natural {price_words(impact.natural)}</div>"
    )


def margin_lines(margin: MarginChange, broker: str) -> list[str]:
    """HTML lines of the margin, under the name of who says so; what is not known is said as such."""
    name = {"ibkr": "IBKR", "tastytrade": "tastytrade", "demo": "The demo broker"}.get(margin.source, margin.source)
    if not margin.source:
        why = f" ({margin.unknown.rstrip('.')})" if margin.unknown else ""
        return [f"<div>{pill(Level.UNKNOWN)} {said(broker)} has not been asked: margin unknown{said(why)}.</div>"]
    words = [f'<div class="pg-soft">{said(name)}: “{said(one)}”</div>' for one in margin.words]
    if margin.unknown:
        return [f"<div>{pill(Level.UNKNOWN)} {said(name)}: margin unknown. {said(margin.unknown)}</div>", *words]
    unit = margin.currency or "USD"
    pairs = (
        ("maintenance", margin.maintenance_before, margin.maintenance_after),
        ("initial", margin.initial_before, margin.initial_after),
    )
    told = ", ".join(f"{name} {wording.money(a, unit)} → {wording.money(b, unit)}" for name, a, b in pairs)
    excess = f"excess after {wording.money(margin.excess_after, unit)}"
    fee = "" if margin.commission is None else f", commission {wording.number(margin.commission, 2)}"
    short = margin.excess_after is not None and margin.excess_after <= 0
    level = Level.UNKNOWN if margin.excess_after is None else Level.BREACH if short else Level.OK
    return [f"<div>{pill(level)} {said(name)} says: {said(told)}; {said(excess)}{fee}.</div>", *words]


def stress_words(impact: Impact) -> str:
    """HTML of the worst stress loss without and with the order."""
    stress = impact.stress
    pairs = [
        f"{wording.money(value)}{f' ({said(shock)})' if shock else ''}"
        for value, shock in ((stress.worst_before, stress.shock_before), (stress.worst_after, stress.shock_after))
    ]
    if stress.worst_before is None or stress.worst_after is None:
        way = f"{pill(Level.UNKNOWN)} not known on both sides"
    else:
        change = stress.worst_after - stress.worst_before
        way = (
            "the same" if round(change) == 0 else f"{wording.money(abs(change))} {'better' if change > 0 else 'worse'}"
        )
    return f"<div>{pairs[0]} → {pairs[1]}, {way}</div>"


def measure_rows(impact: Impact) -> list[str]:
    """HTML of every total that moves or is not known, before → after."""
    rows = []
    for name, (title, unit, help_) in MEASURES.items():
        before, after = (wording.amount(getattr(one, name), unit) for one in (impact.before, impact.after))
        if before == after != "?":
            continue
        mark = f"{pill(Level.UNKNOWN)} " if "?" in (before, after) else ""
        rows.append(f'<div title="{text(help_)}"><span>{text(title)}</span> <b>{mark}{before} → {after}</b></div>')
    return rows


def curve(impact: Impact) -> go.Figure | None:
    """P&L against the index, without and with the order; None when too few points with it are known for a line."""
    points = impact.stress.curve
    if sum(point[2] is not None for point in points) < _FEWEST_POINTS:
        return None
    figure = go.Figure()
    moves = [round(100 * move, 2) for move, _, _ in points]
    for place, name in ((1, BEFORE), (2, AFTER)):
        colour, dash = _COLOURS[name]
        figure.add_scatter(
            x=moves, y=[_rounded(point[place]) for point in points], name=name, mode="lines",
            line={"color": colour, "dash": dash, "width": 2.2}, hovertemplate="%{x:+.1f} %: $%{y:,.0f}",
        )  # fmt: skip
    figure.add_hline(y=0, line={"color": "#8a94a3", "width": 1})
    figure.update_layout(
        height=HEIGHT, margin={"l": 10, "r": 10, "t": 10, "b": 10}, legend={"orientation": "h", "y": 1.12},
        xaxis={"title": "Move of the S&P 500, with its volatility", "ticksuffix": " %"},
        yaxis={"title": "P&L, $"}, hovermode="x unified",
    )  # fmt: skip
    return figure


def _rounded(value: Number) -> Number:
    """Three significant digits; None draws nothing."""
    return None if value is None else float(f"{value:.3g}")

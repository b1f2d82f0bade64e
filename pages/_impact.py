"""What an order would do, drawn: the verdict first, then everything that moves, before and after side by side.

Nothing here is a widget, and nothing asks anybody. Each block is one piece of HTML, so that a new age does not move
what stands around it; the curve is rounded, so that an equal one is not drawn anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import plotly.graph_objects as go

from guardrails import wording
from guardrails.findings import Finding, Level
from guardrails.gate.folding import folded
from guardrails.gate.projected_margin import UNASKED
from guardrails.gate.values import FindingChange, Impact, LegLine, MarginChange, Number, OrderKind, Reason, Verdict
from guardrails.titles import headline
from pages._alerts import said
from pages._parts import LOOKS, Look, counted, pill, text, use_of
from pages._ticket import price_words

LOOK_OF = {Verdict.ALLOW: LOOKS[Level.OK], Verdict.WARN: LOOKS[Level.WATCH], Verdict.BLOCK: LOOKS[Level.BREACH]}
KINDS = {
    OrderKind.EXIT: "an exit: every leg only shrinks a position, and no short option loses its cover",
    OrderKind.HEDGE: "a hedge: the worst stress loss improves and no hard limit gets worse",
    OrderKind.NEW_RISK: "new risk",
}
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
_SHOWN_REASONS = 4
_FEWEST_POINTS = 3
"""of a curve: the one at 0 % is known of every book"""
_FULL = 1.5
"""use at which a bar is full; the mark of the limit stands at two thirds"""
BEFORE, AFTER = "without the order", "with the order"
HEIGHT = 260
_COLOURS = {BEFORE: ("#8a94a3", "dot"), AFTER: ("#3f83cf", "solid")}


def verdict_pill(verdict: Verdict) -> str:
    """HTML of a verdict: sign, word and colour."""
    look = LOOK_OF[verdict]
    return f'<span class="pg-pill pg-{look.name}"><span aria-hidden="true">{look.sign}</span> {verdict.value}</span>'


def only_unasked(impact: Impact) -> bool:
    """Whether all that blocks it is that the broker has not been asked yet."""
    blocking = [reason for reason in impact.reasons if _counts(reason) is Verdict.BLOCK]
    return bool(blocking) and all(_unasked(reason, impact) for reason in blocking)


def _unasked(reason: Reason, impact: Impact) -> bool:
    """Whether `reason` stands only because no broker was asked."""
    of_limits = reason.code in ("limit_unknown", "share_unknown") and UNASKED in reason.message
    return not impact.margin.source and (reason.code == "margin_unknown" or of_limits)


def verdict_words(impact: Impact) -> str:
    """The verdict in one sentence, with what would pass."""
    if only_unasked(impact):
        return "the broker has not been asked what margin it takes; nothing else blocks it so far"
    told = [reason for reason in folded(impact.reasons) if _counts(reason) is impact.verdict]
    told = sorted(told, key=lambda reason: _unasked(reason, impact))  # what else blocks it says more
    if impact.verdict is Verdict.ALLOW or not told:
        return f"{KINDS[impact.kind]}; no rule stands against it"
    return told[0].message.strip().rstrip(".")


def offer_words(impact: Impact) -> str:
    """`2 of 5 would pass`; that nothing would, or that it is not known; nothing when it passes."""
    if impact.verdict is not Verdict.BLOCK or only_unasked(impact):
        return ""
    most, asked = impact.max_quantity, impact.order.quantity
    if not impact.margin.source and not most:
        return "ask the broker to learn how many would pass"
    if most is None:  # what stops an exit has nothing to do with its size
        return "" if impact.kind is OrderKind.EXIT else "how many would pass is not known"
    return f"{most} of {asked} would pass" if 0 < most < asked else "no quantity would pass"


def summary(impact: Impact, now: datetime) -> str:
    """HTML of the verdict, the title and the age: what is read first."""
    unasked = only_unasked(impact)
    light = pill(Level.UNKNOWN) if unasked else verdict_pill(impact.verdict)
    words = f"Not checked yet: {verdict_words(impact)}" if unasked else capital(verdict_words(impact))
    offer = offer_words(impact)
    sentence = f"{words}." + (f" {capital(offer)}." if offer else "")
    look = "unknown" if unasked else LOOK_OF[impact.verdict].name
    words = KINDS[impact.kind]
    kind = "" if capital(words) in sentence else f" · {said(words)}"
    age = wording.age(max((now - impact.time).total_seconds(), 0.0))
    return (
        f'<section class="pg-verdict pg-verdict-{look}" role="status" aria-label="Verdict">'
        f"<div>{light} <b>{said(sentence)}</b></div>"
        f'<div class="pg-soft">{said(impact.title)}{kind} · <span title="By matrix '
        f'{said(impact.matrix_version or "unknown")}">judged {age} ago</span></div></section>'
    )


def details(impact: Impact) -> str:
    """HTML of everything behind the verdict: reasons, flags, legs, margin, stress, measures, limits."""
    blocks = [
        _reasons(impact),
        _flags(impact),
        _legs(impact.legs),
        _prices(impact),
        _section("Margin", margin_lines(impact.margin, impact.order.account.broker)),
        _section("Worst stress loss", [stress_words(impact)]),
        _section("Measures of the book", measure_rows(impact), "pg-pairs"),
        _section("Limits: without the order → with it", [_limits(impact.findings)]),
    ]
    return f'<div class="pg-impact">{"".join(blocks)}</div>'


def _section(title: str, lines: list[str], look: str = "") -> str:
    """A titled block of lines that are HTML already; nothing without lines."""
    return f'<section class="{look}"><h4>{text(title)}</h4>{"".join(lines)}</section>' if lines else ""


def _limits(changes: Sequence[FindingChange]) -> str:
    """HTML of every limit that moves: first those that are not kept or change their light, the rest behind a click."""
    kept = (Level.OK, Level.NOT_APPLICABLE)
    quiet = [one for one in changes if one.level_before in kept and one.level_after in kept]
    loud = [one for one in changes if one not in quiet]
    first = "".join(limit_pair(one) for one in loud) or '<div class="pg-soft">Every limit that moves is kept.</div>'
    title = f"{len(quiet)} {'limits that move and are' if len(quiet) > 1 else 'limit that moves and is'} kept"
    return first + _folded([limit_pair(one) for one in quiet], 0, title)


def _counts(reason: Reason) -> Verdict:
    """What a reason makes of the order; one that is overridden does not block."""
    return Verdict.WARN if reason.overridden and reason.verdict is Verdict.BLOCK else reason.verdict


def _reasons(impact: Impact) -> str:
    lines = [
        f"<li>{pill(Level.UNKNOWN) if _unasked(reason, impact) else verdict_pill(_counts(reason))}"
        f"<div>{said(capital(reason.message))}{' <b>(overridden)</b>' if reason.overridden else ''}</div></li>"
        for reason in sorted(folded(impact.reasons), key=lambda reason: _unasked(reason, impact))
    ]
    more = counted(len(lines) - _SHOWN_REASONS, "more reason")
    return _folded(lines, _SHOWN_REASONS, more, '<ul class="pg-list">', "</ul>")


def _folded(lines: list[str], most: int, title: str, begin: str = "<div>", end: str = "</div>") -> str:
    """HTML of `lines`, those beyond `most` behind a click on `title`; nothing without lines."""
    first, rest = lines[:most], lines[most:]
    more = f"<details><summary>{title}</summary>{begin}{''.join(rest)}{end}</details>"
    return (f"{begin}{''.join(first)}{end}" if first else "") + (more if rest else "")


def capital(words: str) -> str:
    """`words` as a sentence begins."""
    return f"{words[:1].upper()}{words[1:]}"


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


def limit_pair(change: FindingChange) -> str:
    """HTML of one limit: both lights, both bars, both figures."""
    limits = change.limit if change.limit_before is None else change.limit_before, change.limit
    sides = [
        Finding(change.check, change.subject, level, value, limit, change.unit, room, change.message)
        for level, value, limit, room in (
            (change.level_before, change.value_before, limits[0], change.headroom_before),
            (change.level_after, change.value_after, limits[1], change.headroom_after),
        )
    ]
    before, after = (wording.amount(one.value, change.unit) for one in sides)
    moved = f", {wording.amount(limits[0], change.unit)} before" if limits[0] != limits[1] else ""
    bound = "" if change.limit is None else f", limit {wording.amount(change.limit, change.unit)}{moved}"
    advice = " · advice, blocks nothing" if change.advisory else ""
    return (
        f'<div class="pg-pair" title="{said(change.message)}">'
        f"<span>{pill(change.level_before)}→ {pill(change.level_after)}</span>"
        f"<b>{said(headline(change.check, change.subject))}</b>"
        f'<span class="pg-tracks">{_bar(sides[0], BEFORE)}{_bar(sides[1], AFTER)}</span>'
        f"<span>{text(before)} → {text(after)}{text(bound)}{advice}</span></div>"
    )


def _bar(finding: Finding, name: str) -> str:
    """HTML of the use of a limit; an empty track where no share can be said."""
    use = use_of(finding)
    look: Look = LOOKS[finding.level]
    if use is None:
        return f'<span class="pg-track pg-thin" title="{name}: no share of a limit can be said"></span>'
    width = 100.0 * min(use, _FULL) / _FULL
    says = f"{name}: {use * 100:.0f} % of the limit" if use <= _FULL * 2 else f"{name}: far over the limit"
    fill = f'<span class="pg-fill pg-{look.name}" style="width:{width:.0f}%"></span>'
    return f'<span class="pg-track pg-thin" role="img" aria-label="{says}">{fill}<i class="pg-mark"></i></span>'


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

"""Every limit that an order moves, without it and with it: both lights, both bars, both figures."""

from __future__ import annotations

from collections.abc import Sequence

from guardrails import wording
from guardrails.findings import Finding, Level
from guardrails.gate.values import FindingChange
from guardrails.titles import headline
from pages._alerts import said
from pages._parts import LOOKS, Look, pill, text, use_of
from pages._verdict import folded_lines

_FULL = 1.5
"""use at which a bar is full; the mark of the limit stands at two thirds"""
BEFORE, AFTER = "without the order", "with the order"


def limit_pairs(changes: Sequence[FindingChange]) -> str:
    """HTML of every limit that moves: first those that are not kept or change their light, the rest behind a click."""
    kept = (Level.OK, Level.NOT_APPLICABLE)
    quiet = [one for one in changes if one.level_before in kept and one.level_after in kept]
    loud = [one for one in changes if one not in quiet]
    first = "".join(limit_pair(one) for one in loud) or '<div class="pg-soft">Every limit that moves is kept.</div>'
    title = f"{len(quiet)} {'limits that move and are' if len(quiet) > 1 else 'limit that moves and is'} kept"
    return first + folded_lines([limit_pair(one) for one in quiet], 0, title)


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

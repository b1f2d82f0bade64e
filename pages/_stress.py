"""The parts of the Risk page that say what the book would be worth: moves of the index, distance to liquidation."""

from __future__ import annotations

import math

from guardrails import wording
from guardrails.findings import Level
from guardrails.products import SP500
from guardrails.snapshot import AccountStressRow, StressNow, StressRow
from pages._dollars import level_words, move_words, points_words, row_words
from pages._parts import counted, pill, text

SHOWN = (-0.05, -0.03, -0.01, 0.0, 0.01, 0.03)
"""returns of the index in the strip"""
_NOT_THERE = "nothing was computed for this account"
_NEVER = "this moment was kept by a version that did not revalue the book"


def if_it_moves(stress: StressNow) -> str:
    """HTML of the strip: P&L at a few returns of the index with the volatility that comes with them, and the worst."""
    if not stress.curve:
        reason = stress.reason or _NEVER
        said = f"Not known: {text(reason)}."
        return f'<ul class="pg-list"><li>{pill(Level.UNKNOWN)}<div class="pg-body">{said}</div></li></ul>'
    cells = "".join(_cell(row) for step in SHOWN for row in stress.curve if abs(row.index - step) < 1e-9)
    worst = f"<div>worst: <b>{text(worst_words(stress))}</b></div>"
    return f'<div class="pg-moves">{cells}</div>{worst}{_unvalued(stress)}{_under(stress)}'


def worst_words(stress: StressNow) -> str:
    """`−$46k at −8.5 % (SPX 5,490), volatility +15 points`; where nothing is lost, how far was looked."""
    row = stress.trough or min(stress.curve, key=lambda row: -math.inf if row.at_least is None else row.at_least)
    if row.at_least is not None and row.at_least >= 0:
        return f"no loss between {move_words(stress.curve[0].index)} and {move_words(stress.curve[-1].index)}"
    level = "" if stress.index is None else f" ({level_words(SP500, stress.index * (1.0 + row.index))})"
    ends = row.index in (stress.curve[0].index, stress.curve[-1].index)
    beyond = "; no further was looked" if ends else ""
    return f"{row_words(row)} at {move_words(row.index)}{level}, volatility {points_words(row.vol)}{beyond}"


def account_words(row: AccountStressRow | None, broker: str, stress: StressNow) -> str:
    """Markdown for an account's tile: distance to liquidation, our estimate of its margin beside the broker's."""
    if row is None:
        return f"Distance to zero excess not known: {stress.reason or _NOT_THERE}"
    return f"**{liquidation_words(row)}** · {margin_words(row, broker)}"


def liquidation_words(row: AccountStressRow) -> str:
    """`Zero excess at SPX 5,610 / 6,480 (our estimate)`; why it is not known; how far none was found."""
    if row.reason:
        return f"Distance to zero excess not known: {row.reason}"
    low, high = (move_words(end) for end in row.searched)
    if row.zero_down is None and row.zero_up is None:
        return f"No zero of excess between {low} and {high} (our estimate)"
    ends = [
        wording.number(level) if level is not None else f"none {way} to {end}"
        for level, way, end in ((row.zero_down, "down", low), (row.zero_up, "up", high))
    ]
    return f"Zero excess at {SP500} {' / '.join(ends)} (our estimate)"


def margin_words(row: AccountStressRow, broker: str) -> str:
    """`Margin: we estimate $41,200 (strategy rules), IBKR says $39,800`; when it changes the tile says already."""
    rule = f" ({row.rule} rules)" if row.rule else ""
    ours = "margin estimate not known" if row.estimate is None else f"we estimate {wording.money(row.estimate)}{rule}"
    theirs = "does not say" if row.maintenance is None else f"says {wording.money(row.maintenance)}"
    return f"Margin: {ours}, {broker} {theirs}"


def _cell(row: StressRow) -> str:
    name = "now" if row.index == 0 else move_words(row.index)
    return f'<div><div class="pg-soft">{text(name)}</div><div><b>{text(row_words(row))}</b></div></div>'


def _unvalued(stress: StressNow) -> str:
    if not stress.unvalued:
        return ""
    names = wording.names([*dict.fromkeys(stress.unvalued)], 4)
    said = f"{counted(len(stress.unvalued), 'position')} cannot be revalued ({names}): hence ranges."
    return f"<div>{pill(Level.UNKNOWN)} {text(said)}</div>"


def _under(stress: StressNow) -> str:
    residual = "" if stress.residual is None else f"Model vs broker now: {wording.percent(stress.residual)}. "
    said = (
        f"{residual}Of the whole book, from now, every underlying by its beta, with the volatility that comes with it."
    )
    return f'<div class="pg-soft">{text(said)}</div>'

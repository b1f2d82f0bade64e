"""The bar on every page: lights, regime, safety, sources and the clock, in one line that stays where it is."""

from __future__ import annotations

from guardrails import wording
from guardrails.findings import Level
from pages._moment import Moment, age_of, clock, session_words, since_words
from pages._parts import LOOKS, pill, text
from pages._safety_words import safety_mark


def header(moment: Moment, label: str = "", more: str = "") -> str:
    """HTML of the bar on every page; grey-striped, with the reason in words, when anything is silent.

    `label` (NOW, THEN) tells it from another one on the same page; that of a past moment looks different, too. `more`
    is HTML that ends the bar.
    """
    snapshot = moment.snapshot
    if snapshot is None:
        words = f"<strong>⚠ No data yet</strong><span>{clock(moment.now)}</span>{more}"
        return f'<section class="pg-bar pg-silent" aria-label="State of the book">{words}</section>'
    counts = {level: sum(f.level is level for f in snapshot.findings) for level in LOOKS}
    badges = "".join(pill(level, counts[level]) for level in LOOKS if level is not Level.NOT_APPLICABLE)
    regime = snapshot.regime
    since = "" if regime.since is None else f" since {since_words(regime.since, moment.now)}"
    vix = f"VIX {wording.number(regime.vix, 1)}, VIX3M {wording.number(regime.vix3m, 1)}"
    block = ' <span class="pg-pill pg-watch">no new short vega</span>' if regime.overlay else ""
    parts = [
        f"<b>{label}</b>" if label else "",
        badges,
        f'<span title="{text(regime.reason)}"><b>{text(regime.name)}</b>{text(since)} ({text(vix)}){block}</span>',
        f"<span>{safety_mark(snapshot.safety_state)} · {text(snapshot.trading)}</span>",
        f"<span>{_sources(moment)}</span>",
        _watched(moment),
        f'<span class="pg-clock"><b>{clock(moment.now)}</b>, {text(session_words(snapshot, moment.now))}</span>',
        more,
    ]
    trouble = "".join(f"<strong>⚠ {text(words)}</strong>" for words in moment.trouble)
    look = "pg-then" if moment.past else "pg-bar pg-silent" if moment.trouble else "pg-bar"
    name = "State of the book then" if moment.past else "State of the book"
    return f'<section class="{look}" aria-label="{name}">{trouble}{"".join(parts)}</section>'


def _watched(moment: Moment) -> str:
    """Who reads the brokers, when it is not this program."""
    if moment.health is None or not moment.health.watched_by:
        return ""
    says = "Another program with the same database reads the brokers; this one shows what it sees, and takes over."
    return f'<span title="{says}">watched by <b>{text(moment.health.watched_by)}</b></span>'


def _sources(moment: Moment) -> str:
    if moment.snapshot is None:
        return ""
    words = []
    for row in moment.snapshot.sources:
        seconds = age_of(row, moment.snapshot, moment.now)
        age = "never heard" if seconds is None else wording.age(seconds)
        words.append(f"{text(row.name)} <b>{text(row.state)}</b> {age}")
    shown = " · ".join(words) or "no source"
    return f'<a href="connections" target="_self" style="color:inherit" title="To Connections">{shown}</a>'

"""Drawing: how a level, a finding, a limit and a figure look, so that the same thing looks the same on every page.

What changes with every tick is drawn as one piece of HTML per block: one element stays in place while its text
changes, which neither flickers nor jumps. Everything that comes from outside passes through `text`. Word, sign and
colour always travel together; each pair of colours reaches a contrast of 4.5 to 1 in both themes (a test measures it).
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import streamlit as st

from guardrails import wording
from guardrails.checks import NOT_CLEARED
from guardrails.findings import Finding, Level
from guardrails.snapshot.book import Number, Totals
from guardrails.titles import about, title_of
from pages._moment import Moment, urgent

SHOWN = 8
"""findings shown at once; the rest unfolds"""


@dataclass(frozen=True, slots=True)
class Look:
    """How a level is shown: word, sign and (text, background) colours by theme."""

    word: str
    sign: str
    name: str
    light: tuple[str, str]
    dark: tuple[str, str]


LOOKS = {
    Level.BREACH: Look("BREACH", "✖", "breach", ("#a1160f", "#fde3e1"), ("#ffb9b2", "#5a1712")),
    Level.UNKNOWN: Look("UNKNOWN", "?", "unknown", ("#46327a", "#e8e1f7"), ("#d6c8ff", "#37295c")),
    Level.WATCH: Look("WATCH", "◐", "watch", ("#7a4a00", "#ffedc9"), ("#ffd58a", "#4a3300")),
    Level.OK: Look("OK", "✓", "ok", ("#17602e", "#dff2e4"), ("#93e0aa", "#123a20")),
    Level.NOT_APPLICABLE: Look("NOT JUDGED", "–", "none", ("#4d5663", "#eceff3"), ("#b6c0cd", "#262e39")),
}
_NO_BAR = {
    "short_option_expiry", "theta_floor", "theta_vega_ratio", "market_regime", "greeks_coverage", "greeks_agreement",
    "beta_coverage", "beta_quality", "position_data", "account_data", "source_state", "clock_skew", "risk_matrix",
    "engine", "day_pnl_agreement",
}  # fmt: skip
_TELLS_ITS_AGE = {"account_data", "source_state"}
_SAYABLE = 3.0
"""use beyond which a percentage says nothing more"""
_OLD_SECONDS = 10.0
"""below this the header's own ages say enough"""
_FLOORS = {"margin_cushion"}
_BAR_END = 1.5
"""use at which a bar is full; the mark of the limit stands at two thirds"""


def text(value: object) -> str:
    """`value` as text that cannot become markup."""
    return html.escape(str(value))


def counted(count: int, noun: str) -> str:
    """`1 position`, `2 positions`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def pill(level: Level, count: int | None = None) -> str:
    """HTML of a level: sign, word and colour, with a count in the header."""
    look = LOOKS[level]
    faded = " pg-zero" if count == 0 else ""
    number = "" if count is None else f" {count}"
    sign = f'<span aria-hidden="true">{look.sign}</span>'
    return f'<span class="pg-pill pg-{look.name}{faded}">{sign} {look.word}{number}</span>'


def say(level: Level) -> str:
    """A level in a table cell: `✖ BREACH`."""
    return f"{LOOKS[level].sign} {LOOKS[level].word}"


def use_of(finding: Finding) -> float | None:
    """Share of the limit that is used, 1 is at the limit; None where no share can be said."""
    value, limit = finding.value, finding.limit
    given = finding.evidence.get("use")
    if isinstance(given, int | float):
        return float(given)
    if finding.check in _NO_BAR or value is None or limit is None:
        return None
    if finding.check in _FLOORS:  # used up when the value is down to it
        return limit / value if value > 0 else math.inf
    if limit == 0:
        return math.inf if value != 0 and finding.level is Level.BREACH else 0.0
    return max(value / limit, 0.0)


def room_of(finding: Finding) -> str:
    """Headroom in words: `room for 3 more SPY 18Dec26 600P`, `$1,200 over`; nothing when it is not known."""
    contracts, name = finding.evidence.get("headroom_contracts"), finding.evidence.get("contributor")
    if finding.level is Level.UNKNOWN:
        return ""
    if isinstance(contracts, int | float) and name and contracts >= 0:
        return f"room for {wording.quantity(contracts)} more {name}"
    if finding.headroom is None or use_of(finding) is None:
        return ""
    missing = "short" if finding.check in _FLOORS else "over"
    side = missing if finding.headroom < 0 else "left"
    return f"{wording.amount(abs(finding.headroom), finding.unit)} {side}"


def findings_list(findings: Sequence[Finding]) -> str:
    """HTML of findings: level, sentence, next action."""
    items = []
    for finding in findings:
        after = f'<div class="pg-next"><b>Next:</b> {text(finding.next_action)}</div>' if finding.next_action else ""
        aged = (finding.data_age_seconds or 0.0) >= _OLD_SECONDS and finding.check not in _TELLS_ITS_AGE
        age = f"data {wording.age(finding.data_age_seconds)} old" if aged else ""
        note = " · ".join(part for part in ("advice" if finding.advisory else "", age) if part)
        items.append(
            f'<li>{pill(finding.level)}<div class="pg-body">{text(finding.message)} '
            f'<span class="pg-soft">{text(note)}</span>{after}</div></li>'
        )
    return f'<ul class="pg-list">{"".join(items)}</ul>'


def limit_row(finding: Finding, lead: str = "") -> str:
    """HTML of one limit: level, name, bar of its use, figure and room; `lead` stands before the name."""
    use, name = use_of(finding), title_of(finding.check)
    if not finding.subject.startswith("position:") and about(finding.subject):
        name = f"{name}, {about(finding.subject)}"
    if use is None or finding.subject.startswith("position:"):
        words = finding.message
    else:
        words = " · ".join(part for part in (_figure(finding), room_of(finding)) if part)
    cells = f'{pill(finding.level)}<span class="pg-name">{text(lead)}{text(name)}</span>'
    if use is None:
        return f'<div class="pg-limit">{cells}<span class="pg-soft pg-rest">{text(words)}</span></div>'
    width = 100.0 * min(use, _BAR_END) / _BAR_END
    fill = f'<span class="pg-fill pg-{LOOKS[finding.level].name}" style="width:{width:.0f}%"></span>'
    share = f"{round(use * 100)} % of limit" if use <= _SAYABLE else f"over {_SAYABLE:.0f} × limit"
    return (
        f'<div class="pg-limit">{cells}<span class="pg-track">{fill}<i class="pg-mark"></i></span>'
        f'<span>{share}</span><span class="pg-soft">{text(words)}</span></div>'
    )


def unset_row(words: str) -> str:
    """HTML of what has no limit, or nothing to measure."""
    return f'<div class="pg-limit">{pill(Level.NOT_APPLICABLE)}<span class="pg-soft pg-line">{text(words)}</span></div>'


def _figure(finding: Finding) -> str:
    value = wording.amount(finding.value, finding.unit)
    bound = "at least" if finding.check in _FLOORS else "limit"
    return value if finding.limit is None else f"{value}, {bound} {wording.amount(finding.limit, finding.unit)}"


def nothing_yet(moment: Moment, names: Iterable[str]) -> None:
    """Draw the page of the first seconds: what is waited for, and what goes wrong; of the past, why it is empty."""
    if moment.past:
        st.subheader("Nothing to show of that moment")
        st.html(_one(Level.UNKNOWN, text(" ".join(moment.trouble))))
        return
    st.subheader("No data yet")
    st.write(f"Waiting for the first complete answer of {', '.join(names)}. Nothing is judged until then.")
    for problem in () if moment.health is None else moment.health.problems:
        st.html(_one(Level.UNKNOWN, text(problem)))


def _one(level: Level, words: str) -> str:
    """HTML of one light with its sentence."""
    return f'<ul class="pg-list"><li>{pill(level)}<div class="pg-body">{words}</div></li></ul>'


def needs_you(moment: Moment, *, part: bool = False) -> None:
    """Draw what needs a person now, worst first; what only waits for missing data unfolds, and so does the rest.

    `part` says that findings about some accounts were left out: then nothing found is no good news of the book.
    """
    found = [] if moment.snapshot is None else urgent(moment.snapshot.findings)
    shown = [finding for finding in found if NOT_CLEARED not in finding.evidence][:SHOWN] or found[:SHOWN]
    folded = [finding for finding in found if finding not in shown]
    if found:
        st.html(findings_list(shown))
    else:
        judged = moment.snapshot is not None and any(f.level is Level.OK for f in moment.snapshot.findings)
        current = "was complete and current then" if moment.past else "is complete and current"
        words = f"Every limit that is set {'was' if moment.past else 'is'} kept, on data that {current}."
        light, words = (Level.OK, words) if judged else (Level.UNKNOWN, "Nothing has been judged.")
        if part and moment.snapshot is not None:
            light, words = (
                moment.snapshot.level,
                "Nothing about the accounts shown; this light is that of the whole book.",
            )
        st.html(_one(light, words))
    more = st.container()
    if folded:
        waiting = sum(NOT_CLEARED in finding.evidence for finding in folded)
        words = f", {waiting} of them cannot be cleared while data is missing" if waiting else ""
        with more.expander(f"{len(folded)} more{words}", key="more_findings"):
            st.html(findings_list(folded))


def total(totals: Totals, name: str, unit: str = "USD") -> str:
    """A total in words; `$1,000 to $2,000` when only its bounds are known."""
    value: Number = getattr(totals, name)
    if value is not None or name not in totals.bounds:
        return wording.amount(value, unit)
    low, high = totals.bounds[name]
    if low is not None and high is not None:
        return f"{wording.amount(low, unit)} to {wording.amount(high, unit)}"
    ends = [("at least", low), ("at most", high)]
    known = [f"{word} {wording.amount(end, unit)}" for word, end in ends if end is not None]
    return ", ".join(known) or "?"

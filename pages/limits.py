"""Limits: the matrix read aloud, with what is used of each limit now."""

from __future__ import annotations

import streamlit as st

from guardrails.findings import Finding, Level
from guardrails.matrix import explain_regime
from guardrails.matrix.explain_orders import order_sentences
from guardrails.snapshot import Snapshot
from pages._engine import engine, wiring
from pages._filters import choose, follow
from pages._moment import Moment, day_and_time
from pages._parts import findings_list, limit_row, nothing_yet, text, unset_row
from pages._past import every, seen
from pages._stress import titled

CHECKS_OF = {
    "max_beta_delta": ("beta_delta",),
    "max_negative_vega": ("short_vega",),
    "max_gamma": ("gamma",),
    "max_near_expiry_gamma": ("near_expiry_gamma",),
    "min_daily_theta": ("theta_floor",),
    "max_daily_theta": ("theta_cap",),
    "theta_vega_ratio": ("theta_vega_ratio",),
    "max_single_underlying_vega_pct": ("vega_concentration",),
    "max_single_underlying_delta_pct": ("delta_concentration",),
    "max_single_underlying_margin_pct": ("margin_concentration",),
    "max_position_contracts": ("position_contracts",),
    "max_position_notional": ("position_notional",),
    "short_option_dte": ("short_option_expiry",),
    "min_cushion": ("margin_cushion",),
    "watch_cushion": ("margin_cushion",),
    "max_margin_utilisation": ("margin_utilisation",),
    "max_daily_loss_pct": ("daily_loss",),
    "watch_daily_loss_pct": ("daily_loss",),
    "max_drawdown_pct": ("drawdown",),
    "stress": ("stress_ladder", "stress_scenarios", "stress_excess"),
}
"""checks that judge a limit, by its key without `_pct_nlv`"""


_SOFT = ' class="pg-soft"'
_WHY_NOT = "Nothing is measured against it."
_NOT_HERE = "Nothing of the accounts shown is measured against it."


def sentences_by_check(sentences: list[str]) -> dict[tuple[str, ...], list[str]]:
    """The sentences of a regime under the checks that judge them; what belongs to none stands under nothing."""
    found: dict[tuple[str, ...], list[str]] = {}
    for sentence in sentences:
        key = sentence.rpartition("[")[2].rstrip("].").removesuffix("_pct_nlv") if "[" in sentence else ""
        found.setdefault(CHECKS_OF.get(key, ()), []).append(sentence)
    return found


def rule_html(sentences: list[str], findings: list[Finding], otherwise: str) -> str:
    """One limit: its sentences, then what is used of it, `otherwise` said when there is no finding."""
    said = "".join(f"<div{_SOFT if ': not set' in line else ''}>{text(line)}</div>" for line in sentences)
    used = "".join(limit_row(titled(finding)) for finding in findings if finding.level is not Level.NOT_APPLICABLE)
    return f'<div class="pg-rule">{said}{used or unset_row(otherwise if not findings else findings[0].message)}</div>'


def in_force(moment: Moment, snapshot: Snapshot) -> None:
    regime = snapshot.regime
    since = "" if regime.since is None else f" since {day_and_time(regime.since)}"
    st.subheader(f"{'Then in force' if moment.past else 'In force'}: {regime.name}{since}")
    st.caption(f"Why: {regime.reason}")
    if moment.matrix is None:
        other = "the matrix then in force is missing" if moment.past else "the program that watches has another matrix"
        st.write(f"The limits cannot be read aloud: {other}. What was judged by it:")
        st.html("".join(limit_row(finding) for finding in snapshot.findings if finding.limit is not None))
        return
    rules = sentences_by_check(explain_regime(moment.matrix, regime.name))
    st.html("".join(f"<div>{text(sentence)}</div>" for sentence in rules.pop((), [])))
    otherwise = _NOT_HERE if drawn.on else _WHY_NOT
    st.html(
        "".join(
            rule_html(said, [f for f in snapshot.findings if f.check in checks], otherwise)
            for checks, said in rules.items()
        )
    )


def changes(snapshot: Snapshot, *, past: bool) -> None:
    st.subheader("Changes of regime")
    if not snapshot.changes:
        st.write(f"None since the engine {'had ' if past else ''}started.")
        return
    lines = []
    for change in snapshot.changes:
        moved = "".join(f"<div>{text(target)}</div>" for target in change.targets)
        lines.append(
            f"<li><b>{day_and_time(change.time)}</b><div>{text(change.old or 'start')} → <b>{text(change.new)}</b>: "
            f'{text(change.cause)}<div class="pg-soft">{moved}</div></div></li>'
        )
    st.html(f'<ul class="pg-list pg-wide">{"".join(lines)}</ul>')


def others(moment: Moment, file: str) -> None:
    """Draw the regimes that are not in force."""
    if moment.matrix is None:
        return
    current = "" if moment.snapshot is None else moment.snapshot.regime.name
    st.subheader("The other regimes")
    for name in moment.matrix.regimes:
        if name != current:
            with st.expander(name, key=f"regime_{name}"):
                st.html("".join(f"<div>{text(line)}</div>" for line in explain_regime(moment.matrix, name)))
    taken = (
        ""
        if moment.past
        else " Edit the file: it is taken as soon as it is valid; until then the last valid one stays."
    )
    said = "The matrix then in force" if moment.past else f"File {file}"
    watch = f"Limits reach WATCH at {moment.matrix.watch_at * 100:.0f} % of their use."
    st.caption(f"{said}, version {moment.matrix.version}. {watch}{taken}")


def guards(moment: Moment) -> None:
    """Draw what every order is held against beside the limits."""
    if moment.matrix is None:
        return
    with st.expander("What every order is held against", key="order_rules"):
        lines = "".join(f"<li>{text(line)}</li>" for line in order_sentences(moment.matrix.orders))
        st.html(f'<ul class="pg-sentences">{lines}</ul>')


service = engine()
first = seen(service)
drawn, _ = choose(first.snapshot)


@st.fragment(run_every=every(service))
def now() -> None:
    moment = seen(service)
    if moment.snapshot is None:
        nothing_yet(moment, service.names)
        return
    follow(drawn, moment.snapshot)
    if refused := [finding for finding in moment.snapshot.findings if finding.check == "risk_matrix"]:
        st.html(findings_list(refused))
    in_force(moment, drawn.narrowed(moment.snapshot))
    changes(moment.snapshot, past=moment.past)


now()
guards(first)
others(first, wiring().settings.guardrails_matrix.name)

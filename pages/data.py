"""Data: what cannot be trusted and why, what the sources leave out, and whether the engine itself works."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from guardrails import wording
from guardrails.findings import Level
from guardrails.health import Health
from guardrails.snapshot import Snapshot
from pages._engine import engine
from pages._filters import choose, follow
from pages._kept import store_lines
from pages._moment import Moment, clock
from pages._parts import findings_list, nothing_yet, pill, text
from pages._past import every, seen

COVERAGE = (
    "market_regime",
    "greeks_coverage",
    "greeks_agreement",
    "beta_coverage",
    "beta_quality",
    "position_data",
    "account_data",
    "day_pnl_agreement",
    "risk_matrix",
    "engine",
)


def left_out(snapshot: Snapshot) -> str:
    """HTML of what each source leaves out, and why."""
    lines = [
        f'<li><b>{text(row.name)}</b><div class="pg-body">{text(item)}</div></li>'
        for row in snapshot.sources
        for item in row.exclusions
    ]
    return f'<ul class="pg-list pg-wide">{"".join(lines)}</ul>' if lines else "<div>Nothing.</div>"


def distrusted(snapshot: Snapshot, trouble: Sequence[str]) -> pd.DataFrame:
    """Positions with reasons against them, and those whose source does not speak, as `trouble` says."""

    def silence(source: str) -> str:
        return next((words for words in trouble if words.startswith(f"{source} ")), "; ".join(trouble))

    rows = [row for row in snapshot.positions if row.reasons or row.level is Level.UNKNOWN]
    return pd.DataFrame(
        {
            "Position": [row.label for row in rows],
            "Account": [f"{row.broker} {row.account}" for row in rows],
            "Quantity": [row.quantity for row in rows],
            "Source": [row.source for row in rows],
            "Why": ["; ".join(row.reasons) or silence(row.source) for row in rows],
        }
    )


def market(snapshot: Snapshot, moment: Moment) -> pd.DataFrame:
    """What the market says, with source and age; nothing in a cell is not known."""
    late = max((moment.now - snapshot.as_of).total_seconds(), 0.0)
    ages = [None if row.age_seconds is None else row.age_seconds + late for row in snapshot.market]
    return pd.DataFrame(
        {
            "What": [row.symbol for row in snapshot.market],
            "Value": [row.value for row in snapshot.market],
            "Beta": [row.beta for row in snapshot.market],
            "Source": [row.source for row in snapshot.market],
            "Age": [wording.age(age) for age in ages],
        }
    )


def engine_words(health: Health, moment: Moment, period: float, room: str) -> str:
    """HTML on the engine: alive, its last cycle, how long that took, what fails, and what `room` the disk keeps."""
    good = health.alive and not moment.old and health.store_writable and not health.problems
    last = "no cycle has ended yet"
    if health.last_cycle is not None:
        age = wording.age((moment.now - health.last_cycle).total_seconds())
        last = f"last cycle {clock(health.last_cycle)} ({age} ago)"
    took = "" if health.cycle_seconds is None else f", it took {health.cycle_seconds * 1000:.0f} ms of {period:g} s"
    lines = [f"The engine {'runs' if health.alive else 'has stopped'}: {last}{took}, {health.cycles} cycles."]
    if not health.store_writable:
        lines.append("The snapshot cannot be written: free space, or set GUARDRAILS_DATA_DIR to another folder.")
    lines += [*store_lines(health, moment.now), *filter(None, [room]), *health.problems]
    body = "".join(f"<div>{text(line)}</div>" for line in lines)
    light = pill(Level.OK if good else Level.UNKNOWN)
    return f'<ul class="pg-list"><li>{light}<div class="pg-body">{body}</div></li></ul>'


service = engine()
drawn, _ = choose(seen(service).snapshot)


@st.fragment(run_every=every(service))
def data() -> None:
    moment = seen(service)
    if moment.snapshot is None:
        nothing_yet(moment, service.names)
        return
    follow(drawn, moment.snapshot)
    part = drawn.narrowed(moment.snapshot)
    st.subheader("Coverage")
    order = [finding for name in COVERAGE for finding in part.findings if finding.check == name]
    st.html(findings_list(order))
    st.subheader("Positions that cannot be trusted")
    table = distrusted(part, moment.trouble)
    if len(table):
        st.dataframe(
            table, key="distrusted", hide_index=True, placeholder="?", alt="Positions with the reasons against them"
        )
    else:
        st.write(f"None of {len(part.positions)}.")
    st.subheader("Left out by the sources")
    st.html(left_out(moment.snapshot))
    st.subheader("Market", help="Price or level, beta to the S&P 500 (empty: taken as 0 to 2), source and age.")
    st.dataframe(
        market(moment.snapshot, moment),
        key="market",
        hide_index=True,
        placeholder="?",
        alt="Prices, betas, sources and ages",
    )
    st.subheader("Engine")
    if moment.health is None:
        st.write("How the engine itself worked then is not stored; what it said of itself stands under Coverage.")
    else:
        orders = service.orders
        room = "" if orders is None else orders.room
        st.html(engine_words(moment.health, moment, service.settings.refresh_seconds, room))


data()

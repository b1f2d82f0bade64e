"""Risk, the home page: what needs you now, the accounts, every limit, what expires, the totals."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from guardrails import wording
from guardrails.checks import NOT_CLEARED
from guardrails.findings import Level
from guardrails.snapshot import Snapshot
from pages._account_tiles import account_tile
from pages._engine import engine
from pages._expiring import expiring
from pages._filters import choose, follow
from pages._limit_families import limits
from pages._moment import Moment, urgent
from pages._parts import SHOWN, findings_list, needs_you, nothing_yet, total
from pages._past import every, seen
from pages._stress import account_words, folded, if_it_moves, of_each, old_data

SUMS_OF_ACCOUNT = {
    "Account": "name",
    "Positions": "positions",
    "Delta $": "delta_dollars",
    "Beta delta $": "beta_delta_dollars",
    "Gamma 1 %": "gamma_1pct_dollars",
    "Vega $/pt": "vega_per_point",
    "Vega 30-day $/pt": "vega_30d_per_point",
    "Theta $/day": "theta_per_day",
}


def needs(moment: Moment, snapshot: Snapshot, *, part: bool) -> None:
    """Draw what needs a person, stress folded; what does not fit unfolds and says how much of it is a breach."""
    urgency = folded(urgent(snapshot.findings))
    shown = [one for one in urgency if NOT_CLEARED not in one.evidence][:SHOWN] or urgency[:SHOWN]
    quiet = [one for one in snapshot.findings if one.level.rank < Level.WATCH.rank]
    needs_you(replace(moment, snapshot=replace(snapshot, findings=(*shown, *quiet))), part=part)
    more, rest = st.container(), [one for one in urgency if one not in shown]
    if rest:
        breaches = sum(one.level is Level.BREACH for one in rest)
        waiting = sum(NOT_CLEARED in one.evidence for one in rest)
        words = [f"{breaches} of them BREACH"] if breaches else []
        words += [f"{waiting} of them cannot be cleared while data is missing"] if waiting else []
        with more.expander(", ".join([f"{len(rest)} more", *words]), key="more_findings"):
            st.html(findings_list(rest))


def totals(snapshot: Snapshot) -> None:
    sums = snapshot.totals
    spx = "" if sums.beta_delta_spx is None else f"{wording.number(sums.beta_delta_spx, 1)} SPX units"
    with st.grid(6, min_column_width=150):
        st.metric("Net liquidation", wording.money(sums.net_liquidation), help="Sum over all accounts, in US dollars.")
        st.metric(
            "Beta-weighted delta",
            total(sums, "beta_delta_dollars"),
            spx or None,
            delta_color="off",
            delta_arrow="off",
            help="Dollar delta × beta to the S&P 500: a 1 % move of the index earns or costs one hundredth of it.",
        )
        st.metric(
            "Gamma for 1 %",
            total(sums, "gamma_1pct_dollars"),
            help="How much the beta-weighted dollar delta changes when the index moves 1 %.",
        )
        st.metric(
            "Vega, 30-day",
            total(sums, "vega_30d_per_point"),
            help="Dollars per volatility point, each option weighted with √(30 / days to expiry).",
        )
        st.metric(
            "Theta per day",
            total(sums, "theta_per_day"),
            help="Dollars that one calendar day brings when nothing else moves.",
        )
        st.metric(
            "Theta/vega",
            wording.number(sums.theta_vega_ratio, 2) if sums.theta_vega_ratio is not None else "n/a",
            help="Theta per day / |vega|; only for a book that is short premium.",
        )


def of_accounts(snapshot: Snapshot) -> None:
    """Draw the sums of each account that is shown; they are parts of the book, which stands below."""
    st.subheader("Of the accounts shown")
    rows = snapshot.account_exposures
    st.dataframe(
        pd.DataFrame({title: [getattr(row, field) for row in rows] for title, field in SUMS_OF_ACCOUNT.items()}),
        key="account_exposures",
        hide_index=True,
        placeholder="?",
        column_config={
            title: st.column_config.NumberColumn(format="localized", step=1)
            for title, field in SUMS_OF_ACCOUNT.items()
            if field != "name"
        },
        alt="Sums of each account that is shown",
    )


service = engine()
drawn, _ = choose(seen(service).snapshot)


@st.fragment(run_every=every(service))
def risk() -> None:
    moment = seen(service)
    if moment.snapshot is None:
        nothing_yet(moment, service.names)
        return
    follow(drawn, moment.snapshot)
    snapshot = drawn.narrowed(moment.snapshot)
    st.subheader("What needed you then" if moment.past else "What needs you now")
    needs(moment, snapshot, part=drawn.on)
    old = old_data(moment)
    with st.grid(max(min(len(snapshot.accounts), 3), 1), min_column_width=430):
        for row, known in zip(snapshot.accounts, of_each(snapshot.accounts, snapshot.stress), strict=True):
            stress = account_words(known, row.broker, snapshot.stress, old.get("", old.get(row.source, "")))
            account_tile(row, stress, f"figures and margin {wording.age(row.age_seconds)} old", past=moment.past)
    st.subheader("If the market had moved then" if moment.past else "If the market moves (with volatility)")
    st.html(if_it_moves(moment.snapshot.stress, tuple(old.values())))
    st.subheader("Limits")
    limits(snapshot)
    st.subheader("Expiring")
    if snapshot.positions:
        st.html(expiring(snapshot, moment))
    elif drawn.on:
        st.write("No position in the accounts shown.")
    else:
        empty = "an empty answer is not a flat book"
        reported = "reported no position then" if moment.past else "report no position"
        st.write(f"The sources {reported}. If you hold some, look at Connections: {empty}.")
    if drawn.on:
        of_accounts(snapshot)
    st.subheader("The whole book")
    totals(moment.snapshot)


risk()

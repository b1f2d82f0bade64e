"""Risk, the home page: what needs you now, the accounts, every limit, what expires, the totals."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from guardrails import calendar, wording
from guardrails.checks import NOT_CLEARED
from guardrails.findings import Finding, Level, worst
from guardrails.snapshot import AccountRow, PositionRow, Snapshot
from pages._engine import engine
from pages._filters import choose, follow
from pages._moment import Moment, day_and_time, urgent
from pages._parts import (
    SHOWN,
    counted,
    findings_list,
    limit_row,
    needs_you,
    nothing_yet,
    pill,
    text,
    total,
    unset_row,
    use_of,
)
from pages._past import every, seen
from pages._stress import account_words, folded, if_it_moves, of_each, old_data, titled

FAMILIES = {
    "Margin": (
        ("margin_cushion", "margin_utilisation"),
        "Cushion = excess liquidity / net liquidation, by account and segment, worst of now, overnight and look-ahead. "
        "Utilisation = maintenance margin / net liquidation.",
    ),
    "Loss": (
        ("daily_loss", "drawdown", "day_pnl_agreement"),
        "Daily loss = (net liquidation at the start of the session + cash flows − now) / start. "
        "Drawdown = (peak − now) / peak, cash flows taken out. "
        "Day P&L = net liquidation − that of the end of the session before − cash flows, against the positions' sum.",
    ),
    "Stress": (
        ("stress_excess", "stress_ladder", "stress_scenarios", "model_residual"),
        "Every position revalued as if the market had moved. Loss = −(value then − value now). "
        "Excess then = excess now + maintenance now + P&L of the account − our estimate of its margin there × "
        "max(1, the broker's figure now / our estimate now).",
    ),
    "Expiry of short options": (
        ("short_option_expiry",),
        "Trading days to the last trade of each short option, by how it settles.",
    ),
    "Direction and volatility": (
        ("beta_delta", "short_vega", "gamma", "near_expiry_gamma"),
        "Delta = sum of quantity × delta × multiplier × price × beta. Vega = sum of quantity × vega × multiplier × "
        "√(30/days), dollars per volatility point. Gamma = change of delta dollars when the index moves 1 %.",
    ),
    "Time": (
        ("theta_floor", "theta_cap", "theta_vega_ratio"),
        "Theta = what one calendar day brings, in dollars. Ratio = theta / |vega| of a book that is short premium.",
    ),
    "Concentration": (
        ("vega_concentration", "delta_concentration", "margin_concentration"),
        "Share of one underlying in the gross of the book: |its sum| / sum of |all sums|. Broad indices are exempt.",
    ),
    "Size": (
        ("position_contracts", "position_notional"),
        "Contracts of one line over all accounts. Notional = |quantity| × multiplier × price of the underlying.",
    ),
    "Data": (
        (
            "market_regime", "greeks_coverage", "greeks_agreement", "beta_coverage", "beta_quality", "position_data",
            "account_data", "source_state", "clock_skew", "risk_matrix", "engine",
        ),
        "Whether the figures can be trusted: sources, accounts, positions, Greeks, betas, VIX.",
    ),
}  # fmt: skip
"""checks by family, in the order of the page, with what they measure"""
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


def account_tile(row: AccountRow, stress_words: str, now_words: str, *, past: bool) -> None:
    with st.container(border=True):
        name = (
            f'<span><b>{text(row.broker)} {text(row.account)}</b> <span class="pg-soft">{text(now_words)}</span></span>'
        )
        st.html(f'<div class="pg-tile">{name}{pill(row.level)}</div>')
        left, middle, right = st.columns(3)
        left.metric(
            "Net liquidation",
            wording.money(row.net_liquidation),
            _day(row, "that day" if past else "today"),
            help="What the account is worth now, in US dollars; below it the change since the start of the session, "
            "cash flows taken out.",
        )
        middle.metric(
            "Excess then" if past else "Excess now",
            wording.money(row.excess_liquidity),
            help="Equity − maintenance margin. Below zero the broker closes positions.",
        )
        right.metric(
            "Excess look-ahead",
            "not reported" if row.excess_look_ahead is None else wording.money(row.excess_look_ahead),
            help="The same after the next change of margin requirements.",
        )
        change = "" if row.next_margin_change is None else f" · margin changes {day_and_time(row.next_margin_change)}"
        cushion = f"Cushion {wording.percent(row.cushion)} at its worst"
        sma = "" if row.sma is None else f" · SMA {wording.money(row.sma)}"
        st.caption(f"{cushion} · maintenance {wording.money(row.maintenance)}{sma}{change} · {restrictions(row)}")
        st.caption(stress_words)


def restrictions(row: AccountRow) -> str:
    """What the broker does not let the account do, in a few words; silence is not freedom."""
    if row.restrictions is None:
        return "restrictions not reported"
    return f"**restricted: {', '.join(row.restrictions)}**" if row.restrictions else "no restrictions"


def _day(row: AccountRow, when: str) -> str | None:
    figure, whose = (row.day_pnl, "") if row.day_pnl is not None else (row.day_pnl_broker, f", {row.broker} says")
    if figure is None:
        return None
    sign = "-" if figure < 0 else ""
    return f"{sign}{wording.money(abs(figure))} {when}{whose}"


def family_html(findings: list[Finding]) -> str:
    """Every limit of a family that is not green; one line, with the nearest of them, for those that are."""
    loud = [finding for finding in findings if finding.level.rank >= Level.WATCH.rank]
    kept = [finding for finding in findings if finding.level is Level.OK]
    unset = [finding for finding in findings if finding.level is Level.NOT_APPLICABLE]
    rows = [limit_row(finding) for finding in sorted(loud, key=lambda finding: -finding.level.rank)]
    if kept:
        nearest = max(kept, key=lambda finding: use_of(finding) or 0.0)
        rows.append(limit_row(nearest, f"{len(kept)} kept, nearest: " if len(kept) > 1 else ""))
    if unset:
        rows.append(unset_row("; ".join(finding.message.rstrip(".") for finding in unset)))
    return "".join(rows)


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


def limits(snapshot: Snapshot) -> None:
    for family, (checks, formula) in FAMILIES.items():
        findings = [titled(finding) for finding in snapshot.findings if finding.check in checks]
        left, right = st.columns([1, 5], vertical_alignment="top")
        left.markdown(f"**{family}**", help=formula)
        right.html(family_html(findings) or '<span class="pg-soft">nothing judged yet</span>')
    st.caption(f"The mark on a bar is the limit. Limits of {snapshot.regime.name}, matrix {snapshot.matrix_version}.")


def in_the_money(row: PositionRow) -> bool:
    """Whether a short option would be exercised at the present price; the strike is the last word of its label."""
    contract = row.label.rsplit(" ", 1)[-1]
    if row.spot is None or not row.quantity or row.quantity > 0 or contract[-1:] not in ("C", "P"):
        return False
    strike = float(contract[:-1])
    return row.spot > strike if contract.endswith("C") else row.spot < strike


def expiring(snapshot: Snapshot, moment: Moment) -> str:
    """HTML: what expires today, on the next session, within seven days, and which shorts are in the money."""
    today = calendar.exchange_date(moment.now)
    following = calendar.next_session(today)
    rows = [row for row in snapshot.positions if row.expiry is not None and (row.expiry - today).days <= 7]
    blocks = {
        "Expired, still reported": [row for row in rows if row.expiry is not None and row.expiry < today],
        "Today": [row for row in rows if row.expiry == today],
        f"Next session, {following:%a} {following.day} {following:%b}": [
            row for row in rows if row.expiry == following
        ],
        "Later within 7 days": [row for row in rows if row.expiry is not None and row.expiry > following],
    }
    lines = []
    for name, found in blocks.items():
        if not found and name.startswith("Expired"):
            continue
        inside = [row for row in found if in_the_money(row)]
        shorts = sum((row.quantity or 0) < 0 for row in found)
        words = f"{counted(len(found), 'position')}, {shorts} short" if found else "nothing"
        level = worst([Level.UNKNOWN if moment.trouble else Level.OK, *(row.level for row in found)])
        warn = ""
        if inside:
            warn = "<br><b>Short and in the money:</b> " + text(
                wording.names([f"{wording.quantity(row.quantity)} {row.label}" for row in inside], 6)
            )
        lines.append(f'<li>{pill(level)}<div class="pg-body"><b>{text(name)}</b>: {words}{warn}</div></li>')
    return f'<ul class="pg-list">{"".join(lines)}</ul>'


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

"""One account on the home page: what it is worth, what is left, what the broker forbids."""

from __future__ import annotations

import streamlit as st

from guardrails import wording
from guardrails.snapshot.book import AccountRow
from pages._moment import day_and_time
from pages._parts import (
    pill,
    text,
)


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

"""Scenarios: what the book, a part of it or chosen positions would be worth, by price, volatility and date.

Sliders live in a fragment of their own and ask a bench that has computed most of the answer before; nothing else on
the page is drawn anew. The book is the one at which the page was opened, and the page says how old that is.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from guardrails import wording
from guardrails.columns import Mask
from guardrails.findings import Level
from guardrails.portfolio import Portfolio
from guardrails.stress import gaps, response, spreads, volatility_products
from guardrails.stress.cases import Case
from guardrails.stress.part import axis_of, part_of
from guardrails.summary.stress import stress_now
from pages._board import board
from pages._cases import case_formats, case_table
from pages._controls import title_of
from pages._dollars import move_words, points_words
from pages._engine import engine
from pages._filters import Filter, choose
from pages._moment import Moment
from pages._near_expiry import near_section
from pages._parts import counted, nothing_yet, pill, text
from pages._past import every, file_name, seen
from pages._scenarios import Bench
from pages._shown_book import ShownBook, has_newer, shown_book, waits
from pages._stress import old_of

OLD_SECONDS = 60.0
"""a book older than this is drawn grey-striped: it may have moved"""
_WIDE = 420
"""pixels for what happens in a scenario"""
service = engine()


def labels_of(portfolio: Portfolio) -> list[str]:
    """A name for every position, each once: `−2 SPXW 18Dec26 5700P, IBKR •••4567`."""
    seen_before: dict[str, int] = {}
    names = []
    for position in portfolio.positions:
        name = f"{wording.quantity(position.quantity)} {position.instrument.label}, {position.account}"
        seen_before[name] = seen_before.get(name, 0) + 1
        names.append(name if seen_before[name] == 1 else f"{name} ({seen_before[name]})")
    return names


def say(words: str) -> None:
    """Draw a sentence about what is not known."""
    st.html(f'<ul class="pg-list"><li>{pill(Level.UNKNOWN)}<div class="pg-body">{text(words)}</div></li></ul>')


@st.fragment(run_every=every(service))
def state(shown: ShownBook, chosen: int, residual: str) -> None:
    """Draw when the book is of; this ticks, the figures do not."""
    moment, portfolio = seen(service), shown.portfolio
    if portfolio is None:
        return
    age = (moment.now - portfolio.time).total_seconds()
    told = tuple(words.split(": ")[0] for words in moment.trouble)  # the book says the same of a silent source
    trouble = (*moment.trouble, *(words for words in old_of(portfolio) if not words.startswith(told)))
    old = bool(trouble) or (age > OLD_SECONDS and not moment.past)
    parts = [f"<strong>⚠ {text(words)}</strong>" for words in trouble]
    parts.append(f"<b>{text(shown.words[0].upper() + shown.words[1:])}</b>")
    if not moment.past:
        newer = age > OLD_SECONDS and has_newer(service, portfolio)
        parts.append(
            f"{wording.age(max(age, 0.0))} old" + (": Refresh to compute with the book of now" if newer else "")
        )
    held = len(portfolio.positions)
    of_all = "" if chosen == held else f" of {held:,}"
    parts += [f"{chosen:,}{of_all} {'position' if held == 1 else 'positions'}", text(residual)]
    look = "pg-shown pg-silent" if old else "pg-shown"
    st.html(
        f'<section class="{look}" aria-label="The book shown">{"".join(f"<span>{p}</span>" for p in parts)}</section>'
    )


@st.fragment(run_every=1.0)
def waiting() -> None:
    """Draw the wait for the kernels, until there is a book."""
    st.subheader("The pricing kernels are being compiled")
    st.write("This takes up to a minute, once; a later start loads them. Nothing is revalued until then.")
    if not waits(service, seen(service)):
        st.rerun()


def rows_of(portfolio: Portfolio, drawn: Filter, picks: dict[str, list[str]], names: list[str]) -> Mask:
    """Which positions are chosen; a filter without choice lets everything pass."""
    groups = [portfolio.exposures.groups[place] for place in portfolio.exposures.group]
    return np.array(
        [
            (not drawn.on or str(position.account) in drawn.shown)
            and (not picks["underlying"] or group in picks["underlying"])
            and (not picks["position"] or name in picks["position"])
            for position, group, name in zip(portfolio.positions, groups, names, strict=True)
        ],
        dtype=bool,
    )


def bench_of(shown: ShownBook, rows: Mask) -> Bench | None:
    """What the page computes with; None when nothing that is chosen has a price."""
    standing = shown.standing
    if standing is None:
        return None
    part = part_of(standing.book, rows)
    held = {part.portfolio.exposures.groups[place] for place in part.portfolio.exposures.group[~part.columns.is_cash]}
    return Bench(part, axis_of(standing.book.portfolio, held.pop() if len(held) == 1 else "")) if held else None


def said_beside(bench: Bench, portfolio: Portfolio) -> str:
    """What stands beside every figure: how far model and market are apart, and the age of data that is not of now."""
    return ". ".join((residual_words(bench), *(f"Old data: {words}" for words in old_of(portfolio))))


def residual_words(bench: Bench) -> str:
    """`Model vs broker now: 0.4 %`."""
    if bench.residual is None:
        return "Model vs broker now: no option to compare"
    return f"Model vs broker now: {wording.percent(bench.residual)}"


def not_in_it(bench: Bench) -> None:
    """Name what cannot be revalued."""
    if not bench.unvalued:
        return
    names = wording.names([*dict.fromkeys(bench.unvalued)], 8)
    curves = "The curves and the map are without them" if bench.has_curves else "There is no curve and no map"
    say(
        f"{counted(len(bench.unvalued), 'position')} cannot be revalued: {names}. {curves}; "
        "the P&L of a scenario has the bounds no price can leave, and is a range."
    )


def scenarios_section(bench: Bench, residual: str, moment: Moment) -> None:
    """Draw the named scenarios for what is chosen."""
    st.subheader("What has happened before, and what else could")
    cases = bench.cases()
    table = pd.DataFrame({
        "Scenario": [title_of(case) for case in cases],
        "What happens": [what_happens(case) for case in cases],
        **case_table([case.total.low for case in cases], [case.total.high for case in cases]),
    })  # fmt: skip
    st.dataframe(
        table,
        key="scenario_table",
        hide_index=True,
        height="content",
        placeholder="?",
        column_config={**case_formats(table), "What happens": st.column_config.TextColumn(width=_WIDE)},
        alt="P&L of what is chosen under each scenario",
    )
    st.caption(f"{residual}. All at once, nothing is traded meanwhile. ? is not bounded by anything known.")
    st.download_button(
        "Download scenarios as CSV",
        lambda: table.to_csv(index=False).encode(),
        file_name=file_name("scenarios", "csv", moment),
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def what_happens(case: Case) -> str:
    """The moves of a case in words."""
    if case.shock.alone:
        return f"{case.shock.alone} {move_words(case.shock.index)}: {case.words}"
    parts = [f"index {move_words(case.shock.index)}"] if case.shock.index else []
    parts += [f"volatility {points_words(case.shock.vol)}"] if case.shock.vol else []
    parts += [f"rates {move_words(case.shock.rate)}"] if case.shock.rate else []
    return ", ".join(parts) or f"every option marked at the far side of a spread {spreads.TIMES:g} times as wide"


def assumptions(shown: ShownBook, bench: Bench) -> None:
    """Say what all of it rests on."""
    told = (
        stress_now(bench.whole.portfolio).assumptions
        if shown.portfolio is None
        else stress_now(shown.portfolio).assumptions
    )
    own = (*response.words(bench.vix), volatility_products.WORDS, gaps.WORDS, spreads.WORDS)
    more = (
        "P&L is model price after less model price now, so a model that is off by a constant still tells the change.",
        "At expiry every option is worth its exercise; one that expires before the last is taken at its own expiry "
        "with the price at the same level.",
        "Chances are lognormal at the implied volatility named, with the cost of carry as drift; tails are fatter.",
        "Between the volatilities of the heat map the curves follow a cubic; the P&L of a scenario is revalued itself.",
    )
    with st.expander("What these figures assume", key="assumptions"):
        st.html("".join(f'<div class="pg-soft">{text(line)}</div>' for line in (*(told or own), *more)))


def page(moment: Moment) -> None:
    """Draw the page."""
    with st.spinner("Reading the book …"):
        shown = shown_book(service, moment)
    if shown.compiling:
        waiting()
        return
    standing = shown.standing
    if shown.portfolio is None or standing is None:
        st.subheader("Nothing can be revalued")
        say(shown.why)
        st.button("Try again", icon=":material/refresh:")
        return
    names = labels_of(shown.portfolio)
    drawn, picks = choose(moment.snapshot, {"underlying": sorted(shown.portfolio.exposures.groups), "position": names})
    if moment.snapshot is not None and (words := drawn.words(moment.snapshot)):
        st.html(f'<div class="pg-filter" role="status">{text(words)}</div>')
    bench = bench_of(shown, rows_of(shown.portfolio, drawn, picks, names))
    if bench is None:
        st.subheader("Nothing to revalue")
        empty = "No position in what is chosen can move." if shown.portfolio.positions else (
            "The sources report no position. If you hold some, look at Connections: an empty answer is not a flat book."
        )  # fmt: skip
        st.write(empty)
        return
    residual = said_beside(bench, shown.portfolio)
    left, right = st.columns([9, 1], vertical_alignment="center")
    with left:
        state(shown, len(bench.whole.portfolio.positions), residual_words(bench))
    if not moment.past:  # the past does not change
        right.button("Refresh", icon=":material/refresh:", help="Compute with the book of now; the sliders stay.")
    not_in_it(bench)
    board(bench, residual, moment, old=moment.old or bool(old_of(shown.portfolio)))
    scenarios_section(bench, residual, moment)
    near_section(bench.near())
    assumptions(shown, bench)


first = seen(service)
if first.snapshot is None:
    nothing_yet(first, service.names)
else:
    page(first)

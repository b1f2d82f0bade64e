"""Which brokers and accounts a person looks at: one choice for all pages, and what it must never hide.

A filter narrows what is shown of accounts and positions. The lights, and whatever is judged over the whole book, stay:
a subset is never presented as the book, and what is hidden is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from guardrails.findings import Finding, Level
from guardrails.snapshot import Snapshot
from guardrails.snapshot.book import AccountRow, PositionRow
from pages._parts import LOOKS, text

_SHARED = ("broker", "account")
_LOUD = (Level.BREACH, Level.UNKNOWN, Level.WATCH)


def named(rows: Iterable[AccountRow | PositionRow]) -> set[tuple[str, str]]:
    """Broker and name (`IBKR •••4567`) of every account of `rows`."""
    return {(row.broker, f"{row.broker} {row.account}") for row in rows}


def owner_of(finding: Finding, accounts: Iterable[str]) -> str:
    """The account a finding is about; nothing for what is judged over all of them."""
    kind, _, name = finding.subject.partition(":")
    if kind not in ("account", "position"):
        return ""
    return next((one for one in accounts if name == one or name.startswith((f"{one} ", f"{one}:"))), "")


@dataclass(frozen=True, slots=True)
class Filter:
    """The accounts that are shown, as `IBKR •••4567`; everything passes while nothing is picked."""

    known: tuple[str, ...]
    """every account of the snapshot it was drawn from"""
    shown: tuple[str, ...]
    on: bool

    def narrowed(self, snapshot: Snapshot) -> Snapshot:
        """`snapshot` without the accounts, positions and findings of other accounts; totals are still of the book."""
        if not self.on:
            return snapshot
        return replace(
            snapshot,
            accounts=tuple(row for row in snapshot.accounts if f"{row.broker} {row.account}" in self.shown),
            positions=tuple(row for row in snapshot.positions if f"{row.broker} {row.account}" in self.shown),
            account_exposures=tuple(row for row in snapshot.account_exposures if row.name in self.shown),
            findings=tuple(f for f in snapshot.findings if owner_of(f, self.known) in ("", *self.shown)),
            stress=replace(
                snapshot.stress, accounts=tuple(row for row in snapshot.stress.accounts if row.account in self.shown)
            ),
        )

    def words(self, snapshot: Snapshot) -> str:
        """`Showing IBKR •••4567 only; the lights are for the whole book`, and how much that hides; nothing when off."""
        if not self.on:
            return ""
        hidden = [f.level for f in snapshot.findings if owner_of(f, self.known) not in ("", *self.shown)]
        loud = [f"{hidden.count(level)} {LOOKS[level].word}" for level in _LOUD if level in hidden]
        said = f"Showing {', '.join(self.shown) or 'no account'} only; the lights are for the whole book."
        return f"{said} Other accounts have {', '.join(loud)}, not shown here." if loud else said


def choose(
    snapshot: Snapshot | None, more: Mapping[str, Sequence[str]] | None = None
) -> tuple[Filter, dict[str, list[str]]]:
    """Draw the filter; return it and everything picked by name, `more` (name: choices) included."""
    known = sorted(named(() if snapshot is None else (*snapshot.accounts, *snapshot.positions)))
    options = {
        "broker": sorted({broker for broker, _ in known}),
        "account": [name for _, name in known],
        **(more or {}),
    }
    picks = {
        name: _pick(place, name, values)
        for place, (name, values) in zip(st.columns(4), options.items(), strict=False)  # two or four boxes
    }
    brokers, names = (picks[name] or options[name] for name in _SHARED)
    shown = tuple(name for broker, name in known if broker in brokers and name in names)
    return Filter(tuple(name for _, name in known), shown, any(picks[name] for name in _SHARED)), picks


def _pick(place: DeltaGenerator, name: str, values: Sequence[str]) -> list[str]:
    """One box; the state of a widget ends with its page, so what all pages share is kept beside it and put back."""
    key, kept = f"pick_{name}", f"kept_{name}"
    if name in _SHARED:
        st.session_state[key] = st.session_state.get(kept, [])
    gone = [value for value in st.session_state.get(key, []) if value not in values]  # still picked, no longer there
    label, every = ("Expiry, days", "every expiry") if name == "expiry" else (name.capitalize(), f"every {name}")
    return place.multiselect(
        label,
        [*values, *gone],
        key=key,
        placeholder=every,
        label_visibility="collapsed",
        on_change=_keep if name in _SHARED else None,
        args=(key, kept),
    )


def _keep(key: str, kept: str) -> None:
    st.session_state[kept] = st.session_state[key]


def follow(drawn: Filter, snapshot: Snapshot) -> None:
    """Say what is shown; draw the page anew when accounts have come or gone since the filter was drawn."""
    if {name for _, name in named((*snapshot.accounts, *snapshot.positions))} != set(drawn.known):
        st.rerun()
    if words := drawn.words(snapshot):
        st.html(f'<div class="pg-filter" role="status">{text(words)}</div>')

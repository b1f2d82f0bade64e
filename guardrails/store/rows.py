"""A Snapshot as rows of the tables: pure functions, tuples in the order of the columns in `guardrails.store.schema`.

A number that is not finite is null. Texts are redacted, and hold nothing a database refuses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np

from guardrails.findings import Finding, Level
from guardrails.snapshot import Snapshot
from guardrails.snapshot.book import PositionRow
from guardrails.snapshot.market import Change
from guardrails.store.books import Book, Owners
from guardrails.store.columns import LIVE
from guardrails.store.inserts import Row
from guardrails.store.metadata import micros
from guardrails.store.texts import document, number, numbers, text
from guardrails.values import SENTINEL

Subject = tuple[str, str]
"""a check and what it was about, as they are stored"""
Keyed = dict[Row, Row]
"""the figures of one moment, by what they are of"""

_COUNTED = (Level.OK, Level.WATCH, Level.UNKNOWN, Level.BREACH, Level.NOT_APPLICABLE)
_TOTALS = attrgetter(
    "net_liquidation",
    "delta_dollars",
    "beta_delta_dollars",
    "beta_delta_spx",
    "beta_delta_spy",
    "gamma_1pct_dollars",
    "vega_per_point",
    "vega_30d_per_point",
    "theta_per_day",
    "theta_vega_ratio",
)
_GREEKS = attrgetter(
    "quantity",
    "multiplier",
    "mark",
    "spot",
    "beta",
    "delta",
    "gamma",
    "vega",
    "theta",
    "iv",
    "delta_dollars",
    "beta_delta_dollars",
    "gamma_1pct_dollars",
    "vega_per_point",
    "theta_per_day",
    "day_pnl",
    "open_pnl",
)
_SUMS = attrgetter(
    "delta_dollars",
    "beta_delta_dollars",
    "gamma_1pct_dollars",
    "vega_per_point",
    "vega_30d_per_point",
    "theta_per_day",
)
_MONEY = attrgetter(
    "net_liquidation",
    "excess_liquidity",
    "excess_look_ahead",
    "cushion",
    "maintenance",
    "buying_power",
    "day_pnl",
    "day_pnl_broker",
    "sma",
)
NO_GREEKS: Row = (None,) * 19
"""what stands for a position that is no longer in the book; below, for an underlying and an account"""
NO_SUMS: Row = (0, *(None,) * 6)
NO_MONEY: Row = (None, None, "", *(None,) * 9)


def book_row(book: Book, snapshot: Snapshot) -> Row:
    """The row of `books`."""
    return (book.key, book.names, micros(snapshot.as_of))


def matrix_row(book: Book, snapshot: Snapshot, content: str) -> Row:
    """The row of `matrix_versions` for the matrix in force; `content` is the whole file."""
    return (book.key, snapshot.matrix_version, content, micros(snapshot.as_of))


def totals(snapshot: Snapshot) -> Row:
    """The figures of the row of `snapshots`: its columns from `level` on."""
    now, sums = snapshot.regime, snapshot.totals
    counts = Counter(finding.level for finding in snapshot.findings)
    return (
        snapshot.level.value,
        text(now.name),
        None if now.overlay is None else int(now.overlay),
        text(snapshot.safety_state),
        int(snapshot.market_open),
        snapshot.matrix_version,
        number(now.vix),
        number(now.vix3m),
        *numbers(_TOTALS(sums)),
        document(sums.bounds),
        document(sums.known_part),
        document(limits_of(snapshot)),
        *(counts[level] for level in _COUNTED),
    )


def limits_of(snapshot: Snapshot) -> dict[str, list[Any]]:
    """Of each number of the portfolio or an account that is held against a limit: value, limit, unit and level."""
    return {
        f"{finding.check} {finding.subject}": [finding.value, finding.limit, finding.unit, finding.level.value]
        for finding in snapshot.findings
        if finding.limit is not None and finding.subject.startswith(("portfolio", "account:"))
    }


def snapshot_row(book: Book, time: int, figures: Row, *, complete: bool) -> Row:
    """The row of `snapshots` that begins at `time`, in microseconds."""
    return (book.key, time, LIVE, time, int(complete), *figures)


def positions(snapshot: Snapshot, owners: Owners) -> dict[Row, PositionRow]:
    """What is held, by (account hash, key, source, nth)."""
    found: dict[Row, PositionRow] = {}
    seen: dict[Row, int] = {}
    for row, owner in zip(snapshot.positions, owners.positions, strict=True):
        line = (owner, text(row.key), text(row.source))
        nth = seen[line] = seen.get(line, 0) + 1
        found[(*line, nth)] = row
    return found


def position_row(book: str, line: Row, row: PositionRow) -> Row:
    """The row of `positions`; `line` as in `positions` above."""
    expiry = None if row.expiry is None else row.expiry.isoformat()
    names = (row.account, row.broker, row.symbol, row.label, row.kind, row.underlying, row.currency)
    return (book, *line, *(text(name) for name in names), expiry)


def greeks(held: Mapping[Row, PositionRow]) -> Keyed:
    """By line, as in `positions`, the columns of `greek_snapshots` from `level` on."""
    told = [_GREEKS(row) for row in held.values()]
    # all of them at once: asking number by number takes three times as long
    figures = np.fromiter(chain.from_iterable(told), np.float64).reshape(len(told), len(NO_GREEKS) - 2)
    known = np.all(np.abs(figures) < SENTINEL, axis=1).tolist()
    sources = (None if row.greeks_source is None else text(row.greeks_source) for row in held.values())
    return {
        line: (row.level.value, *(values if is_known else numbers(values)), source)
        for (line, row), values, is_known, source in zip(held.items(), told, known, sources, strict=True)
    }


def underlyings(snapshot: Snapshot) -> Keyed:
    """By name, the columns of `underlying_totals` from `positions` on."""
    return {(text(row.name),): (row.positions, *numbers(_SUMS(row))) for row in snapshot.underlyings}


def accounts(snapshot: Snapshot, owners: Owners) -> Keyed:
    """By (account hash, origin, mask, broker), the columns of `account_values` from `level` on."""
    return {
        (owner, LIVE, text(row.account), text(row.broker)): (
            row.level.value,
            micros(row.as_of),
            text(row.currency),
            *numbers(_MONEY(row)),
        )
        for row, owner in zip(snapshot.accounts, owners.accounts, strict=True)
    }


def levels(snapshot: Snapshot) -> dict[Subject, Level]:
    """The level of every finding; the worst where a check says two things of one subject."""
    found: dict[Subject, Level] = {}
    for finding in snapshot.findings:
        key = (text(finding.check), text(finding.subject))
        known = found.get(key)
        if known is None or known.rank < finding.level.rank:
            found[key] = finding.level
    return found


def transitions(before: Mapping[Subject, Level], after: Snapshot, book: Book) -> list[Row]:
    """The rows of `finding_transitions`, from `book` on, for every level that is not what it was in `before`."""
    now = levels(after)
    time = micros(after.as_of)
    told: set[Subject] = set()
    rows: list[Row] = []
    for finding in after.findings:
        key = (text(finding.check), text(finding.subject))
        if now[key] is not finding.level or before.get(key) is finding.level or key in told:
            continue
        told.add(key)
        version = finding.matrix_version or after.matrix_version
        rows.append((book.key, time, *key, *_transition(before.get(key), finding), version))
    rows.extend(
        gone(book, time, key, level.value, after.matrix_version) for key, level in before.items() if key not in now
    )
    return rows


def _transition(old: Level | None, finding: Finding) -> Row:
    return (
        None if old is None else old.value,
        finding.level.value,
        *numbers((finding.value, finding.limit, finding.headroom)),
        text(finding.unit),
        text(finding.message),
        document(finding.evidence),
        number(finding.data_age_seconds),
    )


def gone(book: Book, time: int, subject: Subject, old: str, matrix_version: str) -> Row:
    """The row of `finding_transitions`, from `book` on, for a finding that is not made any more."""
    return (book.key, time, *subject, old, None, None, None, None, "", "", "{}", None, matrix_version)


def regime_changes(before: Sequence[Change], after: Snapshot, book: Book) -> list[Row]:
    """The rows of `regime_changes`, from `book` on and oldest first, that are not among `before`."""
    return [
        (
            book.key,
            micros(change.time),
            LIVE,
            None if change.old is None else text(change.old),
            text(change.new),
            text(change.cause),
            document(change.targets),
            after.matrix_version,
        )
        for change in reversed(after.changes)
        if change not in before
    ]


def session_starts(before: Iterable[Row], owners: Owners, book: Book, after: Snapshot) -> list[Row]:
    """The rows of `session_starts`, from `book` on, that are not among `before`."""
    known = set(before)
    return [(book.key, micros(after.as_of), *start) for start in owners.starts if start not in known]

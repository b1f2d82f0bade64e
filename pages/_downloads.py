"""What the History page hands out as files: every row of the range, not only those that are drawn."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv

from guardrails.store import history, history_accounts, history_findings
from guardrails.store.columns import BACKFILL, LIVE
from guardrails.store.current import Current, current
from pages._engine import Stored
from pages._history import Past

EVERY = 1_000_000_000
"""no thinning"""
KINDS = ("Totals", "Limits", "Accounts", "Findings", "Closes")
_NAMES: Mapping[str, str] = {
    **{name: f"{name}_utc" for name in ("time", "until", "begin", "end")},
    **{name: f"{name}_dollars" for name in ("net_liquidation", "net_liquidation_low", "net_liquidation_high")},
    **{name: f"{name}_units" for name in ("beta_delta_spx", "beta_delta_spy")},
    "theta_per_day": "theta_dollars_per_day",
    "vega_per_point": "vega_dollars_per_point",
    "vega_30d_per_point": "vega_30d_dollars_per_point",
    "cushion": "cushion_fraction",
    "now": "cushion_now_fraction",
    "look_ahead": "cushion_look_ahead_fraction",
    "vix": "vix_points",
    "vix3m": "vix3m_points",
    "close": "close_points",
    "day": "exchange_day",
}
"""columns whose names do not say their unit, and what they are called outside"""
_FORMULA = r"^[=+\-@\t\r]"
_TIME = pa.timestamp("us", tz="UTC")


def table_of(kind: str, past: Past, stored: Stored) -> pa.Table:
    """One of KINDS over the range of `past`; unknown is null, and every column says its unit but those with `unit`."""
    table = _read(kind, past, stored)
    return table.rename_columns([_NAMES.get(name, name) for name in table.column_names])


def _read(kind: str, past: Past, stored: Stored) -> pa.Table:
    with stored.database.reading() as connection:
        points, totals = history.totals(
            connection, past.points.book, past.begin, past.end, past.points.period / 1e6, history.EVERY_FIGURE, EVERY
        )
        if kind == "Totals":
            seen = pa.table(_totals(totals, current(connection, points, totals, EVERY)))
            return pa.concat_tables([pa.table(_records(past)), seen], promote_options="default")
        if kind == "Closes":
            return pa.table(_closes(past))
        if kind == "Limits":
            return pa.table(_limits(totals, history_findings.limits(connection, points, totals)))
        if kind == "Accounts":
            return pa.table(_accounts(totals, history_accounts.accounts(connection, points, totals)))
        lanes, _ = history_findings.lanes(connection, points.book, points.begin, points.end, totals.covered(), EVERY)
    return pa.table(_findings(lanes))


def as_csv(table: pa.Table) -> bytes:
    """`table` as a CSV file in which no text is taken for a formula by a spreadsheet."""
    out = io.BytesIO()
    columns = [_harmless(column) if pa.types.is_string(column.type) else column for column in table.columns]
    csv.write_csv(pa.table(columns, names=table.column_names), out)
    return out.getvalue()


def _harmless(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts of `column`, with an apostrophe before what would begin a formula."""
    known = compute.fill_null(compute.match_substring_regex(column, _FORMULA), False)  # noqa: FBT003  # of pyarrow
    return compute.if_else(known, compute.binary_join_element_wise("'", column, ""), column)


def as_parquet(table: pa.Table) -> bytes:
    """`table` as a Parquet file, compressed with zstd."""
    from pyarrow import parquet  # noqa: PLC0415  # 40 ms that only a download is worth

    out = io.BytesIO()
    parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def _totals(totals: history.Totals, known: Current) -> Mapping[str, pa.Array]:
    return {
        "time": pa.array(totals.time, _TIME),
        "until": pa.array(totals.until, _TIME),
        "origin": pa.array([LIVE] * len(totals.time), pa.string()),
        "level": pa.array(totals.level, pa.string()),
        "current": pa.array(known.book),  # false: last good figures, not of that time
        "regime": pa.array(totals.regime, pa.string()),
        "matrix_version": pa.array(totals.matrix_version, pa.string()),
        "net_liquidation_low": pa.array(totals.low, from_pandas=True),
        "net_liquidation_high": pa.array(totals.high, from_pandas=True),
        **{name: pa.array(values, from_pandas=True) for name, values in totals.figures.items()},
    }


def _records(past: Past) -> Mapping[str, pa.Array]:
    """What the brokers' own records say of the book's worth, with the same names."""
    return {
        "time": pa.array(past.records.time, _TIME),
        "until": pa.array(past.records.time, _TIME),
        "origin": pa.array([BACKFILL] * len(past.records.time), pa.string()),
        "net_liquidation": pa.array(past.records.net_liquidation, pa.float64(), from_pandas=True),
    }


def _closes(past: Past) -> Mapping[str, pa.Array]:
    rows = [(symbol, day, close) for symbol, days in past.closes.items() for day, close in days]
    return {
        "symbol": pa.array([symbol for symbol, _, _ in rows], pa.string()),
        "day": pa.array([str(day) for _, day, _ in rows], pa.string()),
        "close": pa.array([close for _, _, close in rows], pa.float64()),
    }


def _limits(totals: history.Totals, lines: list[history_findings.LimitLine]) -> Mapping[str, pa.Array]:
    """What was held against a limit at each row, and both figures; what was not held against one then has no row."""
    parts = [(line, np.flatnonzero(~(np.isnan(line.value) & np.isnan(line.limit)))) for line in lines]
    where = np.concatenate([np.array([], dtype=np.int64), *(place for _, place in parts)])
    names = {
        name: pa.array([getattr(line, name) for line, place in parts for _ in range(len(place))], pa.string())
        for name in ("check", "subject", "unit")
    }
    figures = {
        name: pa.array(
            np.concatenate([np.array([]), *(getattr(line, name)[place] for line, place in parts)]), from_pandas=True
        )
        for name in ("value", "limit")
    }
    return {"time": pa.array(totals.time[where], _TIME), **names, **figures}


def _accounts(totals: history.Totals, lines: list[history_accounts.AccountLine]) -> Mapping[str, pa.Array]:
    count = len(totals.time)
    figures = ("net_liquidation", "cushion", "now", "look_ahead")
    return {
        "time": pa.array([time for _ in lines for time in totals.time.tolist()], _TIME),
        "broker": pa.array([line.broker for line in lines for _ in range(count)], pa.string()),
        "account": pa.array([line.account for line in lines for _ in range(count)], pa.string()),
        **{
            name: pa.array([value for line in lines for value in getattr(line, name)], pa.float64(), from_pandas=True)
            for name in figures
        },
    }


def _findings(lanes: list[history_findings.Lane]) -> Mapping[str, pa.Array]:
    parts = [(lane, part) for lane in lanes for part in lane.segments]
    texts = ("unit", "message", "matrix_version", "evidence")
    return {
        "check": pa.array([lane.check for lane, _ in parts], pa.string()),
        "subject": pa.array([lane.subject for lane, _ in parts], pa.string()),
        "begin": pa.array([part.begin for _, part in parts], _TIME),
        "end": pa.array([part.end for _, part in parts], _TIME),
        "level": pa.array([part.level.value for _, part in parts], pa.string()),
        "value": pa.array([part.value for _, part in parts], pa.float64()),
        "limit": pa.array([part.limit for _, part in parts], pa.float64()),
        **{name: pa.array([getattr(part, name) for _, part in parts], pa.string()) for name in texts},
    }

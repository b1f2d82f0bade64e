"""Full assessment of a book, in columns, against a loop over objects and against pandas; and a whole engine cycle.

"Assessment" is every sum (whole book, underlying, group, expiry bucket, account) and every check that reads positions,
over columns, objects or a frame that exist already. Equal totals and levels are asserted before anything is timed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from benchmarks import book, frames, objects, verdicts
from benchmarks.timing import Row, medians, ms
from guardrails import checks
from guardrails.assess import Assessment, assess
from guardrails.exposures import BUCKETS, Exposures, measure_exposures
from guardrails.findings import Finding
from guardrails.intervals import Interval, Measure
from guardrails.matrix import RiskMatrix, load
from guardrails.memory import Memory
from guardrails.snapshot import to_json

MATRIX: RiskMatrix = load(Path(__file__).resolve().parent.parent / "risk_matrix.yaml")
SIZES = (100, 1_000, 10_000)
MAIN = 1_000
Sums = Mapping[str, tuple[tuple[str, ...], tuple[Measure, ...]]]
FIELDS = ("delta", "vega", "vega_30d", "theta", "beta_delta", "beta_gamma")


def assessed(count: int, *, vendor_greeks: bool = True) -> Assessment:
    """The book of `count` positions after two cycles, so that everything remembered is there."""
    view = book.view(count, vendor_greeks=vendor_greeks)
    return assess([view], MATRIX, assess([view], MATRIX, Memory(), book.NOW).memory, book.NOW)


def column_sums(e: Exposures) -> tuple[tuple[Interval, ...], Sums]:
    """The whole book, and the sums by underlying, group, bucket and account, in the order of FIELDS."""
    columns, plain = e.columns, (e.delta, e.vega, e.vega_30d, e.theta)
    beta_delta, beta_gamma = e.beta_delta(), e.beta_gamma()
    whole = (
        e.delta.total(), e.total_vega(e.vega), e.total_vega(e.vega_30d), e.theta.total(),
        beta_delta.total(), beta_gamma.total(),
    )  # fmt: skip
    beta_by_group = (beta.by(e.group_of_underlying, len(e.groups)) for beta in (beta_delta, beta_gamma))
    accounts = tuple(str(account) for account in columns.accounts)
    sums: dict[str, tuple[tuple[str, ...], tuple[Measure, ...]]] = {
        "underlying": (
            e.columns.underlyings,
            (*(m.by(e.columns.underlying, len(e.columns.underlyings)) for m in plain), beta_delta, beta_gamma),
        ),
        "group": (e.groups, (*(m.by(e.group, len(e.groups)) for m in plain), *beta_by_group)),
    }
    for name, classes, index in (("bucket", BUCKETS, e.bucket), ("account", accounts, columns.account)):
        size = len(classes)
        weighted = (e.beta_delta_by(index, size), e.beta_gamma_by(index, size))
        sums[name] = (classes, (*(m.by(index + 1, size + 1) for m in plain), *weighted))
    return whole, sums


def in_columns(a: Assessment) -> list[Finding]:
    """All sums and the verdicts of the checks that read positions."""
    column_sums(a.portfolio.exposures)
    return checks.run(a.portfolio, a.limits, verdicts.CHECKS)


def in_objects(a: Assessment, rows: list[objects.Row]) -> list[Finding]:
    """The same by the first peer."""
    sums, known = objects.summed(rows, a.portfolio.market)
    return verdicts.judged(verdicts.Case(rows, known, sums, a.portfolio, a.limits))


def assert_equal(a: Assessment) -> None:
    """Refuse to time contenders that do not agree on every total and every level."""
    rows = objects.rows_of(a.portfolio)
    looped, known = objects.summed(rows, a.portfolio.market)
    grouped = frames.summed(frames.frame_of(rows), a.portfolio.market)
    whole, sums = column_sums(a.portfolio.exposures)
    for place, field in enumerate(FIELDS):
        for peer in (looped, grouped):
            close(whole[place].low, getattr(peer["whole"][objects.WHOLE], field)[0])
            close(whole[place].high, getattr(peer["whole"][objects.WHOLE], field)[1])
            for dimension, (names, measures) in sums.items():
                shift = len(measures[place].low) - len(names)  # rows that do not expire are in no bucket
                for i, name in enumerate(names):
                    found = peer[dimension].get(name)
                    close(float(measures[place].low[i + shift]), 0.0 if found is None else getattr(found, field)[0])
    ours = verdicts.levels(checks.run(a.portfolio, a.limits, verdicts.CHECKS))
    theirs = verdicts.levels(verdicts.judged(verdicts.Case(rows, known, looped, a.portfolio, a.limits)))
    assert ours == theirs, {
        check: (level, theirs.get(check)) for check, level in ours.items() if level != theirs[check]
    }


def close(ours: float, theirs: float) -> None:
    assert math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-6), (ours, theirs)


def compare() -> list[Row]:
    """The assessment against its peers at three sizes."""
    table: list[Row] = []
    cost: dict[int, dict[str, float]] = {}
    for count in SIZES:
        a = assessed(count)
        assert_equal(a)
        cost[count] = timed(a)
        table += lines(count, cost[count])
    small, large, more = cost[MAIN], cost[SIZES[-1]], SIZES[-1] - MAIN
    grown, factor = large["columns"] / small["columns"], SIZES[-1] // MAIN
    each = {name: (large[name] - small[name]) / more * 1000.0 for name in ("columns", "objects")}
    said = f"{each['columns']:.2f} us in columns, {each['objects']:.2f} us in the loop: "
    return [
        *table,
        Row("growth of sums and verdicts, 1,000 to 10,000", f"{grown:.1f}x", f"<= {factor}x: linear", grown <= factor),
        Row("every further position costs", f"{said}{each['objects'] / each['columns']:.0f}x"),
    ]


def timed(a: Assessment) -> dict[str, float]:
    """Median milliseconds of every contender over one book."""
    p, market = a.portfolio, a.portfolio.market
    rows = objects.rows_of(p)
    frame = frames.frame_of(rows)
    return medians({
        "columns": lambda: in_columns(a),
        "sums": lambda: column_sums(p.exposures),
        "all checks": lambda: checks.run(p, a.limits),
        "objects": lambda: in_objects(a, rows),
        "object sums": lambda: objects.summed(rows, market),
        "pandas sums": lambda: frames.summed(frame, market),
        "build columns": lambda: measure_exposures(p.positions, market, book.NOW),
        "build objects": lambda: objects.rows_of(p),
    })  # fmt: skip


def lines(count: int, taken: Mapping[str, float]) -> list[Row]:
    """The table lines of one size; the goals are for 1,000 positions."""
    goal, size = count == MAIN, f"{count:,} positions"
    loop, pandas = taken["objects"] / taken["columns"], taken["pandas sums"] / taken["sums"]
    parts = f"the sums alone {ms(taken['sums'])}, all {len(checks.CHECKS)} checks alone {ms(taken['all checks'])}"
    sums = f"{ms(taken['object sums'])}, {taken['object sums'] / taken['sums']:.1f}x our sums"
    built = taken["build columns"] + taken["columns"]
    scratch = (taken["build objects"] + taken["objects"]) / built
    whole = taken["pandas sums"] / taken["columns"]
    return [
        Row(f"{size}: our sums and verdicts, columns exist", f"{ms(taken['columns'])} ({parts})"),
        Row(
            f"{size}: object loop, sums and verdicts", f"{ms(taken['objects'])}, {loop:.1f}x ours",
            ">= 10x" if goal else "", loop >= 10 if goal else None,
        ),
        Row(f"{size}: object loop, sums only", sums),
        Row(
            f"{size}: pandas group-by, sums only", f"{ms(taken['pandas sums'])}, {pandas:.1f}x our sums",
            ">= 20x" if goal else "", pandas >= 20 if goal else None,
        ),
        Row(
            f"{size}: pandas, sums only, against our sums and verdicts", f"{whole:.1f}x",
            ">= 20x" if goal else "", whole >= 20 if goal else None,
        ),
        Row(f"{size}: from positions (columns built too)", f"{ms(built)}; object loop {scratch:.1f}x that"),
    ]  # fmt: skip


def cycle() -> list[Row]:
    """A whole engine cycle without the source: merge, value, exposures, checks, Snapshot; and its JSON."""
    return [row for count in SIZES for row in cycle_of(count)]


def cycle_of(count: int) -> list[Row]:
    """The cycle at one size, with the broker's Greeks and with none."""
    quoted, bare = assessed(count), assessed(count, vendor_greeks=False)
    greeks, none = [book.view(count)], [book.view(count, vendor_greeks=False)]
    taken = medians({
        "cycle": lambda: assess(greeks, MATRIX, quoted.memory, book.NOW),
        "priced": lambda: assess(none, MATRIX, bare.memory, book.NOW),
        "json": lambda: to_json(quoted.snapshot),
    })  # fmt: skip
    size = len(to_json(quoted.snapshot)) / 1e6
    return [
        Row(f"{count:,} positions: whole cycle, broker's Greeks", ms(taken["cycle"])),
        Row(f"{count:,} positions: whole cycle, every volatility implied from its quote", ms(taken["priced"])),
        Row(f"{count:,} positions: Snapshot to JSON", f"{ms(taken['json'])}, {size:.2f} MB"),
    ]

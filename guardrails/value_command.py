"""`guardrails value`: what listed options are worth, for a spot check of the pricing that the limits rest on."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from guardrails import pricing
from guardrails.pricing import Array, Options, Sensitivities, compiled
from guardrails.value_rows import Listed, Refused, read

EXIT_ALL, EXIT_SOME = 0, 3
_WIDE = 1000
"""columns to print in: in a pipe or a narrow window a figure is never cut short"""
MANY = 5000
"""rows for which the compiled kernels are worth waiting for"""


@dataclass(frozen=True, slots=True)
class Valued:
    """What one option is worth, per unit, and the volatility that was given or is implied."""

    line: int
    volatility: float
    implied: bool
    """whether the volatility was found from a price"""
    price: float
    delta: float
    gamma: float
    vega_per_point: float
    theta_per_day: float
    rho_per_point: float


Row = Valued | Refused


def answer(path: Path, now: datetime, *, as_json: bool) -> int:
    """Print the value of every row of `path`; 3 when some row could not be valued. SourceError for no such file."""
    file = read(path, now)
    if len(file.rows) >= MANY:
        compiled.prepare()
    rows = value(file.rows)
    if as_json:
        text = json.dumps(document(rows, file.ignored, now), indent=1, ensure_ascii=False, allow_nan=False)
        sys.stdout.buffer.write(text.encode("utf-8") + b"\n")
    else:
        _print(rows, file.ignored)
    return EXIT_SOME if any(isinstance(row, Refused) for row in rows) else EXIT_ALL


def value(rows: Sequence[Listed | Refused]) -> list[Row]:
    """Each row valued, in their order; one that no volatility fits is refused."""
    found: list[Row | None] = [row if isinstance(row, Refused) else None for row in rows]
    for american in (False, True):
        places = [i for i, row in enumerate(rows) if isinstance(row, Listed) and row.american is american]
        listed = [row for row in rows if isinstance(row, Listed) and row.american is american]
        for place, valued in zip(places, _valued(listed, american=american) if listed else (), strict=True):
            found[place] = valued
    return [row for row in found if row is not None]


def document(rows: Sequence[Row], ignored: Sequence[str], now: datetime) -> dict[str, Any]:
    """The answer as JSON: a figure that is not known is null, with the problems of its row."""
    return {
        "at": now.isoformat(),
        "ignored_columns": list(ignored),
        "refused": sum(isinstance(row, Refused) for row in rows),
        "rows": [_entry(row) for row in rows],
    }


def _valued(listed: Sequence[Listed], *, american: bool) -> list[Row]:
    sensitivities, implied_vol = _formulas(american=american)
    options = Options(
        *(
            np.array([getattr(row, name) for row in listed])
            for name in ("sign", "spot", "strike", "years", "rate", "carry")
        ),
        on_future=np.array([row.on_future for row in listed]),
    )
    given = np.array([math.nan if row.volatility is None else row.volatility for row in listed])
    target = np.array([math.nan if row.price is None else row.price for row in listed])
    vols = np.where(np.isnan(given), implied_vol(options, target), given)
    found = sensitivities(options, vols)
    figures = (found.price, found.delta, found.gamma, found.vega, found.theta, found.rho)
    columns = zip(listed, vols, *figures, _bounds(options, american=american), strict=True)
    return [_one(row, float(vol), [float(v) for v in values], bounds) for row, vol, *values, bounds in columns]


def _formulas(*, american: bool) -> tuple[Callable[[Options, Array], Sensitivities], Callable[[Options, Array], Array]]:
    """Greeks and implied volatility of a style."""
    if not american:
        return pricing.sensitivities, pricing.implied_vol
    from guardrails.pricing.american import implied_vol, sensitivities  # noqa: PLC0415  # only for files that list one

    return sensitivities, implied_vol


def _bounds(o: Options, *, american: bool) -> list[tuple[float, float]]:
    """Between which prices a volatility fits, for the message: worth at least what is sure, at most spot or strike."""
    carried, disc = o.spot * np.exp((o.carry - o.rate) * o.years), o.strike * np.exp(-o.rate * o.years)
    if american:
        carried, disc = np.maximum(carried, o.spot), np.maximum(disc, o.strike)
        least = np.maximum(o.sign * (o.spot - o.strike), 0.0)
    else:
        least = np.maximum(o.sign * (carried - disc), 0.0)
    return list(zip(least.tolist(), np.where(o.sign > 0.0, carried, disc).tolist(), strict=True))


def _one(row: Listed, vol: float, figures: Sequence[float], bounds: tuple[float, float]) -> Row:
    if math.isnan(vol):
        low, high = bounds
        words = f"column price: {row.price:g}, but a volatility fits only above {low:.6g} and below {high:.6g}"
        return Refused(row.line, (words,))
    if not all(math.isfinite(figure) for figure in figures):
        return Refused(row.line, ("the model gives no finite value here: check underlying, strike, rate and years",))
    return Valued(row.line, vol, row.price is not None, *figures)


def _entry(row: Row) -> dict[str, Any]:
    names = ("price", "delta", "gamma", "vega_per_point", "theta_per_day", "rho_per_point")
    if isinstance(row, Refused):
        nothing = dict.fromkeys((*names, "volatility", "implied_volatility"))
        return {"line": row.line, **nothing, "problems": list(row.problems)}
    return {
        "line": row.line,
        **{name: getattr(row, name) for name in names},
        "volatility": row.volatility,
        "implied_volatility": row.volatility if row.implied else None,
        "problems": [],
    }


def _print(rows: Sequence[Row], ignored: Sequence[str]) -> None:
    console = Console(highlight=False, width=_WIDE)
    table = Table(box=None, pad_edge=False)
    for name in ("line", "price", "delta", "gamma", "vega/point", "theta/day", "rho/point", "volatility"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        if isinstance(row, Valued):
            figures = (row.price, row.delta, row.gamma, row.vega_per_point, row.theta_per_day, row.rho_per_point)
            told = f"{row.volatility:.6f} {'implied' if row.implied else 'given  '}"
            table.add_row(str(row.line), *(f"{figure:.6f}" for figure in figures), told)
    if table.row_count:
        console.print(table)
    for refused in (row for row in rows if isinstance(row, Refused)):
        for problem in refused.problems:
            console.print(f"line {refused.line} not valued: {problem}", markup=False, soft_wrap=True)
    if ignored:
        console.print(f"columns not read: {', '.join(ignored)}", markup=False, soft_wrap=True)
    console.print(
        "Greeks per unit, long; vega per volatility point, theta per calendar day, rho per 1 % of rate.",
        markup=False,
        soft_wrap=True,
    )

"""Exposures of a position in a file: they are products of other columns of their row, so only what they differ from
those by is kept, and every double comes out as it went in.

For `delta_dollars` and the four others a file has `delta_dollars_off` and so on: the bits in which the stored double
differs from the product, exclusive or; 0 where it is the product to the last bit, null where it is unknown. The
products, multiplied from left to right, are

    delta_dollars       quantity * multiplier * usd_rate * spot * delta
    beta_delta_dollars  quantity * multiplier * usd_rate * spot * delta * beta
    gamma_1pct_dollars  quantity * multiplier * usd_rate * spot * gamma * spot * 0.01 * beta * beta
    vega_per_point      quantity * multiplier * usd_rate * vega
    theta_per_day       quantity * multiplier * usd_rate * theta

and 0 where a factor is unknown. `usd_rate` is 1, or what the other factors of `delta_dollars` have to be multiplied by,
as for what is not in US dollars. Files of older versions have the exposures themselves, rounded to twelve digits.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

EXPOSURES = ("delta_dollars", "beta_delta_dollars", "gamma_1pct_dollars", "vega_per_point", "theta_per_day")
RATE = "usd_rate"
OFF = "_off"
_FACTORS = ("quantity", "multiplier", "spot", "beta", "delta", "gamma", "vega", "theta")
_WORDS = (
    "delta_dollars = quantity * multiplier * usd_rate * spot * delta; "
    "beta_delta_dollars = delta_dollars * beta; "
    "gamma_1pct_dollars = quantity * multiplier * usd_rate * spot * gamma * spot * 0.01 * beta * beta; "
    "vega_per_point = quantity * multiplier * usd_rate * vega; "
    "theta_per_day = quantity * multiplier * usd_rate * theta; "
    "unknown where the column of the same name and _off is null, and not to be computed where that is not 0: there the "
    "stored double differs in these bits (exclusive or; 0.0 where a factor is unknown)"
)
"""for whoever opens a file with another tool: `pyarrow.parquet.read_schema(file).metadata[b"exposures"]`"""
_RATE_PLACES = 12
"""more than any rate is quoted with, fewer than the division below has right"""

Figures = npt.NDArray[np.float64]


def folded_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of a file for rows of `schema`."""
    if not _has_products(schema):
        return schema
    fields = [pa.field(field.name + OFF, pa.int64()) if field.name in EXPOSURES else field for field in schema]
    return pa.schema([*fields, pa.field(RATE, pa.float64())], {"exposures": _WORDS})


def folded(table: pa.Table) -> pa.Table:
    """`table` as it is written; of anything but positions the same."""
    if not _has_products(table.schema):
        return table
    factors = {name: _doubles(table[name]) for name in _FACTORS}
    rate = _rate(factors, _doubles(table["delta_dollars"]))
    for name, product in _products(factors, rate).items():
        array = table[name].combine_chunks()
        bits = array.fill_null(0.0).to_numpy().view(np.int64) ^ product.view(np.int64)
        unknown = array.is_null().to_numpy(zero_copy_only=False)
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name + OFF, pa.array(bits, pa.int64(), mask=unknown))
    return table.append_column(RATE, pa.array(rate, pa.float64()))


def unfolded(table: pa.Table) -> pa.Table:
    """What `folded` was given; a table that was not folded is the same."""
    if EXPOSURES[0] + OFF not in table.column_names:
        return table
    factors = {name: _doubles(table[name]) for name in _FACTORS}
    for name, product in _products(factors, _doubles(table[RATE])).items():
        array = table[name + OFF].combine_chunks()
        value = (array.fill_null(0).to_numpy() ^ product.view(np.int64)).view(np.float64)
        unknown = array.is_null().to_numpy(zero_copy_only=False)
        place = table.schema.get_field_index(name + OFF)
        table = table.set_column(place, name, pa.array(value, pa.float64(), mask=unknown))
    return table.drop_columns([RATE])


def _has_products(schema: pa.Schema) -> bool:
    return {*_FACTORS, *EXPOSURES} <= set(schema.names)


def _products(factors: Mapping[str, Figures], rate: Figures) -> dict[str, Figures]:
    """As `guardrails.exposures` multiplies them; another order would change the last digits. Never NaN."""
    f = factors
    with np.errstate(all="ignore"):
        size = f["quantity"] * f["multiplier"] * rate
        at_spot = size * f["spot"]
        delta = at_spot * f["delta"]
        found = {
            "delta_dollars": delta,
            "beta_delta_dollars": delta * f["beta"],
            "gamma_1pct_dollars": at_spot * f["gamma"] * f["spot"] * 0.01 * f["beta"] * f["beta"],
            "vega_per_point": size * f["vega"],
            "theta_per_day": size * f["theta"],
        }
    return {name: np.where(np.isnan(column), 0.0, column) for name, column in found.items()}


def _rate(factors: Mapping[str, Figures], delta_dollars: Figures) -> Figures:
    """What `delta_dollars` was multiplied by besides; 1 where that cannot be told."""
    with np.errstate(all="ignore"):
        rest = factors["quantity"] * factors["multiplier"] * factors["spot"] * factors["delta"]
        rate = np.round(delta_dollars / rest, _RATE_PLACES)
    return np.where(np.isfinite(rate) & (rate > 0.0), rate, 1.0)


def _doubles(column: pa.ChunkedArray) -> Figures:
    """The values with NaN for what is unknown."""
    array = column.combine_chunks()
    values: Figures = np.where(array.is_null().to_numpy(zero_copy_only=False), np.nan, array.fill_null(0.0).to_numpy())
    return values

"""What is kept for ever: one row per quarter of an hour, told from the rows of `guardrails.store.schema`, and closes.

`time` is the beginning of the quarter; figures are those at its last moment, beside the extremes within it. Old raw
rows are moved out of the database into files, which `archives` lists.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, String, Table, Text, UniqueConstraint

from guardrails.store.columns import book_column, number_column, origin_column, text_column, time_column
from guardrails.store.metadata import METADATA

QUARTER_MICROS = 900_000_000

QUARTERS = Table(
    "quarters",
    METADATA,
    book_column(primary=True),
    time_column(primary=True),
    time_column("first"),  # moment of the first and of the last row of `snapshots` told here
    time_column("last"),
    Column("level", String(16), nullable=False),  # the worst within it
    text_column("regime"),
    Column("overlay", SmallInteger, nullable=True),
    text_column("safety_state"),
    Column("market_open", SmallInteger, nullable=False),
    text_column("matrix_version"),
    number_column("vix"),
    number_column("vix3m"),
    number_column("net_liquidation"),
    number_column("net_liquidation_low"),
    number_column("net_liquidation_high"),
    number_column("delta_dollars"),
    number_column("beta_delta_dollars"),
    number_column("beta_delta_spx"),
    number_column("beta_delta_spy"),
    number_column("gamma_1pct_dollars"),
    number_column("vega_per_point"),
    number_column("vega_30d_per_point"),
    number_column("theta_per_day"),
    number_column("theta_vega_ratio"),
    text_column("limits", nullable=True),  # JSON, as in `snapshots`
    sqlite_with_rowid=False,
)

UNDERLYING_QUARTERS = Table(
    "underlying_quarters",
    METADATA,
    book_column(primary=True),
    Column("underlying", Text, primary_key=True),  # before the time: a chart is of one underlying
    time_column(primary=True),
    Column("positions", Integer, nullable=False),
    number_column("delta_dollars"),
    number_column("beta_delta_dollars"),
    number_column("gamma_1pct_dollars"),
    number_column("vega_per_point"),
    number_column("vega_30d_per_point"),
    number_column("theta_per_day"),
    sqlite_with_rowid=False,
)

ACCOUNT_QUARTERS = Table(
    "account_quarters",
    METADATA,
    book_column(primary=True),
    Column("account_hash", String(16), primary_key=True),
    time_column(primary=True),
    origin_column(primary=True),
    text_column("account"),  # masked
    text_column("broker"),
    text_column("currency"),  # of the account; the figures are US dollars unless the origin is a backfill
    number_column("net_liquidation"),
    number_column("excess_liquidity"),
    number_column("excess_look_ahead"),
    number_column("cushion"),
    number_column("cushion_low"),
    number_column("maintenance"),
    number_column("day_pnl"),
    text_column("source"),  # who told it
    sqlite_with_rowid=False,
)
"""a backfilled row is in the currency of the account, and null but for its net liquidation"""

MARKET_CLOSES = Table(
    "market_closes",
    METADATA,
    book_column(primary=True),
    Column("symbol", Text, primary_key=True),
    Column("day", String(10), primary_key=True),  # exchange date
    number_column("close"),
    origin_column(),
    text_column("source"),
    sqlite_with_rowid=False,
)

ARCHIVES = Table(
    "archives",
    METADATA,
    book_column(primary=True),
    Column("name", Text, primary_key=True),  # of the table the rows were taken from
    Column("day", String(10), primary_key=True),  # exchange date
    text_column("file"),  # relative to the data folder
    Column("rows", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    text_column("hash"),  # SHA-256 of the file
    time_column("written"),
    Column("removed", SmallInteger, nullable=False),  # 1: the rows are no longer in the database
    Index(None, "book", "day"),
    UniqueConstraint("file"),
)

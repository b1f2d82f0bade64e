"""The tables of the store, the same in SQLite and PostgreSQL.

Everything belongs to a `book`: one set of sources. Times are whole microseconds since 1970 UTC, numbers are floats,
null is unknown, an account is its hash (`guardrails.memory.account_key`) and its mask, never its number.

Two kinds of tables. What must survive (`CRITICAL`: transitions, regime changes, matrices, session starts) is written at
once and carries (`run`, `number`): the writer that wrote it and its count, unique, so that a row may be sent twice.
Telemetry is written every few seconds, and a row only when it differs from the one before: a `snapshots` row holds
from `time` to `until`, and where `complete` is 1 every position, underlying and account has its row at that time.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from guardrails.store.columns import (
    book_column,
    number_column,
    origin_column,
    sent_columns,
    text_column,
    time_column,
)
from guardrails.store.deeds import DEEDS
from guardrails.store.metadata import METADATA

BOOKS = Table(
    "books",
    METADATA,
    Column("book", String(16), primary_key=True),
    text_column("names"),  # the sources, comma separated, redacted
    time_column("first_used"),
)

MATRIX_VERSIONS = Table(
    "matrix_versions",
    METADATA,
    book_column(primary=True),
    Column("hash", Text, primary_key=True),  # `RiskMatrix.version`
    text_column("content"),  # the whole file
    time_column("first_used"),
)

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    book_column(primary=True),
    time_column(primary=True),
    origin_column(primary=True),
    time_column("until"),
    Column("complete", SmallInteger, nullable=False),
    Column("level", String(16), nullable=False),
    text_column("regime"),
    Column("overlay", SmallInteger, nullable=True),
    text_column("safety_state"),
    Column("market_open", SmallInteger, nullable=False),
    text_column("matrix_version"),
    number_column("vix"),
    number_column("vix3m"),
    number_column("net_liquidation"),
    number_column("delta_dollars"),
    number_column("beta_delta_dollars"),
    number_column("beta_delta_spx"),
    number_column("beta_delta_spy"),
    number_column("gamma_1pct_dollars"),
    number_column("vega_per_point"),
    number_column("vega_30d_per_point"),
    number_column("theta_per_day"),
    number_column("theta_vega_ratio"),
    text_column("bounds"),  # JSON: [at least, at most] of every total that is not known exactly
    text_column("known_part"),  # JSON: sum over what is known of such a total
    text_column(
        "limits", nullable=True
    ),  # JSON: {"check subject": [value, limit, unit, level]} of portfolio and accounts
    Column("count_ok", Integer, nullable=False),  # findings of each level
    Column("count_watch", Integer, nullable=False),
    Column("count_unknown", Integer, nullable=False),
    Column("count_breach", Integer, nullable=False),
    Column("count_not_applicable", Integer, nullable=False),
)

POSITIONS = Table(
    "positions",
    METADATA,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    book_column(),
    Column("account_hash", String(16), nullable=False),
    text_column("key"),  # canonical key of the instrument
    text_column("source"),
    Column("nth", SmallInteger, nullable=False),  # 1, more where a source tells the same line of an account repeatedly
    text_column("account"),  # masked
    text_column("broker"),
    text_column("symbol"),
    text_column("label"),
    text_column("kind"),
    text_column("underlying"),
    text_column("currency"),
    Column("expiry", String(10), nullable=True),  # ISO date
    UniqueConstraint("book", "account_hash", "key", "source", "nth"),
)
"""what is or was held, once: the rows of each moment name it by a number, which keeps them small"""

GREEK_SNAPSHOTS = Table(
    "greek_snapshots",
    METADATA,
    # time first: rows are appended, a moment is read in one go, and PostgreSQL can part the table by month
    time_column(primary=True),
    # of `positions`, which the same transaction has written before; no foreign key: PostgreSQL would ask row by row,
    # which doubles the time of a snapshot
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("level", String(16), nullable=True),  # null: no longer in the book from this time on
    number_column("quantity"),
    number_column("multiplier"),
    number_column("mark"),
    number_column("spot"),
    number_column("beta"),
    number_column("delta"),  # Greeks of one unit
    number_column("gamma"),
    number_column("vega"),
    number_column("theta"),
    number_column("iv"),
    number_column("delta_dollars"),  # exposures of the whole position
    number_column("beta_delta_dollars"),
    number_column("gamma_1pct_dollars"),
    number_column("vega_per_point"),
    number_column("theta_per_day"),
    number_column("day_pnl"),
    number_column("open_pnl"),
    text_column("greeks_source", nullable=True),
    sqlite_with_rowid=False,
)

UNDERLYING_TOTALS = Table(
    "underlying_totals",
    METADATA,
    book_column(primary=True),
    time_column(primary=True),
    Column("underlying", Text, primary_key=True),
    Column("positions", Integer, nullable=False),  # 0: no longer in the book from this time on
    number_column("delta_dollars"),
    number_column("beta_delta_dollars"),
    number_column("gamma_1pct_dollars"),
    number_column("vega_per_point"),
    number_column("vega_30d_per_point"),
    number_column("theta_per_day"),
    sqlite_with_rowid=False,
)

ACCOUNT_VALUES = Table(
    "account_values",
    METADATA,
    book_column(primary=True),
    time_column(primary=True),
    Column("account_hash", String(16), primary_key=True),
    origin_column(primary=True),
    text_column("account"),  # masked
    text_column("broker"),
    Column("level", String(16), nullable=True),  # null: no longer in the book from this time on
    time_column("as_of", nullable=True),  # the broker's own time of these figures
    text_column("currency"),  # of the account; the figures are US dollars
    number_column("net_liquidation"),
    number_column("excess_liquidity"),
    number_column("excess_look_ahead"),
    number_column("cushion"),
    number_column("maintenance"),
    number_column("buying_power"),
    number_column("day_pnl"),
    number_column("day_pnl_broker"),
    number_column("sma"),
    sqlite_with_rowid=False,
)

SESSION_STARTS = Table(
    "session_starts",
    METADATA,
    *sent_columns(),
    book_column(),
    time_column(),  # when this became known
    origin_column(),
    Column("account_hash", String(16), nullable=False),
    text_column("account"),  # masked
    text_column("broker"),
    Column("session", String(10), nullable=False),  # exchange date
    text_column("currency"),
    number_column("net_liquidation"),  # at the start of the session, in `currency`
    time_column("observed", nullable=True),  # when that figure was true
    text_column("source"),
    number_column("cash_flows"),  # deposits minus withdrawals since then, in `currency`
    UniqueConstraint("run", "number"),
    Index(None, "book", "account_hash", "session"),
)

REGIME_CHANGES = Table(
    "regime_changes",
    METADATA,
    *sent_columns(),
    book_column(),
    time_column(),
    origin_column(),
    text_column("old", nullable=True),
    text_column("new"),
    text_column("cause"),
    text_column("targets"),  # JSON list: the limits of `new` that matter, in words
    text_column("matrix_version"),
    UniqueConstraint("run", "number"),
    Index(None, "book", "time"),
)

FINDING_TRANSITIONS = Table(
    "finding_transitions",
    METADATA,
    *sent_columns(),
    book_column(),
    time_column(),
    text_column("check_name"),
    text_column("subject"),
    Column("old", String(16), nullable=True),  # null: was not there
    Column("new", String(16), nullable=True),  # null: is not there any more
    number_column("value"),  # value, limit and headroom in `unit`
    number_column("limit_value"),
    number_column("headroom"),
    text_column("unit"),
    text_column("message"),
    text_column("evidence"),  # JSON
    number_column("data_age_seconds"),
    text_column("matrix_version"),
    UniqueConstraint("run", "number"),
    Index(None, "book", "time"),
    Index(None, "book", "check_name", "subject", "id"),
)

CRITICAL = (BOOKS, MATRIX_VERSIONS, SESSION_STARTS, REGIME_CHANGES, FINDING_TRANSITIONS, *DEEDS)
"""what must survive, in the order in which they refer to each other"""

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
    Float,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from guardrails.store.metadata import METADATA

LIVE, BACKFILL = "live", "backfill"
"""where a row came from: this program as it happened, or a broker's history read later"""


def _book(*, primary: bool = False) -> Column[str]:
    return Column("book", String(16), ForeignKey("books.book"), primary_key=primary, nullable=False)


def _origin(*, primary: bool = False) -> Column[str]:
    return Column("origin", String(8), primary_key=primary, nullable=False)


def _time(name: str = "time", *, primary: bool = False, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=primary, nullable=nullable, autoincrement=False)


def _number(name: str) -> Column[float]:
    return Column(name, Float(53), nullable=True)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _sent() -> tuple[Column[int], Column[str], Column[int]]:
    """Order of writing, and who wrote it as the how manieth."""
    return (
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("run", String(16), nullable=False),
        Column("number", BigInteger, nullable=False),
    )


BOOKS = Table(
    "books",
    METADATA,
    Column("book", String(16), primary_key=True),
    _text("names"),  # the sources, comma separated, redacted
    _time("first_used"),
)

MATRIX_VERSIONS = Table(
    "matrix_versions",
    METADATA,
    _book(primary=True),
    Column("hash", Text, primary_key=True),  # `RiskMatrix.version`
    _text("content"),  # the whole file
    _time("first_used"),
)

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    _book(primary=True),
    _time(primary=True),
    _origin(primary=True),
    _time("until"),
    Column("complete", SmallInteger, nullable=False),
    Column("level", String(16), nullable=False),
    _text("regime"),
    Column("overlay", SmallInteger, nullable=True),
    _text("safety_state"),
    Column("market_open", SmallInteger, nullable=False),
    _text("matrix_version"),
    _number("vix"),
    _number("vix3m"),
    _number("net_liquidation"),
    _number("delta_dollars"),
    _number("beta_delta_dollars"),
    _number("beta_delta_spx"),
    _number("beta_delta_spy"),
    _number("gamma_1pct_dollars"),
    _number("vega_per_point"),
    _number("vega_30d_per_point"),
    _number("theta_per_day"),
    _number("theta_vega_ratio"),
    _text("bounds"),  # JSON: [at least, at most] of every total that is not known exactly
    _text("known_part"),  # JSON: sum over what is known of such a total
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
    _book(),
    Column("account_hash", String(16), nullable=False),
    _text("key"),  # canonical key of the instrument
    _text("source"),
    Column("nth", SmallInteger, nullable=False),  # 1, more where a source tells the same line of an account repeatedly
    _text("account"),  # masked
    _text("broker"),
    _text("symbol"),
    _text("label"),
    _text("kind"),
    _text("underlying"),
    _text("currency"),
    Column("expiry", String(10), nullable=True),  # ISO date
    UniqueConstraint("book", "account_hash", "key", "source", "nth"),
)
"""what is or was held, once: the rows of each moment name it by a number, which keeps them small"""

GREEK_SNAPSHOTS = Table(
    "greek_snapshots",
    METADATA,
    # time first: rows are appended, a moment is read in one go, and PostgreSQL can part the table by month
    _time(primary=True),
    Column("position", BigInteger, ForeignKey("positions.position"), primary_key=True, autoincrement=False),
    Column("level", String(16), nullable=True),  # null: no longer in the book from this time on
    _number("quantity"),
    _number("multiplier"),
    _number("mark"),
    _number("spot"),
    _number("beta"),
    _number("delta"),  # Greeks of one unit
    _number("gamma"),
    _number("vega"),
    _number("theta"),
    _number("iv"),
    _number("delta_dollars"),  # exposures of the whole position
    _number("beta_delta_dollars"),
    _number("gamma_1pct_dollars"),
    _number("vega_per_point"),
    _number("theta_per_day"),
    _number("day_pnl"),
    _number("open_pnl"),
    _text("greeks_source", nullable=True),
    sqlite_with_rowid=False,
)

UNDERLYING_TOTALS = Table(
    "underlying_totals",
    METADATA,
    _book(primary=True),
    _time(primary=True),
    Column("underlying", Text, primary_key=True),
    Column("positions", Integer, nullable=False),  # 0: no longer in the book from this time on
    _number("delta_dollars"),
    _number("beta_delta_dollars"),
    _number("gamma_1pct_dollars"),
    _number("vega_per_point"),
    _number("vega_30d_per_point"),
    _number("theta_per_day"),
    sqlite_with_rowid=False,
)

ACCOUNT_VALUES = Table(
    "account_values",
    METADATA,
    _book(primary=True),
    _time(primary=True),
    Column("account_hash", String(16), primary_key=True),
    _origin(primary=True),
    _text("account"),  # masked
    _text("broker"),
    Column("level", String(16), nullable=True),  # null: no longer in the book from this time on
    _time("as_of", nullable=True),  # the broker's own time of these figures
    _text("currency"),  # of the account; the figures are US dollars
    _number("net_liquidation"),
    _number("excess_liquidity"),
    _number("excess_look_ahead"),
    _number("cushion"),
    _number("maintenance"),
    _number("buying_power"),
    _number("day_pnl"),
    _number("day_pnl_broker"),
    _number("sma"),
    sqlite_with_rowid=False,
)

SESSION_STARTS = Table(
    "session_starts",
    METADATA,
    *_sent(),
    _book(),
    _time(),  # when this became known
    _origin(),
    Column("account_hash", String(16), nullable=False),
    _text("account"),  # masked
    _text("broker"),
    Column("session", String(10), nullable=False),  # exchange date
    _text("currency"),
    _number("net_liquidation"),  # at the start of the session, in `currency`
    _time("observed", nullable=True),  # when that figure was true
    _text("source"),
    _number("cash_flows"),  # deposits minus withdrawals since then, in `currency`
    UniqueConstraint("run", "number"),
    Index(None, "book", "account_hash", "session"),
)

REGIME_CHANGES = Table(
    "regime_changes",
    METADATA,
    *_sent(),
    _book(),
    _time(),
    _origin(),
    _text("old", nullable=True),
    _text("new"),
    _text("cause"),
    _text("targets"),  # JSON list: the limits of `new` that matter, in words
    _text("matrix_version"),
    UniqueConstraint("run", "number"),
    Index(None, "book", "time"),
)

FINDING_TRANSITIONS = Table(
    "finding_transitions",
    METADATA,
    *_sent(),
    _book(),
    _time(),
    _text("check_name"),
    _text("subject"),
    Column("old", String(16), nullable=True),  # null: was not there
    Column("new", String(16), nullable=True),  # null: is not there any more
    _number("value"),  # value, limit and headroom in `unit`
    _number("limit_value"),
    _number("headroom"),
    _text("unit"),
    _text("message"),
    _text("evidence"),  # JSON
    _number("data_age_seconds"),
    _text("matrix_version"),
    UniqueConstraint("run", "number"),
    Index(None, "book", "time"),
    Index(None, "book", "check_name", "subject", "id"),
)

CRITICAL = (BOOKS, MATRIX_VERSIONS, SESSION_STARTS, REGIME_CHANGES, FINDING_TRANSITIONS)
"""what must survive, in the order in which they refer to each other"""

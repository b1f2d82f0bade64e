"""What the whole store shares: the collection of its tables, the names of their constraints, how a time is written,
and its one exception.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import MetaData

from guardrails.errors import GuardrailsError

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""every constraint has a name of its own, so that a migration can change it in SQLite and in PostgreSQL"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(time: datetime) -> int:
    """An aware time as whole microseconds since 1970 UTC, exact."""
    return (time - _EPOCH) // _MICROSECOND


def moment(stored: int) -> datetime:
    """The aware UTC time of `stored` microseconds since 1970."""
    return _EPOCH + stored * _MICROSECOND


class StoreError(GuardrailsError):
    """The database cannot be used; the message says which, why and what to do."""

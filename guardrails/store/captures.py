"""Whole moments, packed: what a cycle was made of, to be judged again, and the Snapshot made of it, to be seen again.

JSON, compressed with zstd (https://www.rfc-editor.org/rfc/rfc8878). Account numbers are exchanged for pseudonyms that
end in the same four characters, so everything derived from a capture reads as it did, and no number is stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, TypeVar

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import to_json as as_json
from sqlalchemy import Connection, Select, select

from guardrails.assess import Inputs
from guardrails.findings import Level
from guardrails.memory import Memory, account_key
from guardrails.redaction import redact
from guardrails.snapshot import Snapshot, from_json, to_json
from guardrails.store.inserts import Row
from guardrails.store.metadata import StoreError, micros, moment
from guardrails.store.sharing import CAPTURES
from guardrails.stress.recorded import Recorded
from guardrails.values import AccountId, Observed, Source

PERIOD, LEVEL = "period", "level"
"""why a moment was captured: time had passed, or a level or the regime had changed"""
_SIZE = 8
_NUMBER_LENGTH = 5
_MAX_BYTES = 1_000_000_000
"""nothing of ours is larger; a damaged length must not ask for all memory"""


_Read = TypeVar("_Read")


def _or_none(content: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(content)
    except ValidationError:  # of another version: it is measured again
        return None


@dataclass(frozen=True, slots=True)
class Kept(Inputs):
    """What a moment was made of, and what its book was measured to lose."""

    stress: Annotated[Recorded | str | None, WrapValidator(_or_none)] = None
    """why there is no figure where it is a text; None: not kept, or in a form that this program cannot read"""


@dataclass(frozen=True, slots=True)
class VolatilityNow:
    """What the regime is decided by; as in a Market."""

    vix: Observed | None = None
    vix3m: Observed | None = None
    vix_closes: tuple[tuple[date, float], ...] = ()
    vix3m_closes: tuple[tuple[date, float], ...] = ()
    open: bool | None = None


@dataclass(frozen=True, slots=True)
class Glance:
    """One source as far as the regime goes; as in a View."""

    source: Source
    market: VolatilityNow = field(default_factory=VolatilityNow)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """As much of a moment as the regime is decided by."""

    views: tuple[Glance, ...]
    memory: Memory
    now: datetime


_INPUTS, _KEPT, _GLIMPSE = TypeAdapter(Inputs), TypeAdapter(Kept), TypeAdapter(Glimpse)


@dataclass(frozen=True, slots=True)
class Captured:
    """One stored moment, still packed."""

    time: datetime
    cause: str
    level: Level
    matrix_version: str
    levels: str
    """JSON: {"check subject": level} of every finding that was judged"""
    inputs: bytes
    snapshot: bytes

    def read_levels(self) -> dict[str, Level]:
        """Level of every finding that was judged then, by check and subject with a space between."""
        return {name: Level(level) for name, level in json.loads(self.levels).items()}

    def read_kept(self) -> Kept:
        """What the moment was made of, and what was measured; StoreError when this program cannot read it."""
        return self._read(_KEPT)

    def read_inputs(self) -> Inputs:
        """What the moment was made of; StoreError when this program cannot read it."""
        return self._read(_INPUTS)

    def read_glimpse(self) -> Glimpse:
        """What the regime is decided by, in a fraction of the time; StoreError when this program cannot read it."""
        return self._read(_GLIMPSE)

    def _read(self, adapter: TypeAdapter[_Read]) -> _Read:
        try:
            return adapter.validate_json(unpacked(self.inputs))
        except ValidationError as error:
            raise StoreError(
                f"what was captured at {self.time:%Y-%m-%d %H:%M:%S} UTC cannot be read by this version of the program "
                f"({error.error_count()} fields differ)."
            ) from None

    def read_snapshot(self) -> Snapshot:
        """The Snapshot as it was; StoreError or SourceError when this program cannot read it."""
        return read_packed(self.snapshot)


def capture_row(book: str, cause: str, inputs: Inputs, snapshot: Snapshot, stress: Recorded | str | None = None) -> Row:
    """The row of `captures`; takes some ms for a thousand positions, so not on the engine's loop.

    `stress` is what the book was measured to lose; without it a replay has to measure it again.
    """
    levels = {
        f"{finding.check} {finding.subject}": finding.level.value
        for finding in sorted(snapshot.findings, key=lambda finding: finding.level.rank)
        if finding.level is not Level.NOT_APPLICABLE
    }
    return (
        book,
        micros(snapshot.as_of),
        cause,
        snapshot.level.value,
        snapshot.matrix_version,
        json.dumps(levels, separators=(",", ":"), ensure_ascii=False),
        # NaN and inf as they are: as null they would read as another input
        packed(_without_numbers(_with_stress(as_json(_anonymous(inputs), inf_nan_mode="constants"), stress), inputs)),
        packed(_without_numbers(to_json(snapshot), inputs)),
    )


def captures(connection: Connection, book: str, begin: datetime, end: datetime) -> Iterator[Captured]:
    """Those from `begin` to before `end`, oldest first, one at a time."""
    c = CAPTURES.c
    query = _query(book).where(c.time >= micros(begin), c.time < micros(end)).order_by(c.time)
    for row in connection.execute(query.execution_options(yield_per=50)):
        yield _captured(row)


def capture_at(connection: Connection, book: str, time: datetime) -> Captured | None:
    """The last one at or before `time`; None when there is none."""
    c = CAPTURES.c
    row = connection.execute(_query(book).where(c.time <= micros(time)).order_by(c.time.desc()).limit(1)).first()
    return None if row is None else _captured(row)


def packed(content: bytes) -> bytes:
    """`content` compressed, its length before it."""
    return len(content).to_bytes(_SIZE, "little") + bytes(_codec().compress(content, asbytes=True))


def unpacked(content: bytes) -> bytes:
    """What `packed` was given; StoreError when it is damaged."""
    size = min(int.from_bytes(content[:_SIZE], "little"), _MAX_BYTES)
    try:
        return bytes(_codec().decompress(content[_SIZE:], decompressed_size=size, asbytes=True))
    except (OSError, pa.ArrowInvalid):
        raise StoreError(f"a packed moment of {len(content):,} bytes is damaged and cannot be read.") from None


def read_packed(content: bytes) -> Snapshot:
    """The Snapshot in `packed` bytes; StoreError or SourceError when this program cannot read it."""
    return from_json(unpacked(content), "a stored Snapshot")


def _with_stress(content: bytes, stress: Recorded | str | None) -> bytes:
    """The document `content` with one more field."""
    if stress is None:
        return content
    return content[:-1] + b',"stress":' + as_json(stress, inf_nan_mode="constants") + b"}"


def _without_numbers(content: bytes, inputs: Inputs) -> bytes:
    """`content` with masks where a broker's own words named an account."""
    for account in _accounts(inputs):
        number = account.number
        # a shorter one is no secret, and a part of too much else; looking first is fifty times as fast
        if len(number) >= _NUMBER_LENGTH and number.encode() in content:
            # one of digits alone must not be taken for a figure of the document
            before = rb"(?<![A-Za-z0-9:,.\[-])" if number.isdigit() else rb"(?<![A-Za-z0-9])"
            pattern = before + re.escape(number.encode()) + rb"(?![A-Za-z0-9-])"
            content = re.sub(pattern, account.masked.encode(), content)
    return content


def _accounts(inputs: Inputs) -> set[AccountId]:
    ids = {account.id for view in inputs.views for account in view.accounts}
    return ids | {position.account for view in inputs.views for position in view.positions}


def _anonymous(inputs: Inputs) -> Inputs:
    """`inputs` with pseudonyms for account numbers, also in what is remembered of the accounts."""
    views = inputs.views
    known = {account: _pseudonym(account) for account in _accounts(inputs)}
    keys = {account_key(account): account_key(other) for account, other in known.items()}
    histories = {keys[key]: history for key, history in inputs.memory.accounts.items() if key in keys}
    return replace(
        inputs,
        memory=Memory(histories, inputs.memory.regime),
        views=tuple(
            replace(
                view,
                source=_without_words(view.source),
                accounts=tuple(replace(account, id=known[account.id]) for account in view.accounts),
                positions=tuple([replace(position, account=known[position.account]) for position in view.positions]),
            )
            for view in views
        ),
    )


def _without_words(source: Source) -> Source:
    """`source` redacted: it may speak of accounts that nobody has listed."""
    streams = tuple(
        replace(stream, name=redact(stream.name), detail=redact(stream.detail)) for stream in source.streams
    )
    return replace(
        source,
        detail=redact(source.detail),
        exclusions=tuple(map(redact, source.exclusions)),
        warnings=tuple(map(redact, source.warnings)),
        streams=streams,
    )


def _pseudonym(account: AccountId) -> AccountId:
    return AccountId(account.broker, f"{account_key(account)}-{account.number[-4:]}")


def _query(book: str) -> Select[Any]:
    c = CAPTURES.c
    names = (c.time, c.cause, c.level, c.matrix_version, c.levels, c.inputs, c.snapshot)
    return select(*names).where(c.book == book)


def _captured(row: Any) -> Captured:
    return Captured(moment(row[0]), row[1], Level(row[2]), *row[3:])


@cache
def _codec() -> pa.Codec:
    return pa.Codec("zstd", 1)

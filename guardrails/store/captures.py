"""Whole moments, packed: what a cycle was made of, to be judged again, and the Snapshot made of it, to be seen again.

Account numbers are exchanged for `pseudonyms` before anything is packed: no number is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, TypeVar

from pydantic import TypeAdapter, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import to_json as as_json
from sqlalchemy import Connection, Select, select

from guardrails.assess import Inputs
from guardrails.findings import Level
from guardrails.memory import Memory
from guardrails.snapshot import Snapshot, to_json
from guardrails.store.inserts import Row
from guardrails.store.metadata import StoreError, micros, moment
from guardrails.store.packing import packed, read_packed, unpacked
from guardrails.store.pseudonyms import anonymous, without_numbers
from guardrails.store.sharing import CAPTURES
from guardrails.stress.recorded import Recorded
from guardrails.values import Observed, Source

PERIOD, LEVEL = "period", "level"
"""why a moment was captured: time had passed, or a level or the regime had changed"""
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
_POSITIONS, _MARKET = b'"positions":[', b'],"market":{'
"""what stands around the positions of a View; within a text the quotes would be escaped"""


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
        return self._read(_KEPT, unpacked(self.inputs))

    def read_inputs(self) -> Inputs:
        """What the moment was made of; StoreError when this program cannot read it."""
        return self._read(_INPUTS, unpacked(self.inputs))

    def read_glimpse(self) -> Glimpse:
        """What the regime is decided by, in a fraction of the time; StoreError when this program cannot read it."""
        return self._read(_GLIMPSE, _without_positions(unpacked(self.inputs)))

    def _read(self, adapter: TypeAdapter[_Read], content: bytes) -> _Read:
        try:
            return adapter.validate_json(content)
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
        packed(without_numbers(_with_stress(as_json(anonymous(inputs), inf_nan_mode="constants"), stress), inputs)),
        packed(without_numbers(to_json(snapshot), inputs)),
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


def _without_positions(content: bytes) -> bytes:
    """The document `content` with no positions in its views, which are nine tenths of it."""
    kept, at = list[bytes](), 0
    while (begin := content.find(_POSITIONS, at)) >= 0 and (end := content.find(_MARKET, begin)) >= 0:
        kept += (content[at:begin], _POSITIONS)
        at = end
    return b"".join((*kept, content[at:]))


def _with_stress(content: bytes, stress: Recorded | str | None) -> bytes:
    """The document `content` with one more field."""
    if stress is None:
        return content
    return content[:-1] + b',"stress":' + as_json(stress, inf_nan_mode="constants") + b"}"


def _query(book: str) -> Select[Any]:
    c = CAPTURES.c
    names = (c.time, c.cause, c.level, c.matrix_version, c.levels, c.inputs, c.snapshot)
    return select(*names).where(c.book == book)


def _captured(row: Any) -> Captured:
    return Captured(moment(row[0]), row[1], Level(row[2]), *row[3:])

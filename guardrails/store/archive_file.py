"""One table of one exchange day as a Parquet file that can be read by itself: written whole or not at all.

It is written under another name, `.part`, and gets its own when it is listed: what a killed program leaves behind is
known by that ending, and no program writes over what another has written.

Doubles are split into streams of bytes and times into differences before zstd, prices on ticks are numbered, which
packs them far better (https://parquet.apache.org/docs/file-format/data-pages/encodings/). A group of rows is sorted by
what it is of, then by time, so that neighbours look alike; products are left out (`guardrails.store.archive_products`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import BigInteger, Column, Float, Integer, SmallInteger

from guardrails.folders import sync_folder
from guardrails.store.archive_products import RATE, folded, folded_schema, unfolded
from guardrails.store.faults import reason
from guardrails.store.metadata import StoreError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

log = logging.getLogger(__name__)

TIMES = frozenset({"time", "until", "as_of"})
_TICKED = frozenset({"quantity", "multiplier", "mark", "spot", "beta", "day_pnl", "open_pnl", RATE})
"""doubles of which the same come again and again"""
_STAMP = pa.timestamp("us", "UTC")
_LEVEL = 6
_BLOCK_BYTES = 1_000_000
_PART = ".part"


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is on the disk and was read back."""

    part: Path
    """where it stands until it has its name"""
    rows: int
    bytes: int
    hash: str
    """SHA-256 of the file"""


def schema_of(columns: Iterable[Column[Any]]) -> pa.Schema:
    """The columns of a table as Arrow has them: times in UTC, whole numbers, doubles, else text."""
    return pa.schema([(column.name, _type_of(column)) for column in columns])


def write(path: Path, schema: pa.Schema, groups: Iterable[pa.Table]) -> Written:
    """Write `groups`, each a group of rows, for `path`: on the disk, read back and compared.

    It stands under another name until `name_it`. It can be read by its owner only, as can the folders made for it.
    StoreError when there is no room or no access, or what was read back differs; nothing is left behind then.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_PART}")
    try:
        _make_folder(path.parent)
        digests, rows = _write_part(part, schema, groups)
        _compare(part, schema, digests, rows)
        return Written(part, rows, part.stat().st_size, hash_of(part))
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError | pa.ArrowInvalid):
            raise _unwritten(path, error) from error
        raise


def name_it(path: Path, hash_: str) -> None:
    """Give the file of this hash that was written for `path` its name, as does the next run when this one is killed.

    Nothing is done where there is a file of this name already, or no such file. StoreError when that is refused.
    """
    try:
        if (found := _standing(path, hash_)) != path:
            found.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise _unwritten(path, error) from error


def sweep(path: Path, but: Path) -> None:
    """Delete what killed programs left half written for `path`, or for another number of it; `but` stays."""
    for part in _parts(path):
        if part != but:
            with suppress(OSError):
                part.unlink()


def drop(path: Path) -> None:
    """Delete a file whose rows are in another one; where that is refused, as on Windows while somebody reads it, it
    stays, and harms nobody.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s is in the way of nobody and cannot be deleted: %s", path, error.strerror)


def opened(path: Path, hash_: str) -> pq.ParquetFile:
    """The file, found to be the one that was written; StoreError when it is missing or damaged.

    Closing it is the caller's. Texts are read as dictionaries: a name that comes a thousand times is kept once.
    """
    parquet = _parquet()
    try:
        found = _standing(path, hash_)
        if hash_of(found) != hash_:
            raise StoreError(f"{path} is damaged: it is not what was written. Put it back from a copy.")
        texts = [field.name for field in parquet.read_schema(found) if pa.types.is_string(field.type)]
        return parquet.ParquetFile(found, read_dictionary=texts)
    except (OSError, pa.ArrowInvalid) as error:
        why = "it is not there" if isinstance(error, FileNotFoundError) else reason(error)
        raise StoreError(f"{path} cannot be read: {why}. Put it back from a copy.") from error


def hash_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()


def _write_part(part: Path, schema: pa.Schema, groups: Iterable[pa.Table]) -> tuple[list[bytes], int]:
    """Write and sync `part`; the digest of every group, and how many rows there are."""
    digests, rows, kept = [], 0, folded_schema(schema)
    with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:  # noqa: PTH123  # of a descriptor
        with _parquet().ParquetWriter(file, kept, **_options(kept)) as writer:
            for group in groups:
                digests.append(_digest(group, schema))
                rows += group.num_rows
                writer.write_table(folded(group), row_group_size=max(group.num_rows, 1))
        file.flush()
        os.fsync(file.fileno())
    return digests, rows


def _compare(part: Path, schema: pa.Schema, digests: Sequence[bytes], rows: int) -> None:
    """Refuse a file that does not say what was written, to the last bit of every double."""
    with _parquet().ParquetFile(part) as file:
        same = file.metadata.num_rows == rows and file.num_row_groups == len(digests)
        read = (unfolded(file.read_row_group(n)) for n in range(file.num_row_groups))
        if not same or any(_digest(group, schema) != digest for group, digest in zip(read, digests, strict=True)):
            raise OSError(0, "what was read back is not what was written")


def _digest(table: pa.Table, schema: pa.Schema) -> bytes:
    """A checksum of every value, the same however the table is cut into pieces or its texts are kept."""
    found = hashlib.blake2b(digest_size=16)
    for name in schema.names:
        array = table[name].combine_chunks()
        if pa.types.is_string(array.type):
            array = array.dictionary_encode()
            found.update("\0".join(array.dictionary.to_pylist()).encode())
            array = array.indices
        elif pa.types.is_timestamp(array.type):
            array = array.cast(pa.int64())
        found.update(name.encode())
        found.update(array.is_null().to_numpy(zero_copy_only=False).tobytes())
        found.update(array.fill_null(0).to_numpy(zero_copy_only=False).tobytes())
    return found.digest()


def _standing(path: Path, hash_: str) -> Path:
    """Where the file of this hash stands: as `path`, unless it was not given its name yet."""
    return path if path.exists() else next((part for part in _parts(path) if hash_of(part) == hash_), path)


def _parts(path: Path) -> list[Path]:
    """What was written for `path`, or for another number of it, and has no name yet."""
    return sorted(path.parent.glob(f"{path.name.partition('.')[0].partition('-')[0]}[.-]*{_PART}"))


def _unwritten(path: Path, error: OSError | pa.ArrowInvalid) -> StoreError:
    why = reason(error) if isinstance(error, OSError) and error.strerror else str(error)
    return StoreError(
        f"{path} cannot be written: {why}. Give this user access to {path.parent} and free space; until then "
        "every row stays in the database."
    )


def _options(schema: pa.Schema) -> Mapping[str, Any]:
    """How each column is encoded."""
    again = [field.name for field in schema if pa.types.is_string(field.type) or field.name in _TICKED]
    encodings = {
        field.name: "BYTE_STREAM_SPLIT" if pa.types.is_floating(field.type) else "DELTA_BINARY_PACKED"
        for field in schema
        if field.name not in again
    }
    return {
        "use_dictionary": again,
        "column_encoding": encodings,
        "compression": "zstd",
        "compression_level": _LEVEL,
    }


def _type_of(column: Column[Any]) -> pa.DataType:
    if column.name in TIMES:
        return _STAMP
    if isinstance(column.type, Float):
        return pa.float64()
    return pa.int64() if isinstance(column.type, BigInteger | Integer | SmallInteger) else pa.string()


def _make_folder(folder: Path) -> None:
    """`folder` and what is above it, each on the disk."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def _parquet() -> Any:
    import pyarrow.parquet as pq  # noqa: PLC0415  # 40 ms that a program which archives nothing need not spend

    return pq

"""One table of one exchange day as a Parquet file that can be read by itself: written whole or not at all.

Doubles are split into streams of bytes and times into differences before zstd, prices on ticks are numbered, which
packs them far better (https://parquet.apache.org/docs/file-format/data-pages/encodings/). A group of rows is sorted by
what it is of, then by time, so that neighbours look alike.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import BigInteger, Column, Float, Integer, SmallInteger

from guardrails.store.faults import reason
from guardrails.store.metadata import StoreError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

TIMES = frozenset({"time", "until", "as_of"})
_TICKED = frozenset({"quantity", "multiplier", "mark", "spot", "beta", "day_pnl", "open_pnl"})
"""doubles of which the same come again and again"""
_STAMP = pa.timestamp("us", "UTC")
_LEVEL = 6
_BLOCK_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is on the disk and was read back."""

    rows: int
    bytes: int
    hash: str
    """SHA-256 of the file"""


def schema_of(columns: Iterable[Column[Any]]) -> pa.Schema:
    """The columns of a table as Arrow has them: times in UTC, whole numbers, doubles, else text."""
    return pa.schema([(column.name, _type_of(column)) for column in columns])


def write(path: Path, schema: pa.Schema, groups: Iterable[pa.Table]) -> Written:
    """Write `groups`, each a group of rows, to `path`: on the disk, read back and compared before it has its name.

    The file can be read by its owner only, as can the folders made for it. StoreError when there is no room or no
    access, or what was read back differs; nothing is left behind then.
    """
    part = path.with_name(path.name + ".part")
    try:
        _make_folder(path.parent)
        part.unlink(missing_ok=True)
        digests, rows = _write_part(part, schema, groups)
        _compare(part, digests, rows)
        written = Written(rows, part.stat().st_size, hash_of(part))
        part.replace(path)
        _sync_folder(path.parent)
    except (OSError, pa.ArrowInvalid) as error:
        why = reason(error) if isinstance(error, OSError) and error.strerror else str(error)
        raise StoreError(
            f"{path} cannot be written: {why}. Give this user access to {path.parent} and free space; until then "
            "every row stays in the database."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return written


def opened(path: Path, hash_: str) -> pq.ParquetFile:
    """The file, found to be the one that was written; StoreError when it is missing or damaged.

    Closing it is the caller's. Texts are read as dictionaries: a name that comes a thousand times is kept once.
    """
    parquet = _parquet()
    try:
        if hash_of(path) != hash_:
            raise StoreError(f"{path} is damaged: it is not what was written. Put it back from a copy.")
        texts = [field.name for field in parquet.read_schema(path) if pa.types.is_string(field.type)]
        return parquet.ParquetFile(path, read_dictionary=texts)
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
    digests, rows = [], 0
    with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:  # noqa: PTH123  # of a descriptor
        with _parquet().ParquetWriter(file, schema, **_options(schema)) as writer:
            for group in groups:
                digests.append(_digest(group))
                rows += group.num_rows
                writer.write_table(group, row_group_size=max(group.num_rows, 1))
        file.flush()
        os.fsync(file.fileno())
    return digests, rows


def _compare(part: Path, digests: Sequence[bytes], rows: int) -> None:
    """Refuse a file that does not say what was written."""
    with _parquet().ParquetFile(part) as file:
        same = file.metadata.num_rows == rows and file.num_row_groups == len(digests)
        if not same or any(_digest(file.read_row_group(n)) != digest for n, digest in enumerate(digests)):
            raise OSError(0, "what was read back is not what was written")


def _digest(table: pa.Table) -> bytes:
    """A checksum of every value, the same however the table is cut into pieces or its texts are kept."""
    found = hashlib.blake2b(digest_size=16)
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = column.combine_chunks()
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
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parquet() -> Any:
    import pyarrow.parquet as pq  # noqa: PLC0415  # 40 ms that a program which archives nothing need not spend

    return pq

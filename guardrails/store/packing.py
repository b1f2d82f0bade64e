"""What is packed for the store: compressed with zstd (https://www.rfc-editor.org/rfc/rfc8878), its length before it."""

from __future__ import annotations

import re
from functools import cache

import pyarrow as pa

from guardrails.snapshot import Snapshot, from_json
from guardrails.store.metadata import StoreError

_SIZE = 8
_MAX_BYTES = 1_000_000_000
"""nothing of ours is larger; a damaged length must not ask for all memory"""
_REGIME = re.compile(rb'"regime":\{"name":"(\w+)"')
"""in the JSON of a Snapshot; within a text the quotes would be escaped"""


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


def regime_in(content: bytes) -> str:
    """The regime of the Snapshot in `packed` bytes; to read the whole Snapshot for it would take as long as to judge
    its moment. StoreError or SourceError when this program cannot read it.
    """
    found = _REGIME.search(unpacked(content))
    return read_packed(content).regime.name if found is None else found[1].decode()


@cache
def _codec() -> pa.Codec:
    return pa.Codec("zstd", 1)

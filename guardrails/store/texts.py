"""Single values as both databases take them."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from pydantic_core import to_jsonable_python

from guardrails.redaction import redact, without_accounts
from guardrails.values import SENTINEL

_NUL = "\x00"


def number(value: float | None) -> float | None:
    """`value`, or None when it is not finite or a broker's unset double."""
    return value if value is not None and -SENTINEL < value < SENTINEL else None


def numbers(values: Iterable[float | None]) -> tuple[float | None, ...]:
    """The same for many."""
    return tuple([v if v is not None and -SENTINEL < v < SENTINEL else None for v in values])


@lru_cache(maxsize=20_000)  # symbols and masks come again at every moment
def text(value: str) -> str:
    """`value` redacted; what is no Unicode text, and the NUL that PostgreSQL refuses, become question marks."""
    return redact(_writable(value))


@lru_cache(maxsize=20_000)
def name(value: str) -> str:
    """A name of our own, by which something is found again: the same with account numbers masked, and nothing else."""
    return without_accounts(_writable(value))


def _writable(value: str) -> str:
    return value.encode("utf-8", "replace").decode("utf-8").replace(_NUL, "?")


def document(value: Any, names: Collection[str] = ()) -> str:
    """`value` as JSON with sorted keys; texts as `text` leaves them, under the keys `names` as `name` does; numbers
    that are not finite as null."""
    # before as well: what is no Unicode text cannot be made plain
    plain = _plain(to_jsonable_python(_plain(value, names), fallback=str), names)
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def _plain(value: Any, names: Collection[str]) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {text(str(key)): _named(key, part, names) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, names) for part in value]
    return value


def _named(key: Any, part: Any, names: Collection[str]) -> Any:
    """The value under `key`; under one of `names` texts and lists of them are names."""
    if key not in names:
        return _plain(part, names)
    if isinstance(part, list | tuple):
        return [_named(key, one, names) for one in part]
    return name(part) if isinstance(part, str) else _plain(part, names)

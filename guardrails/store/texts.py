"""Single values as both databases take them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from pydantic_core import to_jsonable_python

from guardrails.redaction import redact
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
    return redact(value.encode("utf-8", "replace").decode("utf-8").replace(_NUL, "?"))


def document(value: Any) -> str:
    """`value` as JSON with sorted keys; texts as `text` leaves them, numbers that are not finite as null."""
    # before as well: what is no Unicode text cannot be made plain
    return json.dumps(_plain(to_jsonable_python(_plain(value), fallback=str)), sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {text(str(key)): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value

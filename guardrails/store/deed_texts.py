"""Orders and what became of them as JSON that may be stored: accounts without their numbers, our own keys exact.

`guardrails.store.texts.document` masks whatever looks like an account number. A key of an order, an approval or an
execution may look like one by chance, and would then not be found again: such values stay as they are, but for the
account numbers that stand in the same document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from guardrails.store.texts import number, text
from guardrails.values import AccountId

_EXACT = frozenset({
    "key", "execution", "reference", "references", "order_key", "flatten", "replaces", "owner", "overrides", "used",
    "trade", "tag", "symbol", "root", "underlying", "token", "fingerprint", "run", "plan", "order", "override", "entry",
})  # fmt: skip
"""names of what is found again by its text"""
_NAMED = ("account", "accounts")
"""where a person may have typed a number, or our own text has the broker and the mask"""
_ACCOUNT = {"broker", "number"}
"""the fields of `AccountId`"""


def hidden_document(value: Any, adapter: TypeAdapter[Any] | None = None) -> str:
    """`value` as JSON with sorted keys: redacted, account numbers cut to four, numbers that are not finite null."""
    try:
        plain = value if adapter is None else adapter.dump_python(value, mode="json")
    except ValueError:  # what is no Unicode text; several times slower
        plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    known = set(_numbers(plain))
    # before as well: what is no Unicode text cannot be made plain
    plain = _plain(to_jsonable_python(_plain(plain, known), fallback=str), known)
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def hidden_text(value: str, *, exact: bool = False) -> str:
    """A text as it may be stored; one that is JSON stays JSON. `exact`: it is a key of our own."""
    return _told(value, set(), exact=exact)


def hidden_field(field: str, value: str) -> str:
    """The text of a field called so: keys stay exact, an account is cut to four, however its number looks."""
    return str(_field(field, value, set()))


def _numbers(value: Any) -> Iterator[str]:
    """The account numbers in it."""
    if isinstance(value, Mapping):
        if value.keys() == _ACCOUNT and isinstance(value["number"], str):
            yield value["number"]
        for part in value.values():
            yield from _numbers(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _numbers(part)


def _plain(value: Any, known: set[str], *, exact: bool = False) -> Any:
    if isinstance(value, str):
        return _told(value, known, exact=exact)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        if value.keys() == _ACCOUNT:
            return {"broker": text(str(value["broker"])), "number": AccountId("", str(value["number"])).masked}
        return {_told(str(key), known): _field(str(key), part, known) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part, known, exact=exact) for part in value]
    return value


def _field(field: str, value: Any, known: set[str]) -> Any:
    if field in _NAMED and isinstance(value, str):
        bare = len(value) > len("1234") and not any(mark in value for mark in "•*.…")
        return _told(AccountId("", value).masked if bare else value, known)
    if field in _NAMED and isinstance(value, list | tuple):
        return [_field(field, one, known) for one in value]
    return _plain(value, known, exact=field in _EXACT)


def _told(value: str, known: set[str], *, exact: bool = False) -> str:
    if value[:1] in ("{", "[") and (parsed := _parsed(value)) is not None:
        return json.dumps(_plain(parsed, known | set(_numbers(parsed))), sort_keys=True, ensure_ascii=False)
    for each in known:
        if len(each) > len("1234"):
            value = value.replace(each, AccountId("", each).masked)
    return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "?") if exact else text(value)


def _parsed(value: str) -> Any:
    """What a JSON text holds; None when it is none, or nothing that could hide a number."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None

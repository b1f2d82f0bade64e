"""Values that nobody may read, found however they are written: as they are, in a URL, in JSON or HTML, in base64."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

_SHORT = 6
"""a shorter value is hidden as a whole word only, or texts would lose parts of words"""
_LONG = 16
"""no plain word is so long"""
_ALPHABET = {"+": "[+-]", "/": "[/_]"}
"""base64 has two: the second one is for URLs"""
_URL = re.compile(r"(?:[\w-]+=)?([A-Za-z][\w+.-]*)://(\S*)", re.ASCII)
_NEXT_URL = re.compile(r"[,\s]+(?=(?:[\w-]+=)?[A-Za-z][\w+.-]*://)", re.ASCII)
_DATABASES = ("postgresql", "sqlite", "mysql")
_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}|\d+(?:\.\d+){3}|localhost|\d{1,5}", re.IGNORECASE)
"""or a port"""
_IN_QUERY = re.compile(r"[?&]\w*pass(?:word|wd|phrase)=([^&#]*)", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z]?[a-z]*(?:[-_.+][a-z]+)*")


@dataclass(frozen=True, slots=True)
class Hidden:
    """One value and how it is found."""

    core: str
    """letters and digits in lower case that every text with this value holds: quickly looked for, often not there"""
    pattern: re.Pattern[str]
    shown: str
    """what stands in its place"""


Values = Mapping[str, tuple[Hidden, ...]]
"""by core"""


def without(text: str, values: Values) -> str:
    """`text` with each of the `values` replaced; where they overlap, once."""
    lowered = text.lower()
    found = [value for core, same in values.items() if core in lowered for value in same]
    spans = sorted((*match.span(), value.shown) for value in found for match in value.pattern.finditer(text))
    pieces, end = [], 0
    for begin, finish, shown in spans:
        if begin >= end:
            pieces += [text[end:begin], shown]
        end = max(end, finish)
    return "".join([*pieces, text[end:]]) if spans else text


def grouped(values: Iterable[Hidden]) -> Values:
    """The values by their core, each once."""
    found: dict[str, tuple[Hidden, ...]] = {}
    for value in dict.fromkeys(values):
        found[value.core] = (*found.get(value.core, ()), value)
    return found


def ways(secret: str, shown: str) -> Iterator[Hidden]:
    """The ways in which `secret`, which is not empty, may be written."""
    written = _in_any_encoding(secret)
    if len(secret) < _SHORT:
        written = rf"(?<![A-Za-z0-9]){written}(?![A-Za-z0-9])"
    yield Hidden(_core(secret), re.compile(written, re.IGNORECASE), shown)
    if len(secret) >= _SHORT:
        for piece in _in_base64(secret.encode("utf-8", "replace")):
            encoded = "".join(_ALPHABET.get(char, char) for char in piece)
            yield Hidden(_core(piece), re.compile(encoded), shown)


def ways_in_url(word: str, shown: str) -> Iterator[Hidden]:
    """A plain word where it stands in a URL or in quotes; elsewhere it is a word like any other."""
    written = _in_any_encoding(word)
    yield Hidden(_core(word), re.compile(rf"(?<=[/:@='\"]){written}(?![A-Za-z0-9])", re.IGNORECASE), shown)


def parts_of_urls(text: str) -> Iterator[tuple[str, bool]]:
    """What must not be read of the URLs in `text`; whether it is a plain word, which only a URL makes a secret.

    `text` is one URL or several with commas or spaces between them, each perhaps with a name before it: `desk=URL`.
    Of a database it is the password, else the URL, its path, and in it everything that does not look like a host or
    a plain word. Where all of it looks like that, as in `ntfy://portfolio`, the words are what must not be read.
    """
    for part in _NEXT_URL.split(text):
        if found := _URL.match(part.strip()):
            scheme, rest = found[1].lower(), found[2]
            login = re.split(r"[?#]", rest, maxsplit=1)[0].rpartition("@")[0]
            passwords = {login.partition(":")[2], *_IN_QUERY.findall(rest)}
            if scheme.startswith(_DATABASES):
                passwords |= _unescaped(part.strip().partition("://")[2])
            yield from (
                (word, False) for password in sorted(passwords - {""}) for word in (password, unquote(password))
            )
            if not scheme.startswith(_DATABASES):
                yield from _telling_parts(rest)


def _unescaped(rest: str) -> set[str]:
    """What may be the password in what follows `scheme://` of a database when nothing in it was escaped.

    One with `@`, `?`, `#` or a blank ends elsewhere for each reader, and what is behind is then taken for a host.
    """
    if "@" not in rest:  # then it stands where a port should
        place = rest.partition("/")[0].partition(":")[2]
        return set() if _HOST.fullmatch(place) else {place}
    found = {login.partition(":")[2] for login in (rest.rpartition("@")[0], rest.partition("@")[0])}
    return found | {piece for password in found if "@" in password for piece in password.split("@") if _tells(piece)}


def _telling_parts(rest: str) -> Iterator[tuple[str, bool]]:
    """The same of what follows `scheme://`, which is of no database."""
    words = [word for part in re.split(r"[/:@?#&=,;]+", rest) for word in dict.fromkeys((part, unquote(part)))]
    words = [word for word in words if word and not _HOST.fullmatch(word)]
    telling = [word for word in words if _tells(word)]
    path = rest.rstrip("/").partition("/")[2]
    if path or telling:
        yield rest.rstrip("/"), False
    if any(word in path for word in telling):
        yield f"/{path}", False
    yield from ((word, not telling) for word in telling or words)


def _tells(word: str) -> bool:
    return len(word) >= _LONG or (len(word) >= _SHORT and not _WORDS.fullmatch(word))


def _core(text: str) -> str:
    return max(re.findall(r"[A-Za-z0-9]+", text), key=len, default="").lower()


def _in_any_encoding(text: str) -> str:
    """A pattern for `text`. Backslashes are written together: one after the other, each of them once to four times,
    they could be shared out in more ways than there is time for."""
    return "".join(map(_written, re.findall(r"\\+|[^\\]", text)))


def _backslashes(count: int) -> str:
    return rf"(?:(?:%(?:25)*5C|&\#92;|&\#x5c;){{{count}}}|\\{{{count},{4 * count}}})"


def _written(char: str) -> str:
    """A pattern for one character of a value, or a run of backslashes, in every encoding that texts are found in."""
    if char.isascii() and char.isalnum():
        return char
    if char.startswith("\\"):
        return _backslashes(len(char))
    percent = re.escape(quote(char, safe="", errors="replace")).replace("%", "%(?:25)*")
    # quote leaves -._~ alone, but others do not
    percent = percent if "%" in percent else f"%(?:25)*{ord(char):02X}"
    of_bytes = repr(char.encode("utf-8", "replace"))[2:-1]
    escaped = {json.dumps(char)[1:-1], ascii(char)[1:-1], of_bytes}
    marks = [re.escape(mark) for mark in (html.escape(char), f"&#{ord(char)};", f"&#x{ord(char):x};")]
    ways = [
        percent,
        *([r"\+"] if char == " " else []),
        *(re.escape(text).replace(r"\\", r"\\+") for text in sorted(escaped)),
        *marks,
        rf"\\*{re.escape(char)}",
    ]
    return f"(?:{'|'.join(dict.fromkeys(ways))})"


def _in_base64(content: bytes) -> Iterator[str]:
    """What base64 makes of `content` wherever it stands in what is encoded, without what depends on its neighbours."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + content).decode().rstrip("=")
        begin = (0, 2, 3)[before]
        yield text[begin : len(text) - ((before + len(content)) % 3 != 0)]

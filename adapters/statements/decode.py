"""From a path to text: the one place where a statement's bytes are bounded, decoded and named.

A file is read whole, so its size is bounded before a byte of it is read; what is not text is refused with what it
seems to be.
"""

from __future__ import annotations

import codecs
import re
from datetime import UTC, datetime
from pathlib import Path

from guardrails.errors import SourceError

MAX_BYTES = 64 * 1024 * 1024
"""largest file read: a year of daily positions of a large account is below 20 MiB"""

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_FOREIGN = ((b"PK\x03\x04", "a zip or Excel file"), (b"%PDF", "a PDF"), (b"\x1f\x8b", "a gzip file"))
_TOKEN = re.compile(r"[A-Za-z0-9]+")
_DATE = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])")


def display_name(path: Path) -> str:
    """The file's name without its folder, account numbers in it cut to their last four characters."""
    return _TOKEN.sub(lambda found: _masked(found.group()), path.name)


def _masked(token: str) -> str:
    looks_like_account = re.search(r"\d{5}", token) is not None and _DATE.fullmatch(token) is None
    return f"•••{token[-4:]}" if looks_like_account else token


def read_text(path: Path) -> str:
    """The text of the file; SourceError when it is missing, empty, over MAX_BYTES or not text."""
    name = display_name(path)
    if path.is_dir():
        raise SourceError(f"{name} is a folder: give one statement file")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise SourceError(
                f"{name} has {size / 1024**2:.0f} MiB, more than the {MAX_BYTES // 1024**2} MiB that are read: "
                "export positions for one date only"
            )
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise SourceError(f"{name} cannot be read: {getattr(error, 'strerror', None) or 'bad path'}") from None
    return decoded(content, name)


def decoded(content: bytes, name: str) -> str:
    """`content` as text: by byte-order mark, else UTF-8, else Windows-1252; SourceError when it is none of them."""
    if not content.strip():
        raise SourceError(f"{name} is empty: export the statement again")
    for magic, what in _FOREIGN:
        if content.startswith(magic):
            raise SourceError(f"{name} is {what}, not text: export the statement as XML, CSV or JSON")
    encoding = next((encoding for bom, encoding in _BOMS if content.startswith(bom)), None)
    if encoding is None and b"\x00" in content:
        raise SourceError(f"{name} is not text (it holds zero bytes): save it as UTF-8")
    for attempt in (encoding,) if encoding else ("utf-8", "cp1252"):
        try:
            text = content.decode(attempt).lstrip("\ufeff")
        except UnicodeDecodeError:
            continue
        if not text.strip():
            raise SourceError(f"{name} is empty: export the statement again")
        return text
    raise SourceError(f"{name} is neither UTF-8, UTF-16 nor Windows-1252 text: save it as UTF-8")


def modified(path: Path) -> datetime:
    """When the file was last written, in UTC: the only clock of an export that carries no time."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)

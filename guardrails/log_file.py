"""The file of the log: JSON Lines, rotated, for its owner only, of one process alone. No failure of it is raised."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from guardrails import redaction

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

OWN = ("guardrails", "adapters", "pages")
"""their INFO is written down; of libraries only warnings and worse, unless the root logger was told to take more"""
MAX_BYTES, OLD_FILES = 10_000_000, 5
REST_SECONDS = 30.0
"""after the file could not be written"""
LONGEST = 50_000
"""characters of a message, of a traceback, or of a field"""
_MAX_FILES = 9
_DEEPEST = 4
_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\u0085\u2028\u2029"}
"""JSON lets them stand, some readers take them for the end of a line"""
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "belongs", "color_message"}
"""what every record has; the rest came with `extra`"""

_log = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    """A `Record` as one line of JSON: time (UTC, ms), level, logger, message, what it belongs to, thread, exception.

    What `extra` gave stands under `extra`, texts redacted, values that JSON does not have as texts.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end; a record that cannot be written says so."""
        try:
            return json.dumps(self._line(record), ensure_ascii=False).translate(_ENDS)
        except Exception as error:  # of whatever somebody put into `extra`
            why = f"a record of {record.levelname} could not be written ({type(error).__name__})"
            return json.dumps({"logger": record.name, "level": "ERROR", "message": why})

    def _line(self, record: logging.LogRecord) -> dict[str, Any]:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {
            "time": moment,
            "level": record.levelname,
            "logger": record.name,
            "message": redaction.redact(record.getMessage()),  # once more, should another have made the record
            **getattr(record, "belongs", {}),
            "thread": record.threadName,
        }
        traceback = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")
        texts = {"exception": traceback, "stack": record.stack_info}
        line |= {name: redaction.redact(text) for name, text in texts.items() if text}
        if extra := {name: value for name, value in vars(record).items() if name not in _STANDARD}:
            line["extra"] = _plain(extra)
        return line


def _plain(value: object, depth: int = 0) -> Any:
    """`value` as JSON has it, redacted; a number that JSON lacks, and what is nested too deep, as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        said = redaction.redact(str(value))  # a number may be the secret, such as that of a chat
        return value if said == str(value) else said
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {redaction.redact(as_text(key)): _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        return [_plain(inner, depth + 1) for inner in value]
    return shortened(redaction.redact(as_text(value)))


def as_text(value: object) -> str:
    """`str(value)`, or that it cannot be had."""
    try:
        return str(value)
    except Exception as error:  # a foreign __str__ may raise anything, and a log line is no place to die
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def shortened(text: str) -> str:
    """`text`, but for what is beyond `LONGEST` characters."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST:,} characters more)"


class LogFile(RotatingFileHandler):
    """Writes to a file of this process alone, and never raises.

    When the file cannot be written, the console hears of it once; the file is tried again after `REST_SECONDS`, and
    then says how many records are missing.
    """

    def __init__(self, folder: Path, program: str) -> None:
        """`guardrails-PROGRAM.jsonl` in `folder`, or a numbered one when another process writes to that."""
        path, self._lock_handle = _own_file(folder, program)
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=OLD_FILES, encoding="utf-8", delay=True)
        self.setFormatter(JsonFormatter())
        self.addFilter(_is_wanted)
        self._failed: float | None = None
        """time of the record that could not be written last; None while all is well"""
        self._missed = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`, or count it as missed."""
        failed = self._failed
        if failed is not None and abs(record.created - failed) < REST_SECONDS:  # either way: a clock may jump
            self._missed += 1
            return
        super().emit(record)
        if failed is not None and self._failed == failed:
            missed, self._failed, self._missed = self._missed, None, 0
            _log.warning("%s is written again; %d records are missing", self.baseFilename, missed)

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: ARG002, N802  # as `logging` calls it
        """Whether the file is full; unlike the original this need not format the record once more."""
        self.stream = self.stream or self._open()
        return self.stream.tell() >= self.maxBytes

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # as above
        """Rest for a while; the first time say so on the console, without the record, which `logging` would print."""
        error, first = sys.exc_info()[1], self._failed is None
        self._failed, self._missed = record.created, self._missed + 1
        with suppress(OSError, ValueError):  # what is still in its buffer cannot be written now
            if self.stream:
                self.stream.close()
        self.stream = None
        if first and sys.stderr is not None:
            why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            with suppress(OSError, ValueError):
                print(f"{self.baseFilename} cannot be written ({why}): the log is on the console only", file=sys.stderr)

    def close(self) -> None:
        """Close the file and let another process have it."""
        with suppress(OSError):
            super().close()
        if self._lock_handle is not None:
            os.close(self._lock_handle)
            self._lock_handle = None

    def _open(self) -> TextIOWrapper:
        """The file for its owner only, begun on a new line should an earlier write have broken off."""
        path = Path(self.baseFilename)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            path.chmod(0o600)
            if os.lseek(handle, 0, os.SEEK_END) and os.lseek(handle, -1, os.SEEK_END) and os.read(handle, 1) != b"\n":
                os.write(handle, b"\n")
            # a lone surrogate becomes \udc80, which is how JSON writes it
            return os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace")
        except BaseException:
            os.close(handle)
            raise


def _is_wanted(record: logging.LogRecord) -> bool:
    own = record.name.partition(".")[0] in OWN
    return own or record.levelno >= logging.WARNING or logging.getLogger().isEnabledFor(record.levelno)


def _own_file(folder: Path, program: str) -> tuple[Path, int | None]:
    """A file that no other process writes to, and the lock on it, which ends with the process.

    Two that rotate one file lose lines. Where no lock can be had the number of the process makes the name unique.
    """
    names = [f"guardrails-{program}", *(f"guardrails-{program}.{n}" for n in range(2, _MAX_FILES + 1))]
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        for name in names:
            handle = os.open(folder / f".{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
            if _is_ours(handle):
                return folder / f"{name}.jsonl", handle
            os.close(handle)
    return folder / f"{names[0]}.{os.getpid()}.jsonl", None


def _is_ours(handle: int) -> bool:
    """Whether the open file is locked by this process now."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

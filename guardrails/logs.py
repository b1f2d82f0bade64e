"""What this process says of itself: JSON Lines in a file for machines, and warnings on the console for people.

Whatever the file, the console or the handler of a library writes has passed `redaction.redact`: the records themselves
are made so, because Streamlit and others bring handlers of their own. Tracebacks are kept. What belongs to one cycle
of the engine or one order carries its name (`correlated`).
"""

from __future__ import annotations

import contextvars
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from guardrails import redaction
from guardrails.log_file import OWN, LogFile, as_text, shortened

FOLDER = "logs"

_P = ParamSpec("_P")
_T = TypeVar("_T")
_belongs: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("belongs")
_log = logging.getLogger(__name__)


@contextmanager
def correlated(*, cycle: str = "", order: str = "") -> Iterator[None]:
    """Put the names that are given into every record made inside, also in awaited code and in `asyncio.to_thread`.

    For example `cycle="c-000123"`. For threads of one's own see `carried`.
    """
    given = {name: said for name, said in (("cycle", cycle), ("order", order)) if said}
    token = _belongs.set({**_belongs.get({}), **given})
    try:
        yield
    finally:
        _belongs.reset(token)


def carried(work: Callable[_P, _T]) -> Callable[_P, _T]:
    """`work` for another thread, whose records carry the names of the moment of this call."""
    context = contextvars.copy_context()

    @functools.wraps(work)
    def there(*arguments: _P.args, **named: _P.kwargs) -> _T:
        return context.copy().run(work, *arguments, **named)

    return there


class Record(logging.LogRecord):
    """A record whose message and traceback are redacted, whichever handler writes them."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.belongs = _belongs.get({})
        """what it is correlated with"""
        if self.exc_info:
            self.exc_text = shortened(redaction.redact(_TRACEBACKS.formatException(self.exc_info)))
        if self.stack_info:
            self.stack_info = shortened(redaction.redact(self.stack_info))

    def getMessage(self) -> str:  # noqa: N802  # the name is that of `logging`
        """The message, redacted; where its arguments do not fit, both as they are: no handler may print them raw."""
        try:
            said = super().getMessage()
        except Exception as error:  # whatever an argument's own __str__ raises
            said = f"{as_text(self.msg)} {as_text(self.args)} ({type(error).__name__} in this message)"
        return shortened(redaction.redact(said))


_TRACEBACKS = logging.Formatter()


def install(folder: Path | None, program: str = "app", *, console: int = logging.WARNING) -> Path | None:
    """Write INFO and worse to a file of `program` in `folder`/logs, and `console` and worse to standard error.

    The file, or None when `folder` is None. Handlers that libraries have are kept; those that do not pass their
    records on write to the file too. Further calls take up what libraries have added since, and change nothing else.
    """
    redaction.install()
    logging.setLogRecordFactory(Record)
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_died
    sys.excepthook = _died
    sys.unraisablehook = _nowhere_to_raise
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, redaction.StandardError):
            handler.setLevel(console)
    for name in OWN:
        if logging.getLogger(name).getEffectiveLevel() > logging.INFO:
            logging.getLogger(name).setLevel(logging.INFO)
    file = next((handler for handler in root.handlers if isinstance(handler, LogFile)), None)
    if file is None and folder is not None:
        file = LogFile(folder / FOLDER, program)
        root.addHandler(file)
        _log.info("process %d begins", os.getpid())
    if file is None:
        return None
    for logger in _apart():
        if file not in logger.handlers:
            logger.addHandler(file)
    return Path(file.baseFilename)


def _apart() -> list[logging.Logger]:
    """The loggers that do not pass their records on."""
    known = list(logging.getLogger().manager.loggerDict.values())
    return [logger for logger in known if isinstance(logger, logging.Logger) and not logger.propagate]


def _thread_died(told: threading.ExceptHookArgs) -> None:
    if told.exc_type is not SystemExit and told.exc_value is not None:
        name = "a thread" if told.thread is None else f"the thread {told.thread.name}"
        _log.critical("%s died", name, exc_info=(told.exc_type, told.exc_value, told.exc_traceback))


def _nowhere_to_raise(told: sys.UnraisableHookArgs) -> None:
    """As at the end of an object, where Python would write it to standard error as it is."""
    if told.exc_value is not None:
        error = (told.exc_type, told.exc_value, told.exc_traceback)
        _log.error("%s", told.err_msg or "an error that nothing could take", exc_info=error)


def _died(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _log.critical("this program died", exc_info=(kind, error, trace))

"""The log as a machine reads it: what a line holds, that no secret is in it, and that a full disk stops nobody."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import stat
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails import logs, redaction
from guardrails.log_file import OWN, LogFile
from tests.books import ROOT

log = logging.getLogger("guardrails.test")
PLANTED = "k3y" + '-Of/the+house"s\\door'
"""with a quote, a backslash and what URLs encode"""
PARTS = ("the+house", "k3y-Of")


@contextmanager
def installed(folder: Path | None, program: str = "app", **named: int) -> Iterator[Path]:
    """Logs in `folder`; everything of the process that they changed is put back at the end."""
    own = [logging.getLogger(name) for name in OWN]  # there, so that they are put back
    loggers = [
        logging.getLogger(),
        *own,
        *(x for x in logging.root.manager.loggerDict.values() if isinstance(x, logging.Logger)),
    ]
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    hooks, values = (sys.excepthook, sys.unraisablehook, threading.excepthook), redaction._values
    factory = logging.getLogRecordFactory()
    try:
        path = logs.install(folder, program, **named)
        assert folder is None or path is not None
        yield path or Path()
    finally:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, LogFile):
                handler.close()
        for logger, handlers, level in before:
            logger.handlers[:] = handlers
            logger.setLevel(level)
        logging.captureWarnings(capture=False)
        logging.setLogRecordFactory(factory)
        sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
        redaction._values = values


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with installed(tmp_path) as found:
        yield found


@dataclass
class Console:
    """What was written to standard error."""

    capsys: pytest.CaptureFixture[str]
    said: str = ""

    def getvalue(self) -> str:
        self.said += self.capsys.readouterr().err
        return self.said


@pytest.fixture
def console(capsys: pytest.CaptureFixture[str]) -> Console:
    return Console(capsys)


def lines(path: Path) -> list[dict[str, Any]]:
    """What is in the file, but for the line that says that the process begins."""
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in found if not line["message"].startswith("process ")]


def handler_of(path: Path) -> LogFile:
    return next(handler for handler in logging.getLogger().handlers if isinstance(handler, LogFile))


def fail(words: str = "no such thing") -> None:
    raise ValueError(words)


# --- what a line holds ---


def test_a_line_holds_time_level_logger_message_and_thread(path: Path) -> None:
    record = log.makeRecord("guardrails.x", logging.INFO, "", 0, "read %d of %s", (3, "U1234567"), None)
    record.created = 1_795_015_800.1236  # 2026-11-18 15:30:00 UTC, date -u -d @1795015800
    log.handle(record)
    assert lines(path) == [
        {"time": "2026-11-18T15:30:00.123Z", "level": "INFO", "logger": "guardrails.x",
         "message": "read 3 of •••4567", "thread": "MainThread"}
    ]  # fmt: skip


def test_a_line_holds_what_extra_gave_as_json_has_it(path: Path) -> None:
    class Broken:
        def __str__(self) -> str:
            fail()
            return ""

    given = {
        "number": 3, "part": 0.25, "unknown": float("nan"), "none": None, "yes": True, "huge": 10**5000,
        "when": datetime(2026, 11, 18, 15, 30, tzinfo=UTC), "accounts": ["U1234567"], "by": {"5WT00001": ("U1234567",)},
        "deep": [[[[["U1234567"]]]]], "broken": Broken(),
    }  # fmt: skip
    log.info("said", extra=given)
    (line,) = lines(path)
    extra = line["extra"]
    assert {name: extra[name] for name in ("number", "part", "unknown", "none", "yes", "when")} == {
        "number": 3, "part": 0.25, "unknown": "nan", "none": None, "yes": True, "when": "2026-11-18 15:30:00+00:00",
    }  # fmt: skip
    assert (extra["accounts"], extra["by"]) == (["•••4567"], {"•••0001": ["•••4567"]})
    assert extra["broken"] == "<Broken that cannot be shown: ValueError>"
    assert "U1234567" not in json.dumps(extra)
    assert "cannot be shown" in extra["huge"]


def test_a_traceback_is_kept_whole_and_redacted(path: Path, console: Console) -> None:
    redaction.hide(PLANTED)
    try:
        try:
            fail(f"with {PLANTED}")
        except ValueError as error:
            raise RuntimeError(f"because of\n{PLANTED}\nU1234567") from error
    except RuntimeError:
        log.exception("it failed for %s", PLANTED)
    (line,) = lines(path)
    assert line["message"] == "it failed for •••"
    assert line["exception"].splitlines()[0] == "Traceback (most recent call last):"
    assert "raise ValueError(words)" in line["exception"]
    assert "RuntimeError: because of\n•••\n•••4567" in line["exception"]
    assert "ValueError: with •••" in line["exception"]
    assert "Traceback (most recent call last):" in console.getvalue()
    assert not any(part in path.read_text() + console.getvalue() for part in PARTS)


@contextmanager
def unheard() -> Iterator[None]:
    """Nothing goes into pytest's report: what runs it in several processes cannot send a lone surrogate."""
    root = logging.getLogger()
    heard = [handler for handler in root.handlers if type(handler).__module__ == "_pytest.logging"]
    for handler in heard:
        root.removeHandler(handler)
    yield
    for handler in heard:
        root.addHandler(handler)


def test_texts_of_any_size_and_kind_make_one_line_of_json(path: Path) -> None:
    with unheard():
        log.warning("%s", "x" * 10_000_000)
        log.warning("two\nlines\u2028and \udc80 a lone surrogate")
        log.warning("with % but without", {"an": "argument"})
    long, odd, plain = lines(path)
    assert long["message"].endswith("… (9,950,000 characters more)")
    assert len(long["message"]) < 50_100
    assert odd["message"] == "two\nlines\u2028and \udc80 a lone surrogate"
    assert plain["message"].startswith("with % but without")


def test_levels_of_file_and_console_differ(path: Path, console: Console) -> None:
    log.debug("not written")
    log.info("in the file")
    logging.getLogger("somebody.else").info("not written either")
    logging.getLogger("somebody.else").warning("in both")
    assert [line["message"] for line in lines(path)] == ["in the file", "in both"]
    assert console.getvalue().splitlines()[0].endswith("WARNING somebody.else: in both")
    assert len(console.getvalue().splitlines()) == 1


def test_the_console_may_be_told_to_say_more(tmp_path: Path, console: Console) -> None:
    with installed(tmp_path, console=logging.INFO):
        log.info("for a person")
    assert "INFO guardrails.test: for a person" in console.getvalue()


def test_who_asks_for_everything_gets_it(tmp_path: Path) -> None:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    try:
        with installed(tmp_path) as path:
            log.debug("own")
            logging.getLogger("somebody.else").debug("foreign")
    finally:
        root.setLevel(level)
    assert [line["message"] for line in lines(path)] == ["own", "foreign"]


def test_libraries_that_keep_their_records_to_themselves_write_to_the_file_too(tmp_path: Path) -> None:
    apart = logging.getLogger("somebody.apart")
    apart.propagate = False
    try:
        with installed(tmp_path) as path:
            apart.warning("first")
            apart.removeHandler(handler_of(path))
            logs.install(tmp_path)
            apart.warning("second")
    finally:
        apart.propagate = True
    assert [line["message"] for line in lines(path)] == ["first", "second"]


def test_without_a_folder_only_the_console_is_written(tmp_path: Path, console: Console) -> None:
    with installed(None):
        log.warning("for %s", "U1234567")
        assert not any(isinstance(handler, LogFile) for handler in logging.getLogger().handlers)
    assert console.getvalue().endswith("WARNING guardrails.test: for •••4567\n")


def test_warnings_and_what_ends_a_thread_or_the_program_are_written(path: Path, console: Console) -> None:
    redaction.hide(PLANTED)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"old {PLANTED}", stacklevel=1)
    thread = threading.Thread(target=fail, args=(PLANTED,), name="reader")
    thread.start()
    thread.join()
    try:
        fail(PLANTED)
    except ValueError:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]  # there is one
    warned, died, ended = lines(path)
    assert warned["message"].splitlines()[0].endswith("UserWarning: old •••")
    assert (died["level"], died["message"]) == ("CRITICAL", "the thread reader died")
    assert (ended["level"], ended["message"]) == ("CRITICAL", "this program died")
    assert "ValueError: •••" in died["exception"]
    assert "ValueError: •••" in ended["exception"]
    assert not any(part in path.read_text() + console.getvalue() for part in PARTS)


class Ended:
    """Fails where nobody can take the error."""

    def __del__(self) -> None:
        fail(PLANTED)


def test_what_fails_at_the_end_of_an_object_is_written_without_secrets(tmp_path: Path, console: Console) -> None:
    gc.collect()  # what other tests have left does not end here
    with installed(tmp_path) as path:
        redaction.hide(PLANTED)
        Ended()
        gc.collect()
    [told] = lines(path)
    assert (told["level"], "ValueError: •••" in told["exception"]) == ("ERROR", True)
    assert not any(part in path.read_text() + console.getvalue() for part in PARTS)


# --- what belongs together ---


def cycles(path: Path) -> dict[str, tuple[str | None, str | None]]:
    return {line["message"]: (line.get("cycle"), line.get("order")) for line in lines(path)}


def test_what_belongs_to_a_cycle_or_an_order_says_so(path: Path) -> None:
    log.info("before")
    with logs.correlated(cycle="c-000001"):
        log.info("in it")
        with logs.correlated(order="o-7"):
            log.info("in both")
        log.info("in it again")
    log.info("after")
    assert cycles(path) == {
        "before": (None, None), "in it": ("c-000001", None), "in both": ("c-000001", "o-7"),
        "in it again": ("c-000001", None), "after": (None, None),
    }  # fmt: skip


def test_tasks_and_threads_say_to_what_they_belong(path: Path) -> None:
    async def cycle(name: str) -> None:
        with logs.correlated(cycle=name):
            await asyncio.sleep(0)
            log.info("task %s", name)
            await asyncio.to_thread(log.info, "its thread %s", name)
            thread = threading.Thread(target=logs.carried(log.info), args=("carried %s", name))
            bare = threading.Thread(target=log.info, args=("bare %s", name))
            for started in (thread, bare):
                started.start()
                started.join()

    async def both() -> None:
        await asyncio.gather(cycle("c-1"), cycle("c-2"))

    asyncio.run(both())
    words = ("task", "its thread", "carried")
    expected = {f"{word} {name}": (name, None) for word in words for name in ("c-1", "c-2")}
    assert cycles(path) == expected | {"bare c-1": (None, None), "bare c-2": (None, None)}


def test_carried_work_may_run_in_several_threads_at_once(path: Path) -> None:
    together = threading.Barrier(3)

    def work() -> None:
        together.wait(20)
        log.info("here %s", threading.current_thread().name)

    with logs.correlated(cycle="c-9"):
        there = logs.carried(work)
    threads = [threading.Thread(target=there, name=str(n)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(cycles(path).values()) == {("c-9", None)}
    assert len(lines(path)) == 3


# --- no secret ---

PLACES: Mapping[str, Callable[[str], object]] = {
    "message": lambda text: log.warning(text.replace("%", "%%")),
    "argument": lambda text: log.warning("said %s", text),
    "argument of another kind": lambda text: log.warning("said %r", [text]),
    "arguments that do not fit": lambda text: log.warning("said %s %s", text),  # noqa: PLE1206  # that is the point
    "arguments of the wrong kind": lambda text: log.warning("said %d", text),
    "extra": lambda text: log.warning("said", extra={"detail": text}),
    "extra's name": lambda text: log.warning("said", extra={"detail": {text: 1}}),
    "nested extra": lambda text: log.warning("said", extra={"detail": [{"x": (text,)}]}),
    "exception": lambda text: failing(words=text),
    "cause": lambda text: failing("it", text),
    "group": lambda text: failing_group(words=text),
    "note": lambda text: failing("it", note=text),
    "error of a library": lambda text: logging.getLogger("somebody.else").error(
        "POST %s", text, exc_info=ValueError(text)
    ),
    "apart": lambda text: logging.getLogger("tests.apart").error("POST %s", text, exc_info=ValueError(text)),
}


def failing(words: str, cause: str = "", note: str = "") -> None:
    try:
        try:
            fail(cause)
        except ValueError as error:
            problem = RuntimeError(words)
            problem.add_note(note)
            raise problem from error
    except RuntimeError:
        log.exception("failed")


def failing_group(words: str) -> None:
    log.warning("failed", exc_info=ExceptionGroup(words, [ValueError(words), KeyError(words)]))


SURROUNDED = st.text(st.characters(codec="utf-8", exclude_characters="%"), max_size=20)


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_reaches_the_file_the_console_or_the_handler_of_a_library(
    place: str, tmp_path: Path, console: Console
) -> None:
    foreign = io.StringIO()
    apart = logging.getLogger("tests.apart")
    apart.propagate = False

    @settings(max_examples=15)
    @given(before=SURROUNDED, after=SURROUNDED)
    def placed(before: str, after: str) -> None:
        PLACES[place](f"{before}{PLANTED}{after}\nU1234567")

    with installed(tmp_path) as path:
        redaction.hide(PLANTED)
        late = logging.StreamHandler(foreign)
        late.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        for logger in (logging.getLogger(), apart):
            logger.addHandler(late)
        placed()
        found = path.read_text(encoding="utf-8") + console.getvalue() + foreign.getvalue()
    apart.propagate = True
    assert len(lines(path)) >= 15
    assert "•••" in foreign.getvalue() or "extra" in place
    assert [part for part in (*PARTS, "U1234567", "door") if part in found] == []


# --- the file ---


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_may_read_the_file_which_is_rotated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = handler_of(path)
    handler.maxBytes = 2_000
    for number in range(300):
        log.info("line %03d", number)
    kept = sorted(path.parent.glob("guardrails-app.jsonl*"))
    assert len(kept) == 6
    assert {mode(file) for file in kept} == {0o600}
    assert mode(path.parent) == 0o700
    assert all(file.stat().st_size < 2_200 for file in kept)
    oldest_first = [path.with_name(f"{path.name}.{n}") for n in range(5, 0, -1)] + [path]
    told = [line["message"] for file in oldest_first for line in lines(file)]
    assert told == [f"line {number:03d}" for number in range(300 - len(told), 300)]
    assert len(told) > 60


def test_the_size_and_number_of_the_files_are_bounded(path: Path) -> None:
    handler = handler_of(path)
    assert (handler.maxBytes, handler.backupCount) == (10_000_000, 5)


def test_two_processes_never_share_a_file(path: Path, tmp_path: Path) -> None:
    code = """
        import logging, sys
        from pathlib import Path
        from guardrails import logs
        print(logs.install(Path(sys.argv[1]), sys.argv[2]).name)
        logging.getLogger("guardrails.other").warning("by another")
    """
    log.info("by this one")

    def other(program: str) -> str:
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), program]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    assert path.name == "guardrails-app.jsonl"
    assert other("app") == "guardrails-app.2.jsonl"
    assert other("watch") == "guardrails-watch.jsonl"
    assert [line["message"] for line in lines(path)] == ["by this one"]
    assert [line["message"] for line in lines(path.with_name("guardrails-app.2.jsonl"))] == ["by another"]
    handler_of(path).close()
    assert other("app") == "guardrails-app.jsonl"  # the lock ends with who held it


def test_a_line_that_broke_off_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "guardrails-app.jsonl").write_text('{"message": "bro')
    with installed(tmp_path) as path:
        log.info("whole")
    broken, *rest = path.read_text().splitlines()
    assert broken == '{"message": "bro'
    assert json.loads(rest[-1])["message"] == "whole"


def test_a_file_that_cannot_be_written_is_said_once_and_tried_again(
    path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(words: str, seconds: float) -> None:
        record = log.makeRecord(log.name, logging.WARNING, "", 0, words, (), None)
        record.created = 1_795_015_800.0 + seconds
        log.handle(record)

    said("kept", 0)
    handler_of(path).close()
    kept = path.read_text()
    path.unlink()
    path.mkdir()
    for seconds in (1, 2, 30, 40):  # 31 s after the first is 32, which is tried and fails
        said(f"lost {seconds}", seconds)
    path.rmdir()
    path.write_text(kept)
    said("lost at rest", 41)
    said("again", 75)
    assert [line["message"] for line in lines(path)] == [
        "kept", "again", f"{path} is written again; 5 records are missing",
    ]  # fmt: skip
    told = console.getvalue()
    assert told.count("cannot be written (Is a directory): the log is on the console only") == 1
    assert "lost 1" in told
    assert "Traceback" not in told


def test_a_clock_that_jumps_back_does_not_silence_the_file(path: Path, console: Console) -> None:
    handler = handler_of(path)
    for created, words in ((1_000_000.0, "lost"), (1_000.0, "written")):
        record = log.makeRecord(log.name, logging.WARNING, "", 0, words, (), None)
        record.created = created
        if words == "lost":
            handler.close()
            path.unlink(missing_ok=True)
            path.mkdir()
        else:
            path.rmdir()
        log.handle(record)
    assert [line["message"] for line in lines(path)][:1] == ["written"]


def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    """In a process that may not write files beyond 4,000 bytes, until it may: what `write` then says is another error
    than that of a full disk, at the same moment."""
    code = """
        import logging, resource, signal, sys
        from pathlib import Path
        from guardrails import log_file, logs
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        log_file.REST_SECONDS = 0.0
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, most))
        logs.install(Path(sys.argv[1]))
        log = logging.getLogger("guardrails.test")
        for number in range(100):
            log.info("line %d", number)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        log.info("there is room")
        print("lived")
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "lived\n"
    first, *more = done.stderr.splitlines()
    assert first.endswith("cannot be written (File too large): the log is on the console only")
    assert all("is written again" in line for line in more)
    written = (tmp_path / "logs" / "guardrails-app.jsonl").read_text().splitlines()
    whole = [line for line in written if line.endswith("}")]
    assert len(written) - len(whole) <= 1  # where it broke off
    told = [json.loads(line)["message"] for line in whole]
    assert told[1:3] == ["line 0", "line 1"]
    assert told[-2] == "there is room"
    missing = int(told[-1].rpartition("; ")[2].split(" ")[0])
    kept = len([words for words in told if words.startswith("line ")])
    assert kept + missing in (100, 101)  # a line may lack its end only, and is missing then


def test_a_folder_that_cannot_be_made_ends_nothing(tmp_path: Path, console: Console) -> None:
    (tmp_path / "logs").write_text("somebody's file")
    with installed(tmp_path):
        log.warning("for a person")
    assert "WARNING guardrails.test: for a person" in console.getvalue()
    assert console.getvalue().count("the log is on the console only") == 1


def test_installing_twice_writes_once(path: Path, tmp_path: Path) -> None:
    assert logs.install(tmp_path) == path
    log.info("once")
    assert [line["message"] for line in lines(path)] == ["once"]

"""What is masked, what must stay readable, and what reaches the log."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.redaction import RedactingFormatter, install, redact

# put together here, or the scan for secrets would find them
WORD = "hunter" + "2"
TOKEN = ".".join(("eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxIn0", "s-ig_na"))
"""a JWT: header and claims in base64, then the signature"""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # IBKR: U live, DU and DF paper, F and I advisors; 5 to 9 digits
        ("order rejected for U1234567", "order rejected for •••4567"),
        ("(DU123456)", "(•••3456)"),
        ("DF12345,F123456789", "•••2345,•••6789"),
        ("I12345 DI654321", "•••2345 •••4321"),
        ("account_U1234567=1", "account_•••4567=1"),
        ("U1234", "U1234"),
        ("U1234567890", "U1234567890"),
        # tastytrade
        ("5WT00001", "•••0001"),
        ("/accounts/5WX12345/positions", "/accounts/•••2345/positions"),
        ("5WX1A2B", "•••1A2B"),
        ("5WX123", "5WX123"),
        # what a trader reads every day
        ("U     260618C00030000", "U     260618C00030000"),
        ("U260618C00030000", "U260618C00030000"),
        ("SPXW  261218P05800000 and F 261218C00012000", "SPXW  261218P05800000 and F 261218C00012000"),
        ("./6EZ6 EUUZ6 261204P1.05 /6EZ26 /2YMZ26", "./6EZ6 EUUZ6 261204P1.05 /6EZ26 /2YMZ26"),
        ("ES 18Dec26 5800P, 18DEC26, 2DAYSLATER", "ES 18Dec26 5800P, 18DEC26, 2DAYSLATER"),
        ("matrix 0f3a9c1d2e4b, VIX3M 25.0, •••4567", "matrix 0f3a9c1d2e4b, VIX3M 25.0, •••4567"),
        # tokens
        ("Authorization: Bearer abc.DEF-123", "Authorization: Bearer •••"),
        ("authorization: bearer short", "authorization: bearer •••"),
        ("POST needs a bearer token", "POST needs a bearer token"),
        (f"token {TOKEN} ends", "token ••• ends"),
        # URLs
        (f"postgresql+psycopg://me:{WORD}@db:5432/x", "postgresql+psycopg://me:•••@db:5432/x"),
        (f"redis://:{WORD}@db", "redis://:•••@db"),
        (f"mysql://me:p@ss/w:{WORD}@db/x", "mysql://me:•••@db/x"),
        ("http://127.0.0.1:8501/data", "http://127.0.0.1:8501/data"),
    ],
)  # fmt: skip
def test_what_is_masked_and_what_stays(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


@given(st.text(), st.sampled_from(("U", "DU", "F", "DF", "I", "DI")), st.integers(10_000, 999_999_999), st.text())
def test_no_account_number_survives_between_other_words(before: str, kind: str, digits: int, after: str) -> None:
    assert f"{kind}{digits}" not in redact(f"{before} {kind}{digits} {after}")


@pytest.fixture
def fresh() -> Iterator[logging.Logger]:
    """The root logger, left as it was found."""
    root, quiet = logging.getLogger(), [logging.getLogger(name) for name in ("ib_async", "eventkit")]
    before, levels = list(root.handlers), [logger.level for logger in quiet]
    root.handlers = [handler for handler in before if not isinstance(handler.formatter, RedactingFormatter)]
    yield root
    root.handlers = before
    for logger, level in zip(quiet, levels, strict=True):
        logger.setLevel(level)


def fail() -> None:
    message = f"no such account U1234567 at https://me:{WORD}@broker"
    raise ValueError(message)


def test_a_traceback_is_masked(fresh: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    try:
        fail()
    except ValueError:
        logging.getLogger("adapters.test").exception("reading %s failed", "5WT00001")
    told = sys.stderr.getvalue()  # type: ignore[attr-defined]  # the buffer above
    assert "Traceback (most recent call last)" in told
    assert "ValueError: no such account •••4567 at https://me:•••@broker" in told
    assert "adapters.test: reading •••0001 failed" in told
    assert "U1234567" not in told
    assert WORD not in told


def test_only_warnings_and_worse_are_written(fresh: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    logger = logging.getLogger("adapters.test")
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    logger.info("quiet")
    logger.warning("loud")
    logging.getLogger("ib_async.wrapper").error("Error 502, reqId -1")
    logging.getLogger("eventkit").error("handler failed")
    assert sys.stderr.getvalue().splitlines()[0].endswith("WARNING adapters.test: loud")  # type: ignore[attr-defined]
    assert len(sys.stderr.getvalue().splitlines()) == 1  # type: ignore[attr-defined]


def test_installing_twice_writes_once_and_leaves_other_handlers(
    fresh: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    others, level = list(fresh.handlers), fresh.level
    install()
    install()
    assert fresh.handlers[: len(others)] == others
    assert len(fresh.handlers) == len(others) + 1
    assert fresh.level == level
    logging.getLogger("adapters.test").warning("for U1234567")
    assert caplog.messages == ["for U1234567"]


def test_times_are_utc() -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 0, "said", None, None)
    record.created = 1_795_015_800.0  # 2026-11-18 15:30:00 UTC, date -u -d @1795015800
    assert RedactingFormatter().format(record) == "2026-11-18T15:30:00Z WARNING x: said"

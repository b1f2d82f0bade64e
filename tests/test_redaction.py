"""What is masked, what must stay readable, and what reaches the log."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretBytes, SecretStr

from guardrails import redaction
from guardrails.redaction import MASK, RedactingFormatter, install, redact
from guardrails.settings import Settings, load_settings

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
        (r"KeyError('one\nU1234567\tDU123456')", r"KeyError('one\n•••4567\t•••3456')"),
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
        (f"mysql://db/x?user=me&sslpassword={WORD}&ssl=on", "mysql://db/x?user=me&sslpassword=•••&ssl=on"),
        # as a driver and its environment write it
        (f"host=db user=me PassWord={WORD} dbname=x", "host=db user=me PassWord=••• dbname=x"),
        (f"password='{WORD} and more' host=db, PGPASSWORD={WORD}", "password=••• host=db, PGPASSWORD=•••"),
        ("no password= and no passfile=/home/me/.pgpass", "no password= and no passfile=/home/me/.pgpass"),
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


# --- hidden by value ---

PLANTED = "pk" + "9/Xy" + '+tz%Q7&ö"k'
"""with everything in it that some encoding changes"""
DSN = "postgresql+psycopg://me:" + WORD + "%40x@db-prod-01:5432/guardrails"
HOOK = "https://hooks.example.com/services/T0AB12CD/B0EF34GH/" + "xYzAbC0123456789" * 2


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_values", {})


ENCODINGS: Mapping[str, Callable[[str], str]] = {
    "as it is": str,
    "URL": lambda text: quote(text, safe=""),
    "path of a URL": quote,
    "form": quote_plus,
    "URL in a URL": lambda text: quote(quote(text, safe=""), safe=""),
    "lower-case escapes": lambda text: quote(text, safe="").lower(),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "readable JSON": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[3:-3],
    "JavaScript": lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
    "representation": lambda text: repr("'" + text)[2:-1],
    "representation of bytes": lambda text: repr(b"'" + text.encode())[3:-1],
    "HTML": html.escape,
    "upper case": lambda text: "".join(char.upper() if char.isascii() else char for char in text),
}


def hides(*secrets: str) -> None:
    """Hide these and nothing else."""
    redaction._values = {}
    redaction.hide(*secrets)


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=30)
@given(st.text(min_size=6, max_size=30).filter(lambda text: text == text.strip()), st.text(), st.text())
@example(PLANTED, "", "")
@example(HOOK, "POST ", " failed")
def test_a_secret_is_hidden_in_every_encoding(encoding: str, secret: str, before: str, after: str) -> None:
    hides(secret)
    written = ENCODINGS[encoding](secret)
    assume(not {written, secret} & {before, after, MASK})
    shown = redact(f"{before}{written}{after}")
    assert written not in shown
    assert secret not in shown


def test_many_backslashes_are_looked_through_in_no_time_to_speak_of() -> None:
    secret = "\\" * 12 + "abcdef"
    hides(secret)
    text = "\\" * 2_000 + "abcdeg and abcdef " + "\\" * 2_000  # which took longer than anybody waits
    assert redact(text) == text
    assert redact(json.dumps(json.dumps(secret))) == f'"\\"{MASK}\\""'


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@settings(max_examples=50)
@given(st.text(min_size=8, max_size=40).filter(lambda text: text == text.strip()), st.binary(), st.binary())
@example(PLANTED, b"desk:", b"")
def test_a_secret_is_hidden_in_base64_with_whatever_stands_around_it(
    encode: Callable[[bytes], bytes], secret: str, before: bytes, after: bytes
) -> None:
    hides(secret)
    content = secret.encode()
    encoded = encode(before + content + after).decode()
    left = redact(f"Basic {encoded}").removeprefix("Basic ")
    assert MASK in left
    # six bits a letter: of a letter at either end a part belongs to what stands beside the secret
    assert len(encoded) - len(left.replace(MASK, "")) >= len(content) * 8 // 6 - 2


@given(st.lists(st.text("abXY1/%", min_size=6, max_size=12), min_size=1, max_size=4), st.data())
def test_secrets_that_overlap_are_all_hidden(secrets: list[str], data: st.DataObject) -> None:
    hides(*secrets)
    pieces = st.one_of(st.sampled_from(secrets), st.text("abXY1/% ", max_size=4))
    text = "".join(data.draw(st.lists(pieces, max_size=8)))
    shown = redact(text)
    assert [secret for secret in secrets if secret in shown] == []


@pytest.mark.parametrize(
    ("secrets", "text", "shown"),
    [
        # short ones are whole words only
        (("cat",), "the cat concatenates; cat, 'cat'", "the ••• concatenates; •••, '•••'"),
        (("a/b",), "a/b, xa/b, a%2Fb", "•••, xa/b, •••"),
        # a webhook: the whole, its path, and what in it is no word and no host
        ((HOOK,), f"POST {HOOK} gave 500", "POST https://••• gave 500"),
        ((HOOK,), "POST " + HOOK.partition(".com")[2], "POST •••"),
        ((HOOK,), "no team T0AB12CD at hooks.example.com/services", "no team ••• at hooks.example.com/services"),
        # channels as ALERT_URLS lists them
        (
            ("ops=tgram://123456789:AAxxBBccDD/4242424, pagerduty://abcdef0123@apikey99",),
            "bot123456789:AAxxBBccDD to 4242424; abcdef0123 apikey99",
            "bot•••:••• to •••; ••• •••",
        ),
        ((f"mailto://desk:{WORD}@gmail.com",), f"desk at gmail.com with {WORD}", "desk at gmail.com with •••"),
        # a topic of ntfy is a word: hidden where it can be nothing else
        (("ntfy://portfolio",), "portfolio: {'topic': 'portfolio'} to ntfy.sh/portfolio?x=1",
         "portfolio: {'topic': '•••'} to ntfy.sh/•••?x=1"),
        (("ntfys://ntfy.sh/my-desk",), "https://ntfy.sh/my-desk is my-desk", "https://••• is my-desk"),
        # of a database the password, also as the driver has it
        (
            (DSN,),
            f"db-prod-01: no {WORD}@x for me in /guardrails/engine.py",
            "db-prod-01: no ••• for me in /guardrails/engine.py",
        ),
        # one that was not escaped, in every way it may be cut
        (
            (f"postgresql+psycopg://me:{WORD}@Kx7Bq2Zz@db/book",),
            f"no host Kx7Bq2Zz@db for {WORD}",
            "no host •••@db for •••",
        ),
        ((f"postgresql+psycopg://me:{WORD}?Kx7@db/book",), f"as '{WORD}?Kx7'", "as '•••'"),
        ((f"postgresql+psycopg://me:{WORD} Kx7@db/book",), f"as '{WORD} Kx7'", "as '•••'"),
        ((f"postgresql+psycopg://me@db/book?sslpassword={WORD}%2F",), f"'{WORD}/', {WORD}%2f", "'•••', •••"),
        ((f"postgresql+psycopg://me:{WORD}/book",), f"no port '{WORD}' in /book", "no port '•••' in /book"),
        (("postgresql+psycopg://db:5432/book",), "port 5432 of db", "port 5432 of db"),
        (("sqlite:////data/guardrails.db",), "/data/guardrails.db is locked", "/data/guardrails.db is locked"),
        # account numbers keep their last four, even where they do not look like one
        (("U1234567, 5WT00001",), "xU1234567x 5WT00001", "x•••4567x •••0001"),
        # each line of a key in several lines
        (("-----BEGIN\nMIIEabcdefgh\n-----END",), "line MIIEabcdefgh of it", "line ••• of it"),
        # nothing to hide
        (("", "  ", "\n"), "nothing", "nothing"),
    ],
)  # fmt: skip
def test_what_is_hidden_of_a_secret(secrets: tuple[str, ...], text: str, shown: str) -> None:
    hides(*secrets)
    assert redact(text) == shown
    assert redact(shown) == shown


def test_what_was_hidden_stays_hidden_and_is_kept_once() -> None:
    redaction.hide("first-secret")
    known = len(redaction._values)
    redaction.hide("second-secret", "first-secret")
    redaction.hide("second-secret")
    assert redact("first-secret second-secret") == "••• •••"
    assert len(redaction._values) == 2 * known


def test_threads_may_hide_at_once() -> None:
    names = [f"secret-number-{number:03d}" for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(redaction.hide, names))
    assert redact(" ".join(names)) == " ".join([MASK] * 40)


class Nested(BaseModel):
    """Settings as they may become."""

    plain: str = "left alone"
    word: SecretStr = SecretStr("planted-word")
    raw: SecretBytes = SecretBytes(b"planted-bytes")
    several: tuple[SecretStr, ...] = (SecretStr("planted-one"), SecretStr("planted-two"))
    named: dict[str, SecretStr] = {"x": SecretStr("planted-named")}
    absent: SecretStr | None = None


def test_a_new_secret_of_the_settings_is_hidden_without_a_change_here() -> None:
    redaction.hide_settings(Nested())
    text = "planted-word planted-bytes planted-one planted-two planted-named"
    assert redact(f"{text} left alone") == "••• ••• ••• ••• ••• left alone"


def test_the_password_that_the_driver_takes_from_the_environment_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PLANTED)
    redaction.hide_settings(Nested())
    assert redact(f"libpq got {PLANTED} for me") == "libpq got ••• for me"


def test_every_secret_of_the_settings_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = {
        name: f"https://example.com/{name}-pl4nt3d" if "url" in name else f"{name}-pl4nt3d"
        for name, info in Settings.model_fields.items()
        if "Secret" in str(info.annotation)
    }
    assert {"database_url", "ibkr_account", "tt_secret", "tt_refresh"} <= set(planted)
    for name, value in planted.items():
        monkeypatch.setenv(name.upper(), value.replace("https", "postgresql") if name == "database_url" else value)
    redaction.hide_settings(load_settings())
    planted.pop("database_url")  # only its password is secret, and it has none here
    shown = redact(" ".join(planted.values()))
    assert "pl4nt3d" not in shown

"""The command: exit codes, the document, usage errors, and every flag."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from rich.console import Console

from guardrails import doctor
from guardrails.check_command import assess_once
from guardrails.cli import main
from guardrails.cli.terminal import parse_time
from guardrails.errors import SourceError
from guardrails.findings import Level
from guardrails.matrix import load
from guardrails.recording import STATE_FILE
from guardrails.report import print_doctor
from guardrails.settings import Settings
from guardrails.snapshot import from_json
from guardrails.store.evidence_head import HEAD_FILE
from guardrails.values import Source, SourceState, Stream, View
from tests.books import NOW, ROOT, account, stock
from tests.command import called
from tests.healthy import SHIPPED, edited_text
from tests.test_evidence import opened, write
from tests.test_look import Feed, Live, ibkr, tasty

STATEMENTS = ROOT.parent / "shared" / "data" / "statements"
needs_shared = pytest.mark.skipif(not STATEMENTS.is_dir(), reason="../shared/data is absent")
OPEN = "2026-11-18T10:30"
"""a Wednesday in session, New York time"""

Run = Callable[..., tuple[int, str, str]]


def calm(**limits: Any) -> str:
    """A matrix in which nothing is limited but what is given."""
    keys = next(iter(yaml.safe_load(SHIPPED)["regimes"].values()))["limits"]
    return edited_text({f"regimes.*.limits.{key}": limits.get(key) for key in keys})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with a matrix that limits nothing."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("GUARDRAILS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "risk_matrix.yaml").write_text(calm(), encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process: exit code, output, errors."""

    def call(*arguments: str, matrix: str | None = None) -> tuple[int, str, str]:
        if matrix is not None:
            (home / "risk_matrix.yaml").write_text(matrix, encoding="utf-8")
        return called(monkeypatch, capsys, *arguments)

    return call


# --- exit codes as monitoring plugins use them ---


def test_ok_is_0(run: Run) -> None:
    code, out, err = run("check", "--at", OPEN)
    assert (code, err) == (0, "")
    assert out.startswith("● OK")


# the demo holds at most 5 contracts of one line; WATCH starts at 80 %
@pytest.mark.parametrize(("spare", "code"), [(1.5, 0), (1.0, 1), (0.9, 2)])
def test_watch_is_1_and_breach_is_2(run: Run, spare: float, code: int) -> None:
    largest = max(
        abs(row["quantity"])
        for row in json.loads(run("check", "--json", "--at", OPEN)[1])["positions"]
        if "option" in row["kind"] or row["kind"] == "future"
    )
    assert run("check", "--at", OPEN, matrix=calm(max_position_contracts=int(largest * spare)))[0] == code


def test_unknown_is_3(run: Run) -> None:
    code, out, _ = run("check", "--at", OPEN, matrix=calm(max_drawdown_pct=0.1))
    assert code == 3
    assert out.startswith("? UNKNOWN")
    assert "no earlier" in out


def test_a_source_that_cannot_be_read_is_3(run: Run) -> None:
    code, out, _ = run("check", "--file", "none.xml")
    assert code == 3
    assert "none.xml" in out


def test_a_crash_is_3(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        """An output that is gone."""

        encoding = "utf-8"

        def write(self, _: str) -> int:
            raise OSError(32, "Broken pipe")

        def flush(self) -> None:
            raise OSError(32, "Broken pipe")

    monkeypatch.setattr(sys, "argv", ["guardrails", "check", "--at", OPEN])
    monkeypatch.setattr(sys, "stdout", Broken())
    with pytest.raises(SystemExit) as leaving:
        main()
    assert leaving.value.code == 3


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["check", "--bogus"], "--bogus"),
        (["check", "extra"], "extra"),
        (["nothing"], "nothing"),
        (["check", "--file", "a.xml", "--source", "demo"], "not both"),
        (["check", "--source", "demmo"], "'demmo'"),
        (["check", "--source", "statement:"], "'statement:'"),
        (["check", "--at", "yesterday"], "ISO"),
        (["check", "--at", "1980-01-01"], "calendar"),
        (["check", "--at", "9999-12-31T23:59"], "calendar"),
        (["check", "--at"], "--at"),
        (["doctor", "--at", OPEN], "--at"),
        (["audit", "nothing"], "nothing"),
        (["audit", "verify", "guardrails.db"], "guardrails.db"),
    ],
)
def test_wrong_usage_is_64(run: Run, arguments: list[str], word: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (64, "")
    assert word in err


def test_a_wrong_setting_is_64(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDRAILS_SOURCE", "demo")
    code, _, err = run("check")
    assert code == 64
    assert "did you mean GUARDRAILS_SOURCES" in err


def test_an_invalid_matrix_is_64_with_file_line_key_and_nearest(run: Run) -> None:
    wrong = calm().replace("max_beta_delta:", "max_beta_deta:", 1)
    line = next(i for i, text in enumerate(wrong.splitlines(), 1) if "max_beta_deta:" in text)
    for command in (["check"], ["matrix"]):
        code, out, err = run(*command, matrix=wrong)
        assert (code, out) == (64, "")
        assert f"risk_matrix.yaml:{line}: regimes.low_volatility.limits.max_beta_deta" in err
        assert "did you mean max_beta_delta?" in err


def test_no_matrix_at_all_is_64(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDRAILS_MATRIX", "nowhere.yaml")
    code, _, err = run("check")
    assert code == 64
    assert "nowhere.yaml" in err


@pytest.mark.parametrize("command", ["", "check", "matrix", "doctor", "audit", "audit verify"])
def test_help_is_0(run: Run, command: str) -> None:
    code, out, _ = run(*command.split(), "--help")
    assert code == 0
    assert "Usage" in out


# --- what it prints ---


def test_json_is_the_document(run: Run) -> None:
    code, out, err = run("check", "--json", "--at", OPEN)
    assert (code, err) == (0, "")
    snapshot = from_json(out.encode(), "output")
    assert snapshot.as_of == datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
    assert snapshot.sources[0].name == "demo"


def test_the_report_names_level_regime_totals_accounts_and_sources(run: Run) -> None:
    _, out, _ = run("check", "--at", OPEN)
    for word in ("Wed 18 Nov 2026 10:30:00 New York", "Regime low_volatility", "Net liquidation", "•••", "demo: live"):
        assert word in out


def test_matrix_reads_the_limits_aloud(run: Run) -> None:
    code, out, _ = run("matrix", matrix=SHIPPED)
    assert code == 0
    assert "is valid, version" in out
    assert "max_negative_vega" in out
    for name in ("low_volatility", "neutral_volatility", "high_volatility", "crisis_mode"):
        assert name in out


def test_matrix_of_another_file(run: Run, home: Path) -> None:
    (home / "mine.yaml").write_text(calm(max_gamma=123_456.0), encoding="utf-8")
    code, out, _ = run("matrix", "mine.yaml")
    assert code == 0
    assert "$123,456" in out
    assert run("matrix", "none.yaml")[0] == 64


def test_doctor_says_what_works(run: Run) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    for word in ("risk matrix", "data folder", "source demo", "IBKR_TRADING is off"):
        assert word in out
    assert "missing" not in out


def test_doctor_says_what_is_missing_and_exits_3(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "blocked").write_text("a file")
    monkeypatch.setenv("GUARDRAILS_DATA_DIR", str(home / "blocked"))
    monkeypatch.setenv("GUARDRAILS_SOURCES", "statement:none.xml")
    code, out, _ = run("doctor", matrix="nonsense: 1\n")
    assert code == 3
    assert out.count("✖ missing") == 3
    assert "GUARDRAILS_DATA_DIR" in out


LINKED = Source(
    "ibkr", SourceState.LIVE, NOW, "Connected.", condition="connected", retries=0, clock_skew=3.2,
    warnings=("delayed quotes for 2 contracts",), action="Set this computer's clock.",
    streams=(Stream("positions", NOW), Stream("quotes", None, works=False, detail="no permission")),
)  # fmt: skip


def told(view: View) -> tuple[int, str]:
    """Exit code and text of the doctor about one view."""
    screen = Console(file=io.StringIO(), width=200, highlight=False)
    code = print_doctor([doctor.told_of(view)], screen)
    return code, screen.file.getvalue()  # type: ignore[attr-defined]  # the buffer above


def test_doctor_tells_of_a_source_what_works_what_does_not_and_what_to_do() -> None:
    code, out = told(View(LINKED, (account(),), (stock("SPY", 1, 600.0),)))
    assert code == 0
    assert [line.strip() for line in out.splitlines()] == [
        "● works    source ibkr: live (connected), 1 accounts, 1 positions. Connected.",
        "does not work: quotes, no permission",
        "works in part: delayed quotes for 2 contracts",
        "its clock is 3.2 s ahead of ours",
        "what to do: Set this computer's clock.",
    ]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (SourceState.LIVE, 0),
        (SourceState.CLOSED, 0),
        (SourceState.FILE, 0),
        (SourceState.STALE, 3),
        (SourceState.DOWN, 3),
        (SourceState.CONNECTING, 3),
    ],
)
def test_a_source_that_does_not_speak_does_not_work_whatever_it_held(state: SourceState, code: int) -> None:
    held = View(replace(LINKED, state=state), (account(),), (stock("SPY", 1, 600.0),))
    assert told(held)[0] == code


def test_a_connection_that_was_never_made_says_why() -> None:
    refused = replace(
        LINKED, state=SourceState.DOWN, condition="refused", detail="Nothing listens.", action="Start it."
    )
    code, out = told(View(refused))
    assert code == 3
    assert "✖ missing  source ibkr: down (refused), 0 accounts, 0 positions. Nothing listens." in out
    assert "what to do: Start it." in out
    assert told(View(replace(LINKED, condition="connected")))[0] == 3  # connected, but no account: not a book


# --- the evidence log ---


def test_audit_verify_without_a_database_is_3(run: Run, home: Path) -> None:
    code, out, err = run("audit", "verify")
    assert (code, err) == (3, "")
    assert f"There is no database at {home / 'data' / 'guardrails.db'}" in out
    assert not (home / "data").exists()


def test_audit_verify_says_how_many_and_names_the_row_that_was_changed(run: Run, home: Path) -> None:
    database = home / "data" / "guardrails.db"
    database.parent.mkdir()
    engine = opened(database)
    write(engine, "ibkr", "ibkr", "demo:calm", head=database.with_name(HEAD_FILE))
    engine.dispose()
    # the third entry is 2 s after 20:50 UTC
    good = "3 entries of 2 books verify; the last is of Fri 20 Nov 2026 15:50:02 New York.\n"
    assert run("audit", "verify") == (0, good, "")
    database.write_bytes(database.read_bytes().replace(b'"number":1}', b'"number":7}'))
    code, out, err = run("audit", "verify", "--database", str(database))
    assert (code, err) == (2, "")
    assert "book 'ibkr', row 2: edited" in out


# --- every flag changes an outcome ---


def test_at_changes_the_moment(run: Run) -> None:
    moments = {json.loads(run("check", "--json", "--at", text)[1])["as_of"] for text in (OPEN, "2026-11-19T10:30")}
    assert moments == {"2026-11-18T15:30:00Z", "2026-11-19T15:30:00Z"}


def test_two_files_are_read_together(run: Run, home: Path) -> None:
    for name, number in (("one.csv", "5WT00001"), ("two.csv", "5WT00002")):
        (home / name).write_text(positions_csv(number), encoding="utf-8")
    _, out, _ = run("check", "--json", "--at", OPEN, "--file", "one.csv", "--file", "two.csv")
    found = json.loads(out)
    assert [row["name"] for row in found["sources"]] == ["statement:one.csv+two.csv"]
    assert sorted(row["account"] for row in found["positions"]) == ["•••0001", "•••0002"]


def positions_csv(account: str) -> str:
    """A positions export of tastytrade with one line."""
    return f"Account,Symbol,Type,Quantity,Exp Date,Strike Price,Call/Put,Mark\n{account},AAPL,STOCK,10,,,,250.00\n"


def test_the_same_file_twice_is_not_a_larger_book(run: Run, home: Path) -> None:
    (home / "one.csv").write_text(positions_csv("5WT00001"), encoding="utf-8")
    _, out, _ = run("check", "--json", "--at", OPEN, "--file", "one.csv", "--file", "one.csv")
    assert [row["quantity"] for row in json.loads(out)["positions"]] == [10]


def test_source_replaces_the_setting(run: Run, home: Path) -> None:
    (home / "one.csv").write_text(positions_csv("5WT00001"), encoding="utf-8")
    _, out, _ = run("check", "--json", "--at", OPEN, "--source", "statement:one.csv")
    assert [row["name"] for row in json.loads(out)["sources"]] == ["statement:one.csv"]


def test_prices_reach_the_book(run: Run, home: Path) -> None:
    (home / "one.csv").write_text(positions_csv("5WT00001"), encoding="utf-8")
    (home / "prices.csv").write_text("symbol,price,beta,time\nAAPL,300,1.2,2026-11-18T15:30:00Z\n", encoding="utf-8")
    arguments = ("check", "--json", "--at", OPEN, "--file", "one.csv")
    without = json.loads(run(*arguments)[1])["positions"][0]
    given = json.loads(run(*arguments, "--prices", "prices.csv")[1])["positions"][0]
    assert (without["beta"], given["beta"]) == (None, 1.2)
    assert given["delta_dollars"] == 3_000


def test_the_state_of_an_engine_is_read_and_not_written(run: Run, home: Path) -> None:
    run("check", "--at", OPEN)
    assert not (home / "data" / STATE_FILE).exists()


def test_a_feed_that_cannot_follow_is_a_finding(home: Path) -> None:
    feed, holder = Feed("tastytrade", tasty()), Live("ibkr", ibkr())
    feed.refuses = SourceError("too many symbols")
    matrix = load(home / "risk_matrix.yaml")
    findings = assess_once([feed, holder], matrix, Settings(), lambda: NOW).snapshot.findings
    found = next(finding for finding in findings if finding.check == "engine")
    assert (found.subject, found.level) == ("task:follow tastytrade", Level.UNKNOWN)
    assert "too many symbols" in found.message


@needs_shared
@pytest.mark.parametrize("name", ["ibkr_flex_open_positions.xml", "tastytrade_positions_doc_example.json"])
def test_real_statements_give_a_verdict(run: Run, name: str) -> None:
    code, out, err = run("check", "--json", "--file", str(STATEMENTS / name))
    assert code in (2, 3)
    assert err == ""
    assert json.loads(out)["positions"]


# --- times ---


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-18T10:30", datetime(2026, 11, 18, 15, 30, tzinfo=UTC)),
        ("2026-07-15T10:30", datetime(2026, 7, 15, 14, 30, tzinfo=UTC)),  # summer time
        ("2026-11-18T10:30:00Z", datetime(2026, 11, 18, 10, 30, tzinfo=UTC)),
        ("2026-11-18T10:30+01:00", datetime(2026, 11, 18, 9, 30, tzinfo=UTC)),
        ("2026-11-18 10:30", datetime(2026, 11, 18, 15, 30, tzinfo=UTC)),
        ("2026-11-18", datetime(2026, 11, 18, 21, 0, tzinfo=UTC)),
        ("2026-11-27", datetime(2026, 11, 27, 18, 0, tzinfo=UTC)),  # half-day: closes at 13:00
        ("2026-11-22", datetime(2026, 11, 20, 21, 0, tzinfo=UTC)),  # a Sunday: Friday's close
    ],
)
def test_times(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01", "2026-11-18T25:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="ISO time"):
        parse_time(text)


# --- a real process ---


def test_a_real_process(home: Path) -> None:
    command = [str(Path(sys.executable).with_name("guardrails")), "check", "--json", "--at", OPEN]
    done = subprocess.run(command, cwd=home, env=os.environ, capture_output=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert from_json(done.stdout, "output").positions

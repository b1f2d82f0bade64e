"""Full account numbers never leave the process: not in documents, files, logs, exceptions, representations, output."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from guardrails import http
from guardrails.assess import assess
from guardrails.engine import Engine, EngineSettings
from guardrails.errors import GuardrailsError, SourceError
from guardrails.findings import Level
from guardrails.matrix import MatrixFile
from guardrails.memory import Memory
from guardrails.recording import SNAPSHOT_FILE, STATE_FILE
from guardrails.snapshot import to_json
from guardrails.values import AccountId, Source, SourceState, View
from tests.books import MATRIX, NOW, account, market, option, stock
from tests.healthy import SHIPPED
from tests.test_engine import Clock, Desk, until

TWINS = (AccountId("IBKR", "U1119876"), AccountId("IBKR", "U2229876"))
"""two accounts whose last four are the same"""
NUMBERS = (*(twin.number for twin in TWINS), "5WX31337")
THIRD = AccountId("tastytrade", NUMBERS[2])


def trouble() -> View:
    """A book in which every account has something to complain of, so that every message names it."""
    positions = [
        option("SPXW  261118P05800000", -60, "-0.2 0.1 90 -9", TWINS[0]),
        option("SPXW  261118P05800000", None, None, TWINS[1], reasons=("line 7: no quantity",)),
        stock("XYZ", 1_000, None, THIRD),
        stock("NEW", 1, 1.0, AccountId("IBKR", "U4449876")),
    ]
    accounts = (
        account(TWINS[0], 100_000.0, 1_000.0, margin_call=True),
        account(TWINS[1], 50_000.0, 1_000.0, currency="CHF"),
        account(THIRD, None),
    )
    return View(Source("test", SourceState.STALE, NOW, "silent"), accounts, tuple(positions), market())


def assert_masked(text: str, where: str) -> None:
    found = [number for number in (*NUMBERS, "U4449876") if number in text]
    assert found == [], where


def test_the_document_masks() -> None:
    result = assess([trouble()], MATRIX, Memory(), NOW)
    document = to_json(result.snapshot).decode()
    assert_masked(document, "document")
    assert document.count("•••9876") > 5
    assert_masked(json.dumps(json.loads(document)), "escaped")


def test_accounts_with_the_same_last_four_stay_two() -> None:
    result = assess([trouble()], MATRIX, Memory(), NOW)
    rows = [row for row in result.snapshot.accounts if row.account == "•••9876"]
    assert len(rows) == 3
    assert {row.net_liquidation for row in rows} == {100_000.0, None}
    found = [f.level for f in result.snapshot.findings if f.check == "margin_cushion" and "9876" in f.subject]
    assert len(found) == 3
    assert found.count(Level.BREACH) >= 2


def test_representations_mask() -> None:
    result = assess([trouble()], MATRIX, Memory(), NOW)
    for value in (TWINS[0], trouble(), result.portfolio, result.memory, result.snapshot, result):
        assert_masked(repr(value), type(value).__name__)
        assert_masked(str(value), type(value).__name__)
        assert_masked(f"{value}", type(value).__name__)


def test_exceptions_mask() -> None:
    for error in (SourceError(f"{TWINS[0]}: gone"), GuardrailsError(f"{TWINS[0]!r} is not known")):
        assert_masked(str(error), "exception")
        assert_masked(repr(error), "exception")


def run_in_trouble(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Engine:
    """An engine that has run over the troubled book, failed once, and stopped."""
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "risk_matrix.yaml"
    path.write_text(SHIPPED, encoding="utf-8")
    desk = Desk("test", trouble())
    engine = Engine([desk], MatrixFile.open(path), EngineSettings(tmp_path / "data", 0.02, 0.1), Clock())
    engine.start()
    until(lambda: engine.health().cycles > 1)
    desk.says = replace(trouble(), positions=("broken",))  # type: ignore[arg-type]  # a broken adapter
    until(lambda: engine.health().problems != ())
    engine.stop()
    return engine


def test_files_and_routes_and_logs_mask(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopped = run_in_trouble(tmp_path, caplog)
    for name in (SNAPSHOT_FILE, STATE_FILE):
        path = stopped.settings.data_dir / name
        assert_masked(path.read_text(encoding="utf-8"), name)
    assert any(record.levelno >= logging.ERROR for record in caplog.records)
    assert any("•••9876" in record.getMessage() for record in caplog.records)
    assert_masked(caplog.text, "log with its tracebacks")
    for answer in (http.healthz, http.readyz, http.metrics, http.snapshot):
        assert_masked(answer(stopped)[2].decode(), answer.__name__)


def test_the_command_masks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    from guardrails.cli import main  # noqa: PLC0415  # the only user

    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GUARDRAILS_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "risk_matrix.yaml").write_text(SHIPPED, encoding="utf-8")
    head = "Account,Symbol,Type,Quantity,Exp Date,Strike Price,Call/Put,Mark\n"
    rows = f"{NUMBERS[2]},AAPL,STOCK,10,,,,250.00\n{NUMBERS[2]},AAPL,STOCK,ten,,,,250.00\n"
    book = tmp_path / f"{NUMBERS[2]}_positions.csv"
    book.write_text(head + rows, encoding="utf-8")
    for arguments in (["check"], ["check", "--json"], ["doctor"]):
        monkeypatch.setenv("GUARDRAILS_SOURCES", f"statement:{book.name}")
        monkeypatch.setattr(sys, "argv", ["guardrails", *arguments])
        with pytest.raises(SystemExit):
            main()
        told = capsys.readouterr()
        assert_masked(told.out + told.err, " ".join(arguments))
    assert_masked(caplog.text, "log")

"""`guardrails safety`: a state is set by whoever watches; STOPPED also where nobody does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from guardrails import safety_command
from guardrails.execution.safety_file import SAFETY_FILE, STOP_FILE, SafetyFile
from guardrails.requests import Answer, Kind, Said
from guardrails.safety import Cause, SafetyState
from guardrails.safety_command import set_state
from guardrails.settings import Settings
from tests.books import NOW
from tests.command import called
from tests.exchange import Clock

ACCOUNT = "U7654321"

Set = Callable[..., tuple[int, str]]


@pytest.fixture
def ask(tmp_path: Path) -> Set:
    """The command on a book that nobody watches."""

    def asked(state: str, reason: str = "lunch", **more: Any) -> tuple[int, str]:
        given = {"guardrails_data_dir": tmp_path / "data", **more}
        return set_state(state, reason, Settings(_env_file=None, **given), ["demo"], Clock())

    return asked


@pytest.mark.parametrize("state", ["STOPPED", "stopped", "Stopped"])
def test_stopped_lays_a_file_down_that_whoever_watches_next_obeys(ask: Set, tmp_path: Path, state: str) -> None:
    code, words = ask(state)
    assert code == 0
    assert words == (
        "The file STOP lies in the data folder; whoever watches next is STOPPED (nobody watches this book now)."
    )
    kept = SafetyFile(tmp_path / "data", lambda _: None)
    kept.open("demo", None, NOW)
    kept.look(NOW, NOW - NOW)
    assert (kept.now.state, kept.now.cause, kept.now.reason) == (SafetyState.STOPPED, Cause.STOP_FILE, "lunch")


@pytest.mark.parametrize("state", ["NORMAL", "NO_NEW_RISK", "no-new-risk", "REDUCE_ONLY"])
def test_any_other_state_needs_somebody_who_watches(ask: Set, tmp_path: Path, state: str) -> None:
    assert ask(state) == (3, "Nothing was set: nobody watches this book now.")
    assert not (tmp_path / "data" / STOP_FILE).exists()
    assert not (tmp_path / "data" / SAFETY_FILE).exists()


@pytest.mark.parametrize("state", ["", "STOP", "NORMAL ", "5", "x" * 10_000])
def test_what_is_no_state_is_wrong_usage_and_says_which_there_are(ask: Set, tmp_path: Path, state: str) -> None:
    code, words = ask(state)
    assert code == 64
    assert "write one of NORMAL, NO_NEW_RISK, REDUCE_ONLY, STOPPED." in words
    assert len(words) < 200
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("reason", ["", "  ", "\n\t"])
def test_a_state_without_a_reason_is_wrong_usage(ask: Set, tmp_path: Path, reason: str) -> None:
    assert ask("STOPPED", reason)[0] == 64
    assert not (tmp_path / "data").exists()


def test_the_file_holds_one_line_and_no_account_number(ask: Set, tmp_path: Path) -> None:
    assert ask("STOPPED", f"  margin call\nof {ACCOUNT}\n")[0] == 0
    assert (tmp_path / "data" / STOP_FILE).read_text(encoding="utf-8") == "margin call of •••4321\n"


@pytest.mark.parametrize("url", ["postgresql+psycopg://me@127.0.0.1:1/book", "mysql://me@127.0.0.1/book", "rubbish"])
def test_a_database_that_is_away_does_not_keep_stopped_back_and_is_not_taken_for_nobody(
    ask: Set, tmp_path: Path, url: str
) -> None:
    code, words = ask("REDUCE_ONLY", database_url=SecretStr(url))
    assert code == 3
    assert words.startswith("Nothing was set: who watches this book is not known (")
    assert not words.endswith("..")
    code, words = ask("STOPPED", database_url=SecretStr(url))
    assert code == 0
    assert "who watches this book is not known" in words
    assert (tmp_path / "data" / STOP_FILE).is_file()


def test_a_folder_that_cannot_be_written_is_said_not_to_have_stopped_anything(ask: Set, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way", encoding="utf-8")
    code, words = ask("STOPPED")
    assert code == 3
    assert words.startswith("Not stopped: ")
    assert "the data folder cannot be written" in words


@pytest.mark.parametrize(
    ("said", "state", "code", "stopped"),
    [
        (Said.DONE, "STOPPED", 0, False),
        (Said.DONE, "NORMAL", 0, False),
        (Said.REFUSED, "NORMAL", 3, False),
        (Said.UNKNOWN, "NORMAL", 3, False),
        (Said.REFUSED, "STOPPED", 0, True),
        (Said.UNKNOWN, "STOPPED", 0, True),
    ],
)
def test_the_answer_of_who_watches_is_told_and_stopped_is_made_sure_of(
    ask: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Said, state: str, code: int, *, stopped: bool
) -> None:
    asked = []

    def watch(kind: Kind, body: dict[str, str], *_: object) -> Answer:
        asked.append((kind, body))
        return Answer("k", NOW, said, "That is the word.")

    monkeypatch.setattr(safety_command, "ask_the_watch", watch)
    found, words = ask(state, "storm")
    assert (found, (tmp_path / "data" / STOP_FILE).exists()) == (code, stopped)
    assert "That is the word" in words
    assert asked == [(Kind.SAFETY, {"state": state, "reason": "storm"})]


def test_the_command_line_passes_state_and_reason_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("GUARDRAILS_DATA_DIR", str(tmp_path / "data"))
    assert called(monkeypatch, capsys, "safety", "STOPPED", "--reason", "lunch")[0] == 0
    assert (tmp_path / "data" / STOP_FILE).read_text(encoding="utf-8") == "lunch\n"
    assert called(monkeypatch, capsys, "safety", "STOPPED")[0] == 64
    assert called(monkeypatch, capsys, "safety", "--reason", "lunch")[0] == 64
    assert called(monkeypatch, capsys, "safety", "PANIC", "--reason", "lunch")[0] == 64
    assert called(monkeypatch, capsys, "safety", "NORMAL", "--reason", "lunch")[0] == 3

"""What must survive is proven as it is stored: with a real file, and once however often it is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guardrails import redaction
from guardrails.audit import verify_store
from guardrails.findings import Level
from guardrails.store.evidence_head import HEAD_FILE, read_head
from guardrails.store.proof import insert_proven, row_hash
from guardrails.store.writer import Writer
from tests.stored import ask, change, clock, eventually, finding, hand, moment, on_server, opened


def written(folder: Path) -> Writer:
    """A writer that has kept one finding that worsened, and has stopped."""
    database = opened(folder)
    writer = Writer(database, folder / "spool", clock)
    writer.start()
    for seconds, level in ((0, Level.OK), (2, Level.BREACH)):
        hand(writer, moment(seconds, findings=(finding(level),)))
    assert writer.settled(20)
    assert eventually(lambda: read_head(folder / HEAD_FILE) is not None)
    writer.stop(20)
    database.close()
    return writer


def verified(folder: Path) -> tuple[int, list[str]]:
    """What `guardrails audit verify` says."""
    place = on_server(folder)
    return verify_store(folder, None if place is None else place.url)


def test_each_transition_has_its_entry_and_the_log_verifies(tmp_path: Path, kind: str) -> None:
    assert written(tmp_path).health().problem == ""
    found = [
        json.loads(body) for (body,) in ask(tmp_path, "SELECT body FROM evidence WHERE kind = 'finding' ORDER BY seq")
    ]
    assert [(body["old"], body["new"]) for body in found] == [(None, "OK"), ("OK", "BREACH")]
    assert ask(tmp_path, "SELECT count(*) FROM evidence WHERE kind = 'matrix'") == [(1,)]
    code, lines = verified(tmp_path)
    assert (code, "verify" in lines[0]) == (0, True)


def test_an_edited_transition_is_found_by_its_entry(tmp_path: Path, kind: str) -> None:
    written(tmp_path)
    change(tmp_path, "UPDATE evidence SET body = replace(body, 'BREACH', 'WATCH') WHERE kind = 'finding'")
    code, lines = verified(tmp_path)
    assert code == 2
    assert any("edited" in line for line in lines)


PROOF = "a3569b121fd7440c5b7b92d68057d6054b096d5be9d4f19c4a3f8b086f08f43f"  # pragma: allowlist secret


def test_a_row_that_is_sent_twice_is_proven_once(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)
    rows = [
        ("books", ("0123456789abcdef", "demo", 1_000_000)),
        ("matrix_versions", ("0123456789abcdef", "abc", "version: 1", 1_000_000)),
    ]
    with database.writing(durable=True) as connection:
        assert len(insert_proven(connection, rows)) == 1
    with database.writing(durable=True) as connection:
        assert insert_proven(connection, rows) == []
    database.close()
    [(entry, body)] = ask(tmp_path, "SELECT kind, body FROM evidence")
    # printf abc | sha256sum, its first 16 digits; then the JSON of the row, see test_audit_rows
    proof = "ba7816bf8f01cfea " + PROOF
    assert (entry, body) == ("matrix", f'{{"first_used":1000000,"hash":"abc","row":"{proof}"}}')


def test_an_account_number_is_masked_in_the_evidence(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)
    rows = [
        ("books", ("0123456789abcdef", "demo", 1_000_000)),
        ("matrix_versions", ("0123456789abcdef", "of U1234567", "version: 1", 1_000_000)),
    ]
    with database.writing(durable=True) as connection:
        insert_proven(connection, rows)
    database.close()
    [(body,)] = ask(tmp_path, "SELECT body FROM evidence")
    assert body.startswith('{"first_used":1000000,"hash":"of \\u2022\\u2022\\u20224567","row":"')
    assert "1234567" not in body


def test_a_hash_that_happens_to_hold_a_secret_still_proves_its_row(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"book": "0123456789abcdef", "hash": "abc", "content": "version: 1", "first_used": 1_000_000}
    monkeypatch.setattr(redaction, "_values", {})
    redaction.hide(row_hash("matrix_versions", row)[:8])  # as any eight letters may stand in one of many hashes
    database = opened(tmp_path)
    with database.writing(durable=True) as connection:
        insert_proven(connection, [("books", (row["book"], "demo", 1_000_000)), ("matrix_versions", (*row.values(),))])
    database.close()
    [(body,)] = ask(tmp_path, "SELECT body FROM evidence")
    assert f'"row":"ba7816bf8f01cfea {PROOF}"' in body
    assert "not_written" not in body

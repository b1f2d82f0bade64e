"""The Limits page while the file it reads aloud is being edited."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrails.matrix import MatrixFile
from tests.books import ROOT
from tests.stored import eventually
from tests.test_pages import Start, book, shown, start, words

__all__ = ["start"]  # a fixture


def test_a_file_that_is_refused_is_named_on_the_page_that_reads_it_aloud(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, text = tmp_path / "risk_matrix.yaml", (ROOT / "risk_matrix.yaml").read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    monkeypatch.setattr("tests.test_pages.MATRIX_FILE", MatrixFile.open(file))
    engine = start(book())
    assert "is not valid" not in words(shown("limits.py"))
    file.write_text(text.replace("watch_at:", "watch_att:"), encoding="utf-8")

    def refused() -> bool:
        return any("watch_att" in finding.message for finding in engine.latest.findings)  # type: ignore[union-attr]  # `start` waited for one

    assert eventually(refused)
    said = words(shown("limits.py"))
    assert "The risk matrix on disk is not valid, the last valid one stays in force." in said
    assert "did you mean watch_at?" in said

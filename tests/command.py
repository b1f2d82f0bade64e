"""The command as a person runs it, in this process."""

from __future__ import annotations

import sys

import pytest

from guardrails.cli import main


def called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """Exit code, output and errors of `guardrails` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["guardrails", *arguments])
    with pytest.raises(SystemExit) as leaving:
        main()
    told = capsys.readouterr()
    assert isinstance(leaving.value.code, int)
    return leaving.value.code, told.out, told.err

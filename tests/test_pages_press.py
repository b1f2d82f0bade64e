"""Buttons act in callbacks: a line after `if st.button(...)` is not reached when the run ends before it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from streamlit.runtime.scriptrunner import RerunData, RerunException

from pages._press import act
from tests.books import ROOT

LOOKS_ONLY = (
    "'Ask again'", "'Show (ET)'", "'Show the past'", "'Show Risk and Positions as they were'", "'what_if_stop'",
    "deed_",
)  # fmt: skip
"""in the calls of buttons that lead to another page or moment, ask for quotes, or end a computation: a person sees at
once that nothing came of it, and nothing was to be done by it"""


def branched(path: Path) -> list[str]:
    """Keys of the buttons of a page whose value is looked at, and that have no callback."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)]
    looked_at = [one for one in calls if one.func.attr == "button" and id(one) not in bare]  # type: ignore[attr-defined]  # chosen above
    return [
        ast.unparse(one) for one in looked_at if not any(word.arg == "on_click" for word in one.keywords)
    ]  # fmt: skip


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("*.py")), ids=lambda path: path.name)
def test_what_a_button_does_is_done_by_its_callback(path: Path) -> None:
    assert [call for call in branched(path) if not any(word in call for word in LOOKS_ONLY)] == []


def test_a_branch_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text('if st.button("Send", key="a"):\n    send()\nst.button("Stop", on_click=stop)\n')
    assert branched(page) == ["st.button('Send', key='a')"]


def test_a_deed_that_is_interrupted_is_begun_anew_and_then_the_page_is_drawn() -> None:
    done: list[str] = []

    def deed(what: str) -> None:
        done.append(what)
        if len(done) == 1:
            raise RerunException(RerunData())  # the page was to be drawn anew at the first look at the session

    with pytest.raises(RerunException):
        act(deed, "send")
    assert done == ["send", "send"]
    act(deed, "once")
    assert done[2:] == ["once"]

"""Who may import whom: `pages -> guardrails <- adapters`; only the command line and the wiring know both sides."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BROKER_LIBRARIES = {"ib_async", "ib_insync", "ibapi", "tastytrade"}


def modules(folder: str) -> list[Path]:
    found = sorted(path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.py"))
    assert found, folder
    return found


COMMAND_LINE = set(modules("guardrails/cli"))
BOTH_SIDES = COMMAND_LINE | {Path("pages/_engine.py")}


@cache
def imported(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and full name of everything a module imports, also inside its functions."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def offences(folder: str, forbidden: set[str], allowed: set[Path] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """Imports under `folder` of a name in `forbidden` or inside it, as file:line."""
    return [
        f"{path}:{line} imports {name}"
        for path in modules(folder)
        if path not in allowed
        for line, name in imported(path)
        if any(name == wrong or name.startswith(f"{wrong}.") for wrong in forbidden)
    ]


def test_the_domain_knows_no_page_no_adapter_no_broker_library() -> None:
    assert offences("guardrails", {"streamlit", "pages", "app"} | BROKER_LIBRARIES) == []
    assert offences("guardrails", {"adapters"}, BOTH_SIDES) == []


def test_adapters_know_no_page() -> None:
    assert offences("adapters", {"streamlit", "pages", "app", "guardrails.engine", "guardrails.cli"}) == []


def test_adapters_know_no_check_and_make_no_verdict() -> None:
    """Every colour comes from the checks; an adapter only translates."""
    assert offences("adapters", {"guardrails.checks", "guardrails.findings", "guardrails.assess"}) == []


def test_rooms_of_adapters_do_not_know_each_other() -> None:
    rooms = {"demo": {"statements"}, "statements": {"demo"}, "ibkr": {"demo", "statements", "tastytrade"},
             "tastytrade": {"demo", "statements", "ibkr"}}  # fmt: skip
    for room, others in rooms.items():
        assert offences(f"adapters/{room}", {f"adapters.{other}" for other in others}) == []


def test_pages_know_adapters_only_in_their_wiring() -> None:
    assert offences("pages", {"adapters"}, BOTH_SIDES) == []
    assert offences("pages", BROKER_LIBRARIES) == []


def test_checks_are_pure() -> None:
    """They see a Portfolio and its Limits, nothing that runs, stores or shows them."""
    runners = {f"guardrails.{name}" for name in ("engine", "snapshot", "summary", "assess", "cli", "http", "memory")}
    assert offences("guardrails/checks", runners | {"asyncio", "threading", "socket", "sqlite3", "time"}) == []


@pytest.mark.parametrize("folder", ["guardrails", "adapters"])
def test_the_clock_is_a_parameter(folder: str) -> None:
    """No `now()` or `today()` outside the command line, which is where the clock comes from."""
    found = [
        f"{path}:{node.lineno}"
        for path in modules(folder)
        if path != Path("guardrails/cli/terminal.py")
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("now", "utcnow", "today")
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("datetime", "date")
    ]
    assert found == []


@pytest.mark.parametrize(
    ("imports", "absent"),
    [
        ("guardrails.engine, guardrails.http, adapters, adapters.demo, pages", BROKER_LIBRARIES),
        ("guardrails.assess", {"streamlit", "adapters", "pages", "pandas", "plotly", "typer"} | BROKER_LIBRARIES),
        ("guardrails.cli", {"adapters", "guardrails.matrix", "guardrails.store", "numpy", "sqlalchemy"}),
        ("adapters", {"adapters.demo", "adapters.statements", "adapters.ibkr", "adapters.tastytrade"}),
    ],
)
def test_what_is_not_asked_for_is_not_loaded(imports: str, absent: set[str]) -> None:
    code = f"import sys, {imports}; print(*sorted({absent!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=180, check=True
    )
    assert done.stdout.strip() == ""

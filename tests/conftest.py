"""What all tests need: compiled kernels, and the databases that the tests of the store run on."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from guardrails import redaction
from guardrails.pricing import compiled
from tests.postgres import Server, start_server
from tests.stored import OnServer

# also where a machine is told to write none: else every worker rewrites every assert, 20 seconds each, and every
# program that a test starts compiles the whole house again
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_configure() -> None:
    """The kernels before the first test, in the process that starts the workers first: no test sees them come.

    And no example is timed: how long one takes says how busy the machine is.
    """
    compiled.prepare()
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of one `xdist_group` in one process: xdist 3.8 reads the group in an id where pytest 9.2 lets it not write.

    Without this the mark does nothing, and what a module makes once is made in every process.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        for mark in item.iter_markers("xdist_group"):
            if not item.nodeid.endswith(f"@{mark.args[0]}"):
                item._id = type(item._id).parse(f"{item.nodeid}@{mark.args[0]}")


@pytest.fixture(scope="session", autouse=True)
def scanned_once() -> Iterator[None]:
    """Streamlit looks through every installed package for components at each new page under test: a quarter second."""
    if "streamlit" not in sys.modules:
        yield
        return
    scanner = importlib.import_module("streamlit.components.v2.manifest_scanner")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanner, "scan_component_manifests", cache(scanner.scan_component_manifests))
        yield


@pytest.fixture(autouse=True)
def own_secrets() -> Iterator[None]:
    """What one test hides from the log of its process is not hidden from the next."""
    before = redaction._values
    yield
    redaction._values = before


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server of this test process, which every test leaves running."""
    server = start_server()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where `stored.opened` keeps the rows of tmp_path and of the folders in it: a file in each, or one server."""
    if request.param == "sqlite":
        yield request.param
        return
    with OnServer(request.getfixturevalue("postgres"), tmp_path):
        yield request.param

"""What all tests need: compiled kernels, and the databases that the tests of the store run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrails.pricing import compiled
from tests.postgres import Server, start_server
from tests.stored import OnServer


def pytest_configure() -> None:
    """The kernels before the first test, in the process that starts the workers first: no test sees them come."""
    compiled.prepare()


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

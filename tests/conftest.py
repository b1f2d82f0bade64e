"""What all tests need: compiled kernels, and the databases that the tests of the store run on."""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from guardrails import redaction
from guardrails.pricing import compiled
from tests.postgres import Server, start_server
from tests.sharing_out import InParts, turn
from tests.stored import OnServer

# also where a machine is told to write none: else every worker rewrites every assert, 20 seconds each, and every
# program that a test starts compiles the whole house again
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """The kernels before the first test, in the process that starts the workers first: no test sees them come.

    And no example is timed: how long one takes says how busy the machine is. Each run draws the same ones.
    """
    settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("steady")
    if config.option.collectonly:
        return
    reader = None
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput") and not _tests_are_read():
        # while the kernels are compiled, and once instead of by each worker
        command = [sys.executable, "-m", "pytest", "tests", "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider"]
        reader = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    compiled.prepare()
    if reader is not None:
        reader.wait()  # what it could not read is said by the workers


def _tests_are_read() -> bool:
    """Whether nearly all tests are kept as bytecode with their asserts rewritten, from an earlier run."""
    tag = f"{sys.implementation.cache_tag}-pytest-{pytest.__version__}"
    paths = [*(ROOT / "tests").rglob("test_*.py")]
    kept = [path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc" for path in paths]
    return sum(one.exists() for one in kept) > 0.8 * len(kept)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> InParts | None:
    """Ours, in the order that `turn` has made."""
    if config.option.dist != "loadgroup":
        return None
    config.option.loadscopereorder = False
    return InParts(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of one `xdist_group` in one process: xdist 3.8 reads the group in an id where pytest 9.2 lets it not write.

    Without this the mark does nothing, and what a module makes once is made in every process.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    items.sort(key=turn)
    for item in items:
        for mark in item.iter_markers("xdist_group"):
            if not item.nodeid.endswith(f"@{mark.args[0]}"):
                item._id = type(item._id).parse(f"{item.nodeid}@{mark.args[0]}")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What the tests import is no garbage and stays: no collection need look through it, at half a second each."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


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


@pytest.fixture(scope="session", autouse=True)
def certificates_once() -> Iterator[None]:
    """httpx2 reads the certificates of the machine for every client and socket, 30 ms each: more than most tests of
    tastytrade, which speak to a loopback without any, need for all the rest.
    """
    if "httpx2" not in sys.modules:
        yield
        return
    library = importlib.import_module("httpcore2")
    read = library.default_ssl_context

    @cache
    def kept(trusts: bool, *_named: str | None) -> object:  # noqa: FBT001  # of the library, which names it
        return read(_trust_env=trusts)

    def once(*, _trust_env: bool = True) -> object:
        return kept(_trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "default_ssl_context", once)
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

"""The compiled kernels, once they are there: numba compiles at the first start and keeps the result on disk.

Until then, and where numba is not installed, the same formulas run in numpy. Nobody waits but who asks to (`prepare`).
The folder of the cache is named by a hash of this room's text, because numba does not see that a function called by a
cached one has changed.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import threading
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from platformdirs import user_cache_path

KERNELS = "guardrails.pricing.kernels"
"""the room whose modules are compiled; importing it compiles them"""

log = logging.getLogger(__name__)


class State(StrEnum):
    """Where the kernels are."""

    ABSENT = "absent"
    """numba is not installed, or could not compile: numpy does the work"""
    COMPILING = "compiling"
    READY = "ready"


class _Compilation:
    """What this process has compiled: one thread compiles, the others read an attribute."""

    def __init__(self) -> None:
        self.state = State.COMPILING if find_spec("numba") else State.ABSENT
        self.kernels: ModuleType | None = None
        self._guard = threading.Lock()

    def run(self) -> None:
        with self._guard:
            if self.state is not State.COMPILING:
                return
            try:
                _keep_cache_apart()
                self.kernels = importlib.import_module(KERNELS)
            except Exception:  # whatever numba finds: numpy still works
                log.exception("the pricing kernels could not be compiled; numpy does their work, slower")
                self.state = State.ABSENT
                return
            self.state = State.READY


_THIS = _Compilation()


def state() -> State:
    """Where the kernels of this process are; COMPILING also before anybody asked for them."""
    return _THIS.state


def kernels() -> ModuleType | None:
    """The compiled kernels, None while there are none."""
    return _THIS.kernels


def prepare() -> State:
    """Compile, or load what an earlier start compiled: seconds at first, then a fraction of one. Then `state`."""
    _THIS.run()
    return _THIS.state


def _keep_cache_apart() -> None:
    import numba  # noqa: PLC0415  # 0.3 s, and not everybody has it

    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    text = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        text.update(path.read_bytes())
    numba.config.CACHE_DIR = str(user_cache_path("portfolio-guardrails") / f"kernels-{text.hexdigest()[:16]}")  # type: ignore[attr-defined]  # set at run time

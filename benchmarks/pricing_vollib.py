"""Implied volatility against py_vollib_vectorized, which needs packages years older than ours.

So the peer runs in an environment of its own, made at the first run and kept, and in a process of its own; both take
turns, each timed inside its process. `python -m benchmarks.pricing_vollib` runs it alone. The peer uses one core and is
counted as if it used both.
"""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import numpy as np
from platformdirs import user_cache_path

from benchmarks.timing import Row, ms
from guardrails.pricing import Array, compiled, implied_vol
from guardrails.pricing.parallel import CORES
from tests.test_pricing_implied import wing_grid, wing_sample

PINNED = (
    "py_vollib_vectorized==0.1.1", "py_vollib==1.0.1", "py_lets_be_rational==1.0.1",
    "numpy<2", "numba<0.60", "setuptools<80",
)  # fmt: skip
TURNS = 200
GOAL, WORST = 3.0, 1e-12

PEER = """
import sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
from py_vollib_vectorized import vectorized_implied_volatility_black
given = np.load(sys.argv[1])
flags = np.where(given["sign"] > 0, "c", "p")
columns = (given["target"], given["spot"], given["strike"], given["rate"], given["years"], flags)
def run():
    return vectorized_implied_volatility_black(*columns, on_error="ignore", return_as="numpy")
np.save(sys.argv[2], run())
print("ready", flush=True)
for _ in sys.stdin:
    began = time.perf_counter()
    run()
    print(time.perf_counter() - began, flush=True)
"""


def implied() -> list[Row]:
    """Rows of the table: 10,000 options out of the money, half of them far in the wings."""
    compiled.prepare()
    options, target, wanted = wing_sample()
    ours: list[float] = []
    theirs: list[float] = []
    with _Peer(target, options.sign, options.spot, options.strike, options.rate, options.years) as peer:
        for _ in range(TURNS):
            began = time.perf_counter()
            found = implied_vol(options, target)
            ours.append(time.perf_counter() - began)
            theirs.append(peer.run())
        other = peer.found
    own, peers = statistics.median(ours) * 1e3, statistics.median(theirs) * 1e3 / CORES
    size = target.size
    whole, exact, true = wing_grid()
    missed, far = _errors(implied_vol(whole, exact), true)
    failures, worst = _errors(found, wanted)
    their_failures, their_worst = _errors(other, wanted)
    return [
        Row(
            f"implied volatility of {size:,} options, half in far wings", f"{ms(own)} ({own / size * 1e6:.0f} ns each)"
        ),
        Row(
            "against py_vollib_vectorized 0.1.1 in its own environment, in turns",
            f"{peers / own:.1f}x ({ms(peers)} if it used both cores)",
            f">= {GOAL:g}x",
            peers / own >= GOAL,
        ),
        _row("of those: failures, worst relative error of the volatility", failures, worst),
        Row("the peer's", f"{their_failures}, {their_worst:.0e}"),
        _row(
            f"the same over a grid of {exact.size:,} (ln F/K of 1e-9 to 10 either way, total volatility 0.003 to 8)",
            missed,
            far,
        ),
    ]


def _row(what: str, failures: int, worst: float) -> Row:
    return Row(what, f"{failures}, {worst:.0e}", f"0, <= {WORST:.0e}", failures == 0 and worst <= WORST)


def _errors(found: Array, wanted: Array) -> tuple[int, float]:
    """How many were not found to six digits, and the worst relative error of the rest."""
    apart = np.abs(found / wanted - 1.0)
    failed = ~(apart < 1e-6)
    return int(failed.sum()), float(apart[~failed].max())


class _Peer:
    """The peer's process; `found` is what it finds."""

    def __init__(self, target: Array, sign: Array, spot: Array, strike: Array, rate: Array, years: Array) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        np.savez(folder / "given.npz", target=target, sign=sign, spot=spot, strike=strike, rate=rate, years=years)
        self._command = [str(_environment()), "-c", PEER, str(folder / "given.npz"), str(folder / "found.npy")]
        self._found = folder / "found.npy"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin
        assert self._process.stdout
        self._ask, self._told = self._process.stdin, self._process.stdout
        if self._told.readline().strip() != "ready":
            raise RuntimeError("py_vollib_vectorized did not start: see its words above")
        self.found = np.load(self._found).astype(np.float64).ravel()
        return self

    def __exit__(self, *_: object) -> None:
        self._ask.close()
        self._process.wait(10)
        self._told.close()
        self._folder.cleanup()

    def run(self) -> float:
        """Seconds of one run over all options."""
        self._ask.write("again\n")
        self._ask.flush()
        return float(self._told.readline())


def _environment() -> Path:
    """The python of the peer's environment, which is made (a minute, 400 MB) when it is not there."""
    name = hashlib.sha256(" ".join((*PINNED, sys.version)).encode()).hexdigest()[:12]
    folder = user_cache_path("portfolio-guardrails") / f"benchmark-peer-{name}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"making the environment of py_vollib_vectorized in {folder} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PINNED], check=True)
        (folder / "complete").touch()
    return python


if __name__ == "__main__":
    rows = implied()
    print("\n".join(map(str, rows)))
    sys.exit(int(any(row.met is False for row in rows)))

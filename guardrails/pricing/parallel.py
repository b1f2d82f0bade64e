"""Work over columns on every core: kernels release the interpreter, so plain threads do.

No parallel kernels of numba: its default threading layer ends the process when two threads call one at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

CORES = os.cpu_count() or 1
_POOL = ThreadPoolExecutor(CORES, thread_name_prefix="pricing")


def in_parts(work: Callable[[int, int], None], count: int, least: int) -> None:
    """`work(first, last)` over 0..count in as many parts as there are cores, none smaller than `least` (1 or more)."""
    parts = max(1, min(CORES, count // least))
    bounds = [count * part // parts for part in range(parts + 1)]
    others = [_POOL.submit(work, *pair) for pair in pairwise(bounds[1:])]
    work(0, bounds[1])
    for other in others:
        other.result()

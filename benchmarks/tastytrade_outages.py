"""tastytrade live: seconds until a lost socket shows in a Snapshot, and until every option has new Greeks."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

from benchmarks.live import LIVE, LOOK_SECONDS, told, until
from benchmarks.tastytrade_book import StandIn
from benchmarks.tastytrade_reader import HELD, SETTLING_SECONDS, ahead, has_greeks, reading
from benchmarks.timing import Row

DROPS, FLAPS, SILENCES = 20, 9, 5


def outages() -> list[Row]:
    """All rows of this part."""
    return [*drops(), *flapping(), *half_open()]


def drops() -> list[Row]:
    """The quote socket is reset, closed properly, or lost together with everything else; all new ones work."""
    kinds: dict[str, Callable[[StandIn], None]] = {
        "quote socket reset": lambda stand: stand.tell("drop", "dxlink"),
        "quote socket closed (1001)": lambda stand: stand.tell("fault", "ws_drop", kind="dxlink", code=1001, times=1),
        "every connection reset": lambda stand: stand.tell("drop"),
    }
    rows = [row for what, lose in kinds.items() for row in lost(what, lose, DROPS, (2.0, 5.0))]
    reset = kinds["quote socket reset"]
    return [*rows, *lost("quote socket reset right after each return", reset, DROPS, (2.0, 5.0), (0.0, 0.0))]


def flapping() -> list[Row]:
    """The quote socket is reset again as soon as data comes from the one before, sooner than a Snapshot shows it."""
    by, taken = ahead(), []
    with StandIn(HELD, by) as stand, reading(stand.port, by) as (engine, source):
        stand.tell("stream", per_symbol=1.0, walk=True)
        until(engine, lambda snapshot: has_greeks(snapshot, HELD))
        time.sleep(SETTLING_SECONDS)
        for _ in range(FLAPS):
            before, began = source.talking, time.perf_counter()
            stand.tell("drop", "dxlink")
            while source.talking in (None, before):
                time.sleep(LOOK_SECONDS)
            taken.append(time.perf_counter() - began)
        most = stand.tell("most_sockets")["dxlink"]
    what = "quote socket reset as soon as data comes"
    worded = f"worst {max(taken):.2f} s; in turn {', '.join(f'{one:.1f}' for one in taken)} s"
    return [
        Row(f"{what}: until data comes again", worded, "< 5 s", max(taken) < 5.0),
        Row(f"{what}: quote sockets open at once, at most", f"{most}", "1", most == 1),
    ]


def half_open(count: int = SILENCES) -> list[Row]:
    """The open quote socket says nothing more; new ones work."""
    return lost("quote socket half-open", lambda stand: stand.tell("half_open"), count, None)


def lost(
    what: str,
    lose: Callable[[StandIn], None],
    count: int,
    goals: tuple[float, float] | None,
    rests: tuple[float, float] = (2.0, 4.0),
) -> list[Row]:
    """Seconds from the loss until a Snapshot says so, and until every option shows Greeks that came after it.

    Between a return and the next loss are so many seconds, at least and at most.
    """
    chance, by, marked, back = random.Random(17), ahead(), [], []  # noqa: S311  # the same moments every time
    with StandIn(HELD, by) as stand, reading(stand.port, by) as (engine, _):
        stand.tell("stream", per_symbol=1.0, walk=True)
        until(engine, lambda snapshot: has_greeks(snapshot, HELD))
        for _ in range(count):
            time.sleep(chance.uniform(*rests))
            since, began = datetime.now(UTC) + by, time.perf_counter()
            lose(stand)
            until(engine, lambda snapshot: told(snapshot).state not in LIVE, 120.0)
            marked.append(time.perf_counter() - began)
            until(engine, lambda snapshot, since=since: has_greeks(snapshot, HELD, since), 120.0)  # type: ignore[misc]
            back.append(time.perf_counter() - began)
        most = stand.tell("most_sockets")["dxlink"]
    rows = []
    for index, (step, taken) in enumerate((("until a Snapshot says so", marked), ("until all Greeks are new", back))):
        worded = f"worst {max(taken):.2f} s, median {statistics.median(taken):.2f} s of {len(taken)}"
        goal = f"< {goals[index]:.0f} s" if goals else ""
        rows.append(Row(f"{what}: {step}", worded, goal, max(taken) < goals[index] if goals else None))
    return [*rows, Row(f"{what}: quote sockets open at once, at most", f"{most}", "1", most == 1)]

"""Files of lines with room kept in them: a full disk, a crash at any step, half a write, a disk without places."""

from __future__ import annotations

import errno
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from guardrails import reserve
from guardrails.doctor import examine
from guardrails.execution import intents
from guardrails.settings import Settings
from guardrails.store.spool import ROOM, Sent, Spool, room_in, waiting_rows
from tests.small_disk import fill, make_room, small_disk, until_full
from tests.stored import clock
from tests.test_execution_faults import order_record

SECTOR = 512


def row(n: int, size: int = 0) -> Sent:
    return ("books", (f"b{n}", "x" * size, n))


def numbers(rows: Sequence[Sent]) -> list[Any]:
    return [values[2] for _, values in rows]


def taken(spool: Spool) -> list[Any]:
    return numbers([one for batch in spool.batches() for one in batch])


# --- a full disk


def test_a_full_disk_takes_rows_as_long_as_there_is_room_and_nobody_else_can_have_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        spool = Spool(disk / "spool")
        assert spool.room >= ROOM
        fill(disk)
        spool.append([row(0, 100_000)])
        fill(disk)  # whoever it is takes what he finds
        last = until_full(lambda n: spool.append([row(n + 1, 100_000)]))
        assert last * 100_000 > ROOM * 0.95
        assert spool.room < 100_100
        assert spool.count == last + 1
        spool.append([row(last + 1)])  # a short one fits still
        assert numbers(waiting_rows(disk / "spool")) == list(range(last + 2))
        assert taken(spool) == list(range(last + 2))
        assert spool.room >= ROOM  # what was emptied is not given away, though the disk is as full as before
        spool.close()


def test_a_program_that_starts_on_a_full_disk_finds_the_room_of_the_last_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        Spool(disk / "spool").close()
        fill(disk)
        spool = Spool(disk / "spool")
        spool.append([row(n) for n in range(100)])
        spool.close()
        assert numbers(waiting_rows(disk / "spool")) == list(range(100))
        again = Spool(disk / "spool")
        assert again.count == 100
        assert taken(again) == list(range(100))
        again.close()


def test_room_that_could_not_be_had_is_taken_once_there_is_some(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        fill(disk)
        spool = Spool(disk / "spool")
        assert (spool.room, room_in(disk / "spool").is_short) == (0, True)
        with pytest.raises(OSError, match="No space left"):
            spool.append([row(0, 10_000)])
        make_room(disk)
        spool.keep_room()
        assert spool.room >= ROOM
        assert not room_in(disk / "spool").is_short
        fill(disk)
        spool.append([row(1, 10_000)])
        assert numbers(waiting_rows(disk / "spool")) == [1]
        spool.close()


def test_what_waits_while_there_is_room_elsewhere_costs_no_room(tmp_path: Path) -> None:
    """A server that is away for a day fills the spool: the room is still there when the disk is full as well."""
    spool = Spool(tmp_path)
    for n in range(30):
        spool.append([row(n, 300_000)])
        assert spool.room >= ROOM
    assert taken(spool) == list(range(30))
    assert (tmp_path / "spool.jsonl").stat().st_size < 2 * ROOM
    spool.close()


def test_a_file_with_holes_keeps_no_room_until_they_are_filled(tmp_path: Path) -> None:
    """As after a copy of the data folder that left out the zeros."""
    with (tmp_path / "spool.jsonl").open("wb") as file:
        file.truncate(2 * ROOM)
    assert room_in(tmp_path).is_short
    spool = Spool(tmp_path)
    assert spool.room >= ROOM
    assert not room_in(tmp_path).is_short
    spool.close()


def test_intents_of_exits_have_room_of_their_own(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        assert intents.room_in(disk) is None
        room = intents.keep_room(disk)
        assert not room.is_short
        spool = Spool(disk / "spool")
        fill(disk)
        until_full(lambda n: spool.append([row(n, 100_000)]))
        long = "x" * (intents.ORDER_BYTES - 1_500)
        count = until_full(lambda n: intents.save(disk, "a", replace(order_record(f"k{n}"), rationale=long)))
        assert count > room.wanted // intents.ORDER_BYTES
        assert len(intents.read(disk, "a")) == count
        assert intents.keep_room(disk).is_short
        intents.settle(disk, "a", [f"k{n}" for n in range(count)])
        assert not intents.keep_room(disk).is_short
        spool.close()


def test_doctor_says_for_how_many_exits_room_is_kept(tmp_path: Path) -> None:
    settings = Settings(guardrails_data_dir=tmp_path, _env_file=None).model_copy(update={"guardrails_sources": ()})

    def told() -> tuple[bool, str]:
        found = examine(settings, clock, lambda *_: [], lambda _: [])
        return next((works, words) for name, works, words in found if name == "room on the disk")

    assert told() == (True, "none is kept yet for a full disk; the first start takes it")
    intents.keep_room(tmp_path)
    works, words = told()
    assert (works, "room is kept for 315 more exits, and 0.0 MB for what else must survive" in words) == (False, True)
    assert "what to do: Free space" in words
    Spool(tmp_path / "spool").close()
    words = "Room is kept for 315 more exits, and 4.3 MB for what else must survive, should the disk be full."
    assert told() == (True, words)
    (tmp_path / intents.FILE).unlink()
    (tmp_path / intents.FILE).mkdir()
    assert told()[0] is False


# --- a disk that writes nothing in place


def test_a_file_system_that_wants_new_room_for_old_bytes_gets_that_of_the_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    sync = os.fsync

    def full(number: int) -> None:
        if os.fstat(number).st_size > ROOM:  # nothing has been given up yet
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(number)

    monkeypatch.setattr(os, "fsync", full)
    spool.append([row(1)])
    monkeypatch.undo()
    assert taken(spool) == [1]
    spool.close()


# --- a crash at any step


def test_kill_9_at_any_step_loses_no_row_and_makes_none_up(tmp_path: Path) -> None:
    """Before and after everything that changes a file, in each of two lives."""
    for step in range(1, 1000):
        folder = tmp_path / str(step)
        told, died = _life(folder, step)
        waiting = numbers(waiting_rows(folder))
        spool = Spool(folder)
        spool.append([row(99)])
        again = taken(spool)
        spool.close()
        kept, brought = [n for what, n in told if what == "kept"], {n for what, n in told if what == "brought"}
        assert waiting == sorted(waiting)
        assert set(kept) - brought <= set(waiting) <= set(range(12)), (step, told)
        assert again == [*waiting, 99]
        assert taken(Spool(folder)) == []
        if not died:
            assert step > 20
            return
    raise AssertionError("it never came to its end")


def _life(folder: Path, step: int) -> tuple[list[tuple[str, int]], bool]:
    """What a process said that ended by kill -9 at the `step`-th change, and whether it came to that."""
    listen, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _die_at(step)
            _spool_and_take(folder, lambda what, n: os.write(say, f"{what} {n}\n".encode()))
        finally:
            os._exit(0)
    os.close(say)
    with os.fdopen(listen) as lines:
        told = [(what, int(n)) for what, n in (line.split() for line in lines)]
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return told, os.WIFSIGNALED(status)


def _spool_and_take(folder: Path, say: Callable[[str, int], object]) -> None:
    """Rows that span pages, taken twice, the second time with rows behind those that were taken."""
    spool, n = Spool(folder), 0
    for count in (1, 1):
        for _ in range(count):
            spool.append([row(n, 3_000), row(n + 1, 3_000)])
            say("kept", n)
            say("kept", n + 1)
            n += 2
        for batch in spool.batches():
            for number in numbers(batch):
                say("brought", number)


def _die_at(step: int) -> None:
    count = iter(range(1, 1_000_000))

    def deadly(change: Any) -> Any:
        def changed(*given: Any) -> Any:
            if next(count) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            done = change(*given)
            if next(count) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return changed

    for name in ("fsync", "ftruncate", "posix_fallocate"):
        setattr(os, name, deadly(getattr(os, name)))
    reserve._write = deadly(reserve._write)


# --- a power cut


@pytest.mark.parametrize("seed", range(12))
def test_after_a_power_cut_what_was_acknowledged_is_there_and_nothing_stands_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311  # seeded on purpose
    path = tmp_path / "spool.jsonl"
    spool = Spool(tmp_path)
    for n in range(dice.randint(0, 5)):
        spool.append([row(n, dice.randint(0, 3_000))])
    if dice.random() < 0.5:
        taken(spool)
    kept = numbers(waiting_rows(tmp_path))
    more = [row(n, dice.randint(0, 3_000)) for n in range(10, 10 + dice.randint(1, 5))]
    cuts = list(_cuts(path, lambda: spool.append(more), monkeypatch, dice))
    spool.close()
    for cut in cuts:
        path.write_bytes(cut)
        again = Spool(tmp_path)
        again.append([row(20)])
        found = taken(again)
        assert found[: len(kept)] == kept
        assert set(found) <= {*kept, *range(10, 16), 20}
        assert found[-1] == 20
        again.close()


@pytest.mark.parametrize("seed", range(6))
def test_a_power_cut_while_it_is_emptied_leaves_all_rows_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311  # seeded on purpose
    path = tmp_path / "spool.jsonl"
    spool = Spool(tmp_path)
    spool.append([row(n, dice.randint(0, 3_000)) for n in range(5)])
    cuts = list(_cuts(path, lambda: taken(spool), monkeypatch, dice))
    spool.close()
    for cut in cuts:
        path.write_bytes(cut)
        again = Spool(tmp_path)
        assert again.count in (0, 5)
        left = list(range(again.count))
        again.append([row(9)])
        assert taken(again) == [*left, 9]
        assert again.refused == 0
        again.close()


def _cuts(
    path: Path, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch, dice: random.Random
) -> Iterator[bytes]:
    """What the file may hold after a power cut during `act`: of all that was written since the last time that it was on
    the disk for sure, any sectors.
    """
    images, sync = [path.read_bytes()], os.fsync

    def synced(number: int) -> None:
        images.append(path.read_bytes())
        sync(number)

    monkeypatch.setattr(os, "fsync", synced)
    act()
    monkeypatch.setattr(os, "fsync", sync)
    images.append(path.read_bytes())
    assert len(images) > 2
    for before, after in pairwise(images):
        yield from (_mixed(before, after, dice) for _ in range(3))


def _mixed(before: bytes, after: bytes, dice: random.Random) -> bytes:
    found = []
    for at in range(0, len(after), SECTOR):
        old, new = before[at : at + SECTOR], after[at : at + SECTOR]
        found.append(dice.choice((old, new)) if len(old) == len(new) else new)
    return b"".join(found)

"""The whole program on a disk that is full to the last byte: exits go out, nothing is lost, and all of it is in the
database once there is room.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from guardrails.audit import verify_store
from guardrails.engine import Engine
from guardrails.findings import Finding, Level
from tests.order_checks import differences, kept_wrong, verified
from tests.order_crashes import Crashes
from tests.order_venue import seconds_ahead, venue
from tests.small_disk import fill, make_room, small_disk
from tests.stored import ask, eventually, on_server
from tests.test_order_routes import UNCOVER, client, engine, headers, home

__all__ = ["client", "engine", "home"]  # fixtures

EXIT = {**UNCOVER, "legs": [{"symbol": "MSFT", "side": "SELL", "quantity": 1}]}
SEED, MEGABYTES = 3, 64
SECONDS = 60.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Where the program of `engine` keeps its data."""
    with small_disk(tmp_path / "data", MEGABYTES) as disk:
        disk.chmod(0o700)
        yield disk


def test_an_exit_goes_out_over_http_while_the_disk_is_full(disk: Path, client: TestClient, engine: Engine) -> None:
    def room() -> str:
        return str(client.get("/readyz").json()["store"].get("room", ""))

    assert eventually(lambda: room().startswith("Room is kept for "))
    assert room().endswith("should the disk be full.")
    fill(disk)
    keys = []
    for _ in range(3):
        told = client.post("/api/simulate", json=EXIT, headers=headers()).json()
        sent = client.post("/api/orders", json={**EXIT, "token": told["approval"]["token"]}, headers=headers())
        assert sent.status_code == 201, sent.text
        keys.append(sent.json()["order"]["key"])
        fill(disk)
    assert eventually(lambda: store(engine).spooled > 0)
    assert "the disk is full" in store(engine).problem
    make_room(disk)
    assert eventually(lambda: store(engine).spooled == store(engine).queued == 0, SECONDS)
    engine.stop()
    for key in keys:
        states = Counter(state for (state,) in ask(disk, "SELECT state FROM orders WHERE order_key = ?", key))
        assert {"INTENT_SAVED", "SENT"} <= states.keys()
        assert set(states.values()) == {1}
    assert verify_store(disk, None)[0] == 0


def test_who_has_no_room_for_a_full_disk_is_told(disk: Path, request: pytest.FixtureRequest) -> None:
    (disk / "other").write_bytes(bytes(MEGABYTES * 2**20 - 4_000_000))  # what is left is enough for the database
    engine: Engine = request.getfixturevalue("engine")
    assert eventually(lambda: _short(engine) != [])
    [finding] = _short(engine)
    assert finding.level is Level.WATCH
    assert "The disk is full, or nearly: room is kept for" in finding.message
    assert "Free space" in finding.next_action
    (disk / "other").unlink()
    assert eventually(lambda: _short(engine) == [])


def _short(engine: Engine) -> list[Finding]:
    latest = engine.latest
    return [] if latest is None else [one for one in latest.findings if one.subject == "task:room on the disk"]


def store(engine: Engine) -> Any:
    return engine.health().store


def test_exits_go_out_over_kill_9_on_a_full_disk_and_all_is_kept_once(tmp_path: Path, kind: str) -> None:
    """On a server that is away as well, or else the disk would matter little."""
    place = on_server(tmp_path)
    url = "" if place is None else place.url.get_secret_value()
    with small_disk(tmp_path / "disk", 48) as disk, venue(seconds_ahead()) as at:
        disk.chmod(0o700)
        crashes = Crashes(at, disk, random.Random(SEED), url)  # noqa: S311  # seeded on purpose
        program = crashes.program
        try:
            program.start()
            program.ready()
            fill(disk)
            if place is not None:
                place.server.stop()
            try:
                keys = [_sent(crashes)]
                program.kill()
                fill(disk)
                program.start()
                keys.append(_sent(crashes))
                at.fill(keys[1], crashes.dice, whole=True)
                program.until(lambda now: now["records"][keys[1]]["state"] == "FILLED")
                fill(disk)
            finally:
                if place is not None:
                    place.server.start()
            make_room(disk)
            wrong = ["nothing was looked at"]
            end = time.monotonic() + SECONDS
            while wrong and time.monotonic() < end:  # a server that is back says for a while that the dead one writes
                now = program.ready()
                wrong = [*differences(now, at), *kept_wrong(disk, url, at, now)]
            assert wrong == []
        finally:
            program.kill()
        assert at.sent() == dict.fromkeys(keys, 1)
        assert verified(disk, url) == []


def _sent(crashes: Crashes) -> str:
    """The key of an exit that is sent, once the program has its book."""
    program, order, end = crashes.program, crashes._exit(), time.monotonic() + SECONDS
    while True:
        told = program.ask("simulate", order=order)
        if told["said"] == "done" and (approval := json.loads(told["content"])["approval"]):
            break
        assert time.monotonic() < end, told
        time.sleep(0.2)
    sent = program.ask("submit", order=order, token=approval["token"], origin="api")
    assert sent["said"] == "done", sent
    return str(json.loads(sent["content"])["key"])

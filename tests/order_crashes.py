"""kill -9 of the program while it trades with the stand-in of TWS, again and again, and what is found after each start.

Orders are sent, filled in parts, cancelled and replaced when it dies; the stand-in goes on meanwhile. Its log of what
was sent, its orders and its executions are what the program's records, fills and journal are held against.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Table, select

from guardrails.audit import verify_store
from guardrails.store.database import open_database
from guardrails.store.deeds import FILLS, JOURNAL, ORDERS
from tests.books import ROOT
from tests.brokers.tws_control import Control
from tests.ibkr_orders import SHORT_PUT, spxw
from tests.order_program import Program

ACCOUNT, SHORT = "DU1234567", -4000
LIMITS = (39.30, 39.35, 39.40)
_BAG = 28812380
OVER = {"FILLED", "CANCELLED", "REJECTED"}
_SAID = {
    "Filled": {"FILLED"},
    "Cancelled": {"CANCELLED"},
    "Inactive": {"REJECTED"},
    "Submitted": {"WORKING", "PARTIAL"},
}
CLOCK_SECONDS = 30.0


@contextmanager
def standing_in() -> Iterator[tuple[int, Control]]:
    """The stand-in in a process of its own, with a short put of which a great many can be bought back."""
    command = [sys.executable, "-m", "tests.brokers.tws", "--port", "0", "--orders", "--chain", "--control", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.fullmatch(r"listening on (\d+) controlled on (\d+)\n", process.stdout.readline())
            assert found is not None
            control = Control(int(found[2]))
            control("set_position", ACCOUNT, SHORT_PUT, SHORT, 4498.75)
            yield int(found[1]), control
        finally:
            process.kill()


def buy_back(quantity: int, limit: float) -> str:
    """An exit: so many of the short put bought back."""
    leg = {"symbol": spxw(5800).key.partition(":")[2], "side": "BUY", "quantity": quantity}
    return json.dumps({"account": ACCOUNT, "order_type": "LIMIT", "limit_price": limit, "tif": "DAY", "legs": [leg]})


@dataclass
class Life:
    """One life of the program, and what was wrong after it."""

    seconds: float
    """from the first order of this life to its end"""
    sent: int
    """orders the stand-in has had by then"""
    doubted: int = 0
    """orders that nobody knew when the program came back"""
    wrong: list[str] = field(default_factory=list)


def crash_many(
    folder: Path, kills: int, seed: int, url: str = "", more: Mapping[str, str] | None = None
) -> Iterator[Life]:
    """So many lives, each ended by kill -9 in the middle of orders, and at the end a look at all that is kept."""
    dice = random.Random(seed)  # noqa: S311  # seeded on purpose
    settings = {**(more or {}), **({"DATABASE_URL": url} if url else {})}
    life, safety = None, ""
    with standing_in() as (port, control):
        program = Program(folder, port, settings)
        for n in range(kills + 1):
            program.start()
            try:
                if life is not None and dice.random() < 0.15:
                    time.sleep(dice.uniform(0.3, 3.0))  # it is killed while it takes up what was before
                    program.kill()
                    program.start()
                program.ready()
                if life is not None:
                    _look(life, program, control, safety)
                    if n < kills:
                        yield life
                if n == kills:
                    break
                if n % 3 == 1:
                    state = dice.choice(("REDUCE_ONLY", "NO_NEW_RISK"))
                    program.ask("safety", state=state, reason=f"round {n}")  # may be refused: what counts is what it is
                    safety = program.state()["safety"]
                life = _live(program, control, dice)
            finally:
                program.kill()
            _meanwhile(control, dice)
        if life is not None:
            life.wrong += kept_wrong(folder, url, control)
            yield life


def _live(program: Program, control: Control, dice: random.Random) -> Life:
    """Send, fill, cancel and replace until kill -9."""
    orders = [buy_back(dice.randint(2, 6), dice.choice(LIMITS)) for _ in range(dice.randint(1, 3))]
    asked = [program.put("simulate", order=order) for order in orders]
    answers = [program.answer(number) for number in asked]
    assert all(one["said"] == "done" for one in answers), answers
    tokens = [json.loads(one["content"])["approval"]["token"] for one in answers]
    began = time.monotonic()
    end = began + dice.choice((dice.uniform(0.0, 0.25), dice.uniform(0.0, 1.5)))
    if dice.random() < 0.2:
        control("fault", dice.choice(("lose_reply", "lose_order", "mute_order", "tif_preset")), times=1)
    for order, token in zip(orders, tokens, strict=True):
        program.put("submit", order=order, token=token, origin="api")
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(dice.uniform(0.0, 0.1), left))
        working = _working(control)
        if not working:
            continue
        key = dice.choice(working)
        match dice.randrange(5):
            case 0 | 1:
                _fill(control, key, dice)
            case 2:
                if dice.random() < 0.3:
                    control("fault", dice.choice(("fill_on_cancel", "slow_cancel", "mute_cancel")), times=1)
                program.put("cancel", order=key)
            case 3:
                program.put("replace", order=key, limit=str(dice.choice(LIMITS)))
            case 4:
                with suppress(RuntimeError):
                    control("desk", "cancel", key)
    program.kill()
    for fault in (
        "lose_reply",
        "lose_order",
        "mute_order",
        "tif_preset",
        "fill_on_cancel",
        "slow_cancel",
        "mute_cancel",
    ):
        control("mend", fault)
    return Life(time.monotonic() - began, len({one["ref"] for one in control("sent")}))


def _meanwhile(control: Control, dice: random.Random) -> None:
    """The market does not wait for a program that is dead."""
    for key in _working(control):
        with suppress(RuntimeError):  # filled by then
            if dice.random() < 0.5:
                _fill(control, key, dice)
            if dice.random() < 0.3:
                control("desk", "cancel", key)


def _fill(control: Control, key: str, dice: random.Random) -> None:
    row = control("orders")[key]
    left = int(float(row["totalQuantity"]) - row["filled"])
    if left > 0:
        with suppress(RuntimeError):
            control("desk", "fill", key, dice.randint(1, left))


def _working(control: Control) -> list[str]:
    """Our keys that rest at the stand-in."""
    return [key for key, status in control("refs").items() if key.startswith("G-") and status not in ("Filled",)]


def _look(life: Life, program: Program, control: Control, safety: str) -> None:
    """Hold what the program shows against what the stand-in knows, once it has had time to ask."""
    end = time.monotonic() + CLOCK_SECONDS
    while True:
        now = program.state()
        life.wrong = [*_differences(now, control)]
        if not life.wrong or time.monotonic() > end:
            break
        time.sleep(0.1)
    ids = {one["ref"] for one in control("sent") if one["what"] != "lost"}
    for key, record in now["records"].items():
        if record["state"] != "UNKNOWN":
            continue
        life.doubted += 1
        if key in ids:
            life.wrong.append(f"{key} was sent and stays in doubt: {record['detail']}")
    if life.doubted:
        with suppress(AssertionError):
            now = program.until(lambda now: now["safety"] != "NORMAL", 5.0)
    if life.doubted and now["safety"] == "NORMAL":
        life.wrong.append("orders are in doubt and the safety state is NORMAL")
    if safety and now["safety"] != safety:
        life.wrong.append(f"the safety state was {safety} and is {now['safety']}")
    _resolve(life, program, now)


def _resolve(life: Life, program: Program, now: Mapping[str, Any]) -> None:
    """A person looks, and says of what the stand-in never had that it does not live."""
    for key, record in now["records"].items():
        if record["state"] == "UNKNOWN":
            told = program.ask("resolve", order=key, note="looked at TWS")
            if told["said"] != "done":
                life.wrong.append(f"{key}: {told['words']}")


def _differences(now: Mapping[str, Any], control: Control) -> Iterator[str]:
    sent = control("sent")
    news = [one["ref"] for one in sent if one["what"] in ("new", "lost")]
    yield from (f"{ref} was sent {news.count(ref)} times" for ref in sorted(set(news)) if news.count(ref) > 1)
    orders = {key: row for key, row in control("orders").items() if key.startswith("G-")}
    records = now["records"]
    if now["problem"]:
        yield f"a problem is left: {now['problem']}"
    for key, row in orders.items():
        record = records.get(key)
        if record is None:
            yield f"{key} is at the stand-in and not among the records"
            continue
        wanted = _SAID.get(row["status"], {"WORKING", "PARTIAL", "CANCEL_REQUESTED"})
        if row["status"] == "Submitted" and record["state"] == "CANCEL_REQUESTED":
            continue
        if record["state"] not in wanted or abs(record["filled"] - row["filled"]) > 1e-9:
            known = f"{record['state']} with {record['filled']} filled"
            yield f"{key} is {known}, it is {row['status']} with {row['filled']}"
    for key, record in records.items():
        if key not in orders and record["state"] not in {"UNKNOWN", "REJECTED", "CANCELLED"}:
            yield f"{key} is {record['state']} and the stand-in never took it"
    yield from (f"it shows {one}" for one in now["findings"] if one[0] != "order_state")
    if now["unguarded"] != 1:  # that of the book, from before
        yield f"{now['unguarded']} fills count as unguarded: {now['unguarded_words']}"


def kept_wrong(folder: Path, url: str, control: Control) -> list[str]:
    """What of the stand-in's executions the store does not have once, and whether the evidence holds."""
    database = open_database(folder, lambda: datetime.now(UTC), SecretStr(url) if url else None)
    wrong = []
    try:
        fills = _last(database, FILLS, "execution")
        told = {
            row["execId"].rpartition(".")[0]: row for row in control("executions") if row["conId"] != _BAG
        }  # fmt: skip
        for execution, row in told.items():
            held = fills.get(execution)
            signed = row["shares"] if row["side"] == "BOT" else -row["shares"]
            if held is None or abs(held["quantity"] - signed) > 1e-9:
                wrong.append(f"execution {execution} of {signed} is kept as {held and held['quantity']}")
        wrong += [f"execution {one} is kept and was never told" for one in fills.keys() - told.keys()]
        ours = _last(database, ORDERS, "order_key")
        entries = [one for one in _last(database, JOURNAL, "entry").values() if one["kind"] == "fill"]
        journaled = {one["order_key"]: sum(leg["quantity"] for leg in one["legs"]) for one in entries}
        for key in ours:
            own = sum(
                r["shares"] if r["side"] == "BOT" else -r["shares"]
                for r in told.values()
                if r.get("orderRef", "") == key
            )
            if abs(journaled.get(key, 0.0) - own) > 1e-9:
                wrong.append(f"the journal has {journaled.get(key, 0.0)} of {key}, {own} were executed")
        if len(entries) > len(journaled):
            wrong.append("an order has two entries in the journal")
    finally:
        database.close()
    code, lines = verify_store(folder, SecretStr(url) if url else None)
    return wrong + (lines if code else [])


def _last(database: Any, table: Table, key: str) -> dict[str, dict[str, Any]]:
    """The last content of each key."""
    with database.reading() as connection:
        rows = connection.execute(select(table.c[key], table.c.content).order_by(table.c.id)).all()
    return {name: json.loads(content) for name, content in rows if content}

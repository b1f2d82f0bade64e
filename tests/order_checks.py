"""What a program shows and keeps, held against what its venue knows: both ways, each time it has come back."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Table, select

from guardrails.audit import verify_store
from guardrails.store.database import open_database
from guardrails.store.deeds import FILLS, JOURNAL, ORDERS, SAFETY_CHANGES
from tests.order_program import Program
from tests.order_venue import LONGS, SHORTS, Venue

_SAID = {
    "Filled": {"FILLED"},
    "Cancelled": {"CANCELLED"},
    "Inactive": {"REJECTED"},
    "Submitted": {"WORKING", "PARTIAL", "CANCEL_REQUESTED"},
}
_NEAR = 1e-9


def differences(now: Mapping[str, Any], at: Venue) -> Iterator[str]:
    """Everything in which what the program shows is not what the venue knows."""
    sent, orders, records = at.sent(), at.orders(), now["records"]
    yield from (f"{key} was sent {count} times" for key, count in sorted(sent.items()) if count > 1)
    if now["problem"]:
        yield f"a problem is left: {now['problem']}"
    if now["safety"] == "NORMAL" and any(one["state"] == "UNKNOWN" for one in records.values()):
        yield "orders are in doubt and the safety state is NORMAL"
    for key, row in orders.items():
        record = records.get(key)
        if record is None:
            yield f"{key} is at the stand-in and not among the records"
            continue
        wanted = _SAID.get(row["status"], {"WORKING", "PARTIAL", "CANCEL_REQUESTED"})
        if record["state"] not in wanted or abs(record["filled"] - row["filled"]) > _NEAR:
            known = f"{record['state']} with {record['filled']} filled"
            yield f"{key} is {known}, it is {row['status']} with {row['filled']}: {record['detail']}"
    for key, record in records.items():
        if key in orders:
            continue
        if record["state"] not in {"UNKNOWN", "REJECTED", "CANCELLED"} or record["filled"]:
            yield f"{key} is {record['state']} and the stand-in never took it"
    yield from (f"it shows {one}" for one in now["findings"] if one[0] != "order_state")
    if now["unguarded"] != 1:  # that of the book, from before
        yield f"{now['unguarded']} fills count as unguarded: {now['unguarded_words']}"
    yield from _crossed(at)
    yield from _closed_twice(records, sent)


def _crossed(at: Venue) -> Iterator[str]:
    """Every order here only closes: no position may ever turn."""
    for number, held in at.held().items():
        was = {**LONGS, **SHORTS}.get(number)
        if was is not None and held * was[0] < 0:
            yield f"the position in {number} has turned: {held:g} are held"


def _closed_twice(records: Mapping[str, Any], sent: Mapping[str, int]) -> Iterator[str]:
    """A run of a flatten that was resumed has sent each of its orders once: as many as were to be closed."""
    wanted = {"P05800000": 60, "C00240000": 3, "C6200": 1}
    closed: dict[tuple[str, str], float] = {}
    for key, record in records.items():
        for name, ratio in record["legs"] if record["flatten"] and sent.get(key) else []:
            place = record["flatten"], name
            lived = record["quantity"] if record["state"] not in ("CANCELLED", "REJECTED") else record["filled"]
            closed[place] = closed.get(place, 0.0) + abs(ratio) * lived
    for (run, name), quantity in closed.items():
        most = next((most for end, most in wanted.items() if name.endswith(end)), 0)
        if quantity > most:
            yield f"run {run} closes {quantity:g} of {name}, and {most} were held"


def resolved(program: Program, at: Venue, now: Mapping[str, Any]) -> tuple[int, list[str]]:
    """A person looks, and says of what the venue never had that it does not live; how many, and what was wrong."""
    known, wrong, doubts = at.orders(), [], 0
    for key, record in now["records"].items():
        if record["state"] != "UNKNOWN":
            continue
        doubts += 1
        if key in known:
            wrong.append(f"{key} is at the stand-in and stays in doubt: {record['detail']}")
            continue
        told = program.ask("resolve", order=key, note="looked at TWS")
        if told["said"] != "done":
            wrong.append(f"{key}: {told['words']}")
    return doubts, wrong


def safety_wrong(now: Mapping[str, Any], allowed: Collection[str], *, doubted: int) -> list[str]:
    """The state is what a person has set, or stricter where the program itself has a cause."""
    state, by_itself = now["safety"], now["cause"] in ("unreconciled", "rejects")
    wrong = []
    if state not in allowed and not (state == "NO_NEW_RISK" and by_itself and "NORMAL" in allowed):
        wrong.append(f"the safety state was one of {sorted(allowed)} and is {state} ({now['cause']})")
    if doubted and state == "NORMAL":
        wrong.append("orders are in doubt and the safety state is NORMAL")
    return wrong


def verified(folder: Path, url: str) -> list[str]:
    """What `guardrails audit verify` says against what a dead program left."""
    code, lines = verify_store(folder, SecretStr(url) if url else None)
    return [f"audit: {line}" for line in lines] if code else []


def kept_wrong(folder: Path, url: str, at: Venue, now: Mapping[str, Any]) -> list[str]:
    """What of the venue's truth, and of what is shown, the store does not have, or has twice."""
    database = open_database(folder, lambda: datetime.now(UTC), SecretStr(url) if url else None)
    try:
        with database.reading() as connection:
            orders, fills, journal = (_last(connection, *one) for one in (
                (ORDERS, "order_key"), (FILLS, "execution"), (JOURNAL, "entry")
            ))  # fmt: skip
            changes = _contents(connection, SAFETY_CHANGES)
    finally:
        database.close()
    return [
        *_orders_wrong(orders, now), *_fills_wrong(fills, at), *_journal_wrong(journal, orders, at),
        *_changes_wrong(changes, journal, now),
    ]  # fmt: skip


def _orders_wrong(orders: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in orders.keys() ^ now["records"].keys():
        yield f"{key} is {'kept and not shown' if key in orders else 'shown and not kept'}"
    for key in orders.keys() & now["records"].keys():
        kept, shown = orders[key], now["records"][key]
        if (kept["state"], kept["filled"]) != (shown["state"], shown["filled"]):
            yield f"{key} is kept as {kept['state']} with {kept['filled']}, shown as {shown['state']}"


def _fills_wrong(fills: Mapping[str, Any], at: Venue) -> Iterator[str]:
    told = at.executions()
    for execution, row in told.items():
        held = fills.get(execution)
        if held is None or abs(held["quantity"] - row["signed"]) > _NEAR:
            yield f"execution {execution} of {row['signed']} is kept as {held and held['quantity']}"
        elif held["fees"] is None or abs(held["fees"] - (row["commission"] or 0.0)) > _NEAR:
            yield f"execution {execution} cost {row['commission']} and is kept with fees of {held['fees']}"
    yield from (f"execution {one} is kept and was never told" for one in fills.keys() - told.keys())


def _journal_wrong(journal: Mapping[str, Any], orders: Mapping[str, Any], at: Venue) -> Iterator[str]:
    entries = [one for one in journal.values() if one["kind"] == "fill"]
    own = {one["order_key"]: one for one in entries}
    if len(entries) > len(own):
        yield "an order has two entries in the journal"
    executed: dict[tuple[str, str], float] = {}
    for execution, row in at.executions().items():
        if row.get("orderRef", "") in orders:
            executed[row["orderRef"], execution] = row["signed"]
    journaled = {
        (key, execution): 0.0 for key, one in own.items() for leg in one["legs"] for execution in leg["execution"]
    }
    for key, execution in executed.keys() ^ journaled.keys():
        yield f"execution {execution} of {key} is {'not ' if (key, execution) in executed else 'but '}in the journal"
    for key, one in own.items():
        total = sum(signed for (of, _), signed in executed.items() if of == key)
        if abs(sum(leg["quantity"] for leg in one["legs"]) - total) > _NEAR:
            yield f"the journal has {[leg['quantity'] for leg in one['legs']]} of {key}, {total} were executed"
    for run in {key[:-2] for key, one in journal.items() if one["kind"] == "flatten"}:
        if f"{run}-B" not in journal:
            yield f"the journal does not have the beginning of the flatten {run}"


def _changes_wrong(changes: list[Any], journal: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The changes of the safety state follow each other, the last is what is shown, and each is in the journal."""
    for old, new in pairwise(changes):
        if new["old"] != old["new"]["state"]:
            yield f"a change of the safety state is not kept: {old['new']['state']} ... {new['old']}"
    last = changes[-1]["new"]["state"] if changes else "NORMAL"
    if last != now["safety"]:
        yield f"the safety state is {now['safety']}, and {last} is kept"
    entries = sum(one["kind"] == "safety" for one in journal.values())
    if entries != len({(one["time"], one["new"]["state"]) for one in changes}):
        yield f"{len(changes)} changes of the safety state are kept, and {entries} are in the journal"


def _contents(connection: Any, table: Table) -> list[Any]:
    rows = connection.execute(select(table.c.content).order_by(table.c.id))
    return [json.loads(content) for (content,) in rows if content]


def _last(connection: Any, table: Table, key: str) -> dict[str, Any]:
    """The last content of each key."""
    rows = connection.execute(select(table.c[key], table.c.content).order_by(table.c.id)).all()
    return {name: json.loads(content) for name, content in rows if content}

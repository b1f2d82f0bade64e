"""What the document says of sources, streams and SMA; a document written before they were in it still loads."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta

import pytest

from guardrails.snapshot import from_json, to_json
from guardrails.snapshot.sources import SourceRow, StreamRow
from guardrails.values import Source, SourceState, Stream
from tests.books import IBKR, NOW
from tests.healthy import World, healthy

HEALTHY = healthy()
LINKED = Source(
    "test", SourceState.LIVE, NOW, "Connected.", ("a bond",), "connected", NOW - timedelta(minutes=3), "Look.", 2,
    (Stream("positions", NOW - timedelta(seconds=7)), Stream("quotes", None, None, "not asked for yet")),
    ("delayed quotes",), 0.4,
)  # fmt: skip


def row(world: World) -> SourceRow:
    return world.assess().snapshot.sources[0]


def test_everything_a_source_says_reaches_the_document() -> None:
    assert row(replace(HEALTHY, source=LINKED)) == SourceRow(
        "test", "live", 0.0, "Connected.", ("a bond",), "connected", NOW - timedelta(minutes=3), "Look.", 2,
        (StreamRow("positions", works=True, age_seconds=7.0), StreamRow("quotes", None, None, "not asked for yet")),
        ("delayed quotes",), 0.4,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "works"),
    [(SourceState.DOWN, None), (SourceState.STALE, True), (SourceState.CONNECTING, True), (SourceState.LIVE, True)],
)
def test_no_stream_works_while_its_source_is_down(state: SourceState, works: bool | None) -> None:  # noqa: FBT001
    assert row(replace(HEALTHY, source=replace(LINKED, state=state))).streams[0].works is works


def test_what_is_no_number_is_not_known() -> None:
    world = replace(HEALTHY, source=replace(LINKED, clock_skew=math.nan)).account(IBKR, sma=math.nan)
    assert row(world).clock_skew is None
    assert world.assess().snapshot.accounts[0].sma is None


def test_sma_is_in_dollars() -> None:
    # 1,000 euros at the 1.10 of the healthy market
    world = HEALTHY.account(IBKR, sma=1_000.0, currency="EUR")
    assert world.assess().snapshot.accounts[0].sma == pytest.approx(1_100.0)


def test_a_document_from_before_still_loads() -> None:
    whole = json.loads(to_json(replace(HEALTHY, source=LINKED).assess().snapshot))
    for source in whole["sources"]:
        for name in ("condition", "since", "action", "retries", "streams", "warnings", "clock_skew"):
            del source[name]
    for account in whole["accounts"]:
        del account["sma"]
    old = from_json(json.dumps(whole).encode(), "old.json")
    assert old.sources == (SourceRow("test", "live", 0.0, "Connected.", ("a bond",)),)
    assert {account.sma for account in old.accounts} == {None}

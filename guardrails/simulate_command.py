"""`guardrails simulate`: one order before the gate, without sending anything.

The program that watches the book is asked when there is one: two programs cannot share a broker's login. Else every
source is looked at once, its broker is asked for the margin and for what rests there, and the gate judges.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console

from guardrails import calendar, wording
from guardrails.asking_the_watch import ask_the_watch
from guardrails.assess import assess
from guardrails.brokers import Broker, PreviewingBroker, TradingBroker
from guardrails.errors import OrderError, SourceError
from guardrails.execution.safety_file import SafetyFile
from guardrails.gate.folding import folded
from guardrails.gate.ground import Ground
from guardrails.gate.projection import prepare
from guardrails.gate.simulate import simulate
from guardrails.gate.values import Impact, Verdict
from guardrails.instruments import Instrument
from guardrails.look import read_once
from guardrails.matrix import RiskMatrix
from guardrails.memory import read_memory, remembered_as, sources_key
from guardrails.order_json import impact_document, impact_of, parse_order
from guardrails.orders import BrokerOrder, Order, Preview
from guardrails.outages import about_task, failed_view
from guardrails.pricing import compiled
from guardrails.recording import STATE_FILE
from guardrails.redaction import redact
from guardrails.requests import Answer, Kind, Said
from guardrails.settings import Settings
from guardrails.titles import headline
from guardrails.values import AccountId, View

EXIT = {Verdict.ALLOW: 0, Verdict.WARN: 1, Verdict.BLOCK: 2}
PREVIEW_SECONDS, ORDERS_SECONDS, QUOTES_SECONDS, _LOOK_SECONDS = 6.0, 10.0, 8.0, 0.2

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be judged, and under what."""

    text: str
    """the order, JSON"""
    settings: Settings
    matrix: RiskMatrix
    names: Sequence[str]
    """of the sources, as the engine calls them"""


def answer(asked: Asked, sources: Sequence[Broker], clock: Clock, *, as_json: bool) -> int:
    """Judge the order and print the Impact; the exit code. GuardrailsError when it cannot be judged."""
    impact = _by_the_watch(asked, clock)
    if impact is None:
        impact = asyncio.run(_by_ourselves(asked, sources, clock))
    if as_json:
        print(json.dumps(impact_document(impact), indent=1))  # it is the product of the command
    else:
        _print(impact, Console(highlight=False))
    return EXIT[impact.verdict]


def read_text(path: Path) -> str:
    """The order in a file, or on standard input for `-`; OrderError when it cannot be read."""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OrderError(f"{path.name} cannot be read ({type(error).__name__}).") from None


def _by_the_watch(asked: Asked, clock: Clock) -> Impact | None:
    """Its answer; None when nobody watches this book."""
    body = {"order": asked.text, "preview": "yes"}
    told = ask_the_watch(Kind.SIMULATE, body, asked.settings, asked.names, clock)
    if not isinstance(told, Answer):
        return None
    if told.said is not Said.DONE:
        raise OrderError(told.words)
    try:
        return impact_of(told.content)
    except ValueError:
        raise OrderError("the program that watches answered what this one cannot read: run the same version.") from None


async def _by_ourselves(asked: Asked, sources: Sequence[Broker], clock: Clock) -> Impact:
    compiled.prepare()
    settings, kept_as = asked.settings, remembered_as(asked.names, asked.settings.guardrails_demo_scenario)
    async with read_once(sources, clock) as (first, problems):
        now = clock()
        memory = read_memory(settings.guardrails_data_dir / STATE_FILE, kept_as)
        extra = [about_task(name, text, asked.matrix) for name, text in sorted(problems.items())]
        homes = {account.id: account.source for view in first for account in view.accounts}
        if not homes:
            raise OrderError(f"no account is known, so nothing can be judged: {_silence(first)}.")
        order, _ = parse_order(asked.text, list(homes), calendar.exchange_date(now))
        views = await _with_legs(sources, first, order, clock)
        now = clock()
        seen = assess(views, asked.matrix, memory, now, extra)
        broker = next((source for source in sources if source.name == homes[order.account]), None)
        preview = await _preview(broker, order, now)
        working, unknown = await _working(sources)
        confirmed = await _confirmed(broker, order.account)
    safety = SafetyFile(settings.guardrails_data_dir, lambda _: None)
    safety.read(sources_key(kept_as), now)
    ground = Ground(
        prepared=prepare(seen.portfolio, seen.limits, seen.snapshot.findings),
        now=now,
        working=working,
        orders_unknown=unknown,
        safety=safety.now,
        confirmed=confirmed,
    )
    return simulate(order, ground, preview, homes[order.account])


def _silence(views: Sequence[View]) -> str:
    """Why the sources tell of no account."""
    sources = [view.source for view in views]
    told = (f"{one.name} is {one.state}{f' ({one.detail})' if one.detail else ''}" for one in sources)
    return redact("; ".join(told))


async def _with_legs(sources: Sequence[Broker], views: list[View], order: Order, clock: Clock) -> list[View]:
    """The views once the legs are quoted that nobody holds, or as they are after `QUOTES_SECONDS`."""
    legs = [leg.instrument for leg in order.legs if leg.instrument.is_option]
    trading = [source for source in sources if isinstance(source, TradingBroker)]
    for source in trading:
        source.look_at(legs)
    with suppress(TimeoutError):
        async with asyncio.timeout(QUOTES_SECONDS if trading else 0.0):
            while not _are_quoted(legs, views):
                await asyncio.sleep(_LOOK_SECONDS)
                views = [
                    await _again(source, view, clock) if source in trading else view
                    for source, view in zip(sources, views, strict=True)
                ]
    return views


async def _again(source: Broker, view: View, clock: Clock) -> View:
    """What `source` says now; one that fails meanwhile is DOWN with its last `view`."""
    try:
        return await source.view(clock())
    except Exception as error:  # the book is then not known, and judged so
        return failed_view(source.name, view, str(error) if isinstance(error, SourceError) else type(error).__name__)


def _are_quoted(legs: Sequence[Instrument], views: Sequence[View]) -> bool:
    told = {key for view in views for key in view.market.quotes.keys() & view.market.greeks.keys()}
    told |= {position.instrument.key for view in views for position in view.positions if position.greeks is not None}
    return all(leg.key in told for leg in legs)


async def _preview(broker: Broker | None, order: Order, now: datetime) -> Preview:
    if not isinstance(broker, PreviewingBroker):
        return Preview(now, unknown="nobody can be asked for the margin: margin unknown")
    try:
        async with asyncio.timeout(PREVIEW_SECONDS):
            return await broker.preview(order)
    except Exception as error:  # the order is judged without it
        return Preview(now, unknown=f"{broker.name} did not say ({type(error).__name__}): margin unknown")


async def _working(sources: Sequence[Broker]) -> tuple[tuple[BrokerOrder, ...], str]:
    """What rests at the brokers, and why that is not known."""
    found: list[BrokerOrder] = []
    problems: list[str] = []
    for source in sources:
        if not isinstance(source, TradingBroker):
            continue
        try:
            async with asyncio.timeout(ORDERS_SECONDS):
                read = await source.read_orders()
        except Exception as error:  # then it is not known
            said = str(error) if isinstance(error, SourceError) else type(error).__name__
            problems.append(f"{source.name}: {said}")
            continue
        found += [one for one in read.orders if not one.state.is_over]
        if read.missing:
            problems.append(f"{source.name} does not say {read.missing}")
    return tuple(found), "; ".join(problems)


async def _confirmed(broker: Broker | None, account: AccountId) -> dict[AccountId, dict[str, float]]:
    if not isinstance(broker, TradingBroker):
        return {}
    try:
        async with asyncio.timeout(ORDERS_SECONDS):
            return {account: dict(await broker.held(account))}
    except Exception:  # the positions of the book are used then
        return {}


def _print(impact: Impact, console: Console) -> None:
    """The verdict first, then why, then what moves."""

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    say(f"{impact.verdict.value}  {impact.kind.value}  {impact.title}")
    for reason in folded(impact.reasons):
        say(f"  {reason.verdict.value}: {reason.message}")
    if impact.max_quantity:
        say(f"  {impact.max_quantity} would pass.")
    for change in impact.findings:
        levels = f"{change.level_before.value} -> {change.level_after.value}"
        say(f"  {headline(change.check, change.subject)}: {levels}  {change.message}")
    margin = impact.margin
    before, after = (wording.money(one) for one in (margin.maintenance_before, margin.maintenance_after))
    words = margin.unknown or f"maintenance {before} -> {after}"
    say(f"  Margin as {margin.source or 'nobody'} says: {words}")
    stress = impact.stress
    say(f"  Worst stress: {wording.money(stress.worst_before)} -> {wording.money(stress.worst_after)}")

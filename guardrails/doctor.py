"""What the program needs, each tried once: the matrix, the data folder, the database, the sources, the channels.

What is said of outside parties is asked of functions that are handed in, as only the command line knows them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from guardrails import wording
from guardrails.brokers import Broker
from guardrails.errors import MatrixError
from guardrails.execution import intents
from guardrails.execution.kept_room import ACTION, KeptRoom
from guardrails.look import look
from guardrails.matrix import advice, load
from guardrails.settings import Settings, TradingSetting
from guardrails.store.condition import condition
from guardrails.store.spool import room_in
from guardrails.values import Source, SourceState, Stream, View

Told = tuple[str, bool, str]
"""name of a thing, whether it works, what to say or do"""
Clock = Callable[[], datetime]
Opened = Callable[[Sequence[str], Settings, Clock], list[Broker]]
"""the sources of these names, as `adapters.open_sources`"""


def examine(
    settings: Settings, clock: Clock, open_sources: Opened, channels: Callable[[Settings], list[Told]]
) -> list[Told]:
    """Each thing the program needs; a source is asked as for one assessment, nothing is sent to the `channels`."""
    return [
        _matrix(settings.guardrails_matrix),
        _data_dir(settings.guardrails_data_dir),
        _room(settings.guardrails_data_dir),
        ("database", *condition(settings.guardrails_data_dir, settings.database_url)),
        *(_source(open_sources([name], settings, clock)[0], clock) for name in settings.guardrails_sources),
        *channels(settings),
        _trading(settings),
    ]


def _trading(settings: Settings) -> Told:
    """What may be sent where; `live` without a listed account sends nothing, which is not what was meant."""
    modes = {"IBKR_TRADING": settings.ibkr_trading, "TT_TRADING": settings.tt_trading}
    listed, token = len(settings.live_accounts), settings.guardrails_api_token
    lines = [f"{name} is {mode.value}" for name, mode in modes.items()]
    if any(mode is TradingSetting.LIVE for mode in modes.values()):
        lines.append(f"{listed} account{'' if listed == 1 else 's'} in GUARDRAILS_LIVE_ACCOUNTS may trade live")
    has_token = token is not None and token.get_secret_value().strip()
    lines.append(
        "orders over HTTP are " + ("taken with the token" if has_token else "refused: no GUARDRAILS_API_TOKEN")
    )
    works = listed > 0 or TradingSetting.LIVE not in modes.values()
    if not works:
        lines.append("what to do: list the full number of each account that may trade in GUARDRAILS_LIVE_ACCOUNTS")
    return "trading", works, "\n".join(lines)


def told_of(view: View) -> Told:
    """What one look at a source found; a source that does not speak now does not work, whatever it said before."""
    source, name = view.source, f"source {view.source.name}"
    if not (view.accounts or view.positions or source.condition):
        return name, False, source.detail or "gives nothing"
    speaks = source.state in (SourceState.LIVE, SourceState.CLOSED, SourceState.FILE)
    condition_told = f" ({wording.plain(source.condition)})" if source.condition else ""
    counted = f"{len(view.accounts)} accounts, {len(view.positions)} positions"
    lines = [
        f"{source.state.value}{condition_told}, {counted}. {source.detail}".strip(),
        *(f"does not work: {stream.name}{_why(stream, source)}" for stream in source.streams if stream.works is False),
        *(f"works in part: {warning}" for warning in source.warnings),
        *([f"its clock {wording.skew(source.clock_skew)}"] if source.clock_skew else []),
        *([f"what to do: {source.action}"] if source.action else []),
    ]
    return name, speaks and bool(view.accounts or view.positions), "\n".join(lines)


def _matrix(path: Path) -> Told:
    try:
        rules = load(path)
    except MatrixError as error:
        return "risk matrix", False, str(error)
    return "risk matrix", True, "\n".join([f"{path} is valid, version {rules.version}", *advice(rules)])


def _data_dir(folder: Path) -> Told:
    probe = folder / ".doctor"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        return "data folder", False, f"{folder} cannot be written ({error.strerror}); set GUARDRAILS_DATA_DIR"
    return "data folder", True, f"{folder} can be written"


def _room(folder: Path) -> Told:
    """What running programs keep for the day on which the disk is full."""
    name = "room on the disk"
    try:
        exits, rows = intents.room_in(folder), room_in(folder / "spool")
    except OSError as error:
        return name, False, f"what is kept in {folder} cannot be read ({error.strerror})"
    if exits is None:
        return name, True, "none is kept yet for a full disk; the first start takes it"
    room = KeptRoom(exits, rows)
    return name, not room.is_short, f"{room.words}\nwhat to do: {ACTION}" if room.is_short else room.words


def _source(source: Broker, clock: Clock) -> Told:
    views, _ = asyncio.run(look([source], clock))
    return told_of(views[0])


def _why(stream: Stream, source: Source) -> str:
    """Why a stream does not work, unless its source has just said it."""
    return f", {stream.detail}" if stream.detail and stream.detail != source.detail else ""

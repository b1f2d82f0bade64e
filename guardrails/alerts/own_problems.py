"""What is wrong with the watch itself: no cycle any more, channels that do not work, messages that were given up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from guardrails.alerts.escalation import channels_of
from guardrails.alerts.occasion import first_channels
from guardrails.alerts.values import ChannelRow, Delivery, DeliveryState, Problem, Severity
from guardrails.calendar import NEW_YORK
from guardrails.matrix.alerts import AlertRules
from guardrails.wording import age

LOG = "log"
"""the kind of the channel that always works and reaches nobody"""
FAILED_ATTEMPTS, FAILING_FOR = 3, timedelta(minutes=5)
"""from either on a channel does not work; one failed attempt is no news"""
LOST_FOR = timedelta(hours=1)
"""so long a message that was given up is a problem, and beyond as long as its channel has taken nothing since"""
_MEND = "See the channels on the Alerts page; send a test there once it is mended."


def no_cycle(last: datetime | None, since: datetime, silent: timedelta, most: timedelta) -> Problem | None:
    """The problem that the engine has shown nothing for `silent`, when that is longer than `most`.

    `last` is when it last did, None while it never has since this program began to watch at `since`.
    """
    if silent <= most:
        return None
    told = _ago(since if last is None else last, silent)
    message = f"No cycle since {told}: nothing is watched." if last else f"No cycle yet since the start at {told}."
    return Problem(
        "engine",
        "task:cycle",
        Severity.CRITICAL,
        message,
        data_age_seconds=silent.total_seconds(),
        next_action="Look at the brokers' own screens; restart the program if it does not come back.",
    )


def relied_on(rules: AlertRules, names: Sequence[str]) -> frozenset[str]:
    """The channels of `names` that are told first, or when nobody acknowledges."""
    later = [name for step in rules.escalation for name in channels_of(step, names)]
    return frozenset([*first_channels(rules, names), *later])


def delivery_problems(
    rows: Sequence[ChannelRow],
    lost: Sequence[Delivery],
    now: datetime,
    heartbeat: ChannelRow | None = None,
    relied: AbstractSet[str] = frozenset(),
) -> tuple[Problem, ...]:
    """One problem for each channel that does not work or has lost a message; `lost` are those given up.

    BREACH where messages were lost, of a channel that people are told by (`relied`), and when no channel works that
    reaches a person; else WATCH.
    """
    persons = [row for row in rows if row.kind != LOG]
    nobody = bool(persons) and all(_fails(row, now) for row in persons)
    problems = [problem for row in rows for problem in _of_channel(row, lost, now, relied, nobody=nobody)]
    known = {row.name for row in rows}
    for name in dict.fromkeys(one.channel for one in lost if one.channel not in known):
        gone = [one for one in lost if one.channel == name and _is_recent(one, now)]
        problems += [_lost(name, name, gone)] if gone else []
    if heartbeat is not None and _fails(heartbeat, now):
        problems.append(_failing(heartbeat, Severity.WATCH, f"The dead-man's switch is not reached {_why(heartbeat)}"))
    return tuple(problems)


def _of_channel(
    row: ChannelRow, lost: Sequence[Delivery], now: datetime, relied: AbstractSet[str], *, nobody: bool
) -> Iterator[Problem]:
    is_silent = row.failing_since is not None
    mine = [one for one in lost if one.channel == row.name]
    if any(_is_recent(one, now) for one in mine) or (mine and is_silent):
        yield _lost(row.name, row.kind, mine)
    elif row.refused or _fails(row, now):
        alone = nobody and row.kind != LOG
        said = "No channel works, alerts reach nobody. " if alone else ""
        refuses = f"{row.kind} refuses what is CRITICAL, and it is tried on: {row.refused}"
        told = f"{said}{refuses if row.refused else f'{row.kind} fails {_why(row)}'}"
        needed = row.name in relied and row.kind != LOG
        yield _failing(row, Severity.BREACH if alone or needed or row.refused else Severity.WATCH, told)


def _fails(row: ChannelRow, now: datetime) -> bool:
    if row.problem:
        return True
    since = row.failing_since
    return since is not None and (row.failed_in_a_row >= FAILED_ATTEMPTS or now - since >= FAILING_FOR)


def _why(row: ChannelRow) -> str:
    if row.problem:
        return f"as it is configured: {row.problem}"
    since = "" if row.failing_since is None else f"since {row.failing_since.astimezone(NEW_YORK):%H:%M:%S}: "
    return f"{since}{row.last_detail}"


def _failing(row: ChannelRow, severity: Severity, message: str) -> Problem:
    return Problem("delivery", f"channel:{row.name}", severity, f"{message.rstrip('.')}.", next_action=_MEND)


def _lost(name: str, kind: str, lost: Sequence[Delivery]) -> Problem:
    last = max(lost, key=lambda one: (one.changed is not None, one.changed))
    count = "A message" if len(lost) == 1 else f"{len(lost)} messages"
    said = f"{count} to {kind} {'was' if len(lost) == 1 else 'were'} given up: {last.detail.rstrip('.')}."
    action = "See the deliveries on the Alerts page; send them again there once the channel works."
    return Problem("delivery", f"channel:{name}", Severity.BREACH, said, next_action=action)


def _is_recent(one: Delivery, now: datetime) -> bool:
    """Also when the clock was set back since."""
    return one.state is DeliveryState.DEAD and one.changed is not None and abs(now - one.changed) < LOST_FOR


def _ago(time: datetime, passed: timedelta) -> str:
    return f"{time.astimezone(NEW_YORK):%H:%M:%S} ({age(passed.total_seconds())})"

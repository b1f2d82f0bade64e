"""What a replay found, in sentences and as rows of a table; worst first, the same for the same input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from guardrails import wording
from guardrails.breaches import FALSE_BELOW, Breach, Kind, Span
from guardrails.calendar import NEW_YORK
from guardrails.comparison import Comparison
from guardrails.findings import Level
from guardrails.titles import headline, title_of

_LISTED = 10
"""breaches of one kind that are listed in the text; the document and the table hold all"""
_SAME, _DIFFERS, _UNKNOWN = 0, 1, 3

_TO = "to the close of the next session"

MEANS = {
    Kind.MISSED: ("Missed", ": a breach then, and none now."),
    Kind.UNKNOWN: ("Not known", ": a breach then, of which this matrix says UNKNOWN."),
    Kind.CUT: (
        "Cut by the range",
        ": it ran at the first moment, so which was earlier is not known, or began at the last, so whether both have "
        "it is not known; choose a longer range.",
    ),
    Kind.LATER: ("Caught later", "."),
    Kind.NEW: ("New alarms", ": no breach then, and not shown to be false."),
    Kind.EARLIER: ("Caught earlier", "."),
    Kind.FALSE: (
        "False alarms",
        f": no breach then, and net liquidation fell by less than {FALSE_BELOW * 100:g} % {_TO}.",
    ),
    Kind.SAME: ("The same", "."),
}


def exit_code(found: Comparison) -> int:
    """0: everything came out as it was; 1: something differs; 3: nothing is stored, or what is could not be read."""
    if found.differing:
        return _DIFFERS
    return _UNKNOWN if found.unreadable or not found.moments else _SAME


def sentences(found: Comparison, listed: int = _LISTED) -> list[str]:
    """The answer in words, worst first; of each kind `listed` breaches, none where a table stands beside."""
    if found.begin is None or found.end is None:
        return ["Nothing is stored in this range, so nothing is known about it."]
    return [
        _whole(found),
        *_unread(found),
        *_unlike(found),
        *(line for kind in Kind for line in _listed(found, kind, 0 if kind is Kind.SAME else listed)),
        *_regimes(found),
        *_levels(found),
        *_stress(found),
        _spacing(found),
    ]


def table(found: Comparison) -> list[dict[str, str | float | None]]:
    """One row per breach, worst first; times in New York, minutes earlier are negative."""
    return [
        {
            "What": breach.kind.value,
            "Finding": headline(breach.check, breach.subject),
            **_cells("Then", breach.then),
            **_cells("Again", breach.again),
            "Minutes later": None if breach.kind is Kind.CUT else _shift(breach),
            "Worst fall after %": None if breach.fall is None else round(breach.fall * 100, 2),
            "Fall": "" if breach.then is not None else _sure(breach),
        }
        for breach in found.breaches
    ]


def _whole(found: Comparison) -> str:
    span = f"{_count(found.moments, 'moment')} from {_time(found.begin)} to {_time(found.end)} New York"
    under = wording.names(found.again.versions, 3)
    readable = found.moments - found.unreadable
    if found.differing:
        said = f"{found.differing:,} of them came out differently"
    elif not readable:
        said = "none could be judged again"
    else:
        said = "each came out as it was" if not found.unreadable else f"{readable:,} came out as they were"
    return f"{span}, judged under matrix {under} (then: {wording.names(found.then.versions, 3)}): {said}."


def _unread(found: Comparison) -> Iterator[str]:
    if not found.unreadable:
        return
    yield f"? {_count(found.unreadable, 'moment')} could not be judged again and count as UNKNOWN:"
    for time, problem in found.problems[:_LISTED]:
        yield f"    {_time(time)}: {problem}"
    if found.unreadable > _LISTED:
        yield f"    and {found.unreadable - _LISTED:,} more"


def _unlike(found: Comparison) -> Iterator[str]:
    """The first levels that did not come out again under the very matrix they came from."""
    if found.then.versions != found.again.versions:
        return
    for one in found.differences[:_LISTED]:
        yield f"    {_time(one.time)} {one.name}: {one.then or 'not judged'} then, {one.again or 'not judged'} now"


def _listed(found: Comparison, kind: Kind, most: int) -> Iterator[str]:
    breaches = found.of(kind)
    if not breaches:
        return
    title, meaning = MEANS[kind]
    yield f"{title} ({len(breaches):,}){meaning}"
    for breach in breaches[:most]:
        yield f"    {_told(breach)}"
    if most and len(breaches) > most:
        yield f"    and {len(breaches) - most:,} more"


def _told(breach: Breach) -> str:
    name = headline(breach.check, breach.subject)
    if breach.then is None:
        return f"{_time(breach.begin)} {name}: {_sure(breach)}"
    shift = _shift(breach)
    if shift is None or breach.kind is Kind.CUT:
        both = "" if breach.again is None else ", and now"
        return f"{_time(breach.then.begin)} {name}, until {_time(breach.then.end)}{both}"
    way = "earlier" if shift < 0 else "later"
    return f"{_time(breach.then.begin)} {name}: {wording.age(abs(shift) * 60)} {way}"


def _sure(breach: Breach) -> str:
    if breach.fall is None:
        return "how far net liquidation fell after it is not known"
    least = "" if breach.fall_known else "at least "
    doubt = "" if breach.deposits_known else "; deposits are not known"
    return f"net liquidation fell by {least}{breach.fall * 100:.2f} % {_TO}{doubt}"


def _regimes(found: Comparison) -> Iterator[str]:
    then, again = found.then.regime_changes, found.again.regime_changes
    if not then and not again:
        yield "The regime did not change, then or now."
        return
    same = "the same" if then == again else "not the same"
    yield f"The regime changed {_count(len(then), 'time')} then and {_count(len(again), 'time')} now, {same}:"
    lines = {move: "then and now" if move in again else "then" for move in then}
    lines |= {move: "now" for move in again if move not in then}
    ordered = sorted(lines.items(), key=lambda item: (item[0].time, item[1]))
    for move, who in ordered[:_LISTED]:
        yield f"    {_time(move.time)} {move.old} -> {move.new} ({who})"
    if len(ordered) > _LISTED:
        yield f"    and {len(ordered) - _LISTED:,} more"


def _levels(found: Comparison) -> Iterator[str]:
    """Time at each level of the checks for which it differs."""
    then, again = found.then.seconds, found.again.seconds
    moved = [check for check in sorted({*then, *again}) if then.get(check) != again.get(check)]
    if moved:
        yield "Time at each level, where it differs:"
    for check in moved:
        yield f"    {title_of(check)}: then {_times(then.get(check))}; now {_times(again.get(check))}"
    counts = (found.then.unknown, found.again.unknown)
    yield f"Something was UNKNOWN at {_count(counts[0], 'moment')} then and at {_count(counts[1], 'moment')} now."


def _times(seconds: Mapping[Level, int] | None) -> str:
    return ", ".join(f"{level} {wording.age(count)}" for level, count in (seconds or {}).items()) or "not judged"


def _stress(found: Comparison) -> Iterator[str]:
    """Where what the book would lose under shocks comes from; nothing where no moment could be judged."""
    readable = found.moments - found.unreadable
    if not readable:
        return
    what = "What the book would lose under shocks"
    if not found.revalued:
        yield f"{what} is as it was measured then."
    elif found.revalued >= readable:
        yield f"{what} was measured again at every moment."
    else:
        yield f"{what} was measured again at {_count(found.revalued, 'moment')}; at the others it is as measured then."


def _spacing(found: Comparison) -> str:
    if found.spacing_seconds is None:
        return "It is one moment only: nothing before or after it can be seen."
    text = f"The moments are usually {wording.age(found.spacing_seconds)} apart, at most "
    text += f"{wording.age(found.longest_seconds)}: what was shorter cannot be seen."
    if found.unwatched_seconds:
        text += f" For {wording.age(found.unwatched_seconds)} nobody watched; that time is counted at no level."
    return text


def _shift(breach: Breach) -> float | None:
    """Minutes by which the other matrix is later; negative is earlier."""
    if breach.then is None or breach.again is None:
        return None
    return round((breach.again.begin - breach.then.begin).total_seconds() / 60, 2)


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _time(time: datetime | None) -> str:
    return "" if time is None else f"{time.astimezone(NEW_YORK):%a %d %b %Y %H:%M:%S}"


def _cells(side: str, span: Span | None) -> dict[str, str]:
    begin, end = ("", "") if span is None else (_cell(span.begin), _cell(span.end))
    return {f"{side} from": begin, f"{side} to": end}


def _cell(time: datetime) -> str:
    return f"{time.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}"

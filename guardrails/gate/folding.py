"""Reasons as a tired person reads them: what is worst first, a cause before what follows from it, and that folded.

One leg without a quote makes twenty limits unknown. All twenty are reasons of the Impact; a person is told the one
cause, and in the same sentence what cannot be told because of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from guardrails import wording
from guardrails.gate.values import Reason, Verdict
from guardrails.titles import about, headline

UNTOLD = ("limit_unknown", "share_unknown")
"""what follows from other reasons, and says no more than that something is not known"""
_BROKEN = ("limit_newly_breached", "limit_worsened")
_RANK = {verdict: -rank for rank, verdict in enumerate(Verdict)}
_NAMED = 3


def traced(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """`reasons`, each naming the one it follows from, worst first and causes before consequences."""
    told = tuple(reasons)
    causes = {reason.code: reason.follows for reason in told}
    linked = [replace(reason, follows=_cause(reason, causes)) for reason in told]
    return tuple(sorted(linked, key=lambda one: (_RANK[one.verdict], one.code in UNTOLD)))


def folded(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    """`reasons` in fewer lines: what follows from one of them stands in its sentence, with the worst verdict of all.

    What follows from none, and was not known without the order either, is one line.
    """
    reasons = tuple(_alike(reasons))
    codes = {reason.code for reason in reasons}
    lone = [one for one in reasons if one.code in UNTOLD and one.follows not in codes]
    first = {reason.code: reason for reason in reversed(reasons)}
    found = []
    for reason in reasons:
        if reason in lone:
            if reason is lone[0]:
                found.append(_together(lone))
        elif reason.follows not in codes:
            untold = [one for one in reasons if one.follows == reason.code]
            found.append(_with(reason, untold) if untold and reason is first[reason.code] else reason)
    return tuple(sorted(found, key=lambda one: _RANK[one.verdict]))


def _alike(reasons: Sequence[Reason]) -> Iterator[Reason]:
    """`reasons`, those of one check that break or worsen its limits as one: the first in full, the others by name."""
    groups: dict[tuple[object, ...], list[Reason]] = {}
    for place, one in enumerate(reasons):
        name: tuple[object, ...] = (place,)
        if one.code in _BROKEN:
            name = (one.code, one.check, one.verdict, one.overridden)
        if any(one.subject == other.subject for other in groups.get(name, ())):
            name = (place,)  # not another limit of the check: something else said of the same one
        groups.setdefault(name, []).append(one)
    for first, *others in groups.values():
        names = [headline(one.check, one.subject).partition(", ")[2] or about(one.subject) for one in others]
        more = f" The same holds for {wording.names(names, _NAMED)}." if names else ""
        yield replace(first, message=f"{first.message.rstrip('.')}.{more}") if more else first


def _cause(reason: Reason, told: Mapping[str, str]) -> str:
    """The first cause that is told too."""
    found = reason.follows
    while found and (further := told.get(found, "")):
        found = further
    return found if found in told else ""


def _with(cause: Reason, untold: Sequence[Reason]) -> Reason:
    """A cause and what is not known because of it, in one sentence more."""
    worst = min((cause, *untold), key=lambda one: _RANK[one.verdict]).verdict
    names = list(dict.fromkeys(headline(one.check, one.subject) for one in untold if one.check))
    if not names:
        return replace(cause, verdict=worst)
    are = "is" if len(names) == 1 else "are"
    words = f"{cause.message.rstrip('.')}. Not known because of it {are} {wording.names(names, _NAMED)}."
    return replace(cause, verdict=worst, message=words)


def _together(untold: Sequence[Reason]) -> Reason:
    first = untold[0]
    if len(untold) == 1:
        return first
    names = list(dict.fromkeys(headline(one.check, one.subject) for one in untold))
    words = f"{len(untold)} limits are not known: {wording.names(names, _NAMED)}. The first: {first.message}"
    return replace(first, message=words, check="", subject="")

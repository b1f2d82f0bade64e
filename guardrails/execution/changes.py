"""Changes of positions that nothing explains, as the journal keeps them: one entry each, which stands until something
explains it or a person accepts it, also over a restart. Pure.

The one leg of an entry says how much is unexplained (`quantity`), what the account ought to hold by all that is known
(`held`), and which executions that rests on (`execution`): with these the watch goes on after a restart where it ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from guardrails.calendar import NEW_YORK
from guardrails.execution.values import JournalEntry, JournalKind, JournalLeg
from guardrails.instruments import Instrument
from guardrails.journal.explain import PositionChange, change_words
from guardrails.journal.money import underlying_of
from guardrails.memory import account_key

PROGRAM = "the program"


def standing(
    change: PositionChange,
    instrument: Instrument | None,
    executions: Sequence[str],
    since: datetime,
    known: JournalEntry | None,
) -> JournalEntry:
    """The entry of `change` as it stands now; `known` as it stood before, the same object when nothing moved.

    `instrument` is None where an earlier program alone has seen it.
    """
    label = instrument.label if instrument is not None else "" if known is None else known.legs[0].label
    held = change.after - change.quantity
    leg = JournalLeg(change.key, label, change.quantity, None, None, tuple(executions), held=held)
    if known is not None and known.legs == (leg,):
        return known
    words = f"{change_words(change, label)}."
    if known is not None:
        return replace(known, legs=(leg,), words=words, quantity=abs(change.quantity))
    owner = account_key(change.account)
    return JournalEntry(
        key=f"change:{owner}:{change.key}:{since:%Y%m%dT%H%M%S}",
        time=since,
        kind=JournalKind.CHANGE,
        author=PROGRAM,
        words=words,
        tag="",
        account=str(change.account),
        underlying="" if instrument is None else underlying_of(instrument),
        legs=(leg,),
        quantity=abs(change.quantity),
        owner=owner,
        stands=True,
    )


def explained(entry: JournalEntry) -> JournalEntry:
    """`entry` once nothing of it is unexplained any more: what explains it has entries of its own."""
    return replace(entry, stands=False, legs=(), quantity=0.0, words=f"{entry.words} It is explained by now.")


def accepted(entry: JournalEntry, author: str, note: str, now: datetime) -> JournalEntry:
    """`entry` as a person has accepted it; from then on it explains the change, at a price that is not known."""
    at = f"{now.astimezone(NEW_YORK):%a %d %b %H:%M} ET"
    return replace(entry, stands=False, author=author, words=f"{entry.words} {author} accepted it, {at}: {note}")


def meant(entries: Sequence[JournalEntry], owner: str, position: str) -> list[JournalEntry]:
    """Those that stand in the account `owner` (`account_key`) and of what a person calls `position`."""
    wanted = position.strip().casefold()
    return [one for one in entries if one.stands and one.owner == owner and wanted in _names(one.legs[0])]


def _names(leg: JournalLeg) -> set[str]:
    return {name.casefold() for name in (leg.key, leg.key.partition(":")[2], leg.label) if name}

"""A person says that a change of a position which nothing explains is right, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guardrails import wording
from guardrails.execution import changes
from guardrails.execution.asked import Done
from guardrails.execution.desk import Desk
from guardrails.execution.doing import Doing, of, short
from guardrails.execution.values import JournalEntry
from guardrails.journal.explain import TOLERANCE, counted
from guardrails.memory import account_key
from guardrails.order_json import account_named
from guardrails.requests import Kind, Request
from guardrails.values import finite


@dataclass(frozen=True, slots=True)
class Accepting:
    """Belongs to the loop."""

    desk: Desk

    def table(self) -> Mapping[str, Doing]:
        """By kind."""
        return {Kind.ACCEPT_CHANGE: self.accept}

    async def accept(self, request: Request) -> Done:
        """The change is explained by a person's word from now on; ValueError when it is not exactly one that stands."""
        if not self.desk.is_open:
            raise ValueError("This program has just begun to watch: ask again once it has read what was done before.")
        note, entry = short(of(request, "note")), self._meant(request)
        [leg] = entry.legs
        now = counted(leg.quantity, leg.key)
        if "quantity" in request.body:
            shown = finite(request.body["quantity"])
            if shown is None or abs(shown - leg.quantity) > TOLERANCE:
                raise ValueError(f"It has changed: {now} unexplained now. Look again before you accept it.")
        self.desk.do(changes.accepted(entry, request.author, note, self.desk.clock()))
        return Done(f"Accepted: {now} of {leg.label or leg.key.partition(':')[2]} in {entry.account}.")

    def _meant(self, request: Request) -> JournalEntry:
        """The one that stands and that a person means."""
        entries, key = standing(self.desk), request.body.get("entry", "")
        if key:
            found = [entry for entry in entries if entry.key == key]
        else:
            account = account_named(of(request, "account"), self.desk.accounts)
            found = changes.meant(entries, account_key(account), of(request, "position"))
        if len(found) == 1:
            return found[0]
        names = [f"{entry.account} {entry.legs[0].label or entry.legs[0].key.partition(':')[2]}" for entry in entries]
        raise ValueError(f"No such change stands unexplained; these do: {wording.names(names) or 'none'}.")


def standing(desk: Desk) -> tuple[JournalEntry, ...]:
    """Changes that nothing explains and nobody has accepted, oldest first."""
    found = [entry for entry in list(desk.deeds.entries.values()) if entry.stands]
    return tuple(sorted(found, key=lambda entry: (entry.time, entry.key)))

"""What tastytrade's dry run says an order would do, as a Preview; pure.

It states the change of one margin requirement and of the buying power, each as a size beside its effect: a debit takes
buying power, and so does a rise of the requirement. Which requirement that is it does not say; it is held against the
one the account is judged by, the maintenance requirement. It says nothing of the equity, so that what is left over is
the new buying power, which is never more than the excess. Anything that does not add up leaves the margin unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from adapters.tastytrade.api import Record
from adapters.tastytrade.fields import requirement, signed
from guardrails.orders import Figure, Preview
from guardrails.redaction import redact
from guardrails.values import finite

_CENTS = 0.05
"""dollars by which three rounded figures may miss each other"""
NO_POSITION = "closing_with_no_position"
"""only a warning, although the order would be turned into an opening one"""


def preview(answer: Record, balance: Record, now: datetime) -> Preview:
    """The dry run's answer with the account's `balance` of the same moment; `unknown` says why it is not to be used."""
    effect, fees = (_record(answer.get(name)) for name in ("buying-power-effect", "fee-calculation"))
    before = requirement(balance, "maintenance-requirement")
    taken, change, had, left = (
        signed(effect, name)
        for name in (
            "change-in-margin-requirement", "change-in-buying-power", "current-buying-power", "new-buying-power",
        )
    )  # fmt: skip
    margin = None if taken is None else -taken + 0.0
    after = None if before is None or margin is None else finite(before + margin)
    figure = Figure(before, margin, after)
    paid = signed(fees, "total-fees")
    errors, warnings = list(_words(answer.get("errors"))), list(_words(answer.get("warnings")))
    doubts = [
        *(f"tastytrade would refuse it: {said}" for said in errors),
        *(f"tastytrade knows no position to close: {said}" for code, said in _coded(answer) if code == NO_POSITION),
        *_doubts(figure, change, had, left),
    ]
    return Preview(
        now,
        initial_margin=figure,
        maintenance_margin=figure,
        currency=str(balance.get("currency") or "USD").upper(),
        commission=None if paid is None else -paid + 0.0,
        commission_currency="USD" if paid is not None else "",
        warnings=(*errors, *warnings),
        unknown=f"{'; '.join(doubts)}; margin unknown" if doubts else "",
        buying_power_after=left,
    )


def _doubts(margin: Figure, change: float | None, had: float | None, left: float | None) -> Iterator[str]:
    """Why the figures cannot be relied on."""
    if margin.change is None:
        yield "the dry run does not say how the margin requirement changes"
    if margin.before is None:
        yield "the balance does not say the margin requirement"
    if margin.after is not None and margin.after < -_CENTS:
        yield f"the margin requirement would be {margin.after:,.2f}, below zero"
    if left is None:
        yield "the dry run does not say what buying power is left"
    elif change is None or had is None or abs(had + change - left) > _CENTS:
        yield "the buying power before, its change and the one after do not add up"


def _record(value: object) -> Record:
    return value if isinstance(value, dict) else {}


def _coded(answer: Record) -> Iterator[tuple[str, str]]:
    """Code and words of each warning and error."""
    for name in ("errors", "warnings"):
        found = answer.get(name)
        for each in found if isinstance(found, list) else []:
            if isinstance(each, dict):
                yield str(each.get("code") or ""), _clean(each.get("message") or each.get("code"))


def _words(found: object) -> Iterator[str]:
    for each in found if isinstance(found, list) else []:
        yield _clean((each.get("message") or each.get("code")) if isinstance(each, dict) else each)


def _clean(value: object) -> str:
    return redact(" ".join(str(value or "no words").split()))[:160]

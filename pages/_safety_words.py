"""The safety states in words and colours, the same in the header, in the dialog and on the ticket."""

from __future__ import annotations

from guardrails.findings import Level
from guardrails.safety import SafetyState
from pages._parts import LOOKS, text

MEANS = {
    SafetyState.NORMAL: "every order goes through the gate",
    SafetyState.NO_NEW_RISK: "exits and hedges pass, new risk is blocked",
    SafetyState.REDUCE_ONLY: "exits and hedges pass, nothing else does; overrides do not count",
    SafetyState.STOPPED: "this program sends nothing at all; orders that rest at the brokers stay there",
}
LEVELS = {
    SafetyState.NORMAL: Level.NOT_APPLICABLE,
    SafetyState.NO_NEW_RISK: Level.WATCH,
    SafetyState.REDUCE_ONLY: Level.WATCH,
    SafetyState.STOPPED: Level.BREACH,
}


def safety_mark(state: str) -> str:
    """HTML of a state with what it means behind it: plain while it is NORMAL, else sign, word and colour."""
    if state not in set(SafetyState):
        return f"<b>{text(state)}</b>"
    known = SafetyState(state)
    says = f'title="{MEANS[known][0].upper()}{MEANS[known][1:]}."'
    if known is SafetyState.NORMAL:
        return f"<b {says}>{known.value}</b>"
    look = LOOKS[LEVELS[known]]
    sign = f'<span aria-hidden="true">{look.sign}</span>'
    return f'<span class="pg-pill pg-{look.name}" {says}>{sign} {known.value}</span>'

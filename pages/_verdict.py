"""The verdict on an order in words: what is read first, and each reason under it."""

from __future__ import annotations

from datetime import datetime

from guardrails import wording
from guardrails.findings import Level
from guardrails.gate.folding import folded
from guardrails.gate.projected_margin import UNASKED
from guardrails.gate.values import Impact, OrderKind, Reason, Verdict
from pages._alerts import said
from pages._parts import LOOKS, counted, pill

LOOK_OF = {Verdict.ALLOW: LOOKS[Level.OK], Verdict.WARN: LOOKS[Level.WATCH], Verdict.BLOCK: LOOKS[Level.BREACH]}
KINDS = {
    OrderKind.EXIT: "an exit: every leg only shrinks a position, and no short option loses its cover",
    OrderKind.HEDGE: "a hedge: the worst stress loss improves and no hard limit gets worse",
    OrderKind.NEW_RISK: "new risk",
}
_SHOWN_REASONS = 4


def verdict_pill(verdict: Verdict) -> str:
    """HTML of a verdict: sign, word and colour."""
    look = LOOK_OF[verdict]
    return f'<span class="pg-pill pg-{look.name}"><span aria-hidden="true">{look.sign}</span> {verdict.value}</span>'


def only_unasked(impact: Impact) -> bool:
    """Whether all that blocks it is that the broker has not been asked yet."""
    blocking = [reason for reason in impact.reasons if _counts(reason) is Verdict.BLOCK]
    return bool(blocking) and all(_unasked(reason, impact) for reason in blocking)


def _unasked(reason: Reason, impact: Impact) -> bool:
    """Whether `reason` stands only because no broker was asked."""
    of_limits = reason.code in ("limit_unknown", "share_unknown") and UNASKED in reason.message
    return not impact.margin.source and (reason.code == "margin_unknown" or of_limits)


def verdict_words(impact: Impact) -> str:
    """The verdict in one sentence, with what would pass."""
    if only_unasked(impact):
        return "the broker has not been asked what margin it takes; nothing else blocks it so far"
    told = [reason for reason in folded(impact.reasons) if _counts(reason) is impact.verdict]
    told = sorted(told, key=lambda reason: _unasked(reason, impact))  # what else blocks it says more
    if impact.verdict is Verdict.ALLOW or not told:
        return f"{KINDS[impact.kind]}; no rule stands against it"
    return told[0].message.strip().rstrip(".")


def offer_words(impact: Impact) -> str:
    """`2 of 5 would pass`; that nothing would, or that it is not known; nothing when it passes."""
    if impact.verdict is not Verdict.BLOCK or only_unasked(impact):
        return ""
    most, asked = impact.max_quantity, impact.order.quantity
    if not impact.margin.source and not most:
        return "ask the broker to learn how many would pass"
    if most is None:  # what stops an exit has nothing to do with its size
        return "" if impact.kind is OrderKind.EXIT else "how many would pass is not known"
    return f"{most} of {asked} would pass" if 0 < most < asked else "no quantity would pass"


def summary(impact: Impact, now: datetime) -> str:
    """HTML of the verdict, the title and the age: what is read first."""
    unasked = only_unasked(impact)
    light = pill(Level.UNKNOWN) if unasked else verdict_pill(impact.verdict)
    words = f"Not checked yet: {verdict_words(impact)}" if unasked else capital(verdict_words(impact))
    offer = offer_words(impact)
    sentence = f"{words}." + (f" {capital(offer)}." if offer else "")
    look = "unknown" if unasked else LOOK_OF[impact.verdict].name
    words = KINDS[impact.kind]
    kind = "" if capital(words) in sentence else f" · {said(words)}"
    age = wording.age(max((now - impact.time).total_seconds(), 0.0))
    return (
        f'<section class="pg-verdict pg-verdict-{look}" role="status" aria-label="Verdict">'
        f"<div>{light} <b>{said(sentence)}</b></div>"
        f'<div class="pg-soft">{said(impact.title)}{kind} · <span title="By matrix '
        f'{said(impact.matrix_version or "unknown")}">judged {age} ago</span></div></section>'
    )


def _counts(reason: Reason) -> Verdict:
    """What a reason makes of the order; one that is overridden does not block."""
    return Verdict.WARN if reason.overridden and reason.verdict is Verdict.BLOCK else reason.verdict


def reason_list(impact: Impact) -> str:
    lines = [
        f"<li>{pill(Level.UNKNOWN) if _unasked(reason, impact) else verdict_pill(_counts(reason))}"
        f"<div>{said(capital(reason.message))}{' <b>(overridden)</b>' if reason.overridden else ''}</div></li>"
        for reason in sorted(folded(impact.reasons), key=lambda reason: _unasked(reason, impact))
    ]
    more = counted(len(lines) - _SHOWN_REASONS, "more reason")
    return folded_lines(lines, _SHOWN_REASONS, more, '<ul class="pg-list">', "</ul>")


def folded_lines(lines: list[str], most: int, title: str, begin: str = "<div>", end: str = "</div>") -> str:
    """HTML of `lines`, those beyond `most` behind a click on `title`; nothing without lines."""
    first, rest = lines[:most], lines[most:]
    more = f"<details><summary>{title}</summary>{begin}{''.join(rest)}{end}</details>"
    return (f"{begin}{''.join(first)}{end}" if first else "") + (more if rest else "")


def capital(words: str) -> str:
    """`words` as a sentence begins."""
    return f"{words[:1].upper()}{words[1:]}"

"""The guards of single orders read aloud, for `guardrails matrix` and the Limits page."""

from __future__ import annotations

from guardrails import wording
from guardrails.matrix.orders import OrderRules
from guardrails.titles import title_of


def order_sentences(rules: OrderRules) -> list[str]:
    """What `rules` do, a sentence each."""
    notional = rules.max_notional_pct_nlv
    flatten = rules.flatten
    return [
        "An exit is never refused; the rest holds for new risk.",
        f"A limit price may be {_percent(rules.price_collar)} of mid beyond the natural price, five ticks at least.",
        f"One leg of one order may have {rules.max_contracts} contracts, shares counted by the hundred; its notional "
        + ("has no limit." if notional is None else f"may be {_percent(notional)} of net liquidation."),
        f"The same order again within {_span(rules.duplicate_seconds)} is taken for a second click; more than "
        f"{rules.most_a_minute} orders a minute are refused.",
        f"While the market is open a quote older than {_span(rules.quote_stale_seconds)} prices no new risk.",
        f"{rules.rejects_a_minute} rejected or failed orders within a minute set NO_NEW_RISK.",
        f"After a stricter safety state NORMAL is open again after {_span(rules.cooling_off_minutes * 60)}.",
        _unacknowledged(rules),
        _overrides(rules),
        f"Flatten walks every limit in {flatten.steps} steps of {_span(flatten.step_seconds)} from mid by at most "
        f"{_percent(flatten.slippage_cap)} of the width of the quote, {flatten.most_at_once} contracts an order; what "
        f"is asked at {flatten.worthless:g} or less without a bid is left to expire.",
    ]


def _unacknowledged(rules: OrderRules) -> str:
    given = rules.unacknowledged
    if given is None:
        return "An alert that nobody acknowledges changes no safety state."
    after = _span(given.after_minutes * 60)
    return f"A CRITICAL alert that nobody acknowledges within {after} sets {given.state}; a person sets NORMAL again."


def _overrides(rules: OrderRules) -> str:
    if not rules.overridable:
        return "No limit can be overridden."
    names = wording.names([title_of(name) for name in rules.overridable], len(rules.overridable))
    return f"A person may override {names} with a reason, for {_span(rules.override_minutes * 60)} at most."


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.4g} %"


def _span(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 or seconds % 60 else f"{seconds / 60:g} min"

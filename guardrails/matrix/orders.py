"""What the gate holds an order against beside the limits of the book: the `orders` section of the matrix.

It may be left out, as a whole and key by key: the defaults below are then in force. Nothing here ever refuses an exit.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from guardrails.matrix.ranges import Minutes, Seconds, Share, Strict, refuse, within

OVERRIDABLE = (
    "beta_delta", "short_vega", "gamma", "near_expiry_gamma", "vega_concentration", "delta_concentration",
    "margin_concentration", "position_contracts", "position_notional", "stress_ladder", "stress_scenarios",
    "margin_utilisation", "short_option_expiry", "price_collar", "order_size", "duplicate", "market_hours", "overlay",
)  # fmt: skip
"""what may be named as overridable: limits and guards. Margin at the broker, the daily loss, unknown data and the
safety state never are"""
_Whole = Annotated[int, within(1, 100_000, fraction=False)]


class FlattenRules(Strict):
    """How closing orders are priced and walked."""

    slippage_cap: Annotated[float, within(0, 2)] = 0.5
    """fraction of the quote's width beyond mid: 0.5 reaches the far side of the quote, more goes past it"""
    step_seconds: Annotated[float, within(1, 600, fraction=False)] = 15.0
    """between two prices of the same order"""
    steps: Annotated[int, within(1, 20, fraction=False)] = 4
    """from the first limit to the cap"""
    worthless: Annotated[float, within(0, 1, fraction=False)] = 0.05
    """price: a leg asked at or below it without a bid is left to expire"""
    most_at_once: _Whole = 50
    """contracts of one order; larger ones are split"""


class Unacknowledged(Strict):
    """What happens when nobody takes a CRITICAL alert: exits and hedges pass as ever, new risk does not."""

    after_minutes: Annotated[float, within(1, 1_440, fraction=False)]
    """since people were first asked to acknowledge it"""
    state: Literal["NO_NEW_RISK", "REDUCE_ONLY"] = "NO_NEW_RISK"
    """a `guardrails.safety.SafetyState`"""


class OrderRules(Strict):
    """Guards of single orders."""

    price_collar: Share = 0.10
    """fraction of the mid of a package, five ticks at least: how far a limit may be beyond the natural price"""
    max_contracts: _Whole = 50
    """contracts of one leg of one order; shares count by the hundred"""
    max_notional_pct_nlv: Annotated[float, within(0, 50)] | None = None
    """fraction of net liquidation: notional of one order; null: not set"""
    duplicate_seconds: Seconds = 30.0
    """the same order again within it is taken for a second click"""
    most_a_minute: _Whole = 10
    """new-risk orders sent within a minute"""
    quote_stale_seconds: Seconds = 60.0
    """an open market's quote of a leg older than this prices no new risk"""
    rejects_a_minute: _Whole = 3
    """rejected or failed orders within a minute that set NO_NEW_RISK"""
    cooling_off_minutes: Minutes = 30.0
    """before NORMAL after a person or the daily loss set a stricter state; fixed when it begins"""
    overridable: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """limits and guards that a person may override for a while, with a reason"""
    override_minutes: Annotated[float, within(1, 1_440, fraction=False)] = 60.0
    """longest time of an override"""
    unacknowledged: Unacknowledged | None = None
    """null: an alert that nobody acknowledges changes no safety state"""
    flatten: FlattenRules = FlattenRules()

    @field_validator("overridable")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in OVERRIDABLE:
                refuse(f"{name[:60]} cannot be overridden; what can is {', '.join(OVERRIDABLE)}")
        return names

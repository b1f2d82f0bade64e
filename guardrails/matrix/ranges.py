"""Numbers with a range and a unit, refused with the value that was probably meant."""

from __future__ import annotations

from typing import Annotated, NoReturn

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


def refuse(reason: str, *, key: str = "") -> NoReturn:
    """Raise the validation error `reason`; `key` is appended to the key path of the value being checked."""
    raise PydanticCustomError("rule", "{reason}", {"reason": reason, "key": key})


_HUGE = 1e12
"""dollars; a bound nobody means"""


def within(low: float, high: float, *, fraction: bool = True) -> AfterValidator:
    """A range check whose message suggests the value probably meant: the other sign, or a percent divided by 100."""

    def check(value: float) -> float:
        if low <= value <= high:
            return value
        candidates = [-value, *((value / 100, -value / 100) if fraction else ())]
        meant = next((c for c in candidates if low <= c <= high), None)
        percent = " (fractions of 1, not percent)" if fraction else ""
        hint = "" if meant is None else f"; did you mean {meant:.10g}?"
        bound = f"outside {low:.10g} to {high:.10g}"
        if value > high and low <= -_HUGE:
            bound = f"above {high:.10g}"
        elif value < low and high >= _HUGE:
            bound = f"below {low:.10g}"
        return refuse(f"{value:.10g} is {bound}{percent}{hint}")

    return AfterValidator(check)


Share = Annotated[float, within(0, 1)]
"""a part of a whole: share, loss, cushion, utilisation"""
Leverage = Annotated[float, within(0, 5)]
"""dollars of exposure per dollar of net liquidation; 5 is beyond what any broker margins"""
Notional = Annotated[float, within(0, 20)]
"""notional per dollar of net liquidation; a future carries about 20 times its margin"""
ShortVegaShare = Annotated[float, within(-0.05, 0)]
"""dollars per volatility point and dollar of net liquidation; beyond 5 % a percent was meant"""
ThetaShare = Annotated[float, within(0, 0.05)]
"""dollars per calendar day and dollar of net liquidation; beyond 5 % a percent was meant"""
Ratio = Annotated[float, within(0, 2)]
Amount = Annotated[float, within(0, _HUGE, fraction=False)]
"""dollars or SPX units, never negative"""
SignedAmount = Annotated[float, within(-_HUGE, _HUGE, fraction=False)]
ShortAmount = Annotated[float, within(-_HUGE, 0, fraction=False)]
"""dollars, zero or negative"""
VixLevel = Annotated[float, within(0, 200, fraction=False)]
Days = Annotated[int, within(0, 60, fraction=False)]
Closes = Annotated[int, within(1, 60, fraction=False)]
Minutes = Annotated[float, within(0, 10_080, fraction=False)]
Seconds = Annotated[float, within(1, 86_400, fraction=False)]
Readings = Annotated[int, within(1, 100, fraction=False)]


class Strict(BaseModel):
    """Frozen, no unknown key, no coercion: `true`, `"0.2"` and `.nan` are not numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

"""The limits of one regime: every key with its unit and range.

There are no defaults in here. A limit that nobody wrote is a limit that nobody chose, and a file cut short while it is
being saved must not read as "no limit": each key has to be present, and `null` says "not set" on purpose.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import model_validator

from guardrails.matrix.ranges import (
    Amount,
    Days,
    Leverage,
    Notional,
    Ratio,
    Share,
    ShortAmount,
    ShortVegaShare,
    SignedAmount,
    Strict,
    ThetaShare,
    refuse,
    within,
)
from guardrails.matrix.stress import StressLimits


class RatioBand(Strict):
    """Theta per day / vega per point: green inside the inner band, red outside the outer one (house band)."""

    green_min: Ratio
    green_max: Ratio
    red_min: Ratio
    red_max: Ratio

    @model_validator(mode="after")
    def _nested(self) -> Self:
        if self.green_min > self.green_max:
            refuse(f"green_min {self.green_min} is above green_max {self.green_max}; swap them", key="green_min")
        if self.red_min > self.green_min:
            refuse(f"red_min {self.red_min} must not be above green_min {self.green_min}", key="red_min")
        if self.red_max < self.green_max:
            refuse(f"red_max {self.red_max} must not be below green_max {self.green_max}", key="red_max")
        return self


class DteAlarm(Strict):
    """Trading days to the expiry at which a short option is WATCH, then BREACH."""

    watch: Days
    breach: Days

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.watch < self.breach:
            refuse(f"watch {self.watch} must not be below breach {self.breach}: watch comes first", key="watch")
        return self


class ShortOptionDte(Strict):
    """Expiry alarm of short options by settlement; keys are the values of `instruments.Settlement`."""

    physical: DteAlarm
    cash_am: DteAlarm
    cash_pm: DteAlarm


class Limits(Strict):
    """The limits of one regime; None is "not set". Of an absolute limit and its `_pct_nlv` twin the stricter wins."""

    max_beta_delta: Amount | None
    """SPX units, absolute beta-weighted delta"""
    max_beta_delta_pct_nlv: Leverage | None
    """absolute beta-weighted dollar delta / net liquidation"""
    max_negative_vega: ShortAmount | None
    """dollars per volatility point, 30-day-weighted, zero or negative"""
    max_negative_vega_pct_nlv: ShortVegaShare | None
    max_gamma: Amount | None
    """dollars of 1 % dollar gamma, beta-weighted, short side"""
    max_gamma_pct_nlv: Leverage | None
    max_near_expiry_gamma: Amount | None
    """as `max_gamma`, only options of 0 to 7 days to expiry"""
    max_near_expiry_gamma_pct_nlv: Leverage | None
    min_daily_theta: SignedAmount | None
    """dollars per calendar day"""
    max_daily_theta: Amount | None
    max_daily_theta_pct_nlv: ThetaShare | None
    theta_vega_ratio: RatioBand | None
    max_single_underlying_vega_pct: Share | None
    """share of gross vega"""
    max_single_underlying_delta_pct: Share | None
    """share of gross dollar delta"""
    max_single_underlying_margin_pct: Share | None
    """share of maintenance margin"""
    max_position_contracts: Annotated[int, within(0, 1_000_000, fraction=False)] | None
    max_position_notional_pct_nlv: Notional | None
    short_option_dte: ShortOptionDte | None
    min_cushion: Share | None
    """excess liquidity / net liquidation"""
    watch_cushion: Share | None
    max_margin_utilisation: Share | None
    """maintenance margin / net liquidation"""
    max_daily_loss_pct: Share | None
    """loss of the session / net liquidation at its start"""
    watch_daily_loss_pct: Share | None
    max_drawdown_pct: Share | None
    """fall from the cash-flow-adjusted peak / that peak"""
    stress: StressLimits | None
    """losses under shocks; files of version 1 do not know it"""

    @model_validator(mode="after")
    def _watch_before_breach(self) -> Self:
        low, watch = self.min_cushion, self.watch_cushion
        if low is not None and watch is not None and watch < low:
            refuse(f"{watch} must not be below min_cushion {low}: watch comes first", key="watch_cushion")
        high, watch = self.max_daily_loss_pct, self.watch_daily_loss_pct
        if high is not None and watch is not None and watch > high:
            refuse(
                f"{watch} must not be above max_daily_loss_pct {high}: watch comes first", key="watch_daily_loss_pct"
            )
        floor, cap = self.min_daily_theta, self.max_daily_theta
        if floor is not None and cap is not None and floor > cap:
            refuse(f"{floor} must not be above max_daily_theta {cap}", key="min_daily_theta")
        return self


LIMIT_KEYS: tuple[str, ...] = tuple(Limits.model_fields)

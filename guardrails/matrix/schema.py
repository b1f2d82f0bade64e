"""The shape of `risk_matrix.yaml` around the limits: regimes, settings, and what contradicts what.

Every `_pct`, ratio and cushion is a fraction of 1. As in `limits`, nothing has a default but what only adds words and,
so that files written for an earlier version stay valid, the tolerances that came later.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from guardrails.matrix.alerts import AlertRules
from guardrails.matrix.limits import LIMIT_KEYS, Limits
from guardrails.matrix.orders import OrderRules
from guardrails.matrix.ranges import Closes, Days, Minutes, Readings, Seconds, Share, Strict, VixLevel, refuse, within

RegimeName = Literal["low_volatility", "neutral_volatility", "high_volatility", "crisis_mode"]
REGIME_NAMES: tuple[RegimeName, ...] = get_args(RegimeName)
"""the four regimes, calm to crisis"""


def _messages(value: object) -> object:
    """One text for every limit becomes the mapping {"*": text}."""
    return {"*": value} if isinstance(value, str) else {} if value is None else value


class Regime(Strict):
    """One regime: the VIX range it stands for (lower end included) and its limits."""

    vix_min: VixLevel
    vix_max: VixLevel | None
    """None: no upper end"""
    limits: Limits
    violation_message: Annotated[Mapping[str, str], BeforeValidator(_messages)] = Field(default_factory=dict)
    """sentence shown when a limit is broken, by limit key; `*` for all"""
    allowed_strategies: Annotated[tuple[str, ...], Field(strict=False)]
    """advice, never enforced"""

    def message(self, key: str) -> str | None:
        """The trader's own sentence for a breach of limit `key` (a `_pct_nlv` key falls back to its absolute twin)."""
        twin = key.removesuffix("_pct_nlv")
        return next((self.violation_message[k] for k in (key, twin, "*") if k in self.violation_message), None)

    @field_validator("violation_message")
    @classmethod
    def _known_keys(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for key in value:
            if key not in LIMIT_KEYS and key != "*":
                raise PydanticCustomError("unknown_limit", "unknown limit", {"key": key})
        return value

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.vix_max is not None and self.vix_max <= self.vix_min:
            refuse(f"vix_max {self.vix_max:g} must be above vix_min {self.vix_min:g}", key="vix_max")
        return self


class DataRules(Strict):
    """When data is too old, contradictory or not yet confirmed."""

    stale_after_seconds: Seconds
    """an open market's stream that is silent for longer is stale"""
    quiet_after_minutes: Minutes
    """a price on a live stream that has not ticked for longer is stale"""
    vix_stale_after_minutes: Minutes
    """a VIX reading older than this while the market is open only keeps the regime"""
    account_stale_minutes: Minutes
    """account figures of a live source older than this while the market is open are UNKNOWN"""
    statement_max_sessions: Days
    """a statement older than this many trading sessions is stale"""
    mark_tolerance_pct: Share
    """a mark outside the quote by more than this fraction contradicts it"""
    jump_pct_nlv: Share
    """an unexplained jump of net liquidation between two readings beyond this makes it UNKNOWN"""
    agree_pct_nlv: Share
    """own quotes confirm a loss when they agree within this part of net liquidation"""
    confirm_readings: Readings
    """distinct broker timestamps needed before a loss halts"""
    open_quiet_minutes: Minutes
    """no halt on opening prints"""
    greeks_delta_tolerance: Share = 0.05
    """deltas of one option from two sources that differ by more contradict each other"""
    greeks_iv_tolerance: Share = 0.03
    """the same for implied volatilities, as fractions (0.03 is three points)"""
    beta_min_correlation: Share = 0.30
    """a beta from returns less correlated with the index than this says little"""


class RegimeRules(Strict):
    """How VIX and its term structure move the regime."""

    down_closes: Closes
    down_margin: Annotated[float, within(0, 0.5)]
    escalate_minutes: Minutes
    inverted_at: Annotated[float, within(0.5, 2)]
    """VIX / VIX3M at or above this blocks new short vega"""
    normal_below: Annotated[float, within(0.5, 2)]
    normal_closes: Closes
    no_history: RegimeName

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.normal_below > self.inverted_at:
            refuse(f"{self.normal_below} must not be above inverted_at {self.inverted_at}", key="normal_below")
        return self


class Override(Strict):
    """A person's choice of regime, with reason and end. It reverts by itself."""

    regime: RegimeName
    reason: Annotated[str, Field(min_length=3, max_length=500)]
    expires: datetime

    @field_validator("expires", mode="before")
    @classmethod
    def _iso(cls, value: object) -> object:
        if isinstance(value, str):
            text = value[:40]
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                refuse(f"{text!r} is not an ISO time; write for example 2026-07-24T16:00:00-04:00")
        if not isinstance(value, datetime):
            refuse(f"{value!s:.40} is not an ISO time; write for example 2026-07-24T16:00:00-04:00")
        if value.tzinfo is None:
            refuse(f"{value.isoformat()} has no time zone; write for example {value.isoformat()}-04:00")
        return value


class RiskMatrix(Strict):
    """The whole file, checked. `version` is not the file's `version: 1` but the hash of its bytes."""

    version: str
    """first 12 hex digits of the SHA-256 of the file"""
    watch_at: Annotated[float, within(0.01, 1)]
    """WATCH from this share of a limit"""
    advisory: Annotated[tuple[str, ...], Field(strict=False)]
    """limits that colour and reach WATCH at most; an absolute key includes its `_pct_nlv` twin"""
    regime_grace_minutes: Minutes
    """a breach caused only by a new regime blocks new risk at once but shouts after this"""
    exempt_groups: Annotated[tuple[str, ...], Field(strict=False)]
    """underlying groups without concentration limits"""
    override: Override | None = None
    alerts: AlertRules = AlertRules()
    orders: OrderRules = OrderRules()
    data: DataRules
    regime_rules: RegimeRules = Field(alias="regime")
    regimes: Mapping[RegimeName, Regime]
    """calm to crisis"""

    def regime(self, name: str) -> Regime:
        """The regime called `name`; KeyError when there is none."""
        return self.regimes[name]  # type: ignore[index]  # any text may be asked for; KeyError is the answer

    @property
    def thresholds(self) -> tuple[float, ...]:
        """VIX levels at which the second, third, fourth regime begin."""
        return tuple(regime.vix_min for regime in self.regimes.values())[1:]

    def is_advisory(self, key: str) -> bool:
        """Whether limit `key` only advises."""
        return key in self.advisory or key.removesuffix("_pct_nlv") in self.advisory

    @field_validator("advisory")
    @classmethod
    def _advisory_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for key in value:
            if key not in LIMIT_KEYS:
                raise PydanticCustomError("unknown_limit", "unknown limit", {"key": key})
            twin = key.removesuffix("_pct_nlv")
            if twin != key and twin in LIMIT_KEYS:
                refuse(f"write {twin} instead of {key}: the name covers both forms of the limit")
        return value

    @field_validator("regimes")
    @classmethod
    def _without_gaps(cls, value: Mapping[RegimeName, Regime]) -> Mapping[RegimeName, Regime]:
        missing = [name for name in REGIME_NAMES if name not in value]
        if missing:
            refuse(f"regime {', '.join(missing)} is missing; all of {', '.join(REGIME_NAMES)} are needed")
        _check_ranges(value)
        return {name: value[name] for name in REGIME_NAMES}


def _check_ranges(regimes: Mapping[RegimeName, Regime]) -> None:
    """Refuse VIX ranges that do not cover 0 to infinity exactly once, calm to crisis."""
    edge = 0.0
    before = ""
    for name in REGIME_NAMES:
        regime = regimes[name]
        if regime.vix_min != edge:
            what = "overlaps" if regime.vix_min < edge else "leaves a gap after"
            where = f"{what} {before}, which ends at {edge:g}" if before else "must start at 0"
            refuse(f"vix_min {regime.vix_min:g} {where}; write {edge:g}", key=f"{name}.vix_min")
        last = name == REGIME_NAMES[-1]
        if (regime.vix_max is None) != last:
            refuse(
                f"the last regime has no upper end; write null instead of {regime.vix_max}"
                if last
                else "null is for the last regime only; write the VIX level where the next regime begins",
                key=f"{name}.vix_max",
            )
        edge, before = regime.vix_max or edge, name

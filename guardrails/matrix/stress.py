"""What the book may lose under shocks: the `stress` section of the limits of a regime.

As everywhere in the matrix each key has to be written, `null` says "not set" on purpose, and fractions are of 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from guardrails.matrix.ranges import Share, Strict, refuse, within

_IndexReturn = Annotated[float, within(-0.6, 0.6)]
"""return of the S&P 500: its worst day was -0.20, its worst year -0.57"""


class Rung(Strict):
    """One step of the ladder: at this return of the index the book may lose this part of its net liquidation."""

    index: _IndexReturn
    max_loss_pct_nlv: Share

    @field_validator("index")
    @classmethod
    def _moves(cls, value: float) -> float:
        if value == 0.0:
            refuse("0 is no move; write for example -0.05 for a fall of 5 %")
        return value


PRESETS: Mapping[str, tuple[Rung, ...]] = MappingProxyType({
    "house": tuple(
        Rung.model_construct(index=index, max_loss_pct_nlv=times)
        for index, times in ((-0.40, 8.0), (-0.30, 4.0), (-0.25, 3.0), (-0.20, 2.0), (-0.12, 1.0))
    )
})  # fmt: skip
"""ladders by name: `house` is the stress of a broker, who asks how many times its worth an account can owe"""


def _listed(value: object) -> object:
    """Null is "not set", said by no item; a list that is empty by itself is not."""
    if value == []:
        refuse("an empty list; write null for not set")
    return () if value is None else value


def _named(value: object) -> object:
    if not isinstance(value, str):
        return _listed(value)
    if value not in PRESETS:
        refuse(f"{value[:60]!r} is no ladder; write {' or '.join(PRESETS)}, a list of rungs, or null")
    return PRESETS[value]


class ScenarioLimits(Strict):
    """Greatest loss in each named scenario, as a part of net liquidation; null is "not set"."""

    black_monday_1987: Share | None
    october_2008: Share | None
    february_2018: Share | None
    march_2020: Share | None
    august_2024: Share | None
    april_2025: Share | None
    single_name_gap: Share | None
    spreads_widen: Share | None


SCENARIO_NAMES: tuple[str, ...] = tuple(ScenarioLimits.model_fields)


class StressLimits(Strict):
    """The `stress` section of one regime."""

    ladder: Annotated[tuple[Rung, ...], Field(strict=False), BeforeValidator(_named)]
    """falling to rising, with the volatility that comes with each move; empty is not set"""
    stress_loss_pct_nlv: ScenarioLimits
    min_excess_after: Annotated[tuple[_IndexReturn, ...], Field(strict=False), BeforeValidator(_listed)]
    """returns of the index after which no account may be short of excess liquidity, by our estimate of its margin;
    empty is not set"""
    max_unvalued_share: Share
    """of the book that may be without a model value before nothing is cleared"""

    @property
    def scenarios(self) -> Mapping[str, float]:
        """Greatest loss by scenario, those that are set."""
        limits = ((name, getattr(self.stress_loss_pct_nlv, name)) for name in SCENARIO_NAMES)
        return {name: limit for name, limit in limits if limit is not None}

    @field_validator("ladder")
    @classmethod
    def _in_order(cls, value: tuple[Rung, ...]) -> tuple[Rung, ...]:
        _refuse_twice([rung.index for rung in value])
        return tuple(sorted(value, key=lambda rung: rung.index))

    @field_validator("min_excess_after")
    @classmethod
    def _once(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        _refuse_twice(value)
        return tuple(sorted(value))


def _refuse_twice(returns: Sequence[float]) -> None:
    """Refuse a list that has the same return of the index twice."""
    if twice := [value for value, count in Counter(returns).items() if count > 1]:
        refuse(f"index return {twice[0]:g} is written twice; keep one")

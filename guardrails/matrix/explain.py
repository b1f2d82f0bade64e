"""The matrix read aloud, in sentences with units, for `guardrails matrix` and the Limits page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from guardrails import wording
from guardrails.matrix.limits import LIMIT_KEYS, DteAlarm, RatioBand, ShortOptionDte
from guardrails.matrix.schema import Regime, RiskMatrix
from guardrails.matrix.stress import StressLimits

_SETTLEMENTS = {
    "physical": "settled in shares or futures",
    "cash_am": "cash-settled at the open",
    "cash_pm": "cash-settled at the close",
}


def _of_nlv(what: str) -> Callable[[float], str]:
    return lambda value: f"{what} {_percent(value)} of net liquidation"


def _text(before: str, after: str = "", say: Callable[[float], str] = wording.money) -> Callable[[float], str]:
    return lambda value: f"{before} {say(value)}{after}"


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.4g} %".replace("-", wording.MINUS)


def _band(band: RatioBand) -> str:
    return f"green {band.green_min:g} to {band.green_max:g}, red below {band.red_min:g} or above {band.red_max:g}"


def _dte(rule: ShortOptionDte) -> str:
    parts = []
    for settlement, words in _SETTLEMENTS.items():
        alarm: DteAlarm = getattr(rule, settlement)
        parts.append(f"{words}: WATCH at {alarm.watch}, BREACH at {alarm.breach} trading days or fewer")
    return "; ".join(parts)


def _stress(rule: StressLimits) -> str:
    """All parts of the section in one sentence each; a part that is not set says so."""
    rungs = [f"{_percent(rung.max_loss_pct_nlv)} at {_signed(rung.index)}" for rung in rule.ladder]
    scenarios = [f"{_percent(limit)} in {wording.plain(name)}" for name, limit in rule.scenarios.items()]
    moves = ", ".join(map(_signed, rule.min_excess_after))
    return "; ".join([
        f"the book may lose at most {', '.join(rungs)} of the index, with the volatility that comes with it, as parts "
        "of net liquidation" if rungs else "no ladder of index moves is set",
        f"and {', '.join(scenarios)}" if scenarios else "no named scenario has a limit",
        f"every account keeps excess liquidity of zero or more, by our estimate of its margin, after {moves}"
        if moves else "excess liquidity after a move has no limit",
        f"nothing is cleared while more than {_percent(rule.max_unvalued_share)} of the book has no model value",
    ])  # fmt: skip


def _signed(index: float) -> str:
    return ("+" if index > 0 else "") + _percent(index)


SENTENCES: Mapping[str, tuple[str, Callable[..., str]]] = {
    "max_beta_delta": ("Beta-weighted delta", _text("at most", " SPX units, long or short", wording.quantity)),
    "max_beta_delta_pct_nlv": ("Beta-weighted dollar delta, long or short", _of_nlv("at most")),
    "max_negative_vega": ("Short vega, 30-day-weighted", _text("not below", " per VIX point")),
    "max_negative_vega_pct_nlv": (
        "Short vega, 30-day-weighted",
        lambda value: f"not below {_percent(value)} of net liquidation per VIX point",
    ),
    "max_gamma": ("Short gamma", _text("at most", " of dollar delta per 1 % move")),
    "max_gamma_pct_nlv": ("Short gamma, dollar delta per 1 % move", _of_nlv("at most")),
    "max_near_expiry_gamma": ("Short gamma of options with 0 to 7 days left", _text("at most", " per 1 % move")),
    "max_near_expiry_gamma_pct_nlv": ("Short gamma of options with 0 to 7 days left", _of_nlv("at most")),
    "min_daily_theta": ("Theta", _text("at least", " per calendar day")),
    "max_daily_theta": ("Theta", _text("at most", " per calendar day")),
    "max_daily_theta_pct_nlv": (
        "Theta",
        lambda value: f"at most {_percent(value)} of net liquidation per calendar day",
    ),
    "theta_vega_ratio": ("Theta/vega ratio", _band),
    "max_single_underlying_vega_pct": ("One underlying's vega", _text("at most", " of gross vega", _percent)),
    "max_single_underlying_delta_pct": (
        "One underlying's dollar delta",
        _text("at most", " of gross dollar delta", _percent),
    ),
    "max_single_underlying_margin_pct": (
        "One underlying's margin",
        _text("at most", " of maintenance margin", _percent),
    ),
    "max_position_contracts": ("One position", _text("at most", " contracts", wording.quantity)),
    "max_position_notional_pct_nlv": ("One position's notional", _of_nlv("at most")),
    "short_option_dte": ("Short options near expiry", _dte),
    "min_cushion": (
        "Margin cushion of every account and segment",
        _text("at least", " of its net liquidation", _percent),
    ),
    "watch_cushion": ("Margin cushion", _text("WATCH below", "", _percent)),
    "max_margin_utilisation": ("Maintenance margin", _of_nlv("at most")),
    "max_daily_loss_pct": ("Loss of a session, open losses included", _of_nlv("at most")),
    "watch_daily_loss_pct": ("Loss of a session", _text("WATCH from", " of net liquidation", _percent)),
    "max_drawdown_pct": ("Fall from the cash-flow-adjusted peak", _text("at most", "", _percent)),
    "stress": ("Stress", _stress),
}
"""by limit key: what is limited, and how its value is said"""

TARGETS = (
    "max_beta_delta", "max_beta_delta_pct_nlv", "max_negative_vega", "max_negative_vega_pct_nlv",
    "max_gamma", "max_gamma_pct_nlv", "max_near_expiry_gamma", "max_near_expiry_gamma_pct_nlv",
    "min_cushion", "max_margin_utilisation",
)  # fmt: skip
"""limits that a change of regime moves and a trader must know at once"""


def explain(matrix: RiskMatrix) -> dict[str, list[str]]:
    """Every limit of every regime in sentences, by regime name, calm to crisis."""
    return {name: explain_regime(matrix, name) for name in matrix.regimes}


def explain_regime(matrix: RiskMatrix, name: str) -> list[str]:
    """The sentences of one regime; KeyError when there is none of this name."""
    regime = matrix.regime(name)
    advice = ", ".join(regime.allowed_strategies) or "none"
    return [
        f"{name} holds {_range(regime)}.",
        *(sentence(matrix, name, key) for key in LIMIT_KEYS),
        f"Strategies that fit (advice, never enforced): {advice}.",
    ]


def sentence(matrix: RiskMatrix, name: str, key: str) -> str:
    """Limit `key` of regime `name` in words: `Theta: at most 0.25 % of net liquidation per calendar day (advisory).`"""
    subject, say = SENTENCES[key]
    value = getattr(matrix.regime(name).limits, key)
    kind = " (advisory: colours, never stops an order)" if matrix.is_advisory(key) else ""
    return f"{subject}: {'not set' if value is None else say(value)}{kind} [{key}]."


def advice(matrix: RiskMatrix) -> tuple[str, ...]:
    """What a trader should add to a valid file, in sentences with what to write."""
    unset = [name for name in matrix.regimes if matrix.regime(name).limits.stress is None]
    if not unset:
        return ()
    return (
        f"No stress limits are set in {wording.names(unset)}: nothing judges what a crash would cost. Copy the "
        "`stress:` section of docs/limits.md under the limits of each regime and write `version: 2`.",
    )


def targets(matrix: RiskMatrix, name: str) -> tuple[str, ...]:
    """The limits of regime `name` that matter on entering it, in words; those not set are left out."""
    limits = matrix.regime(name).limits
    return tuple(sentence(matrix, name, key) for key in TARGETS if getattr(limits, key) is not None)


def _range(regime: Regime) -> str:
    if regime.vix_max is None:
        return f"from VIX {regime.vix_min:g} upwards"
    return f"from VIX {regime.vix_min:g} to below {regime.vix_max:g}"

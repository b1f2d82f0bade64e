"""Say what pydantic found in the trader's words: key path, value, bound, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from guardrails.matrix import alerts, limits, orders, schema, stress

Key = tuple[str | int, ...]

_PLACES: dict[Key, type[BaseModel]] = {
    (): schema.RiskMatrix,
    ("data",): schema.DataRules,
    ("regime",): schema.RegimeRules,
    ("override",): schema.Override,
    ("alerts",): alerts.AlertRules,
    ("alerts", "settle_seconds"): alerts.Settle,
    ("alerts", "repeat_minutes"): alerts.Repeat,
    ("alerts", "escalation", "*"): alerts.Escalation,
    ("alerts", "quiet_hours"): alerts.QuietHours,
    ("orders",): orders.OrderRules,
    ("orders", "flatten"): orders.FlattenRules,
    ("orders", "unacknowledged"): orders.Unacknowledged,
    ("regimes", "*"): schema.Regime,
    ("regimes", "*", "limits"): limits.Limits,
    ("regimes", "*", "limits", "theta_vega_ratio"): limits.RatioBand,
    ("regimes", "*", "limits", "short_option_dte"): limits.ShortOptionDte,
    **{
        ("regimes", "*", "limits", "short_option_dte", settlement): limits.DteAlarm
        for settlement in limits.ShortOptionDte.model_fields
    },
    ("regimes", "*", "limits", "stress"): stress.StressLimits,
    ("regimes", "*", "limits", "stress", "ladder", "*"): stress.Rung,
    ("regimes", "*", "limits", "stress", "stress_loss_pct_nlv"): stress.ScenarioLimits,
}
"""which keys are known where; `*` stands for any regime and any item of a list"""


def describe(error: ValidationError, lines: dict[Key, int]) -> Iterator[tuple[int, str]]:
    """(line, `key.path: sentence`) for every problem in `error`."""
    details = error.errors(include_url=False)
    misspelt = {(*d["loc"][:-1], _meant(d["loc"])) for d in details if d["type"] == "extra_forbidden"}
    for detail in details:
        if detail["type"] == "missing" and detail["loc"] in misspelt:
            continue  # the misspelt key is reported; saying that the right one is missing adds nothing
        path, sentence = _sentence(detail)
        line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 1)
        yield line, f"{'.'.join(map(str, path)) or 'top level'}: {sentence}"


def _sentence(detail: ErrorDetails) -> tuple[Key, str]:
    path: Key = tuple(part for part in detail["loc"] if part != "[key]")
    context, value = detail.get("ctx", {}), detail["input"]
    match detail["type"]:
        case "rule":
            more = tuple(context["key"].split(".")) if context["key"] else ()
            return (*path, *more), context["reason"]
        case "unknown_limit":
            return (*path, context["key"]), f"not a limit{_nearest(context['key'], limits.LIMIT_KEYS)}"
        case "extra_forbidden":
            return path, "unknown key" + _nearest_key(path)
        case "missing":
            known = (*limits.LIMIT_KEYS, *stress.SCENARIO_NAMES)
            return path, "missing; write it" + (", or null for not set" if path[-1] in known else "")
        case "literal_error":
            unknown = "unknown key" if "[key]" in detail["loc"] else f"{_shown(value)} is not a regime"
            return path, unknown + _nearest(str(value), schema.REGIME_NAMES)
        case "finite_number":
            return path, f"{_shown(value)} is not a finite number"
        case "int_type" | "int_from_float" | "float_type":
            return path, _number(value, whole=detail["type"] != "float_type")
        case "model_type" | "dict_type" | "mapping_type" | "model_attributes_type":
            return path, f"{_shown(value)} is not a group of `key: value` lines"
        case "tuple_type" | "list_type":
            return path, f"{_shown(value)} is not a list; write [a, b] or []"
    return path, f"{_shown(value)}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _number(value: object, *, whole: bool) -> str:
    wanted = "a whole number" if whole else "a number"
    text = str(value).strip()
    for candidate in (text, text.replace(",", "."), text.replace(",", ""), text.rstrip("% ")):
        try:
            number = float(candidate)
        except ValueError:
            continue
        if isinstance(value, bool) or number - number != 0 or (whole and number != int(number)):
            break
        meant = number / 100 if "%" in text else number
        return f"{_shown(value)} is not {wanted}; did you mean {meant:.10g}?"
    return f"{_shown(value)} is not {wanted}"


def _place(path: Key) -> Key:
    return tuple(
        "*" if isinstance(part, int) or (index == 1 and path[0] == "regimes") else part
        for index, part in enumerate(path)
    )


def _meant(path: Key) -> str | None:
    """The known key that the unknown key at `path` resembles."""
    model = _PLACES.get(_place(path)[:-1])
    known = [field.alias or name for name, field in model.model_fields.items()] if model else []
    return next(iter(difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)), None)


def _nearest_key(path: Key) -> str:
    if meant := _meant(path):
        return f"; did you mean {meant}?"
    elsewhere = [".".join(map(str, where)) for where, other in _PLACES.items() if path[-1] in other.model_fields]
    return f"; it belongs under {elsewhere[0]}" if elsewhere and elsewhere[0] else ""


def _nearest(wrong: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "a group of keys" if isinstance(value, dict) else "a list"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

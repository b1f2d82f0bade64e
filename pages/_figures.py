"""The figures above the payoff chart, in words: P&L of the scenario, break-evens, ends, chances."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from guardrails import wording
from guardrails.columns import Array
from guardrails.stress.payoff import Curve, Extreme, at_zero, break_evens, greatest, least
from guardrails.stress.probability import chance_of_profit, expected_move
from pages import _payoff
from pages._controls import Asked, day_words, title_of
from pages._dollars import between, level_words, move_words, points_words, within
from pages._parts import text
from pages._scenarios import Bench

_ENDLESS = "no limit above"
_LEAST_SURE, _MOST_SURE = 0.01, 0.99
_DEVIATION = "one standard deviation: two times in three"


@dataclass(frozen=True, slots=True)
class Figure:
    """One of them."""

    name: str
    value: str
    more: str = ""


def figures_html(bench: Bench, asked: Asked, lines: Mapping[str, Curve], *, old: bool = False) -> str:
    """HTML of all figures, grey-striped where what they rest on is `old`."""
    blocks = "".join(
        f'<div><div class="pg-soft">{text(one.name)}</div><div><b>{text(one.value)}</b></div>'
        f'<div class="pg-soft">{text(one.more)}</div></div>'
        for one in (
            Figure(f"P&L: {what(bench, asked)}", within(asked.total), share_words(bench, asked)),
            *ends(bench, asked, lines),
            chance(bench, asked, lines),
            expected(bench, asked),
        )
    )
    return f'<div class="pg-figures{" pg-silent" if old else ""}">{blocks}</div>'


def what(bench: Bench, asked: Asked) -> str:
    """What the scenario is: `SPX 5,490 (−5 %), volatility +7.9 points, Fri 28 Nov`."""
    if asked.named:
        return title_of(asked.case)
    question = asked.question
    where = f"{level_words(bench.axis.name, bench.axis.at(question.move))} ({move_words(question.move)})"
    return f"{where}, volatility {points_words(question.rise)}, {day_words(bench, question.day)}"


def share_words(bench: Bench, asked: Asked) -> str:
    """How much of the whole book's net liquidation the scenario costs; nothing when that is not known."""
    worth, total = bench.whole.portfolio.net_liquidation, asked.total.known
    since = f"from {asked.since}"
    if worth is None or worth <= 0 or total is None:
        return since
    return f"{since}, {wording.percent(total / worth)} of net liquidation"


def ends(bench: Bench, asked: Asked, lines: Mapping[str, Curve]) -> list[Figure]:
    """Break-evens, most gained and most lost at expiry; nothing where nothing expires."""
    line = lines.get(_payoff.EXPIRY)
    if line is None:
        return []
    since = f"from {asked.since}{_without(bench)}"
    worst = end_words(bench, line, least)
    ruin = between(*sorted(at_zero(line.move, side) for side in (line.low, line.high)))
    down = f"; {ruin} where {bench.axis.name} is 0" if worst.startswith(_ENDLESS) else ""
    return [
        Figure("Break-even at expiry", evens_words(bench, line), since),
        Figure("Most gained at expiry", end_words(bench, line, greatest), since),
        Figure("Most lost at expiry", worst, f"{since}{down}"),
    ]


def chance(bench: Bench, asked: Asked, lines: Mapping[str, Curve]) -> Figure:
    """Probability of a profit on the chosen date and at expiry, with the volatility it rests on."""
    if not lines:
        return Figure("Chance of a profit", "not known", "nothing of what is chosen can be revalued")
    question = asked.question
    horizons = [(_payoff.CHOSEN, f"on {day_words(bench, question.day)}", bench.days_to(question.day))]
    if (last := bench.last_days()) is not None and _payoff.EXPIRY in lines:
        horizons.append((_payoff.EXPIRY, "at expiry", last))
    said, bases = [], []
    for name, when, days in horizons:
        vol = bench.volatility(days)
        if days > 0 and vol is not None:
            low, high = chance_of_profit(lines[name], vol.value, days, bench.carry())
            said.append(f"{_percents(low, high) if lines[name].known else 'not known'} {when}")
            bases.append(f"{vol.words}, {vol.report}" if vol.report else vol.words)
    if not said:
        return Figure("Chance of a profit", "not known", "no implied volatility at the money is known")
    return Figure(
        "Chance of a profit", " · ".join(said), f"lognormal at {'; '.join(dict.fromkeys(bases))}{_without(bench)}"
    )


def expected(bench: Bench, asked: Asked) -> Figure:
    """The move to expect by the chosen date."""
    day = asked.question.day
    days = bench.days_to(day)
    vol = bench.volatility(days)
    name = f"Expected by {day_words(bench, day)}"
    if vol is None:
        return Figure(name, "not known", "no implied volatility at the money is known")
    if days <= 0:
        return Figure("Expected move", "none", "the chosen date is now")
    more = f"{_DEVIATION}; {vol.report}" if vol.report else _DEVIATION
    return Figure(name, " to ".join(_level(bench, end) for end in expected_move(vol.value, days)), more)


def chance_words(share: float) -> str:
    """`62 %`; a model of the market knows no certainty, so it ends at `over 99 %` and `under 1 %`."""
    if math.isnan(share):
        return "not known"
    if share > _MOST_SURE:
        return "over 99 %"
    return "under 1 %" if share < _LEAST_SURE else f"{100 * share:.0f} %"


def evens_words(bench: Bench, line: Curve) -> str:
    """`5,862 · 6,141`; ranges where a beta is not known."""
    if not line.known:
        return "not known"
    low, high = (break_evens(line.move, side) for side in (line.low, line.high))
    if len(low) != len(high):
        return "not known"
    said = [_either(*(_level(bench, end) for end in sorted(pair))) for pair in zip(low, high, strict=True)]
    return " · ".join(said) or "none"


def end_words(bench: Bench, line: Curve, reads: Callable[[Array, Array], Extreme]) -> str:
    """`+$3.1k at 5,900`, `no limit above SPX 6,480`; a range where a beta is not known."""
    if not line.known:
        return "not known"
    low, high = reads(line.move, line.low), reads(line.move, line.high)
    endless = [one for one in (low, high) if not one.limited]
    if endless:
        bound = level_words(bench.axis.name, bench.axis.at(endless[0].move))
        return f"{_ENDLESS} {bound if bench.axis.level is not None else move_words(low.move)}"
    amounts = between(*sorted((low.amount, high.amount)))
    return f"{amounts} at {_level(bench, low.move)}" if line.certain else amounts


def _without(bench: Bench) -> str:
    return f", without {len(bench.unvalued)} not revalued" if bench.unvalued else ""


def _level(bench: Bench, move: float) -> str:
    level = bench.axis.at(move)
    return move_words(move) if level is None else f"{level_words('', level).strip()} ({move_words(move)})"


def _either(one: str, other: str) -> str:
    return one if one == other else f"{one} to {other}"


def _percents(low: float, high: float) -> str:
    return _either(*(chance_words(share) for share in (low, high)))

"""What a book was measured to lose is kept with its moment, and levels told from that are those of a revaluation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from adapters.demo.source import DemoSource
from guardrails.assess import Inputs
from guardrails.comparison import compare
from guardrails.findings import Level
from guardrails.matrix import RiskMatrix, parse
from guardrails.memory import Memory
from guardrails.replay import Judged, replay
from guardrails.replay_document import document
from guardrails.replay_words import sentences
from guardrails.store.captures import Captured, captures
from guardrails.store.handing import Handing
from guardrails.store.inbox import Inbox
from guardrails.store.news import Numbers
from guardrails.store.packing import packed, unpacked
from guardrails.store.telemetry import Telemetry
from guardrails.stress.recorded import recorded_of
from guardrails.values import Observed, SourceState
from tests.books import IBKR, MATRIX, NOW
from tests.healthy import GENEROUS_MATRIX, SHIPPED, SPX_PUT, edited, edited_text, healthy
from tests.lived import at, captured, lived
from tests.stored import opened

STRESS = "regimes.*.limits.stress"
STRESS_CHECKS = ("stress_ladder", "stress_scenarios", "stress_excess", "model_residual")
KNOWN = {matrix.version: matrix for matrix in (MATRIX, GENEROUS_MATRIX)}
SOME_NAMED = dict.fromkeys(
    (
        f"{STRESS}.stress_loss_pct_nlv.{name}"
        for name in ("black_monday_1987", "october_2008", "march_2020", "single_name_gap", "spreads_widen")
    ),
    0.004,
)


def ladder(*rungs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"index": index, "max_loss_pct_nlv": share} for index, share in rungs]


OTHERS: dict[str, RiskMatrix] = {
    "shipped": MATRIX,
    "generous": GENEROUS_MATRIX,
    "tight ladder": edited({f"{STRESS}.ladder": ladder((-0.40, 0.01), (-0.05, 0.001), (0.02, 0.0001))}),
    "wide ladder": edited({f"{STRESS}.ladder": ladder((-0.30, 1.0), (0.20, 1.0))}),
    "tight scenarios": edited(SOME_NAMED),
    "deep excess": edited({f"{STRESS}.min_excess_after": [-0.40, -0.25, 0.15, 0.20]}),
    "nothing unvalued": edited({f"{STRESS}.max_unvalued_share": 0.0}),
    "watch early": edited({"watch_at": 0.05}),
    "advisory": edited({"advisory": ["stress"], f"{STRESS}.ladder": ladder((-0.20, 0.0001))}),
}


@cache
def demo(scenario: str) -> tuple[Captured, ...]:
    """The demo 40 s after the scenario began."""
    source = DemoSource(scenario)
    source.switch(scenario, NOW)
    times = [NOW + timedelta(seconds=40.0 * nth) for nth in range(2)]
    return tuple(lived([(now, asyncio.run(source.view(now))) for now in times], MATRIX)[-1:])


WORLDS = {
    "healthy": healthy(),
    "no net liquidation": healthy().account(IBKR, net_liquidation=None),
    "no margin": healthy().account(IBKR, margins=()),
    "no greeks": healthy().position(SPX_PUT, greeks=None, mark=None, bid=None, ask=None),
    "wrong volatility": healthy().position(SPX_PUT, bid=40.0, ask=41.0, mark=40.5),
    "no vix": healthy().markets(vix=None, vix_closes=(), vix3m_closes=()),
    "no betas": healthy().markets(betas={}),
    "silent": replace(healthy(), source=replace(healthy().source, state=SourceState.STALE)),
    "empty": replace(healthy(), positions={}),
    "nothing": replace(healthy(), positions={}, accounts={}),
}


@cache
def world(name: str) -> tuple[Captured, ...]:
    one = replace(WORLDS[name], matrix=MATRIX)
    return (captured(Inputs((one.view(),), one.memory, one.now), one.assess()),)


PASTS: dict[str, Callable[[], tuple[Captured, ...]]] = {
    **{f"demo {scenario}": partial(demo, scenario) for scenario in ("calm", "crash", "stale")},
    **{name: partial(world, name) for name in WORLDS},
}


def stress_of(judged: Judged) -> dict[str, Level]:
    return {name: level for name, level in judged.again.levels.items() if name.startswith(STRESS_CHECKS)}


@pytest.mark.parametrize("past", PASTS)
def test_levels_from_what_was_kept_are_those_of_a_revaluation(past: str) -> None:
    """Under the matrix of the time, and under others that hold the same figures against other limits."""
    moments = PASTS[past]()
    for matrix in (None, *OTHERS.values()):
        kept, anew = (list(replay(moments, matrix, KNOWN, revalue=revalue)) for revalue in (False, True))
        assert [one.revalued for one in (*kept, *anew)] == [False] * len(kept) + [True] * len(anew)
        assert [replace(one, revalued=True) for one in kept] == anew
        assert matrix is not None or [one.again.levels for one in kept] == [one.read_levels() for one in moments]


def test_the_cases_above_meet_every_level() -> None:
    """Else they would prove little."""
    met = {
        (name.partition(" ")[0], level)
        for past in PASTS.values()
        for matrix in OTHERS.values()
        for one in replay(past(), matrix, KNOWN)
        for name, level in stress_of(one).items()
    }
    levels = {Level.OK, Level.WATCH, Level.UNKNOWN, Level.BREACH}
    assert {check: {level for name, level in met if name == check} for check in STRESS_CHECKS} == {
        "stress_ladder": levels,
        "stress_scenarios": levels,
        "stress_excess": levels,
        "model_residual": {Level.OK, Level.WATCH, Level.UNKNOWN},
    }


def with_stress(one: Captured, change: Callable[[Any], Any]) -> Captured:
    """`one` with what was measured of it exchanged."""
    data = json.loads(unpacked(one.inputs))
    data["stress"] = change(data["stress"])
    return replace(one, inputs=packed(json.dumps(data).encode()))


def test_what_was_kept_is_what_is_judged() -> None:
    """A loss of a million at every move is a breach of every rung, and no other check moves."""
    (one, *_) = world("healthy")
    lost = with_stress(one, lambda kept: {**kept, "low": [-1e6] * len(kept["low"]), "high": [-1e6] * len(kept["low"])})
    (then,), (now,) = replay([one], None, KNOWN), replay([lost], None, KNOWN)
    rungs = {name for name in then.again.levels if name.startswith("stress_ladder")}
    assert rungs
    assert {now.again.levels[name] for name in rungs} == {Level.BREACH}
    assert {name for name in then.again.levels if then.again.levels[name] is not now.again.levels[name]} <= rungs
    assert compare([now]).differing == 1


def without(*names: str) -> Callable[[Any], Any]:
    return lambda kept: {name: value for name, value in kept.items() if name not in names}


UNREADABLE: dict[str, Callable[[Any], Any]] = {
    "of an older program": lambda _kept: None,
    "of a newer program": without("unvalued_share"),
    "cut": lambda kept: {**kept, "low": kept["low"][:-1]},
    "of fewer scenarios": lambda kept: {**kept, "scenarios": {}},
    "of fewer accounts": lambda kept: {**kept, "accounts": kept["accounts"][1:]},
    "of no part": lambda kept: {**kept, "accounts": [[] for _ in kept["accounts"]]},
    "no figures": lambda kept: {**kept, "low": "none"},
    "another thing": lambda _kept: 17,
}


@pytest.mark.parametrize("how", UNREADABLE)
def test_where_nothing_whole_was_kept_the_book_is_revalued(how: str) -> None:
    (one, *_) = world("healthy")
    (judged,) = replay([with_stress(one, UNREADABLE[how])], None, KNOWN)
    assert (judged.revalued, judged.problem) == (True, "")
    assert judged.again.levels == one.read_levels()


REVALUED = {
    "a return that was not measured": edited({f"{STRESS}.ladder": ladder((-0.17, 0.001))}),
    "an excess that was not measured": edited({f"{STRESS}.min_excess_after": [-0.17]}),
    "other rules for data": edited({"data.quiet_after_minutes": 3}),
}


@pytest.mark.parametrize("why", REVALUED)
def test_what_was_not_measured_is_measured_now(why: str) -> None:
    past, matrix = world("healthy"), REVALUED[why]
    kept, anew = (list(replay(past, matrix, KNOWN, revalue=revalue)) for revalue in (False, True))
    assert [one.revalued for one in kept] == [True]
    assert kept == anew


def test_where_the_regime_would_not_have_been_known_the_book_is_revalued() -> None:
    """At night the last official close says what the regime is. The memory then had one; the regime of another matrix
    is told from what the moment itself says, and that has none: then VIX is not known and nothing is cleared.
    """
    memory = replace(healthy(), matrix=MATRIX).assess().memory
    now, view = at(360)
    said = replace(view.market, vix=Observed(17.0, NOW, "test"), vix_closes=(), vix3m_closes=(), open=False)
    past, other = lived([(now, replace(view, market=said))], MATRIX, memory), edited({"regime.down_margin": 0.05})
    kept, anew = (list(replay(past, other, KNOWN, revalue=revalue)) for revalue in (False, True))
    assert Level.OK in {past[0].read_levels()[name] for name in stress_of(anew[0])}
    losses = {level for name, level in stress_of(anew[0]).items() if not name.startswith("model_residual")}
    assert losses == {Level.UNKNOWN, Level.BREACH}
    assert kept == anew


def test_under_a_matrix_when_the_one_then_in_force_is_lost_the_book_is_revalued() -> None:
    """Whether it had the same rules for data is not known."""
    (judged,) = replay(world("healthy"), MATRIX, {})
    assert (judged.revalued, judged.again.levels) == (True, world("healthy")[0].read_levels())


def test_why_nothing_was_measured_is_kept_too() -> None:
    words = "the book cannot be revalued (ValueError); see the log"
    (judged,) = replay([with_stress(world("healthy")[0], lambda _kept: words)], None, KNOWN)
    assert set(stress_of(judged).values()) == {Level.UNKNOWN}
    assert not judged.revalued


def test_a_moment_of_the_compilation_is_not_revalued() -> None:
    (past,) = lived([at(0)], MATRIX, compiling=True)
    for revalue in (False, True):
        (judged,) = replay([past], None, KNOWN, revalue=revalue)
        assert (judged.revalued, judged.again.levels) == (False, past.read_levels())


def test_what_is_kept_has_every_return_that_a_person_may_name_on_the_curve() -> None:
    kept = json.loads(unpacked(world("healthy")[0].inputs))["stress"]
    assert {-0.40, -0.20, -0.10, -0.05, 0.0, 0.05, 0.20} <= set(kept["returns"])
    assert len(json.dumps(kept)) < 6_000


def test_the_answer_says_where_its_stress_comes_from() -> None:
    (one,) = world("healthy")
    old = with_stress(replace(one), lambda _kept: None)
    later = lived([at(1)], MATRIX, Memory())
    for past, revalue, words, count in (
        ([one], False, "What the book would lose under shocks is as it was measured then.", 0),
        ([one], True, "What the book would lose under shocks was measured again at every moment.", 1),
        ([old, *later], False, "was measured again at 1 moment; at the others it is as measured then.", 1),
    ):
        found = compare(replay(past, None, KNOWN, revalue=revalue))
        assert any(words in line for line in sentences(found))
        assert document(found)["revalued"] == count


def test_a_matrix_without_stress_limits_needs_nothing_measured() -> None:
    unset = parse(edited_text({STRESS: None}))
    (judged,) = replay(world("healthy"), unset, KNOWN)
    assert not judged.revalued
    assert {name.partition(" ")[0] for name in stress_of(judged)} <= {"model_residual"}
    assert edited_text({STRESS: None}) != SHIPPED


def test_what_the_engine_hands_over_is_kept_with_what_was_measured(tmp_path: Path) -> None:
    """From the engine's hands through the writer's into the database and out again."""
    one = replace(healthy(), matrix=MATRIX)
    result, inputs = one.assess(), Inputs((one.view(),), one.memory, one.now)
    inbox, database = Inbox(1_000, 10), opened(tmp_path)
    Handing(inbox, Numbers("0" * 16), 15.0, 60.0).take(result.snapshot, SHIPPED, result.portfolio, "", inputs)
    given = inbox.take_moment()
    assert given is not None
    assert Telemetry(database).keep(given)
    with database.reading() as connection:
        (stored,) = captures(connection, given.book.key, NOW, NOW + timedelta(seconds=1))
    database.close()
    assert stored.read_kept().stress == recorded_of(result.portfolio.stress)
    (judged,) = replay([stored], None, KNOWN)
    assert (judged.revalued, judged.again.levels) == (False, stored.read_levels())

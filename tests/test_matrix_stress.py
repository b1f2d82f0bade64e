"""The `stress` section of the risk matrix: what is taken, what is refused, what old files mean."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from guardrails.errors import MatrixError
from guardrails.matrix import (
    REGIME_NAMES,
    SCENARIO_NAMES,
    RiskMatrix,
    Rung,
    StressLimits,
    advice,
    explain,
    parse,
)
from guardrails.stress.scenarios import TITLES
from tests.books import ROOT

TEXT = (ROOT / "risk_matrix.yaml").read_text(encoding="utf-8")


def written(text: str = TEXT, regime: str = "low_volatility") -> StressLimits:
    found = parse(text).regime(regime).limits.stress
    assert found is not None
    return found


def edited(old: str, new: str) -> str:
    assert old in TEXT, f"{old!r} is no longer in the shipped matrix"
    return TEXT.replace(old, new, 1)


def problem(text: str) -> str:
    with pytest.raises(MatrixError) as caught:
        parse(text)
    (only,) = caught.value.problems
    return only


def with_ladder(words: str) -> str:
    """The shipped file with another ladder in its first regime."""
    begin, end = TEXT.index("        ladder:"), TEXT.index("        stress_loss_pct_nlv:")
    return f"{TEXT[:begin]}        ladder: {words}\n{TEXT[end:]}"


def old_file(**changes: Any) -> str:
    """A file as it was written before there were stress limits."""
    data = yaml.safe_load(TEXT)
    data["version"] = 1
    for regime in data["regimes"].values():
        del regime["limits"]["stress"]
    return yaml.safe_dump({**data, **changes}, sort_keys=False)


# --- what is shipped ---


@pytest.mark.parametrize("regime", REGIME_NAMES)
def test_the_shipped_ladder_is_the_one_asked_for(regime: str) -> None:
    rungs = [(rung.index, rung.max_loss_pct_nlv) for rung in written(regime=regime).ladder]
    assert rungs == [(-0.20, 0.20), (-0.10, 0.10), (-0.05, 0.05), (0.05, 0.05)]


def test_every_scenario_of_the_matrix_is_one_that_is_computed() -> None:
    assert set(SCENARIO_NAMES) <= set(TITLES)
    assert set(written().scenarios) == set(SCENARIO_NAMES)


def test_the_house_ladder_is_taken_by_name() -> None:
    rungs = [(rung.index, rung.max_loss_pct_nlv) for rung in written(with_ladder("house")).ladder]
    assert rungs == [(-0.40, 8.0), (-0.30, 4.0), (-0.25, 3.0), (-0.20, 2.0), (-0.12, 1.0)]


def test_the_guide_shows_the_section_as_it_is_shipped() -> None:
    guide = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    block = guide.partition("```yaml\n")[2].partition("```")[0]
    shown = yaml.safe_load(block)["stress"]
    assert shown == yaml.safe_load(TEXT)["regimes"]["low_volatility"]["limits"]["stress"]


# --- not set ---


def test_null_is_not_set_in_each_part() -> None:
    found = written(with_ladder("null").replace("min_excess_after: [-0.10, 0.05]", "min_excess_after: null", 1))
    assert (found.ladder, found.min_excess_after) == ((), ())
    found = written(edited("march_2020: 0.20", "march_2020: null"))
    assert "march_2020" not in found.scenarios
    assert len(found.scenarios) == len(SCENARIO_NAMES) - 1


def test_a_file_of_version_1_stays_valid_and_has_no_stress_limits() -> None:
    matrix = parse(old_file())
    assert all(matrix.regime(name).limits.stress is None for name in REGIME_NAMES)
    said = [sentence for sentence in explain(matrix)["crisis_mode"] if "[stress]" in sentence]
    assert said == ["Stress: not set [stress]."]
    (sentence,) = advice(matrix)
    assert "write `version: 2`" in sentence
    assert all(name in sentence for name in REGIME_NAMES)


def test_a_file_of_version_1_may_have_the_section_already() -> None:
    assert written(edited("version: 2", "version: 1")) == written()


def test_a_file_of_version_2_must_say_that_it_wants_none() -> None:
    with pytest.raises(MatrixError, match=r"limits\.stress: missing; write it, or null for not set"):
        parse(old_file(version=2))
    data = yaml.safe_load(TEXT)
    data["regimes"]["crisis_mode"]["limits"]["stress"] = None
    matrix = parse(yaml.safe_dump(data))
    assert "crisis_mode" in advice(matrix)[0]
    assert "low_volatility" not in advice(matrix)[0]


def test_the_shipped_file_needs_no_advice() -> None:
    assert advice(parse(TEXT)) == ()


@pytest.mark.parametrize("regimes", [None, [], "none", {"low_volatility": None}, {"low_volatility": {"limits": []}}])
def test_an_old_file_that_is_broken_is_refused_in_words(regimes: object) -> None:
    with pytest.raises(MatrixError, match="regimes"):
        parse(old_file(regimes=regimes))


# --- refusals ---


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("index: -0.05", "index: -5", "did you mean -0.05?"),
        ("index: 0.05", "index: 5", "did you mean 0.05?"),
        ("index: 0.05", "index: 0", "0 is no move"),
        ("index: -0.20", "index: -0.61", "outside -0.6 to 0.6"),
        ("index: -0.20", "index: -0.10", "index return -0.1 is written twice"),
        ("index: -0.20", "indx: -0.20", "ladder.0.indx: unknown key; did you mean index?"),
        ("max_loss_pct_nlv: 0.20", "max_loss_pct_nlv: 5", "did you mean 0.05?"),
        ("max_loss_pct_nlv: 0.20", "max_loss_pct_nlv: -0.05", "did you mean 0.05?"),
        ("max_loss_pct_nlv: 0.20", "max_loss_pct_nlv: null", "null is not a number"),
        ("march_2020: 0.20", "march_2020: 20", "did you mean 0.2?"),
        ("march_2020: 0.20", "march_2020: 1.01", "outside 0 to 1"),
        ("march_2020: 0.20", "march_202: 0.20", "unknown key; did you mean march_2020?"),
        ("[-0.10, 0.05]", "[-10, 0.05]", "did you mean -0.1?"),
        ("[-0.10, 0.05]", "[-0.10, -0.10]", "written twice"),
        ("[-0.10, 0.05]", "[]", "an empty list; write null for not set"),
        ("[-0.10, 0.05]", "[true]", "true is not a number"),
        ("max_unvalued_share: 0.05", "max_unvalued_share: 5", "did you mean 0.05?"),
        ("max_unvalued_share: 0.05", "max_unvalued_share: null", "null is not a number"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_was(old: str, new: str, reason: str) -> None:
    said = problem(edited(old, new))
    assert reason in said
    assert said.startswith("risk_matrix.yaml:")
    assert "regimes.low_volatility.limits.stress" in said


@pytest.mark.parametrize(
    ("words", "reason"),
    [("huose", "'huose' is no ladder; write house"), ("[]", "write null for not set"), ("5", "not a list")],
)
def test_a_ladder_is_a_name_a_list_or_null(words: str, reason: str) -> None:
    assert reason in problem(with_ladder(words))


def test_a_scenario_left_out_is_refused() -> None:
    line = next(line for line in TEXT.splitlines(keepends=True) if "spreads_widen:" in line)
    assert "stress_loss_pct_nlv.spreads_widen: missing; write it, or null for not set" in problem(edited(line, ""))


@pytest.mark.parametrize("last", ["index: -0.6", "index: 0.6"])
def test_the_widest_moves_are_taken(last: str) -> None:
    assert isinstance(parse(edited("index: -0.20", last)), RiskMatrix)


def test_the_ladder_is_in_order_whatever_order_it_is_written_in() -> None:
    found = written(with_ladder("[{index: 0.1, max_loss_pct_nlv: 0.1}, {index: -0.1, max_loss_pct_nlv: 0.2}]"))
    assert found.ladder == (Rung(index=-0.1, max_loss_pct_nlv=0.2), Rung(index=0.1, max_loss_pct_nlv=0.1))


# --- read aloud ---


def test_the_section_is_said_in_one_sentence() -> None:
    (said,) = [sentence for sentence in explain(parse(TEXT))["low_volatility"] if "[stress]" in sentence]
    assert "20 % at −20 %" in said
    assert "5 % at +5 %" in said
    assert "30 % in black monday 1987" in said
    assert "after −10 %, +5 %" in said
    assert "more than 5 % of the book" in said


def test_parts_that_are_not_set_are_said_so() -> None:
    text = with_ladder("null").replace("min_excess_after: [-0.10, 0.05]", "min_excess_after: null", 1)
    (said,) = [sentence for sentence in explain(parse(text))["low_volatility"] if "[stress]" in sentence]
    assert "no ladder of index moves is set" in said
    assert "excess liquidity after a move has no limit" in said

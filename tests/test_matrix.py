"""The risk matrix: what is taken, what is refused, in which words. Each refusal is one edit of the shipped file."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
from copy import deepcopy
from pathlib import Path
from random import Random
from textwrap import dedent

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.errors import MatrixError
from guardrails.instruments import Settlement
from guardrails.matrix import LIMIT_KEYS, REGIME_NAMES, MatrixFile, RiskMatrix, ShortOptionDte, explain, load, parse
from guardrails.matrix.explain import targets
from tests.healthy import DUMPER

FILE = Path(__file__).resolve().parents[1] / "risk_matrix.yaml"
TEXT = FILE.read_text(encoding="utf-8")
RAW = yaml.safe_load(TEXT)
reading = importlib.import_module("guardrails.matrix.load")  # `guardrails.matrix.load` is the function of that name


def edited(old: str, new: str) -> str:
    assert old in TEXT, f"{old!r} is no longer in the shipped matrix"
    return TEXT.replace(old, new, 1)


def dumped(data: object) -> str:
    return yaml.dump(data, Dumper=DUMPER)


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(MatrixError) as caught:
        parse(text)
    return caught.value.problems


# --- the shipped file ---------------------------------------------------------------------------------------------


# Rows of the table in domain facts section 4, percent of net liquidation there, fractions here; the near-expiry gamma
# is that table's share times its gamma (40 x .35, 30 x .25, 15 x .15, 4 x .05).
@pytest.mark.parametrize(
    ("regime", "expected"),
    [
        ("low_volatility", (1.00, -0.0050, 0.40, 0.14, 0.0025, 0.20, 0.20, 0.50, 0.20, 0.30)),
        ("neutral_volatility", (0.75, -0.0035, 0.30, 0.075, 0.0020, 0.20, 0.20, 0.50, 0.20, 0.30)),
        ("high_volatility", (0.50, -0.0025, 0.15, 0.0225, 0.0015, 0.15, 0.15, 0.40, 0.20, 0.35)),
        ("crisis_mode", (0.25, -0.0012, 0.04, 0.002, 0.0010, 0.10, 0.10, 0.30, 0.25, 0.40)),
    ],
)
def test_shipped_defaults_are_the_derived_ones(regime: str, expected: tuple[float, ...]) -> None:
    limits = load(FILE).regime(regime).limits
    assert expected == (
        limits.max_beta_delta_pct_nlv,
        limits.max_negative_vega_pct_nlv,
        limits.max_gamma_pct_nlv,
        limits.max_near_expiry_gamma_pct_nlv,
        limits.max_daily_theta_pct_nlv,
        limits.max_single_underlying_delta_pct,
        limits.max_single_underlying_margin_pct,
        limits.max_margin_utilisation,
        limits.min_cushion,
        limits.watch_cushion,
    )
    assert limits.max_single_underlying_vega_pct == 0.60
    assert (limits.max_daily_loss_pct, limits.watch_daily_loss_pct) == (0.03, 0.015)
    assert limits.max_negative_vega == (0 if regime == "crisis_mode" else None)


def test_shipped_ranges_are_15_20_30() -> None:
    matrix = load(FILE)
    assert matrix.thresholds == (15, 20, 30)
    assert tuple(matrix.regimes) == REGIME_NAMES


def test_am_settled_shorts_alarm_one_trading_day_earlier_than_physical() -> None:
    rule = load(FILE).regime("high_volatility").limits.short_option_dte
    assert rule is not None
    assert (rule.physical.watch, rule.physical.breach) == (5, 2)
    assert (rule.cash_am.watch, rule.cash_am.breach) == (6, 3)
    assert (rule.cash_pm.watch, rule.cash_pm.breach) == (2, 0)


def test_expiry_alarm_knows_every_settlement() -> None:
    assert set(ShortOptionDte.model_fields) == {settlement.value for settlement in Settlement}


def test_crisis_message_is_the_one_asked_for() -> None:
    regime = load(FILE).regime("crisis_mode")
    words = "Portfolio must be vega-neutral or long in crisis mode."
    assert regime.message("max_negative_vega") == words
    assert regime.message("max_negative_vega_pct_nlv") == words
    assert regime.message("max_gamma") is None


def test_one_text_serves_every_limit() -> None:
    matrix = parse(edited("violation_message: {}", "violation_message: Ask first."))
    assert matrix.regime("low_volatility").message("min_cushion") == "Ask first."


def test_advisory_includes_the_relative_twin() -> None:
    matrix = load(FILE)
    advisory = {key for key in LIMIT_KEYS if matrix.is_advisory(key)}
    assert advisory == {"min_daily_theta", "max_daily_theta", "max_daily_theta_pct_nlv", "theta_vega_ratio"}


def test_version_is_the_hash_of_the_bytes() -> None:
    assert load(FILE).version == hashlib.sha256(FILE.read_bytes()).hexdigest()[:12]
    assert parse(TEXT + "\n").version != load(FILE).version


def test_matrix_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(FILE).watch_at = 0.5


def test_every_line_of_the_shipped_file_is_commented() -> None:
    bare = [line for line in TEXT.splitlines() if line.strip() and "#" not in line]
    assert {line.strip() for line in bare} == {"limits:"}  # its keys carry the comments


def keys_of(node: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(node, dict):
        return []
    return [p for key, value in node.items() for p in [(*path, key), *keys_of(value, (*path, key))]]


# The regimes have one shape, so the keys of one of them stand for all.
KEYS = [path for path in keys_of(RAW) if len(path) < 3 or path[0] != "regimes" or path[1] == "crisis_mode"]


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_every_key_of_the_shipped_file_is_known_and_needed(path: tuple[str, ...]) -> None:
    """Misspelling any key is refused by name: none is read and thrown away."""
    data = deepcopy(RAW)
    node = data
    for part in path[:-1]:
        node = node[part]
    node[path[-1] + "_x"] = node.pop(path[-1])
    assert path[-1] + "_x" in "\n".join(problems(dumped(data)))


LATER = ("greeks_delta_tolerance", "greeks_iv_tolerance", "beta_min_correlation")
"""added after the first files were written: these stay valid"""


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_a_missing_key_is_refused(path: tuple[str, ...]) -> None:
    """A file cut short while saving must not mean "no limit"; only words, the override, whom to tell and `LATER` may be
    left out."""
    data = deepcopy(RAW)
    node = data
    for part in path[:-1]:
        node = node[part]
    del node[path[-1]]
    text = dumped(data)
    if "violation_message" in path or path == ("override",) or path[0] in ("alerts", "orders") or path[-1] in LATER:
        parse(text)
    else:
        assert path[-1] in "\n".join(problems(text))


@pytest.mark.parametrize("key", LIMIT_KEYS)
def test_null_is_not_set_and_is_said_so(key: str) -> None:
    data = deepcopy(RAW)
    data["regimes"]["high_volatility"]["limits"][key] = None
    matrix = parse(dumped(data))
    assert getattr(matrix.regime("high_volatility").limits, key) is None
    said = next(s for s in explain(matrix)["high_volatility"] if f"[{key}]" in s)
    assert "not set" in said


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "where", "reason"),
    [
        ("max_beta_delta: null", "max_beta_deta: null", "limits.max_beta_deta", "did you mean max_beta_delta?"),
        ("regime_grace_minutes: 60", "regime_grace: 60", "regime_grace", "did you mean regime_grace_minutes?"),
        ("stale_after_seconds: 30", "stale_after_second: 30", "data.stale_after_second", "mean stale_after_seconds?"),
        ("      green_min: 0.25", "      green_mn: 0.25", "theta_vega_ratio.green_mn", "did you mean green_min?"),
        ("  crisis_mode:", "  crisis_mod:", "regimes.crisis_mod", "did you mean crisis_mode?"),
        ("vix_min: 0 ", "max_gamma: 9\n    vix_min: 0 ", "max_gamma", "it belongs under regimes.*.limits"),
        ("advisory: [min_", "advisory: [mn_", "advisory", "did you mean min_daily_theta?"),
        ("max_negative_vega: \"P", "max_neg_vega: \"P", "violation_message", "did you mean max_negative_vega?"),
        ("no_history: high_volatility", "no_history: elevated", "regime.no_history", "'elevated' is not a regime"),
        ("version: 2", "version: 3", "version", "must be 2, or 1"),
        ("version: 2", "version: true", "version", "must be 2, or 1"),
    ],
)  # fmt: skip
def test_unknown_keys_and_names_get_the_nearest_one(old: str, new: str, where: str, reason: str) -> None:
    text = edited(old, new)
    found = problems(text)
    line = line_of(text, new.split("\n", maxsplit=1)[0].strip())
    assert any(p.startswith(f"risk_matrix.yaml:{line}: ") and where in p and reason in p for p in found), found


def test_a_misspelt_key_is_one_problem_not_two() -> None:
    assert len(problems(edited("max_beta_delta: null", "max_beta_deta: null"))) == 1


@pytest.mark.parametrize(
    ("old", "new", "meant"),
    [
        ("max_single_underlying_vega_pct: 0.60", "max_single_underlying_vega_pct: 60", "0.6"),
        ("min_cushion: 0.20", "min_cushion: 20", "0.2"),
        ("max_daily_loss_pct: 0.03", "max_daily_loss_pct: 3", "0.03"),
        ("max_beta_delta_pct_nlv: 1.00", "max_beta_delta_pct_nlv: 100", "1"),
        ("max_gamma_pct_nlv: 0.40", "max_gamma_pct_nlv: 40", "0.4"),
        ("max_daily_theta_pct_nlv: 0.0025", "max_daily_theta_pct_nlv: 0.25", "0.0025"),
        ("watch_at: 0.80", "watch_at: 80", "0.8"),
        ("watch_at: 0.80", "watch_at: 80%", "0.8"),
        ("watch_at: 0.80", "watch_at: 0,8", "0.8"),
        ('watch_at: 0.80', 'watch_at: "0.8"', "0.8"),
        ("max_negative_vega: null", "max_negative_vega: 500", "-500"),
        ("max_negative_vega_pct_nlv: -0.0050", "max_negative_vega_pct_nlv: 0.005", "-0.005"),
        ("max_negative_vega_pct_nlv: -0.0050", "max_negative_vega_pct_nlv: -0.5", "-0.005"),
        ("max_negative_vega_pct_nlv: -0.0050", "max_negative_vega_pct_nlv: 0.5", "-0.005"),
        ("max_gamma: null", "max_gamma: -9000", "9000"),
        ("max_position_contracts: 50", "max_position_contracts: 50.0", "50"),
        ("down_closes: 5", "down_closes: -5", "5"),
    ],
)  # fmt: skip
def test_percent_sign_and_text_are_refused_with_the_right_value(old: str, new: str, meant: str) -> None:
    (problem,) = problems(edited(old, new))
    assert problem.endswith(f"did you mean {meant}?"), problem
    assert problem.startswith(f"risk_matrix.yaml:{line_of(TEXT, old)}: ")


@pytest.mark.parametrize("value", ["true", ".nan", ".inf", "-.inf", "[]", "{}", "much", "2020-01-01"])
def test_what_is_no_number_is_refused(value: str) -> None:
    assert "limits.min_cushion" in problems(edited("min_cushion: 0.20", f"min_cushion: {value}"))[0]


@pytest.mark.parametrize(
    ("key", "last", "first"),
    [
        ("min_cushion: 0.20", "0.3", "0.31"),  # watch_cushion 0.30
        ("watch_daily_loss_pct: 0.015", "0.03", "0.031"),  # max_daily_loss_pct 0.03
        ("max_margin_utilisation: 0.50", "1", "1.001"),
        ("max_beta_delta_pct_nlv: 1.00", "5", "5.01"),
        ("max_position_notional_pct_nlv: null", "20", "20.1"),
        ("max_negative_vega: null", "0", "0.01"),
        ("green_min: 0.25", "0.4", "0.41"),  # green_max 0.40
        ("red_min: 0.20", "0.25", "0.26"),  # green_min 0.25
        ("red_max: 0.50", "0.4", "0.39"),  # green_max 0.40
        ("watch: 5 ", "2 ", "1 "),  # physical breach 2
        ("normal_below: 0.97", "1.00", "1.01"),  # inverted_at 1.00
        ("vix_max: 15", "15.0", "14"),
    ],
)
def test_both_sides_of_every_rule(key: str, last: str, first: str) -> None:
    name = key.split(":", maxsplit=1)[0]
    parse(edited(key, f"{name}: {last}"))
    assert (
        name in problems(edited(key, f"{name}: {first}"))[0]
        or "vix_min" in problems(edited(key, f"{name}: {first}"))[0]
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("vix_min: 15", "vix_min: 14", "overlaps low_volatility"),
        ("vix_min: 15", "vix_min: 16", "leaves a gap after low_volatility"),
        ("vix_min: 0 ", "vix_min: 5 ", "must start at 0; write 0"),
        ("vix_max: null", "vix_max: 90", "write null"),
        ("vix_max: 15", "vix_max: null", "null is for the last regime only"),
        ("vix_max: 30", "vix_max: 12", "vix_max 12 must be above vix_min 20"),
    ],
)
def test_ranges_that_overlap_or_leave_gaps_are_refused(old: str, new: str, reason: str) -> None:
    text = edited(old, new)
    (problem,) = problems(text)
    assert reason in problem
    assert re.match(r"risk_matrix\.yaml:\d+: regimes\.\w+\.vix_(min|max): ", problem)


def test_all_problems_are_reported_at_once_in_file_order() -> None:
    text = edited("watch_at: 0.80", "watch_at: 80").replace("min_cushion: 0.25", "min_cushion: 25")
    found = problems(text)
    assert [p.split(": ")[1] for p in found] == ["watch_at", "regimes.crisis_mode.limits.min_cushion"]


def test_override_needs_regime_reason_and_an_end_with_time_zone() -> None:
    good = "override: {regime: crisis_mode, reason: FOMC week, expires: 2026-12-11T16:00:00-05:00}"
    override = parse(edited("override: null", good)).override
    assert override is not None
    assert override.expires.isoformat() == "2026-12-11T16:00:00-05:00"
    for part, wrong, reason in (
        ("crisis_mode", "crisis", "did you mean crisis_mode?"),
        ("FOMC week", '""', "reason"),
        ("-05:00", "", "no time zone"),
        ("2026-12-11T16:00:00-05:00", "tomorrow", "not an ISO time"),
        ("2026-12-11T16:00:00-05:00", "2026-12-11", "not an ISO time"),
    ):
        assert reason in problems(edited("override: null", good.replace(part, wrong)))[0]


# --- files that are no matrix -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("- a\n", "not a list of `key: value` lines"),
        ("just words", "not a list of `key: value` lines"),
        ("a: &x [1]\nb: *x\n", "write the value out"),
        ("<<: {a: 1}\n", "a key must be plain text"),
        ("a: !!python/object/apply:os.system [x]\n", "tag"),
        ("a: [" + "[" * 5000, "nested deeper"),
        ("{" * 20, "nested deeper"),
        ("a: 1\n\tb: 2\n", "a tab; indent with spaces"),
        ("a: [1\n", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("a: 2026-99-99\n", "cannot read"),
        ("a: " + "9" * 5000, "cannot read"),
        ("a: !!int\n", "cannot read"),
        ("a: !!bool maybe\n", "cannot read"),
        ("a: !!timestamp soon\n", "cannot read"),
        ("a: \x00", "not valid YAML"),
        ("1: 2\n", "a key must be plain text"),
        ("? [a]\n: 1\n", "a key must be plain text"),
        ("a: 1\na: 2\n", "written twice, first on line 1"),
        ("a: 050\n", "as another number"),
        ("a: 0x10\n", "as another number"),
        ("a: 1:30\n", "as another number"),
        (b"\xff\xfea\x00", "not UTF-8"),
        (b"watch_at: 0.8\n# caf\xe9\n", "risk_matrix.yaml:2: byte"),
        (b"#" * 1_000_001, "larger than 1,000,000 bytes"),
        ("a: \ud800", "not UTF-8"),
    ],
)
def test_unreadable_files_are_refused_in_words(text: str | bytes, reason: str) -> None:
    found = problems(text)
    assert any(reason in problem for problem in found), found
    assert all("Traceback" not in problem and problem.startswith("risk_matrix.yaml") for problem in found)


def test_the_quick_reader_of_yaml_reads_and_refuses_as_the_thorough_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, lines = Random(3), TEXT.splitlines(keepends=True)  # noqa: S311  # seeded, for tests
    texts = ["a: 0.2\t# low\n", "a\tb: 1\n", "a: [b, c? d]\n", TEXT]
    for _ in range(150):
        start = rng.randrange(len(lines) - 8)
        damaged = dedent("".join(lines[start : start + 8]))
        for _ in range(rng.randint(0, 3)):
            at, sign = rng.randrange(len(damaged)), rng.choice(":-#'\"\t \n[]{},&*!|>%@`?~\\0é\x85")
            damaged = damaged[:at] + sign + damaged[at + rng.randint(0, 1) :]
        texts.append(damaged)
    quick = [read_as_values(text) for text in texts]
    monkeypatch.setattr(reading, "_QUICK", yaml.SafeLoader)
    assert quick == [read_as_values(text) for text in texts]


def read_as_values(text: str) -> object:
    """Values and lines, or why not."""
    try:
        return repr(reading._read(text.encode(), "matrix"))  # .nan is not itself
    except MatrixError as error:
        return error.problems


def test_a_nested_duplicate_names_its_path() -> None:
    text = edited("min_cushion: 0.20", "min_cushion: 0.20\n      min_cushion: 0.01")
    assert "regimes.low_volatility.limits.min_cushion: written twice" in problems(text)[0]


def test_a_byte_order_mark_is_accepted() -> None:
    assert parse(b"\xef\xbb\xbf" + TEXT.encode()).thresholds == (15, 20, 30)


@given(cut=st.integers(0, len(TEXT) - 1))
@settings(max_examples=40, deadline=None)
def test_a_file_cut_short_never_loses_a_limit(cut: int) -> None:
    try:
        matrix = parse(TEXT[:cut])
    except MatrixError:
        return
    assert matrix.regimes == load(FILE).regimes


@given(at=st.integers(0, len(TEXT) - 1), junk=st.text(max_size=6))
@settings(max_examples=60, deadline=None)
def test_no_edit_ends_in_a_traceback(at: int, junk: str) -> None:
    with contextlib.suppress(MatrixError):
        assert isinstance(parse(TEXT[:at] + junk + TEXT[at + len(junk) :]), RiskMatrix)


def test_missing_file_and_directory(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(MatrixError, match="cannot be read"):
            load(path)


# --- changed on disk ----------------------------------------------------------------------------------------------


def write(path: Path, text: str, stamp: int) -> None:
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(stamp, stamp))


def test_a_change_is_validated_then_taken(tmp_path: Path) -> None:
    path = tmp_path / "risk_matrix.yaml"
    write(path, TEXT, 1)
    first = MatrixFile.open(path)
    assert first.reread() is first  # unchanged: not even parsed

    write(path, edited("watch_at: 0.80", "watch_at: 0.70"), 2)
    second = first.reread()
    assert (second.matrix.watch_at, second.problems) == (0.70, ())

    write(path, edited("watch_at: 0.80", "watch_at: 70"), 3)
    third = second.reread()
    assert third.matrix is second.matrix
    assert "did you mean 0.7?" in third.problems[0]
    assert third.reread() is third

    path.unlink()
    gone = third.reread()
    assert gone.matrix is second.matrix
    assert "cannot be read" in gone.problems[0]

    write(path, TEXT, 4)
    assert gone.reread().problems == ()
    assert gone.reread().matrix.watch_at == 0.80


# --- read aloud ---------------------------------------------------------------------------------------------------


def test_every_limit_of_every_regime_is_read_aloud() -> None:
    said = explain(load(FILE))
    assert tuple(said) == REGIME_NAMES
    for sentences in said.values():
        assert [key for key in LIMIT_KEYS if not any(f"[{key}]" in s for s in sentences)] == []


def test_sentences_carry_unit_and_advice() -> None:
    said = explain(load(FILE))["high_volatility"]
    assert said[0] == "high_volatility holds from VIX 20 to below 30."
    assert "Maintenance margin: at most 40 % of net liquidation [max_margin_utilisation]." in said
    vega = (
        "Short vega, 30-day-weighted: not below −0.25 % of net liquidation per VIX point [max_negative_vega_pct_nlv]."
    )
    assert vega in said
    assert [s for s in said if "advisory" in s] == [s for s in said if "theta" in s and "margin" not in s]


def test_targets_of_a_change_leave_out_what_is_not_set() -> None:
    words = targets(load(FILE), "crisis_mode")
    assert "Short vega, 30-day-weighted: not below $0 per VIX point [max_negative_vega]." in words
    assert not any("not set" in sentence for sentence in words)


def test_the_guide_for_traders_names_every_key() -> None:
    guide = (FILE.parent / "docs" / "limits.md").read_text(encoding="utf-8")
    nested = {"watch", "breach", "physical", "cash_am", "cash_pm", "green_min", "green_max", "red_min", "red_max"}
    keys = {path[-1] for path in KEYS} - nested - set(REGIME_NAMES) - {"regimes", "limits"}
    assert sorted(key for key in keys if f"`{key}`" not in guide) == []


def test_an_advisory_name_covers_both_forms_and_is_the_absolute_one() -> None:
    with pytest.raises(MatrixError, match="write max_beta_delta instead of max_beta_delta_pct_nlv"):
        parse(edited("theta_vega_ratio]", "theta_vega_ratio, max_beta_delta_pct_nlv]"))

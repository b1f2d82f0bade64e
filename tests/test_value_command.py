"""`guardrails value`: published values come out, and a row that says nothing sensible is named instead of priced."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command import called

HEAD = "style,right,underlying,forward,strike,years,expiry,rate,dividend_yield,volatility,price\n"
GOOD = "european,C,60,,65,0.25,,0.08,0,0.30,\n"
AT = "2026-11-18T10:30"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command on a file with this text: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(text: str | bytes, *flags: str) -> tuple[int, str, str]:
        (tmp_path / "options.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return called(monkeypatch, capsys, "value", "options.csv", "--at", AT, *flags)

    return call


def values(run: Run, *rows: str, head: str = HEAD) -> tuple[int, list[dict[str, Any]]]:
    code, out, _ = run(head + "".join(rows), "--json")
    return code, json.loads(out)["rows"]


def problem(run: Run, row: str) -> str:
    """The only problem of `row`, which stands below a good one."""
    code, (good, bad) = values(run, GOOD, row)
    assert code == 3
    assert good["price"] == pytest.approx(2.1334, abs=5e-5)
    assert bad["line"] == 3
    assert {bad[name] for name in bad if name not in ("line", "problems")} == {None}
    assert len(bad["problems"]) == 1, bad["problems"]
    return str(bad["problems"][0])


@pytest.mark.parametrize("style", ["european", "american"])
def test_rho_of_a_share_whose_yield_equals_the_rate_is_not_that_of_a_forward(run: Run, style: str) -> None:
    _, (share, near, forward) = values(
        run,
        f"{style},C,100,,100,1,,0.05,0.05,0.2,\n",
        f"{style},C,100,,100,1,,0.05,0.0499999,0.2,\n",
        f"{style},C,,100,100,1,,0.05,,0.2,\n",
    )
    assert share["rho_per_point"] == pytest.approx(near["rho_per_point"], rel=1e-4)
    assert share["rho_per_point"] > 0 > forward["rho_per_point"]
    assert share["price"] == pytest.approx(forward["price"])


def test_published_values(run: Run) -> None:
    """Haug, 2nd ed., 1.1.1 to 1.1.4; Hull, 9th ed., 19.1 to 19.7 for the Greeks."""
    code, rows = values(
        run,
        GOOD,
        "european,P,100,,95,0.5,,0.10,0.05,0.20,\n",
        "European,c,,19,19,0.75,,0.10,,0.28,\n",
        "european,P,,19,19,0.75,,0.10,0,0.28,\n",
        "european,C,49,,50,0.3846,,0.05,0,0.20,\n",
    )
    assert code == 0
    assert [row["price"] for row in rows[:4]] == pytest.approx([2.1334, 2.4648, 1.7011, 1.7011], abs=5e-5)
    found = rows[4]
    assert found["delta"] == pytest.approx(0.522, abs=5e-4)
    assert found["gamma"] == pytest.approx(0.066, abs=5e-4)
    assert found["vega_per_point"] == pytest.approx(0.121, abs=5e-4)
    assert found["theta_per_day"] == pytest.approx(-4.31 / 365, abs=2e-5)
    assert found["rho_per_point"] == pytest.approx(0.0891, abs=5e-5)
    assert (found["volatility"], found["implied_volatility"], found["problems"]) == (0.2, None, [])


def test_a_price_gives_its_volatility_and_the_greeks_at_it(run: Run) -> None:
    # 100 erf(0.2 / sqrt 8) = 7.9655674554058: at the money forward, a year, 20 %
    code, (row,) = values(run, "european,C,,100,100,1,,0,,,7.9655674554058\n")
    assert code == 0
    assert row["implied_volatility"] == pytest.approx(0.2, rel=1e-12)
    assert row["price"] == pytest.approx(7.9655674554058, rel=1e-12)
    assert row["delta"] == pytest.approx(0.5398278372770290, rel=1e-12)  # N(0.1)


def test_american_rows_are_priced_as_such_beside_european_ones(run: Run) -> None:
    """Hull, 9th ed., section 21.1: S=50 X=50 r=10 % vol=40 % 5 months: American put 4.28, European 4.08."""
    code, (early, late, back) = values(
        run,
        "american,P,50,,50,0.4167,,0.10,0,0.40,\n",
        "european,P,50,,50,0.4167,,0.10,0,0.40,\n",
        "american,P,50,,50,0.4167,,0.10,0,,4.283\n",
    )
    assert code == 0
    assert early["price"] == pytest.approx(4.283, abs=2e-3)
    assert late["price"] == pytest.approx(4.076, abs=2e-3)
    assert back["implied_volatility"] == pytest.approx(0.40, abs=2e-4)
    assert early["delta"] < late["delta"] < 0.0


def test_an_american_price_below_intrinsic_is_named(run: Run) -> None:
    words = problem(run, "american,P,40,,50,0.4167,,0.10,0,,9.5\n")
    assert "column price: 9.5, but a volatility fits only above 10 and below 50" in words


def test_a_date_settles_at_16_new_york_and_a_time_where_it_says(run: Run) -> None:
    # from Wednesday 10:30 to Friday 16:00 it is 53.5 hours; 2026-11-20T21:00Z is the same moment
    _, rows = values(
        run,
        "european,C,100,,100,,2026-11-20,0,0,0.2,\n",
        "european,C,100,,100,,2026-11-20T16:00,0,0,0.2,\n",
        "european,C,100,,100,,2026-11-20T21:00+00:00,0,0,0.2,\n",
        f"european,C,100,,100,{53.5 / 24 / 365},,0,0,0.2,\n",
        "european,C,100,,100,,2026-11-20T09:30,0,0,0.2,\n",
    )
    assert [row["price"] for row in rows[:4]] == pytest.approx([rows[3]["price"]] * 4, rel=1e-12)
    assert rows[4]["price"] == pytest.approx(rows[3]["price"] * (47.0 / 53.5) ** 0.5, rel=1e-5)


BAD = [
    ("bermudan,C,60,,65,0.25,,0.08,0,0.30,\n", "column style: 'bermudan'"),
    ("european,X,60,,65,0.25,,0.08,0,0.30,\n", "column right: 'X', but it must be C or P"),
    ("european,C,sixty,,65,0.25,,0.08,0,0.30,\n", "column underlying: 'sixty', but it must be a price above 0"),
    ("european,C,-60,,65,0.25,,0.08,0,0.30,\n", "column underlying: '-60'"),
    ("european,C,nan,,65,0.25,,0.08,0,0.30,\n", "column underlying: 'nan'"),
    ("european,C,inf,,65,0.25,,0.08,0,0.30,\n", "column underlying: 'inf'"),
    ("european,C,1e400,,65,0.25,,0.08,0,0.30,\n", "column underlying: '1e400'"),
    ("european,C,6_0,,65,0.25,,0.08,0,0.30,\n", "column underlying: '6_0'"),
    ("european,C,60,60,65,0.25,,0.08,0,0.30,\n", "columns underlying, forward: both are given"),
    ("european,C,,,65,0.25,,0.08,0,0.30,\n", "columns underlying, forward: none is, but exactly one must be"),
    ("european,C,60,,0,0.25,,0.08,0,0.30,\n", "column strike: '0', but it must be a price above 0"),
    ("european,C,60,,65,0,,0.08,0,0.30,\n", "column years: '0'"),
    ("european,C,60,,65,-1,,0.08,0,0.30,\n", "column years: '-1'"),
    (
        "european,C,60,,65,,2026-11-17,0.08,0,0.30,\n",
        "column expiry: '2026-11-17', but it must be after 2026-11-18T10:30",
    ),
    ("european,C,60,,65,,18 Dec,0.08,0,0.30,\n", "column expiry: '18 Dec', but it must be an ISO date"),
    ("european,C,60,,65,0.25,2026-12-18,0.08,0,0.30,\n", "columns years, expiry: both are given"),
    ("european,C,60,,65,0.25,,,0,0.30,\n", "column rate: nothing, but it must be a fraction a year"),
    ("european,C,60,,65,0.25,,8,0,0.30,\n", "column rate: '8'"),
    ("european,C,60,,65,0.25,,0.08,,0.30,\n", "column dividend_yield: nothing"),
    ("european,C,,60,65,0.25,,0.08,0.02,0.30,\n", "column dividend_yield: '0.02', but it must be empty or 0"),
    ("european,C,60,,65,0.25,,0.08,0,30,\n", "column volatility: '30', but it must be a fraction a year"),
    ("european,C,60,,65,0.25,,0.08,0,0,\n", "column volatility: '0'"),
    ("european,C,60,,65,0.25,,0.08,0,,\n", "columns volatility, price: none is"),
    ("european,C,60,,65,0.25,,0.08,0,0.3,2\n", "columns volatility, price: both are given"),
    ("european,C,60,,65,0.25,,0.08,0,,-2\n", "column price: '-2', but it must be a price above 0"),
    ("european,C,120,,100,0.25,,0,0,,19\n", "column price: 19, but a volatility fits only above 20 and below 120"),
    ("european,P,,120,100,0.25,,0,0,,101\n", "column price: 101, but a volatility fits only above 0 and below 100"),
    ("european,C,60,,65,0.25,,0.08,0,0.30,,,1\n", "it has 13 cells, but there are 11 columns"),
]


@pytest.mark.parametrize(("row", "words"), BAD, ids=[words for _, words in BAD])
def test_a_bad_row_is_named_and_the_others_are_priced(run: Run, row: str, words: str) -> None:
    assert words in problem(run, row)


def test_every_problem_of_a_row_is_told(run: Run) -> None:
    code, (_, bad) = values(run, GOOD, "european,C,60\n")
    assert code == 3
    assert [text.split(":")[0] for text in bad["problems"]] == [
        "column strike", "column rate", "column dividend_yield", "columns years, expiry", "columns volatility, price",
    ]  # fmt: skip


def test_in_words(run: Run) -> None:
    code, out, _ = run(HEAD.strip() + ",note\n" + GOOD.strip() + ",mine\n" + "european,C,60,,65,0.25,,0.08,0,0,,\n\n")
    assert code == 3
    assert "2.133" in out
    assert "line 3 not valued: column volatility: '0', but it must be a fraction a year from 0.0001 to 10" in out
    assert "columns not read: note" in out


def test_all_good_rows_exit_with_0(run: Run) -> None:
    assert run(HEAD + GOOD)[0] == 0


def test_a_line_number_counts_empty_lines_and_lines_inside_quotes(run: Run) -> None:
    _, rows = values(run, "\n", GOOD, "\n", "european,Z,60,,65,0.25,,0.08,0,0.30,\n")
    assert [row["line"] for row in rows] == [3, 5]


def test_columns_may_stand_in_any_order_and_only_those_needed(run: Run) -> None:
    head = "﻿Volatility, STRIKE,right,style,rate,years,forward\n"
    code, (row,) = values(run, "0.28,19,P,european,0.1,0.75,19\n", head=head)
    assert (code, row["price"]) == (0, pytest.approx(1.7011, abs=5e-5))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "",
            "lacks the columns style, right, strike, rate, underlying or forward, years or expiry, volatility or price",
        ),
        ("style,right,strike\n", "lacks the columns rate"),
        (HEAD, "has no row"),
        (HEAD.strip() + ",strike\n" + GOOD, "names the columns strike twice"),
        (b"\xff\xfe\x00style", "is no CSV file in UTF-8"),
        (HEAD + 'european,"C\n', "is no CSV file in UTF-8"),
    ],
)
def test_what_is_no_such_file_is_wrong_usage(run: Run, text: str | bytes, words: str) -> None:
    code, out, err = run(text)
    assert (code, out) == (64, "")
    assert words in err


def test_a_missing_file_and_a_wrong_time_are_wrong_usage(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(HEAD + GOOD)
    for arguments in (("absent.csv",), ("options.csv", "--at", "tomorrow"), (str(tmp_path),), ()):
        assert called(monkeypatch, capsys, "value", *arguments)[0] == 64, arguments

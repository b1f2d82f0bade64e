"""What an order would do, as it is told: the verdict first, nothing calmer than it is, nothing of others as markup."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from guardrails.findings import Level
from guardrails.gate.values import (
    FindingChange,
    Impact,
    MarginChange,
    Measures,
    OrderKind,
    Reason,
    StressChange,
    Verdict,
)
from guardrails.order_json import parse_order
from pages._impact import MEASURES, curve, details, margin_lines, measure_rows, stress_words
from pages._limit_pairs import limit_pair
from pages._verdict import offer_words, only_unasked, summary, verdict_words
from tests.books import IBKR, NOW
from tests.tickets import MARGIN, TODAY, VEGA, impact, written

ORDER = parse_order(written(), (IBKR,), TODAY)[0]
UNASKED = Reason("margin_unknown", Verdict.BLOCK, "The margin is not known.")


def told(**more: Any) -> Impact:
    return impact(ORDER, **more)


def blocked(most: int | None = 2) -> Impact:
    return told(verdict=Verdict.BLOCK, reasons=(VEGA,), max_quantity=most)


def test_the_verdict_comes_first_with_what_would_pass() -> None:
    said = summary(blocked(), NOW + timedelta(seconds=7))
    assert "✖</span> BLOCK" in said
    assert "<b>Short vega −5,020 past −3,500. 2 of 5 would pass.</b>" in said
    assert "judged 7 s ago" in said
    assert said.index("BLOCK") < said.index("SELL 5 ×")


@pytest.mark.parametrize(
    ("most", "words"),
    [(2, "2 of 5 would pass"), (0, "no quantity would pass"), (None, "how many would pass is not known"),
     (5, "no quantity would pass")],
)  # fmt: skip
def test_what_would_pass_is_said_for_every_quantity(most: int | None, words: str) -> None:
    assert offer_words(blocked(most)) == words


def test_before_the_broker_was_asked_how_many_would_pass_is_not_known() -> None:
    found = replace(blocked(0), reasons=(UNASKED, VEGA), margin=MarginChange(""))
    assert offer_words(found) == "ask the broker to learn how many would pass"
    assert verdict_words(found) == "Short vega −5,020 past −3,500"


def test_what_passes_offers_nothing() -> None:
    assert offer_words(told()) == ""


def test_an_order_of_which_no_broker_was_asked_is_neither_allowed_nor_blocked() -> None:
    found = told(verdict=Verdict.BLOCK, reasons=(UNASKED,), margin=MarginChange(""))
    said = summary(found, NOW)
    assert only_unasked(found)
    assert "? </span>" not in said
    assert "UNKNOWN" in said
    assert "Not checked yet" in said
    assert "ALLOW" not in said
    assert "✖" not in details(found).split("Margin")[0]


@pytest.mark.parametrize(
    "found",
    [
        told(verdict=Verdict.BLOCK, reasons=(UNASKED,), margin=replace(MARGIN, unknown="IBKR did not answer")),
        told(verdict=Verdict.BLOCK, reasons=(VEGA, UNASKED), margin=MarginChange("")),
        told(margin=MarginChange("")),
    ],
)
def test_a_broker_that_did_not_answer_and_another_reason_are_more_than_not_asked(found: Impact) -> None:
    assert not only_unasked(found)


def test_a_limit_unknown_for_want_of_an_answer_nobody_asked_for_is_not_called_blocked() -> None:
    words = "Not cleared: the broker has not said what the margin is with these trades."
    limit = Reason("limit_unknown", Verdict.BLOCK, f"Cushion. {words}", "margin_cushion", "account:IBKR •••4567")
    found = told(verdict=Verdict.BLOCK, reasons=(UNASKED, limit), margin=MarginChange(""))
    assert only_unasked(found)
    assert not only_unasked(replace(found, margin=MARGIN))
    assert not only_unasked(replace(found, reasons=(UNASKED, replace(limit, message="Greeks are missing."))))


def test_limits_that_stay_kept_are_behind_a_click_and_no_other() -> None:
    change = told().findings[0]
    quiet = replace(change, level_after=Level.OK)
    said = details(told(findings=(change, quiet, quiet)))
    assert "<summary>2 limits that move and are kept</summary>" in said
    assert said.index("<b>Short vega</b>") < said.index("<details>")
    assert "Every limit that moves is kept." in details(told(findings=(quiet,)))


def test_many_reasons_are_told_worst_first_and_the_rest_behind_a_click() -> None:
    many = tuple(replace(VEGA, message=f"reason {i}") for i in range(6))
    said = details(told(verdict=Verdict.BLOCK, reasons=many))
    assert "<summary>2 more reasons</summary>" in said
    assert said.index("Reason 3") < said.index("<summary>") < said.index("Reason 4")


def test_what_is_overridden_warns_and_says_so() -> None:
    found = told(verdict=Verdict.WARN, reasons=(replace(VEGA, overridden=True),))
    assert verdict_words(found) == "Short vega −5,020 past −3,500"
    assert "(overridden)" in details(found)
    assert "BLOCK" not in details(found)


def test_an_exit_is_called_one() -> None:
    assert verdict_words(told(kind=OrderKind.EXIT)).startswith("an exit: every leg only shrinks")


def test_a_limit_has_both_lights_both_bars_and_both_figures() -> None:
    pair = limit_pair(told().findings[0])
    # 2,100 and 3,300 of 3,500 are 60 % and 94 %; a full bar is 150 %
    for part in ("OK", "WATCH", "60 % of the limit", "94 % of the limit", "width:40%", "width:63%",
                 "−$2,100/pt → −$3,300/pt, limit −$3,500/pt"):  # fmt: skip
        assert part in pair, part
    assert pair.index("OK") < pair.index("WATCH")


def test_a_limit_that_moves_with_the_order_and_an_unknown_figure_are_said() -> None:
    change = FindingChange("gamma", "portfolio", Level.WATCH, Level.UNKNOWN, 900.0, None, 800.0, "USD",
                           limit_before=1_000.0, advisory=True)  # fmt: skip
    pair = limit_pair(change)
    assert "$900 → ?, limit $800, $1,000 before" in pair
    assert "advice, blocks nothing" in pair
    assert "no share of a limit can be said" in pair


@pytest.mark.parametrize(
    ("margin", "words"),
    [
        (MARGIN, "✓</span> OK</span> IBKR says: maintenance $32,000 → $41,600, initial $40,000 → $52,000; excess after "
                 "$58,400, commission 4.20."),
        (replace(MARGIN, excess_after=-10.0), "✖</span> BREACH</span> IBKR says"),
        (replace(MARGIN, excess_after=None), "UNKNOWN</span> IBKR says"),
        (replace(MARGIN, unknown="IBKR did not answer."), "UNKNOWN</span> IBKR: margin unknown. IBKR did not answer."),
        (MarginChange(""), "UNKNOWN</span> IBKR has not been asked: margin unknown."),
        (replace(MARGIN, words=("<b>held</b>",)), "“&lt;b&gt;held&lt;/b&gt;”"),
    ],
)  # fmt: skip
def test_margin_stands_under_the_name_of_who_says_it(margin: MarginChange, words: str) -> None:
    assert words in "".join(margin_lines(margin, "IBKR"))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [(-40_000.0, -46_000.0, "$6,000 worse"), (-46_000.0, -40_000.0, "$6,000 better"), (-1.0, -1.0, "the same"),
     (None, -46_000.0, "not known on both sides"), (-1.0, None, "not known on both sides")],
)  # fmt: skip
def test_the_worst_stress_is_compared_only_when_both_are_known(
    before: float | None, after: float | None, words: str
) -> None:
    said = stress_words(told(stress=StressChange(before, after)))
    assert words in said
    assert ("UNKNOWN" in said) == (before is None or after is None)


def test_measures_that_stand_still_are_left_out_and_unknown_ones_never() -> None:
    rows = measure_rows(told(before=Measures(vega_per_point=1.0, theta_per_day=1.0),
                             after=Measures(vega_per_point=1.0, theta_per_day=None)))  # fmt: skip
    said = "".join(rows)
    assert "<span>Vega</span>" not in said
    assert "<span>Theta</span>" in said
    assert said.count("UNKNOWN") == len(MEASURES) - 1  # all that is None


def test_every_measure_has_a_title_a_unit_and_an_explanation() -> None:
    assert set(MEASURES) == {field.name for field in fields(Measures)}


def test_words_of_others_cannot_become_markup_and_name_no_account() -> None:
    number = "DU" + "1234567"
    evil = f"<img src=x onerror=alert(1)> {number}"
    found = told(
        title=evil, flags=(evil,), working=evil, reasons=(replace(VEGA, message=evil),),
        margin=replace(MARGIN, source=evil, unknown=evil),
        findings=(replace(told().findings[0], message=evil, subject=f"account:{evil}"),),
    )  # fmt: skip
    said = summary(found, NOW) + details(found)
    assert "<img" not in said
    assert number not in said


def test_what_lies_in_its_life_and_what_works_beside_it_is_told() -> None:
    said = details(told(flags=("SPXW expires in 30 days: alarm from 16 Dec",), working="the worst of 2 orders"))
    assert "◆ SPXW expires in 30 days" in said
    assert "Judged with working orders: the worst of 2 orders" in said
    assert "0 → −5" in said


KNOWN = ((-0.3, -50_000.0, -60_000.0), (-0.2, -35_000.0, -40_000.0))


def test_a_curve_that_moves_by_a_dollar_is_not_drawn_anew() -> None:
    one, other = (
        curve(told(stress=StressChange(curve=(*KNOWN, (-0.1, -20_000.0, -24_000.0 - off), (0.0, 0.0, None)))))
        for off in (0.0, 1.0)
    )
    assert one is not None
    assert other is not None
    assert one.to_json() == other.to_json()
    assert [trace.name for trace in one.data] == ["without the order", "with the order"]
    assert list(one.data[0].x) == [-30.0, -20.0, -10.0, 0.0]
    assert list(one.data[1].y) == [-60_000.0, -40_000.0, -24_000.0, None]


@pytest.mark.parametrize("points", [(), ((0.0, None, None),)])
def test_without_a_known_point_there_is_no_curve(points: tuple[Any, ...]) -> None:
    assert curve(told(stress=StressChange(curve=points))) is None

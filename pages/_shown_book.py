"""The book that is revalued on the Scenarios page: the engine's own, or one made again from what was captured.

A program that only shows what another one sees, a file of the last run and a past moment have a Snapshot but no book;
the capture of that moment holds what both were made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError

from guardrails.assess import judge
from guardrails.engine import Engine
from guardrails.errors import GuardrailsError, MatrixError
from guardrails.matrix import RiskMatrix, parse
from guardrails.portfolio import Portfolio
from guardrails.pricing import compiled
from guardrails.store.captures import Captured, capture_at
from guardrails.store.moments import matrix_text
from guardrails.stress import COMPILING
from guardrails.stress.standing import Standing
from pages import _engine
from pages._away import away, failed
from pages._moment import Moment, clock, full_time
from pages._past import looked_at

_NOTHING = "Nothing can be revalued"


@dataclass(frozen=True, slots=True)
class ShownBook:
    """What the page computes with."""

    portfolio: Portfolio | None
    words: str
    """of when it is; where there is none, why"""
    compiling: bool = False
    captured: bool = False

    @property
    def standing(self) -> Standing | None:
        """Its columns and its stress; None when there is no book, or it could not be revalued."""
        stress = None if self.portfolio is None else self.portfolio.stress
        return stress if isinstance(stress, Standing) else None

    @property
    def why(self) -> str:
        """Why there is nothing to show."""
        stress = self.words if self.portfolio is None else self.portfolio.stress
        return stress if isinstance(stress, str) else ""


def shown_book(service: Engine, moment: Moment) -> ShownBook:
    """The book of `moment`; reads the database where neither engine nor session has it: never from a fragment."""
    if moment.past:
        return _of_the_past(service)
    assessment, watched_by = service.assessment, service.health().watched_by
    if assessment is not None and not service.restored and not watched_by:
        return of(assessment.portfolio, f"the book of {clock(assessment.portfolio.time)}")
    why = f"{watched_by} reads the brokers" if watched_by else "this is the last run, nothing has been read since"
    return _captured(service, service.now(), f"{why}; the book as captured")


def waits(service: Engine, moment: Moment) -> bool:
    """Whether kernels are still being compiled, or the engine has not had a cycle with them; reads no database."""
    if compiled.state() is compiled.State.COMPILING:
        return True
    assessment = service.assessment
    own = assessment is not None and not (moment.past or service.restored or service.health().watched_by)
    return own and assessment is not None and assessment.portfolio.stress == COMPILING


def has_newer(service: Engine, portfolio: Portfolio) -> bool:
    """Whether drawing the page anew would show a later book than `portfolio`; reads no database."""
    if service.health().watched_by:  # that program goes on capturing
        return True
    assessment = service.assessment
    return assessment is not None and not service.restored and assessment.portfolio.time > portfolio.time


def of(portfolio: Portfolio, words: str, *, captured: bool = False) -> ShownBook:
    """`portfolio` as it may be shown."""
    return ShownBook(portfolio, words, compiling=portfolio.stress == COMPILING, captured=captured)


def _of_the_past(service: Engine) -> ShownBook:
    """The book of the past moment that the session looks at, from what was read of it."""
    past, stored = looked_at(), _engine.stored()
    if past is None or past.captured is None or stored is None:
        return ShownBook(None, f"{_NOTHING}: nothing is known of that moment.")
    if compiled.state() is compiled.State.COMPILING:
        return ShownBook(None, COMPILING, compiling=True)
    try:
        portfolio = _made_again(stored, past.captured, past.moment.matrix or service.matrix)
    except GuardrailsError as error:
        return ShownBook(None, f"{_NOTHING}: {error}")
    return of(portfolio, f"the book as captured {full_time(past.captured.time)}", captured=True)


def _captured(service: Engine, time: datetime, lead: str) -> ShownBook:
    stored = _engine.stored()
    if stored is None:
        return ShownBook(None, f"{_NOTHING}: {lead}, but there is no database in which books are captured.")
    if words := away(stored, service.now()):
        return ShownBook(None, f"{_NOTHING}: {words}")
    if compiled.state() is compiled.State.COMPILING:
        return ShownBook(None, COMPILING, compiling=True)
    try:
        with stored.database.reading() as connection:
            captured = capture_at(connection, stored.book, time)
            if captured is None:
                return ShownBook(None, f"{_NOTHING}: {lead}, but no moment is stored yet.")
            text = matrix_text(connection, stored.book, captured.matrix_version)
        portfolio = _made_again(stored, captured, _matrix(text, service.matrix))
    except (SQLAlchemyError, OSError) as error:
        return ShownBook(None, f"{_NOTHING}: {failed(stored, error, service.now())}")
    except GuardrailsError as error:
        return ShownBook(None, f"{_NOTHING}: {error}")
    return of(portfolio, f"{lead} {full_time(captured.time)}", captured=True)


def _made_again(stored: _engine.Stored, captured: Captured, matrix: RiskMatrix) -> Portfolio:
    key = (str(stored.database.folder), stored.book, captured.time.isoformat(), captured.matrix_version)
    return _judged(key, captured, matrix)


@st.cache_resource(show_spinner=False, max_entries=8)
def _judged(key: tuple[str, ...], _captured: Captured, _matrix: RiskMatrix) -> Portfolio:  # noqa: ARG001  # what it is kept under
    """The Portfolio of a capture, which `key` names; a capture never changes. StoreError when it cannot be read."""
    inputs = _captured.read_inputs()
    return judge(inputs.views, _matrix, inputs.memory, inputs.now, inputs.extra).portfolio


def _matrix(text: str | None, otherwise: RiskMatrix) -> RiskMatrix:
    """The matrix then in force; today's where that cannot be read: it bears on the limits, which are not shown here."""
    if text is None:
        return otherwise
    try:
        return parse(text)
    except MatrixError:
        return otherwise

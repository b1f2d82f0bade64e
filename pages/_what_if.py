"""The last section of History: the past judged again as if another matrix had been in force; what is live stays."""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from pathlib import Path

import pandas as pd
import streamlit as st
from sqlalchemy.exc import SQLAlchemyError
from streamlit.runtime.uploaded_file_manager import UploadedFile

from guardrails.comparison import Comparison
from guardrails.engine import Engine
from guardrails.errors import GuardrailsError, MatrixError
from guardrails.matrix import RiskMatrix, load, parse
from guardrails.replay_words import sentences, table
from guardrails.store.faults import reason
from guardrails.stored_replay import count_of, replay_stored
from pages._engine import Stored
from pages._moment import day_and_time
from pages._parts import text

log = logging.getLogger(__name__)

MOST_MOMENTS = 10_000
"""about a minute of work; more of it would make the live pages wait, so it belongs on the command line"""
_EVERY_SECONDS = 1.0
"""how often the progress is drawn; Streamlit clears its memory after every drawing, which holds up the work"""
_WORK = "what_if_work"


class Stopped(Exception):  # noqa: N818  # it is no error: a person pressed Stop
    """The work was stopped before its end."""


class Work:
    """One question, answered in a thread of its own: a page that computes for a minute would freeze its header.

    The thread knows nothing of Streamlit; the page looks at these attributes.
    """

    def __init__(self, stored: Stored, begin: datetime, end: datetime, matrix: RiskMatrix) -> None:
        self.asked = (stored.book, begin, end)
        self.count, self.total = 0, 0
        self.found: Comparison | None = None
        self.problem = ""
        """why there is no answer, once it has ended"""
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(stored, begin, end, matrix), name="what-if", daemon=True
        )
        self._thread.start()

    @property
    def runs(self) -> bool:
        """Whether there is neither an answer nor a reason for none."""
        return self.found is None and not self.problem

    def stop(self) -> None:
        """End soon, without an answer."""
        self._stopping.set()

    def _run(self, stored: Stored, begin: datetime, end: datetime, matrix: RiskMatrix) -> None:
        try:
            _refuse_long(stored, begin, end)
            self.found = replay_stored(stored.database.reading, stored.book, begin, end, matrix, self._seen)
        except Stopped:
            self.problem = f"Stopped after {self.count:,} of {self.total:,} moments; nothing is concluded."
        except GuardrailsError as error:
            self.problem = str(error)
        except (SQLAlchemyError, OSError) as error:
            self.problem = f"The store cannot be read: {reason(error)}."
        except Exception as error:  # a thread has nobody who would hear of it
            log.exception("the past could not be judged again")
            self.problem = f"The past could not be judged again ({type(error).__name__}); see the log."

    def _seen(self, count: int, total: int) -> None:
        self.count, self.total = count, total
        if self._stopping.is_set():
            raise Stopped


def what_if(stored: Stored, service: Engine, begin: datetime, end: datetime) -> None:
    """Draw the form and, below it, the answer to the last question about this range."""
    st.subheader("What if another matrix had been in force")
    st.caption(
        f"Judges what was stored from {day_and_time(begin)} to {day_and_time(end)} again. What was measured stays as "
        "it was; the regime and the confirmation of losses follow the matrix chosen here. The limits in force stay."
    )
    _section(stored, service, begin, end)


@st.fragment
def _section(stored: Stored, service: Engine, begin: datetime, end: datetime) -> None:
    with st.form("what_if_form"):
        uploaded = st.file_uploader("Matrix file", type=["yaml", "yml"], key="what_if_file")
        path = st.text_input("or the path of a file on the machine that runs this program", key="what_if_path")
        st.caption(f"With neither it is the matrix of today, version {service.matrix.version}.")
        asked = st.form_submit_button("Judge the past under this matrix", key="what_if_ask")
    if asked:
        _forget()
        try:
            st.session_state[_WORK] = Work(stored, begin, end, _chosen(uploaded, path.strip(), service))
        except MatrixError as error:
            st.html("".join(f"<div>✖ {text(problem)}</div>" for problem in error.problems))
            return
    work: Work | None = st.session_state.get(_WORK)
    if work is None:
        return
    if work.asked != (stored.book, begin, end):
        _forget()
    elif work.runs:
        _progress(work)
    else:
        _shown(work)


def _forget() -> None:
    work = st.session_state.pop(_WORK, None)
    if work is not None:
        work.stop()


@st.fragment(run_every=_EVERY_SECONDS)
def _progress(work: Work) -> None:
    """Draw how far it is, until it has ended."""
    if not work.runs:
        st.rerun()
    share = work.count / work.total if work.total else 0.0
    st.progress(share, f"{work.count:,} of {work.total:,} moments judged again" if work.total else "Reading the store")
    if st.button("Stop", key="what_if_stop", help="Ends the work; nothing is concluded."):
        work.stop()


def _chosen(uploaded: UploadedFile | None, path: str, service: Engine) -> RiskMatrix:
    """The matrix asked for; MatrixError when it is not valid."""
    if uploaded is not None and path:
        raise MatrixError(["Two files were given; remove the uploaded one or empty the path."])
    if uploaded is not None:
        return parse(uploaded.getvalue(), uploaded.name)
    return load(Path(path).expanduser()) if path else service.matrix


def _refuse_long(stored: Stored, begin: datetime, end: datetime) -> None:
    """GuardrailsError when the range holds more moments than a page should judge."""
    with stored.database.reading() as connection:
        count = count_of(connection, stored.book, begin, end)
    if count > MOST_MOMENTS:
        raise GuardrailsError(
            f"{count:,} moments are stored in this range, and this page judges at most {MOST_MOMENTS:,}; choose a "
            "shorter range, or run: guardrails replay --from TIME --to TIME --matrix FILE"
        )


def _shown(work: Work) -> None:
    if work.found is None:
        st.html(f"<div>✖ {text(work.problem)}</div>")
        return
    lines = sentences(work.found, listed=0)
    st.html("".join(f"<div{_SOFT if line.startswith(' ') else ''}>{text(line.strip())}</div>" for line in lines))
    rows = table(work.found)
    if not rows:
        return
    frame = pd.DataFrame(rows)
    st.dataframe(frame, key="what_if_table", hide_index=True, column_config=_COLUMNS)
    st.download_button(
        "Download as CSV",
        frame.to_csv(index=False),
        file_name="what-if.csv",
        mime="text/csv",
        on_click="ignore",
        key="what_if_csv",
    )


_SOFT = ' class="pg-soft"'
_COLUMNS = {
    "What": st.column_config.TextColumn(help="What became of the breach under the other matrix.", pinned=True),
    "Finding": st.column_config.TextColumn(help="What was held against which limit.", width="medium"),
    "Then from": st.column_config.TextColumn(help="First moment of the breach as it was, New York time."),
    "Again from": st.column_config.TextColumn(help="First moment of the breach under the other matrix."),
    "Minutes later": st.column_config.NumberColumn(help="Negative: the other matrix is earlier.", format="%.1f"),
    "Worst fall after %": st.column_config.NumberColumn(
        help="Of net liquidation from a new alarm to the close of the next session, reported cash flows taken out.",
        format="%.2f",
    ),
}

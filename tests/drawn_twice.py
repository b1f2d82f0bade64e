"""A page of Streamlit that is asked to tick just when its run has ended; prints what of it reaches the browser.

A program of its own, because a process has one runtime of Streamlit: `python -m tests.drawn_twice FOLDER`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.runtime import Runtime, RuntimeConfig
from streamlit.runtime.script_data import ScriptData
from streamlit.runtime.scriptrunner.script_cache import ScriptCache

import app  # noqa: F401  # what the program does to Streamlit is done when it is read

LINES = 40
PAGE = f"""
import streamlit as st

@st.fragment(run_every=1)
def bar():
    st.text("the bar")

bar()
for line in range({LINES}):
    st.text(f"line {{line}} of the page")
"""


def ended() -> bool:
    """Whether the run has ended; what it has drawn waits on the loop."""
    return not any(one.name.startswith("ScriptRunner") for one in threading.enumerate())


def texts(session: AppSession) -> set[str]:
    return {
        message.delta.new_element.text.body for message in session.flush_browser_queue()
        if message.WhichOneof("type") == "delta" and message.delta.new_element.WhichOneof("type") == "text"
    }  # fmt: skip


async def looked_at(page: Path) -> set[str]:
    """What the browser is told of a page that ticks once, at the worst moment."""
    files = MemoryUploadedFileManager("/upload")
    runtime = Runtime(RuntimeConfig(str(page), MemoryMediaFileStorage("/media"), files))
    await runtime.start()
    session = AppSession(ScriptData(str(page)), files, ScriptCache(), None, {})
    session.request_rerun(ClientState())
    while not ended():  # the loop stands still meanwhile, as on a machine that does much else
        threading.Event().wait(0.01)
    (ticking,) = session._fragment_storage._fragments
    session.request_rerun(ClientState(fragment_id=ticking, is_auto_rerun=True))
    while session._scriptrunner is not None:  # noqa: ASYNC110  # Streamlit sets no event
        await asyncio.sleep(0.01)
    told = texts(session)
    session.shutdown()
    runtime.stop()
    return told


if __name__ == "__main__":
    script = Path(sys.argv[1]) / "page.py"
    script.write_text(PAGE, encoding="utf-8")
    print(len(asyncio.run(looked_at(script))))

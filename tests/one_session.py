"""A session of Streamlit, driven as a browser does at the worst moments; prints what came of it as JSON.

A program of its own, because a process has one runtime of Streamlit: `python -m tests.one_session FOLDER`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from pathlib import Path
from typing import Any

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
from pages._press import act

@st.fragment(run_every=1)
def bar():
    st.text("the bar")

def done(what):
    st.session_state.setdefault("deeds", []).append(what)

bar()
for line in range({LINES}):
    st.text(f"line {{line}} of the page")
for name in ("first", "second"):
    st.button(name, key=name, on_click=act, args=(done, name))
"""


class Scripts(ScriptCache):
    """Lets something happen when a run has begun, and has done nothing yet."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile = lambda: None

    def get_bytecode(self, script_path: str) -> Any:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return super().get_bytecode(script_path)


def ended() -> bool:
    """Whether the run has ended; what it has drawn waits on the loop."""
    return not any(one.name.startswith("ScriptRunner") for one in threading.enumerate())


async def done(session: AppSession) -> None:
    """Wait until the session has nothing left to do."""
    while session._scriptrunner is not None:  # noqa: ASYNC110  # Streamlit sets no event
        await asyncio.sleep(0.01)


def texts(session: AppSession) -> set[str]:
    """What the browser is told since the last time."""
    return {
        message.delta.new_element.text.body for message in session.flush_browser_queue()
        if message.WhichOneof("type") == "delta" and message.delta.new_element.WhichOneof("type") == "text"
    }  # fmt: skip


def press(session: AppSession, name: str) -> ClientState:
    """A press of the button."""
    (button,) = [one for one in session._session_state._new_widget_state.widget_metadata if one.endswith(f"-{name}")]
    state = ClientState()
    state.widget_states.widgets.add(id=button, trigger_value=True)
    return state


async def driven(page: Path) -> dict[str, object]:
    """Texts that arrive when a tick comes as a run has ended, and deeds when a second press comes as one begins."""
    files, scripts = MemoryUploadedFileManager("/upload"), Scripts()
    runtime = Runtime(RuntimeConfig(str(page), MemoryMediaFileStorage("/media"), files))
    await runtime.start()
    session = AppSession(ScriptData(str(page)), files, scripts, None, {})
    session.request_rerun(ClientState())
    while not ended():  # the loop stands still meanwhile, as on a machine that does much else
        threading.Event().wait(0.01)
    (ticking,) = session._fragment_storage._fragments
    session.request_rerun(ClientState(fragment_id=ticking, is_auto_rerun=True))
    await done(session)
    told = texts(session)
    second = press(session, "second")
    scripts.meanwhile = lambda: session.request_rerun(second)
    session.request_rerun(press(session, "first"))
    await done(session)
    deeds = session._session_state.filtered_state.get("deeds", [])
    session.shutdown()
    runtime.stop()
    return {"texts": len(told), "deeds": deeds}


if __name__ == "__main__":
    script = Path(sys.argv[1]) / "page.py"
    script.write_text(PAGE, encoding="utf-8")
    print(json.dumps(asyncio.run(driven(script))))

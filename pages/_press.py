"""A press of a button is never lost in silence: how the browser takes it, and how the program acts on it.

The pages tick. What a button does is done by its callback, before anything is drawn: after `if st.button(...)` a run
that ends before that line, because another part of the page wanted it drawn anew, has forgotten the click.

A browser makes a click only of a press and a release on the same element; where a list has moved, or
a button was replaced by its like, between the two, nothing would happen, and nobody would be told. So the release is
taken for a click on what was pressed, unless the pointer has left it: that is how one takes a press back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import RerunException

_SCRIPT = """<script>(() => {
    if (window.guardrailsPress) return;
    window.guardrailsPress = true;
    const FAR = 12, BUTTONS = '[data-testid="stButton"] button';
    const keyOf = button => [...(button.closest('[class*="st-key-"]')?.classList ?? [])]
        .find(name => name.startsWith('st-key-'));
    const buttonOf = event => event.target instanceof Element ? event.target.closest(BUTTONS) : null;
    // the same element may stand for another row by now: what it is called decides
    const isLike = (button, press) => keyOf(button) === press.key && button.textContent === press.words;
    const found = press => press.button.isConnected && isLike(press.button, press) ? press.button :
        press.key && [...document.querySelectorAll(`.${CSS.escape(press.key)} button`)].find(it => isLike(it, press));
    let press = null;

    document.addEventListener('pointerdown', event => {
        const button = event.isPrimary && event.button === 0 ? buttonOf(event) : null;
        press = button && !button.disabled ? {button, key: keyOf(button), words: button.textContent,
            x: event.clientX, y: event.clientY, clicked: false} : null;
    }, true);
    document.addEventListener('pointercancel', () => { press = null; }, true);
    document.addEventListener('click', event => {
        const button = buttonOf(event);
        if (press && button && (button === press.button || isLike(button, press))) press.clicked = true;
    }, true);
    document.addEventListener('pointerup', event => {
        const last = press;
        if (!last || Math.hypot(event.clientX - last.x, event.clientY - last.y) > FAR) return;
        setTimeout(() => {  // the browser's own click comes before this, if it comes
            const button = last.clicked ? null : found(last);
            last.clicked = true;
            if (button && !button.disabled) button.click();
        }, 0);
    }, true);
})()</script>"""


def presses() -> None:
    """Let every press count, once in the life of the browser's page; draws nothing."""
    with st.container(key="press"):  # out of sight
        st.html(_SCRIPT, unsafe_allow_javascript=True)


def act(deed: Callable[..., None], *args: Any) -> None:
    """Do it all; for `on_click`. A page to be drawn anew interrupts a callback wherever it looks at the session, so
    `deed` is begun anew then: it must write what it did with `keep`, and do nothing when it finds it done."""
    try:
        deed(*args)
    except RerunException:
        deed(*args)
        raise


def act_and_redraw(deed: Callable[..., None], *args: Any) -> None:
    """As `act`, and draw the whole page anew; for what opens or closes a dialog."""
    act(deed, *args)
    st.rerun()


def keep(name: str, value: object) -> None:
    """Write into the session, also where a page to be drawn anew interrupts it."""
    try:
        st.session_state[name] = value
    except RerunException:
        st.session_state[name] = value
        raise

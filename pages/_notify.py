"""Sound and notification in the browser for CRITICAL alerts that nobody has: chosen per browser, on every page.

A hidden tab is woken about once a minute, and none sounds when no tab is open: this helps who sits at the desk and
takes no channel's place. The choice and what was told when are kept in the browser, so that several tabs tell once.
Everything runs from this file; no other host is asked.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import streamlit as st

from guardrails.alerts.values import AlertsNow, Severity
from guardrails.engine import Engine
from guardrails.redaction import redact
from guardrails.titles import headline
from pages._alert_watch import not_made, open_of
from pages._alerts import sentence, short
from pages._moment import Moment, read

SILENT_AFTER = timedelta(seconds=30)
"""without alerts for so long the browser is told of that, too"""
_MOST = 100
"""alerts handed to a browser at once; of more it is told that there are more"""

_PANEL = """
<div class="panel">
  <label><input type="checkbox"> Sound and notification in this browser</label>
  <span role="status"></span>
</div>
"""
_CSS = """
.panel { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem .8rem; font-family: inherit; }
label { font-weight: 600; cursor: pointer; }
span { font-size: .87em; opacity: .9; }
"""
_JS = """
const CHOICE = 'guardrails-notify', TOLD = 'guardrails-told', AGAIN = 60000, LOOK = 5000, LOST = 24, MOST = 3;
const SILENCE = {id: 'silence', title: 'No word from Portfolio Guardrails', what:
    'This page has heard nothing for two minutes: the program, or the connection to it, has ended.'};
const panels = new Set();
let critical = [], heard = false, missed = 0, audio = null;

function kept(name, otherwise) {
    try { return JSON.parse(localStorage.getItem(name)) ?? otherwise; } catch { return otherwise; }
}
function keep(name, value) {
    try { localStorage.setItem(name, JSON.stringify(value)); } catch { /* a browser that keeps nothing asks again */ }
}
const isOn = () => kept(CHOICE, false) === true;
const lost = () => heard && missed >= LOST;
const open = () => lost() ? [...critical, SILENCE] : critical;
const allowed = () => 'Notification' in window ? Notification.permission : 'denied';

function wake() {  // only a click lets a page sound
    try {
        audio ??= new AudioContext();
        return audio.state === 'suspended' ? audio.resume().catch(() => {}) : Promise.resolve();
    } catch { return Promise.resolve(); }
}
function beep() {
    if (audio === null || audio.state === 'suspended') return;
    [880, 660, 880].forEach((pitch, nth) => {
        const begin = audio.currentTime + 0.25 * nth, tone = audio.createOscillator(), volume = audio.createGain();
        tone.frequency.value = pitch;
        volume.gain.setValueAtTime(0.25, begin);
        volume.gain.exponentialRampToValueAtTime(0.001, begin + 0.22);
        tone.connect(volume);
        volume.connect(audio.destination);
        tone.start(begin);
        tone.stop(begin + 0.23);
    });
}
function show(one) {
    if (allowed() !== 'granted') return;
    try {
        const note = new Notification(one.title, {body: one.what, tag: one.id, renotify: true});
        note.onclick = () => window.focus();
    } catch { /* a telephone shows notifications another way */ }
}
function tell() {
    if (!isOn()) return;
    const told = kept(TOLD, {}), now = Date.now(), ids = new Set(open().map(one => one.id));
    const due = open().filter(one => !(one.id in told) || now - told[one.id] >= AGAIN || told[one.id] > now);
    const after = Object.fromEntries(Object.entries(told).filter(([id]) => ids.has(id)));
    due.forEach(one => { after[one.id] = now; });
    keep(TOLD, after);
    if (!due.length) return;
    beep();
    if (due.length <= MOST) due.forEach(show);
    else show({id: 'many', title: `${due.length} CRITICAL alerts nobody has`,
               what: due.slice(0, MOST).map(one => one.title).join('; ') + ' …'});
}
function mark() {
    const bare = document.title.replace(/^(\\([!?]\\) )+/, '');
    const wanted = (critical.length ? '(!) ' : lost() ? '(?) ' : '') + bare;
    if (document.title !== wanted) document.title = wanted;
}
function words() {
    if (!isOn()) return 'Off. When on, a CRITICAL alert that nobody has is heard and shown here, again every minute, ' +
        'on every page while a tab is open. A hidden tab is up to a minute late: this takes no channel\\u2019s place.';
    const sound = audio === null || audio.state === 'suspended' ?
        'Silent until you click once anywhere in this page. ' : 'On. ';
    if (allowed() === 'granted') return sound + 'Sound and notification.';
    return sound + 'Sound only: the browser does not allow notifications of this address; see its site settings.';
}
function draw() {
    for (const panel of panels) {
        panel.querySelector('input').checked = isOn();
        const said = panel.querySelector('[role=status]');
        if (said.textContent !== words()) said.textContent = words();
    }
}
async function choose(wanted) {
    keep(CHOICE, wanted);
    keep(TOLD, {});
    if (wanted) {
        await wake();
        if (allowed() === 'default') await Notification.requestPermission();
    }
    draw();
    tell();
}
setInterval(() => { missed += 1; tell(); mark(); draw(); }, LOOK);
new MutationObserver(mark).observe(document.head, {childList: true, subtree: true, characterData: true});
document.addEventListener('pointerdown', () => { if (isOn()) wake().then(draw); }, true);
window.addEventListener('storage', draw);

export default function ({data, parentElement}) {
    const box = parentElement.querySelector('input');
    if (box) {
        panels.add(parentElement);
        box.onchange = () => choose(box.checked);
        draw();
        return () => panels.delete(parentElement);
    }
    critical = data.critical;
    heard = true;
    missed = 0;
    tell();
    mark();
}
"""
# two places, one script: the browser loads it once, so both share what it keeps
_notifier = st.components.v2.component("guardrails_notifier", js=_JS)
_panel = st.components.v2.component(
    "guardrails_notifier_panel", html=_PANEL, css=_CSS, js=_JS
)  # one module, two places


def notify(service: Engine) -> None:
    """Hand the browser what it must tell; draws nothing. For the part of every page that ticks."""
    moment = read(service)
    told = loud(service.alerts, moment, service.settings.refresh_seconds)
    with st.container(key="notify"):
        _notifier(key="notifier", data={"critical": told, "at": moment.now.isoformat()})


def panel() -> None:
    """Draw the choice."""
    _panel(key="notifier_panel", data={})


def loud(alerts: AlertsNow | None, moment: Moment, refresh_seconds: float) -> list[dict[str, Any]]:
    """What a browser is told: CRITICAL alerts that nobody has, and that alerts are not made any more."""
    told, demo = [], "DEMO: " if _is_demo(moment) else ""
    if alerts is not None:
        found = [row for row in open_of(alerts) if row.severity is Severity.CRITICAL]
        told = [
            _one(short(row.identity), f"{demo}CRITICAL: {headline(row.check, row.subject)}", sentence(row))
            for row in found[:_MOST]
        ]
        if len(found) > _MOST:
            told.append(_one("more", f"{demo}{len(found) - _MOST} more CRITICAL alerts", "See the page Alerts."))
    why = not_made(alerts, moment, refresh_seconds)
    if why and _has_gone_quiet(alerts, moment):
        told.append(_one("watch", f"{demo}Nobody watches", why))
    return told


def _is_demo(moment: Moment) -> bool:
    """Whether the demo is all that is watched, as messages to channels say it."""
    return moment.snapshot is not None and {source.name for source in moment.snapshot.sources} == {"demo"}


def _has_gone_quiet(alerts: AlertsNow | None, moment: Moment) -> bool:
    """Whether something was seen once since the start, and nothing, or no alerts of it, for `SILENT_AFTER`."""
    if moment.health is None or moment.health.last_cycle is None:
        return False
    heard = moment.health.last_cycle if alerts is None else min(moment.health.last_cycle, alerts.as_of)
    return moment.now - heard > SILENT_AFTER


def _one(name: str, title: str, what: str) -> dict[str, Any]:
    return {"id": name, "title": redact(title), "what": redact(what)}

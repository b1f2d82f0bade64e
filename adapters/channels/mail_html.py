"""A Message as HTML for mail: tables and inline styles, which is what mail programs draw alike, and no remote image.

Sign and word say how bad it is; colour only repeats it. Each pair of colours reaches a contrast of 4.5 to 1, in the
light and in the dark (a test measures it). Programs that know no dark mode show the light one.
"""

from __future__ import annotations

from html import escape

from guardrails.alerts import plain
from guardrails.alerts.values import Line, Message, Severity, State

Pair = tuple[str, str]
"""text and background"""

LIGHT: dict[str, Pair] = {
    "page": ("#1b2430", "#ffffff"),
    "soft": ("#566172", "#ffffff"),
    "link": ("#0b57a4", "#ffffff"),
    Severity.CRITICAL.value: ("#ffffff", "#8f120c"),
    Severity.BREACH.value: ("#a1160f", "#fde3e1"),
    Severity.UNKNOWN.value: ("#46327a", "#e8e1f7"),
    Severity.WATCH.value: ("#7a4a00", "#ffedc9"),
    State.RESOLVED.value: ("#4d5663", "#eceff3"),
}
DARK: dict[str, Pair] = {
    "page": ("#e6ebf2", "#161b22"),
    "soft": ("#a8b3c2", "#161b22"),
    "link": ("#8cc2ff", "#161b22"),
    Severity.CRITICAL.value: ("#2b0603", "#ff8f85"),
    Severity.BREACH.value: ("#ffb9b2", "#5a1712"),
    Severity.UNKNOWN.value: ("#d6c8ff", "#37295c"),
    Severity.WATCH.value: ("#ffd58a", "#4a3300"),
    State.RESOLVED.value: ("#b6c0cd", "#262e39"),
}
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;"
_TABLE = 'role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"'


def html_of(message: Message) -> str:
    """The whole mail as one document; everything in it is escaped."""
    full = "".join(_alert(line, message) for line in message.lines[: plain.IN_FULL])
    rest = "".join(_brief(line) for line in message.lines[plain.IN_FULL :])
    tested = _row(f'<p style="margin:0">{escape(plain.TEST_WORDS)}</p>') if message.test else ""
    more = _row(escape(plain.left_out(message.more).strip()), "soft") if message.more else ""
    link = f'class="pg-link" href="{escape(message.link)}" style="{_ink("link")}font-weight:600"'
    foot = (
        f"<a {link}>Open the Alerts page</a>"
        f'<br><span class="pg-soft" style="{_ink("soft")}">{escape(message.link)}<br>'
        f"Said {escape(plain.said_at(message.time))} by Portfolio Guardrails.</span>"
    )
    title = f'<h1 style="margin:0;font-size:20px;line-height:1.3">{escape(message.title)}</h1>'
    body = _row(title) + tested + full + rest + more + _row(foot)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
        f"<title>{escape(message.title)}</title><style>{_STYLE}</style></head>"
        f'<body class="pg-page" style="margin:0;{_both("page")}{_FONT}font-size:15px;line-height:1.45">'
        f'<table {_TABLE} class="pg-page" style="{_both("page")}"><tr><td align="center">'
        f'<table {_TABLE} style="max-width:640px;text-align:left">{body}</table></td></tr></table></body></html>'
    )


def _alert(line: Line, message: Message) -> str:
    what, *rest = plain.details(line, message.time) if line.what else ["", *plain.details(line, message.time)]
    says = f'<div style="margin-top:6px">{escape(what)}</div>' if what else ""
    under = "".join(_told(words) for words in rest)
    head = f'<div style="margin-top:6px;font-weight:600">{escape(line.title)}</div>'
    return _row(f"{_pill(line)}{head}{says}{under}")


def _told(words: str) -> str:
    """What to do stands out from the figures around it."""
    if words.startswith("Next: "):
        return f'<div style="margin-top:2px"><b>{escape(words)}</b></div>'
    return f'<div class="pg-soft" style="{_ink("soft")}margin-top:2px">{escape(words)}</div>'


def _brief(line: Line) -> str:
    return _row(f"{_pill(line)} {escape(line.title)}{escape(': ' + line.figures) if line.figures else ''}")


def _pill(line: Line) -> str:
    name = line.state.value if line.state is State.RESOLVED else line.severity.value
    style = f"{_both(name)}padding:2px 8px;border-radius:4px;font-weight:700;white-space:nowrap"
    return f'<span class="pg-{name.lower()}" style="{style}">{escape(plain.label(line))}</span>'


def _row(inner: str, name: str = "") -> str:
    told = f' class="pg-{name}"' if name else ""
    ink = _ink(name) if name else ""
    return f'<tr><td{told} style="padding:10px 16px;{ink}">{inner}</td></tr>'


def _ink(name: str) -> str:
    return f"color:{LIGHT[name][0]};"


def _both(name: str) -> str:
    text, background = LIGHT[name]
    return f"color:{text};background-color:{background};"


def _dark_rule(name: str) -> str:
    text, background = DARK[name]
    return f".pg-{name.lower()}{{color:{text} !important;background-color:{background} !important}}"


_STYLE = f":root{{color-scheme:light dark}}@media (prefers-color-scheme:dark){{{''.join(map(_dark_rule, DARK))}}}"

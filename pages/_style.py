"""The style sheet of the blocks drawn as HTML. Colours follow the theme through `light-dark()`, without a rerun."""

from __future__ import annotations

from pages._alerts import CRITICAL
from pages._parts import LOOKS

_LAYOUT = """
[data-testid="stMainBlockContainer"] { padding: 4.2rem 2rem 3rem; max-width: 1700px; }
:has(> .st-key-header) { position: sticky; top: 3.4rem; z-index: 90; padding: .3rem 0;
  background: light-dark(#ffffff, #10141a); }
.pg-bar, .pg-then, .pg-shown { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1rem;
  padding: .4rem .7rem;
  border-radius: .5rem; border: 1px solid light-dark(#d5dbe3, #323c49); background: light-dark(#f3f5f8, #1a212b);
  font-size: .87rem; line-height: 1.5; font-variant-numeric: tabular-nums; }
.pg-bar > span, .pg-then > span, .pg-shown > span { white-space: nowrap; }
.pg-bar > strong, .pg-then > strong, .pg-shown > strong { flex-basis: 100%; font-size: 1rem; }
.pg-silent { border: 2px dashed light-dark(#59626e, #a3adba); background: repeating-linear-gradient(-45deg,
  light-dark(#d4d8dd, #3a424d) 0 12px, light-dark(#e4e7eb, #2d343d) 12px 24px); }
.pg-pill { display: inline-block; padding: 0 .5rem; margin-right: .2rem; border-radius: 1rem; white-space: nowrap;
  font-weight: 650; font-size: .8rem; line-height: 1.5rem; }
.pg-zero { font-weight: 400; padding: 0 .15rem; border-color: transparent !important;
  background: transparent !important; }
ul.pg-list { list-style: none; margin: 0 !important; padding: 0 !important; }
ul.pg-list > li { display: grid; grid-template-columns: 6.6rem 1fr; gap: .6rem; padding: .5rem 0;
  margin: 0 !important; border-bottom: 1px solid light-dark(#e3e7ec, #2a323d); }
ul.pg-list > li:last-child { border-bottom: 0; }
ul.pg-numbered > li { grid-template-columns: 1.8rem 1fr; }
ul.pg-wide > li { grid-template-columns: 12rem 1fr; }
.pg-list .pg-pill, .pg-limit .pg-pill { justify-self: start; }
.pg-list .pg-pill { align-self: start; }
.pg-soft { color: light-dark(#4d5663, #b6c0cd); font-size: .87rem; }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { opacity: 1;
  color: light-dark(#4d5663, #b6c0cd) !important; }
.pg-next { margin-top: .1rem; }
.pg-limit { display: grid; align-items: center; gap: .2rem .8rem; padding: .2rem 0;
  font-variant-numeric: tabular-nums;
  grid-template-columns: 6.6rem minmax(12rem, 17rem) minmax(6rem, 12rem) 6.6rem minmax(12rem, 1fr); }
.pg-line { grid-column: 2 / -1; }
.pg-rest { grid-column: 3 / -1; }
.pg-track { position: relative; height: .65rem; border-radius: .3rem; overflow: hidden;
  background: light-dark(#d9dee5, #323c49); }
.pg-fill { display: block; height: 100%; }
.pg-mark { position: absolute; left: 66.7%; top: 0; width: 3px; height: 100%; background: light-dark(#1a1f27, #fff); }
.pg-tile { display: flex; justify-content: space-between; align-items: center; }
.pg-filter { padding: .2rem .7rem; border-left: 4px solid light-dark(#0b5cad, #7ab8ff); font-weight: 600;
  background: light-dark(#eaf2fb, #16283a); }
[data-testid="stMultiSelect"] [data-tag] * { color: light-dark(#ffffff, #10141a) !important; }
.st-key-past_door button { padding: .25rem .5rem; }
[data-testid="stBaseButton-primary"]:not(:disabled), [data-testid="stBaseButton-primary"]:not(:disabled) * {
  color: light-dark(#ffffff, #10141a) !important; }
.pg-figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(185px, 1fr)); gap: .4rem 1.2rem;
  font-variant-numeric: tabular-nums; }
.pg-moves { display: grid; grid-template-columns: repeat(6, minmax(90px, 1fr)); max-width: 900px; gap: .3rem 1rem;
  font-variant-numeric: tabular-nums; padding-bottom: .3rem; }
.pg-figures b { font-size: 1.1rem; }
.pg-rule { padding: .5rem 0; border-bottom: 1px solid light-dark(#e3e7ec, #2a323d); }
.st-key-history_picture { overflow-x: auto; }
.st-key-history_picture > * { min-width: 940px; } /* `_frame` counts on that much: in less, words lie over each other */
.st-key-history_table [data-testid="stHtml"] { overflow-x: auto; }
table.pg-table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
table.pg-table caption { text-align: left; padding: .2rem 0 .4rem; }
table.pg-table td, table.pg-table th { padding: .15rem 1.2rem .15rem 0; text-align: right; white-space: nowrap; }
table.pg-table :is(td, th):first-child, table.pg-table td:nth-last-child(-n+2) { text-align: left; }
[data-testid="stTopNavLink"]:focus-visible { outline: 3px solid light-dark(#0b5cad, #7ab8ff); }
.pg-narrow { display: none; }
@media (max-width: 1000px) { .pg-narrow { display: block; } }
@media (hover: none) and (pointer: coarse) { .st-key-history_picture .drag { pointer-events: none !important; } }
[class*="st-key-history_range"] [role="radiogroup"] { flex-wrap: wrap; }
.st-key-past_door button p { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
@media (max-width: 1150px) {
  .pg-limit { grid-template-columns: 6.6rem minmax(10rem, 13rem) 6rem 6.4rem 1fr; gap: .2rem .6rem; }
  .pg-bar, .pg-then, .pg-shown { font-size: .82rem; gap: .2rem .7rem; }
}
@media (max-width: 700px) { .pg-bar > span, .pg-then > span, .pg-shown > span { white-space: normal; } }
"""
_ALERTS = """
.st-key-notify { display: none; }
.pg-alarm { padding: 0 .5rem; border-radius: .4rem; color: inherit !important; text-decoration: none !important;
  border: 2px solid light-dark(#a1160f, #ffb9b2); white-space: normal; }
.pg-alert, .pg-list > li > div, .pg-answers, .pg-wrong, .pg-standing > div { min-width: 0; overflow-wrap: anywhere; }
.pg-alert { padding-left: .7rem; border-left: 5px solid light-dark(#8b94a0, #7c8794); line-height: 1.5; }
.pg-alert-head { display: flex; flex-wrap: wrap; align-items: baseline; gap: .1rem .7rem; }
.pg-owner { margin-left: auto; font-size: .87rem; font-weight: 600; }
.pg-of-critical { border-left: 9px double light-dark(#a1160f, #ff8d84); }
.pg-of-breach { border-left-color: light-dark(#a1160f, #ffb9b2); }
.pg-of-unknown { border-left-style: dashed; border-left-color: light-dark(#46327a, #d6c8ff); }
.pg-of-watch { border-left-color: light-dark(#7a4a00, #ffd58a); }
.pg-standing > div { padding: .1rem 0; }
.pg-answers, .pg-wrong { padding: .3rem .7rem; border-left: 4px solid light-dark(#0b5cad, #7ab8ff);
  background: light-dark(#eaf2fb, #16283a); }
.pg-wrong { border-left-color: light-dark(#a1160f, #ffb9b2); font-weight: 600; }
ul.pg-sentences { margin: 0 !important; padding-left: 1.2rem !important; }
"""
_TICKET = """
.pg-verdict { padding: .5rem .8rem; border-left: 6px solid; border-radius: .3rem; overflow-wrap: anywhere;
  border-color: light-dark(#8b94a0, #7c8794); background: light-dark(#f3f5f8, #1a212b); }
.pg-verdict-breach { border-left: 9px double light-dark(#a1160f, #ff8d84); }
.pg-verdict-watch { border-left-color: light-dark(#7a4a00, #ffd58a); }
.pg-verdict-unknown { border-left-style: dashed; border-left-color: light-dark(#46327a, #d6c8ff); }
.pg-impact h4 { margin: .7rem 0 .1rem; padding: 0; font-size: .95rem; }
.pg-impact, .pg-order, .pg-discipline { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; min-width: 0; }
.pg-pairs { display: grid; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); gap: .15rem 1.2rem; }
.pg-pairs h4 { grid-column: 1 / -1; }
.pg-pair { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: .1rem .8rem; padding: .3rem 0;
  align-items: center; border-bottom: 1px solid light-dark(#e3e7ec, #2a323d); }
.pg-tracks { display: grid; gap: 2px; }
.pg-thin { display: block; height: .4rem; }
table.pg-legs { width: 100%; border-collapse: collapse; font-size: .87rem; margin: .3rem 0; }
table.pg-legs td, table.pg-legs th { text-align: left; padding: .1rem .5rem .1rem 0; vertical-align: top; }
.pg-stale { padding: .5rem .8rem; border: 2px dashed light-dark(#59626e, #a3adba); border-radius: .4rem;
  filter: grayscale(1); background: repeating-linear-gradient(-45deg,
  light-dark(#eceff3, #20272f) 0 12px, light-dark(#f3f5f8, #262e39) 12px 24px); }
[data-testid="stBaseButton-primary"]:disabled, [data-testid="stBaseButton-primary"]:disabled * {
  color: light-dark(#4d5663, #b6c0cd) !important; }
.st-key-ticket_send button { white-space: normal; text-align: left; height: auto; }
.pg-impact details > summary { cursor: pointer; padding: .25rem 0; font-weight: 600; font-size: .87rem; }
[class*="st-key-ticket_side_"] button, [class*="st-key-ticket_drop_"] button { padding: .25rem .45rem; }
.pg-leg-error { min-height: 1.3rem; font-size: .85rem; font-weight: 600; color: light-dark(#a1160f, #ffb9b2); }
"""
PAST = {"ink": ("#0a3d4d", "#bfeaf7"), "stripe": ("#b9dbe6", "#1f4a59"), "between": ("#d9edf3", "#163540"),
        "body": ("#f0f8fb", "#101f26")}  # fmt: skip
"""colours of the past by theme, none of a level: a contrast of 4.5 to 1 and more of the ink on each of the others"""


def _of_the_past() -> str:
    """A hatched band and a hatched frame round a tinted page: seen without colour too."""
    ink, stripe, between, body = (f"light-dark({light}, {dark})" for light, dark in PAST.values())
    hatch = f"repeating-linear-gradient(-45deg, {stripe} 0 10px, {between} 10px 20px)"
    return f"""
.pg-past {{ display: flex; align-items: baseline; gap: .8rem; padding: .45rem .7rem; border-radius: .5rem;
  color: {ink}; border: 2px solid {ink}; background: {hatch}; font-size: .95rem; line-height: 1.45; }}
.pg-past > strong {{ font-size: 1.15rem; letter-spacing: .06em; white-space: nowrap; }}
.pg-then {{ background: {body}; border: 1px solid {ink}; }}
.st-key-past_body {{ padding: 1rem; border: 14px solid; border-radius: .6rem;
  border-image: {hatch} 14; background: {body}; }}
[data-testid="stLayoutWrapper"]:has(> .st-key-address, > .st-key-press) {{ position: absolute; }}
.st-key-past_body [aria-label^="Download as CSV"] {{ display: none; }} /* it would name the file after now */
"""


def style_sheet(theme: str | None) -> str:
    """The whole sheet as a `<style>` element; `theme` is the one the browser shows (`light`, `dark`), if it is known.

    Streamlit says it to `light-dark()` only inside the app, and dialogs stand beside that in the body of the document.
    """
    rules = [_LAYOUT, _ALERTS, _TICKET, _of_the_past()]
    if theme in ("light", "dark"):
        rules.append(f"body {{ color-scheme: {theme}; }}")
    for look in (*LOOKS.values(), CRITICAL):
        ink, back = (f"light-dark({light}, {dark})" for light, dark in zip(look.light, look.dark, strict=True))
        edge = "dashed" if look.name == "unknown" else "solid"
        rules.append(f".pg-pill.pg-{look.name} {{ color: {ink}; background: {back}; border: 1px {edge} {ink}; }}")
        rules.append(f".pg-fill.pg-{look.name} {{ background: {ink}; }}")
    return f"<style>{''.join(rules)}</style>"

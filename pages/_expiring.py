"""What expires soon, and which short options of it are in the money."""

from __future__ import annotations

from guardrails import calendar, wording
from guardrails.findings import Level, worst
from guardrails.snapshot import Snapshot
from guardrails.snapshot.book import PositionRow
from pages._moment import Moment
from pages._parts import (
    counted,
    pill,
    text,
)


def in_the_money(row: PositionRow) -> bool:
    """Whether a short option would be exercised at the present price; the strike is the last word of its label."""
    contract = row.label.rsplit(" ", 1)[-1]
    if row.spot is None or not row.quantity or row.quantity > 0 or contract[-1:] not in ("C", "P"):
        return False
    strike = float(contract[:-1])
    return row.spot > strike if contract.endswith("C") else row.spot < strike


def expiring(snapshot: Snapshot, moment: Moment) -> str:
    """HTML: what expires today, on the next session, within seven days, and which shorts are in the money."""
    today = calendar.exchange_date(moment.now)
    following = calendar.next_session(today)
    rows = [row for row in snapshot.positions if row.expiry is not None and (row.expiry - today).days <= 7]
    blocks = {
        "Expired, still reported": [row for row in rows if row.expiry is not None and row.expiry < today],
        "Today": [row for row in rows if row.expiry == today],
        f"Next session, {following:%a} {following.day} {following:%b}": [
            row for row in rows if row.expiry == following
        ],
        "Later within 7 days": [row for row in rows if row.expiry is not None and row.expiry > following],
    }
    lines = []
    for name, found in blocks.items():
        if not found and name.startswith("Expired"):
            continue
        inside = [row for row in found if in_the_money(row)]
        shorts = sum((row.quantity or 0) < 0 for row in found)
        words = f"{counted(len(found), 'position')}, {shorts} short" if found else "nothing"
        level = worst([Level.UNKNOWN if moment.trouble else Level.OK, *(row.level for row in found)])
        warn = ""
        if inside:
            warn = "<br><b>Short and in the money:</b> " + text(
                wording.names([f"{wording.quantity(row.quantity)} {row.label}" for row in inside], 6)
            )
        lines.append(f'<li>{pill(level)}<div class="pg-body"><b>{text(name)}</b>: {words}{warn}</div></li>')
    return f'<ul class="pg-list">{"".join(lines)}</ul>'

"""What may be done: an order judged and not sent (`simulate`), the safety state (`safety`), a change of a position that
nothing explains (`accept`). The program that watches the book does it, where there is one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guardrails.cli.terminal import clock, say
from guardrails.settings import load_settings


def simulate(
    order: Annotated[Path, typer.Argument(help="A file with one order, JSON as docs/orders.md shows.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the Impact as JSON.")] = False,
) -> int:
    """Judge one order as the gate would, and send nothing; exit 0 ALLOW, 1 WARN, 2 BLOCK, 3 when it cannot be judged.

    The program that watches the book is asked when there is one, else every source is looked at once.
    """
    from adapters import open_sources
    from guardrails.matrix import load
    from guardrails.simulate_command import Asked, answer, read_text

    settings = load_settings()
    text = read_text(order)
    sources = open_sources(settings.guardrails_sources, settings, clock)
    asked = Asked(text, settings, load(settings.guardrails_matrix), [source.name for source in sources])
    return answer(asked, sources, clock, as_json=as_json)


def safety(
    state: Annotated[str, typer.Argument(help="NORMAL, NO_NEW_RISK, REDUCE_ONLY or STOPPED.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept in the journal.")],
) -> int:
    """Set the safety state of the book that is watched; exit 0 when it is set, 3 when it is not.

    When nobody watches, STOPPED still lays the file STOP into the data folder, which is obeyed at the next start.
    """
    from adapters import open_sources
    from guardrails.safety_command import set_state

    settings = load_settings()
    sources = open_sources(settings.guardrails_sources, settings, clock)
    code, line = set_state(state, reason, settings, [source.name for source in sources], clock)
    say(line)
    return code


def accept(
    account: Annotated[str, typer.Argument(help="Its number, or a masked form that fits only one.")],
    position: Annotated[str, typer.Argument(help="The symbol, or as the finding names it.")],
    reason: Annotated[str, typer.Option(help="Why it is right; it is kept in the journal.")],
) -> int:
    """Accept a change of a position that no fill, assignment or expiry explains; exit 0 when it is, 3 when it is not.

    Until then it stands, also over a restart. What is said when none is meant names those that stand.
    """
    from adapters import open_sources
    from guardrails.accept_command import accept_change

    settings = load_settings()
    sources = open_sources(settings.guardrails_sources, settings, clock)
    names = [source.name for source in sources]
    code, line = accept_change(account, position, reason, settings, names, clock)
    say(line)
    return code

"""What is set up, and whether it works: the limits in words (`matrix`), everything the program needs (`doctor`), the
channels of alerts (`alerts test`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from guardrails.cli.terminal import clock, say
from guardrails.settings import load_settings


def matrix(
    path: Annotated[Path | None, typer.Argument(help="The file; default is GUARDRAILS_MATRIX.")] = None,
) -> int:
    """Validate the risk matrix and say its limits, and whom it tells, in words."""
    from adapters.channels import open_channels
    from guardrails.matrix import advice, explain, load
    from guardrails.matrix.explain_alerts import alert_sentences
    from guardrails.matrix.explain_orders import order_sentences

    settings = load_settings()
    chosen = path or settings.guardrails_matrix
    valid = load(chosen)
    console = Console(highlight=False)
    console.print(f"{chosen.name} is valid, version {valid.version}.\n")
    told = alert_sentences(valid.alerts, [channel.name for channel in open_channels(settings)])
    for sentences in (*explain(valid).values(), ["Alerts:", *told], ["Orders:", *order_sentences(valid.orders)]):
        console.print("\n  ".join(sentences) + "\n", markup=False)
    for sentence in advice(valid):
        console.print(sentence, markup=False)
    return 0


def doctor() -> int:
    """Say what is configured, what works, what is missing and what to do; exit 3 when something is missing."""
    from adapters import open_sources
    from adapters.channels import check_channels
    from guardrails.doctor import examine
    from guardrails.report import print_doctor

    found = examine(load_settings(), clock, open_sources, check_channels)
    return print_doctor(found, Console(highlight=False))


def alerts_test(
    channel: Annotated[
        str | None, typer.Option(help="Only this one: log, slack, email, or a name of ALERT_URLS.")
    ] = None,
) -> int:
    """Send a test message to every channel and say what each answers.

    Exit 0 when all took it, 2 when one did not, 64 when nothing is configured but the log.
    """
    from adapters.channels import open_channels
    from guardrails.alerts_command import send_tests

    settings = load_settings()
    return send_tests(open_channels(settings), channel, clock, settings.guardrails_link, say)

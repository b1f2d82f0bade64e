"""The `guardrails` command: which commands there are, in the order of `--help`, and what they exit with.

Exit codes are those of monitoring plugins: 0 OK, 1 WATCH, 2 BREACH, 3 UNKNOWN (a crash too), 64 wrong usage, setting
or matrix.

The files beside this one hold what may be asked of each command; what answers (`guardrails.*_command` and the rest) is
loaded when it is asked, so that `--help` need not wait for it. Like the wiring of the pages they know both sides:
they open the adapters and hand them to the domain, with the clock.
"""

from __future__ import annotations

import io
import logging
import sys

import typer

from guardrails import redaction
from guardrails.cli import book, configured, orders, past
from guardrails.errors import GuardrailsError, MatrixError, SettingsError

EXIT_CRASH, EXIT_USAGE = 3, 64

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Risk guardrails for an options book.")
audit_app = typer.Typer(no_args_is_help=True, help="The evidence log: what was found, decided and sent.")
alerts_app = typer.Typer(no_args_is_help=True, help="Alerts: who is told.")
for command in (
    book.check,
    book.watch,
    orders.simulate,
    orders.safety,
    orders.accept,
    configured.matrix,
    configured.doctor,
    past.replay,
    past.backfill,
    book.value,
):
    app.command()(command)
audit_app.command("verify")(past.audit_verify)
app.add_typer(audit_app, name="audit")
alerts_app.command("test")(configured.alerts_test)
app.add_typer(alerts_app, name="alerts")
log = logging.getLogger(__name__)


def main() -> None:
    """Run the command and exit with its code."""
    for stream in (sys.stdout, sys.stderr):  # a sign that the terminal cannot say must not end a command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    redaction.install()
    try:
        code = app(standalone_mode=False)
    except typer.Exit as leaving:
        code = leaving.exit_code
    except typer.TyperException as error:
        print(f"{error.format_message()}\nSee `guardrails --help`.", file=sys.stderr)  # it is the answer
        code = EXIT_USAGE
    except (MatrixError, SettingsError) as error:
        print(error, file=sys.stderr)  # the message is the product of this command
        code = EXIT_USAGE
    except GuardrailsError as error:
        print(error, file=sys.stderr)  # as above
        code = EXIT_CRASH
    except Exception:
        log.exception("guardrails crashed")
        code = EXIT_CRASH
    sys.exit(code if isinstance(code, int) else 0)

"""Every exception this project raises, so that one look tells what to catch.

    GuardrailsError
    ├── SymbolError          a symbol that no known scheme can read
    ├── MatrixError          risk_matrix.yaml breaks a rule (carries every problem with its line)
    ├── SettingsError        an environment variable or .env line is unknown or wrong
    ├── SourceError          a source cannot give any book at all (file missing, not a statement, ...)
    ├── OrderError           an order that names no possible trade
    └── NotSentError         an order of which it is certain that nothing of it reached the broker

Bad rows inside a readable file are not exceptions: they come back as UNKNOWN positions.
"""

from __future__ import annotations


class GuardrailsError(Exception):
    """Something this project refuses; the message says what, which value, which bound and what to do."""


class SymbolError(GuardrailsError):
    """A symbol that no known scheme can read."""

    def __init__(self, text: str, scheme: str, reason: str) -> None:
        super().__init__(f"{text!r} is no {scheme} symbol: {reason}")


class MatrixError(GuardrailsError):
    """The risk matrix breaks a rule; `problems` names file, line, key, reason and the nearest valid key."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class SettingsError(GuardrailsError):
    """A setting is unknown or wrong."""


class SourceError(GuardrailsError):
    """A source cannot give any book at all."""


class OrderError(GuardrailsError):
    """An order that names no possible trade."""


class NotSentError(GuardrailsError):
    """An order of which it is certain that nothing of it reached the broker; any other error leaves that in doubt."""

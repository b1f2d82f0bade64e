"""What a moment shows: what is wrong, and of what else it cannot be said that it is right.

An alert is over only when it is seen right: by a check that says so, or by one that has looked at all there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from guardrails.alerts.families import DELIVERY, SAFETY_STATE
from guardrails.alerts.problems import ACCOUNTS, CYCLE, account_of, blinds
from guardrails.alerts.values import Alert, Problem, Severity

_OWN = ("engine", "risk_matrix", SAFETY_STATE)
"""checks of the program itself: whether they are right is seen in every cycle, whatever the sources do"""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is wrong by identity, and of what else it cannot be said that it is right."""

    problems: dict[str, Problem]
    right: frozenset[str]
    """identities that are seen to be right"""
    unknown: Mapping[str, Sequence[Problem]]
    """what is UNKNOWN, by check"""
    accounts: frozenset[str] | None
    """those whose figures are seen; None when it is not said which accounts there are"""
    blind: bool
    """a source is not heard, or the book has gaps"""
    stalled: bool
    """nothing is seen, for no cycle comes"""

    def hides(self, alert: Alert) -> bool:
        """Whether that this alert's problem is absent does not say that it is over."""
        problem = alert.problem
        if problem.news or problem.check == DELIVERY:
            return False
        if self.stalled:
            return True
        if alert.identity in self.right:
            return False
        if any(_darkens(other, problem.subject) for other in self.unknown.get(problem.check, ())):
            return True
        return problem.check not in _OWN and (self.blind or self._is_account_unseen(account_of(problem.subject)))

    def _is_account_unseen(self, account: str) -> bool:
        """Whether the figures of `account` are not known or it is not named any more; of no account, any account's."""
        silent = {account_of(problem.subject) for problem in self.unknown.get("account_data", ())}
        if not account:
            return bool(silent)
        return account in silent or (self.accounts is not None and account not in self.accounts)


def _darkens(unknown: Problem, subject: str) -> bool:
    """Whether what `unknown` says of its check makes that it does not say of `subject` whether it is right."""
    if unknown.subject == "portfolio":
        return not unknown.concerns or subject in unknown.concerns
    account = account_of(subject)
    return bool(account) and unknown.subject.startswith("account:") and account_of(unknown.subject) == account


def sight_of(problems: Iterable[Problem]) -> Sight:
    """What is seen; of two problems with one identity the worse counts."""
    wrong: dict[str, Problem] = {}
    unknown: dict[str, list[Problem]] = {}
    right, accounts, blind, stalled = set(), set(), False, False
    for problem in problems:
        name = problem.identity
        if problem.check == "account_data":
            accounts.add(account_of(problem.subject))
        if problem.right:
            right.add(name)
            continue
        known = wrong.get(name)
        if known is None or known.severity.rank < problem.severity.rank:
            wrong[name] = problem
        blind = blind or blinds(problem) or problem.follows
        stalled = stalled or (problem.check == "engine" and problem.subject == CYCLE)
        if problem.severity is Severity.UNKNOWN:
            unknown.setdefault(problem.check, []).append(problem)
    named = frozenset(accounts) if ACCOUNTS.identity in right else None
    return Sight(wrong, frozenset(right - wrong.keys()), unknown, named, blind, stalled)

"""Account numbers exchanged for pseudonyms that end in the same four characters, so that everything derived from what
is stored reads as it did, and no number is stored.
"""

from __future__ import annotations

import re
from dataclasses import replace

from guardrails.assess import Inputs
from guardrails.memory import Memory, account_key
from guardrails.redaction import redact
from guardrails.values import AccountId, Source

_NUMBER_LENGTH = 5
"""a shorter one is no secret, and a part of too much else"""


def anonymous(inputs: Inputs) -> Inputs:
    """`inputs` with pseudonyms for account numbers, also in what is remembered of the accounts."""
    views = inputs.views
    known = {account: _pseudonym(account) for account in _accounts(inputs)}
    keys = {account_key(account): account_key(other) for account, other in known.items()}
    histories = {keys[key]: history for key, history in inputs.memory.accounts.items() if key in keys}
    return replace(
        inputs,
        memory=Memory(histories, inputs.memory.regime),
        views=tuple(
            replace(
                view,
                source=_without_words(view.source),
                accounts=tuple(replace(account, id=known[account.id]) for account in view.accounts),
                positions=tuple([replace(position, account=known[position.account]) for position in view.positions]),
            )
            for view in views
        ),
    )


def without_numbers(content: bytes, inputs: Inputs) -> bytes:
    """`content` with masks where a broker's own words named an account."""
    for account in _accounts(inputs):
        number = account.number
        # x
        if len(number) >= _NUMBER_LENGTH and number.encode() in content:
            # one of digits alone must not be taken for a figure of the document
            before = rb"(?<![A-Za-z0-9:,.\[-])" if number.isdigit() else rb"(?<![A-Za-z0-9])"
            pattern = before + re.escape(number.encode()) + rb"(?![A-Za-z0-9-])"
            content = re.sub(pattern, account.masked.encode(), content)
    return content


def _without_words(source: Source) -> Source:
    """`source` redacted: it may speak of accounts that nobody has listed."""
    streams = tuple(
        replace(stream, name=redact(stream.name), detail=redact(stream.detail)) for stream in source.streams
    )
    return replace(
        source,
        detail=redact(source.detail),
        exclusions=tuple(map(redact, source.exclusions)),
        warnings=tuple(map(redact, source.warnings)),
        streams=streams,
    )


def _pseudonym(account: AccountId) -> AccountId:
    return AccountId(account.broker, f"{account_key(account)}-{account.number[-4:]}")


def _accounts(inputs: Inputs) -> set[AccountId]:
    ids = {account.id for view in inputs.views for account in view.accounts}
    return ids | {position.account for view in inputs.views for position in view.positions}

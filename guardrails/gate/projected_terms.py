"""The terms of two groups of options, one after the other."""

from __future__ import annotations

import numpy as np

from guardrails.pricing import Options
from guardrails.pricing.dividends_layout import Dividends
from guardrails.pricing.styles import Styles
from guardrails.terms import Terms


def joined_terms(first: Terms, second: Terms) -> Terms:
    """Rows of `first`, then of `second`; of an underlying in both the payouts of `second` count."""
    one, other = first.styles.dividends, second.styles.dividends
    paid = Dividends(
        np.concatenate([one.first, one.first[-1] + other.first[1:]]),
        np.concatenate([one.years, other.years]),
        np.concatenate([one.amount, other.amount]),
        one.spacing,
    )
    american = np.concatenate([first.styles.american, second.styles.american])
    return Terms(
        options=_options(first.options, second.options),
        styles=Styles(american, paid),
        on_future=np.concatenate([first.on_future, second.on_future]),
        payouts={**first.payouts, **second.payouts},
        assumed=tuple(dict.fromkeys((*first.assumed, *second.assumed))),
    )


def _options(first: Options, second: Options) -> Options:
    names = ("sign", "spot", "strike", "years", "rate", "carry")
    columns = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names}
    return Options(**columns, on_future=np.concatenate([first.futures(), second.futures()]))

"""Packages: legs that share one requirement, and what a package of options can lose at expiry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from guardrails.columns import Array
from guardrails.margin.charges import Columns, Kind, intrinsic


@dataclass(frozen=True, slots=True)
class Package:
    """Legs that share one requirement."""

    kind: Kind
    legs: tuple[int, ...]
    """their places; stock first, then the option that is covered or covers, then a collar's long option"""
    amounts: tuple[float, ...]
    """signed: contracts of options, shares of stock"""
    units: float
    """units of the underlying times fx: what a requirement per unit is multiplied by; of a spread per contract"""
    most: float = 0.0
    """of a spread: its largest loss at expiry in US dollars"""
    worst: float = 0.0
    """of a spread: a price at expiry where it loses that"""


@dataclass(frozen=True, slots=True)
class Pairing:
    """All packages of an account."""

    packages: tuple[Package, ...]
    unknown: tuple[str, ...]
    """legs about which too little is known, in words; their underlyings are in no package"""
    proven: bool
    """whether no division is cheaper by more than a hundredth"""


def largest_loss(c: Columns, amounts: Array) -> tuple[float, float]:
    """Largest loss at expiry of options held in `amounts` (signed) per unit, and a price at which it occurs.

    Zero when they cannot lose. Only for what has no more short than long calls; the loss of others has no bound.
    """
    prices = np.unique(np.append(c.strike[:, 0], 0.0))
    losses = -amounts @ intrinsic(c, prices)
    place = int(np.flatnonzero(losses >= losses.max() - 1e-9)[-1])  # of several the highest: a strike, not zero
    return max(float(losses[place]), 0.0), float(prices[place])

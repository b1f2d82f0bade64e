"""Where the American boundary is sampled and integrated: the constants that the numpy path and the kernels share.

The boundary is a polynomial of degree NODES in x = sqrt(tau / T), the square root of the time that is left over the
longest time asked for, as L. Andersen, M. Lake and D. Offengenden, "High Performance American Option Pricing",
Journal of Computational Finance 20(1), 2016, section 5, propose: of H = ln(B / X)^2, X being where B begins.
An integral over the t = tau - u that has passed since u is taken over the angle a with t = tau sin^2 a: their
substitution sqrt(t) makes one end smooth, the angle both, as H is smooth in sqrt(u) = sqrt(tau) cos a.
"""

from __future__ import annotations

import numpy as np

from guardrails.pricing.columns import Array

NODES = 8
"""unknowns of the boundary; with x = 0, where H is 0, the polynomial has degree 8"""
INNER = 8
"""nodes of the integrals that the boundary has to satisfy"""
OUTER = 20
"""nodes of the integral that is the premium for early exercise"""
FEWER = 16
"""the same in a grid, where sums over positions are asked for"""
SEARCHES = 4
"""Newton steps for the start of each node"""
STEPS = 2
"""Newton steps of the whole boundary"""
SHRINK, GROW = 0.8, 1.25
"""what one step may make of a node's ln(X / B); without that, some boundaries with rate near yield swing"""


def _angles(count: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on 0..pi/2."""
    at, weight = np.polynomial.legendre.leggauss(count)
    return (at + 1.0) * np.pi / 4.0, weight * np.pi / 4.0


def rule(count: int) -> Array:
    """Three rows of `count`: sin a = sqrt(t / tau), cos a = sqrt(u / tau), and the weight of dt / tau."""
    at, weight = _angles(count)
    return np.ascontiguousarray([np.sin(at), np.cos(at), 2.0 * np.sin(at) * np.cos(at) * weight])


def _points() -> Array:
    """x of the nodes, 0 first: Chebyshev points of the second kind on 0..1."""
    return np.asarray((1.0 - np.cos(np.arange(NODES + 1) * np.pi / NODES)) / 2.0)


def _coefficients() -> Array:
    """Matrix from H at the nodes (without the first, where it is 0) to its coefficients in T_0..T_NODES of 2 x - 1."""
    place = 2.0 * _points() - 1.0
    return np.ascontiguousarray(np.linalg.inv(np.polynomial.chebyshev.chebvander(place, NODES))[:, 1:])


X = _points()
RULE = rule(INNER)
PRICE_RULE = rule(OUTER)
GRID_RULE = rule(FEWER)
COEFFICIENTS = _coefficients()
BETWEEN = np.ascontiguousarray(
    np.polynomial.chebyshev.chebvander(2.0 * np.outer(X[1:], RULE[1]) - 1.0, NODES) @ COEFFICIENTS
)
"""(NODES, INNER, NODES): weights that give H at the times u of node i from H at the nodes"""

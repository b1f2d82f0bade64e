"""American puts by their exercise boundary, in numpy: what `guardrails.pricing.american` falls back on.

The method is that of L. Andersen, M. Lake and D. Offengenden, "High Performance American Option Pricing", Journal of
Computational Finance 20(1), 2016. A put struck at 1 on s is worth the European put and a premium for early exercise,

    integral over t in 0..T of   r e^(-r t) N(-d-(t, s / B(T - t)))  -  q s e^(-q t) N(-d+(t, s / B(T - t)))  dt,

where d+-(t, z) = (ln z + (r - q +- vol^2 / 2) t) / (vol sqrt t), q is the yield (`held`) and B(u) the spot from which
downwards one exercises with the time u left (I. Kim, Review of Financial Studies 3(4), 1990). B begins at X = min(1,
r / q) and does not depend on s. Its equation is smooth pasting at s = B, the system (A) of the paper, at NODES times:

    e^(-r tau) n(d-) / sd  +  integral of r e^(-r t) n(d-) / sd
        =  B [ e^(-q tau) (n(d+) / sd + N(d+))  +  integral of q e^(-q t) (n(d+) / sd + N(d+)) ].

The unknown is g = ln(X / B), whose square is a polynomial in sqrt(tau) (`american_scheme`). It starts from QD+ (M. Li,
"Analytical approximations for the critical stock prices of American options", Review of Derivatives Research 13(1),
2010), here multiplied by its denominator 1 - B - p(B), so that Newton's method meets no pole. From there the paper goes
on with fixed-point steps, which diverge where rate less yield is large against the variance. Here all nodes take
Newton steps together on the logarithm of left over right: the derivative of both sides by every node costs little, as
each point's share of it is its integrand times d- / sd^2. Two steps are enough, and no case of rates and yields is
treated apart from the others.
"""

from __future__ import annotations

import numpy as np

from guardrails.pricing.american_scheme import BETWEEN, COEFFICIENTS, GROW, NODES, RULE, SEARCHES, SHRINK, STEPS, X
from guardrails.pricing.columns import Array
from guardrails.pricing.normal import ROOT_TWO_PI, mills

RATE, HELD, VOL, YEARS, TOP, MOST, PER = range(7)
PREMIUM, FIRST, SECOND, EDGE = range(4)
BLOCK = 512
"""puts at a time, so that a step finds what the last one left in the cache"""
LEAST = 1e-9
NOTHING, FLOOR, CEILING = 1e-30, 1e-300, 1e300


def boundaries(start: int, stop: int, puts: Array, out: Array) -> None:
    """Fill the rows TOP, MOST and PER of `puts` (7, puts) from RATE, HELD, VOL and YEARS, and g (NODES, puts) in `out`.

    TOP is ln X; MOST the largest g there can be, that of a put without expiry; PER 1 / (vol sqrt years). Rates are 0 or
    more (0 only with a yield below 0), vol and years above 0.
    """
    with np.errstate(all="ignore"):
        for block in range(start, stop, BLOCK):
            part = slice(block, min(block + BLOCK, stop))
            out[:, part] = _boundary(puts[:, part])


def slopes(start: int, stop: int, puts: Array, bounds: Array, spot: Array, rule: Array, out: Array) -> None:
    """Fill the rows of `out` (4, puts) at `spot`: what early exercise adds; s times its first derivative, s^2 times its
    second; ln B at YEARS.
    """  # fmt: skip
    with np.errstate(all="ignore"):
        for block in range(start, stop, BLOCK):
            part = slice(block, min(block + BLOCK, stop))
            put, s, found = puts[:, part], spot[part], out[:, part]
            terms, found[EDGE] = _terms(put, COEFFICIENTS @ np.square(bounds[:, part]), put[YEARS], rule)
            points = tuple(term[:-1] for term in terms)
            per_sd, _, shift, cash, _, level = points
            density, gain, loss = _parts(points, s)
            tilt = (cash - level) * per_sd
            found[PREMIUM] = (gain - loss).sum(0)
            found[FIRST] = -(tilt * density + loss).sum(0)
            found[SECOND] = (density * per_sd * (cash + tilt * (np.log(s) * per_sd + shift))).sum(0)
            first, second = _near(put, np.log(s) - found[EDGE], np.exp(found[EDGE]), rule)
            found[FIRST] += first
            found[SECOND] += second


def values(
    start: int, stop: int, puts: Array, bounds: Array, spots: Array, years: Array, rule: Array, out: Array
) -> None:
    """Fill `out` (puts, spots, dates). As many puts in turn as there are volatilities share an option.

    spots[0] (options, spots) are those of the puts struck at 1, spots[1] what their values are multiplied with,
    spots[2] what exercise brings or 0; years (options, dates) is not above YEARS, and 0 or less is at expiry.
    """
    spot, unit, now = spots
    each = puts.shape[1] // spot.shape[0]
    with np.errstate(all="ignore"):
        for block in range(start, stop, BLOCK):
            part = slice(block, min(block + BLOCK, stop))
            option = np.arange(part.start, part.stop) // each
            shape = COEFFICIENTS @ np.square(bounds[:, part])
            for d in range(years.shape[1]):
                left = years[option, d]
                terms, edge = _terms(puts[:, part], shape, np.maximum(left, LEAST), rule)
                for j in range(spot.shape[1]):
                    s = spot[option, j]
                    _, gain, loss = _parts(terms, s)
                    european = gain[-1] - loss[-1]
                    held = np.minimum(np.maximum((gain - loss).sum(0), european), 1.0)
                    waits = (left > 0.0) & ~(np.log(s) <= edge)
                    out[part, j, d] = np.maximum(unit[option, j] * np.where(waits, held, 0.0), now[option, j])


def _near(put: Array, above: Array, edge: Array, rule: Array) -> tuple[Array, Array]:
    """What the points miss of the first and second derivative close `above` (a logarithm) the boundary `edge`.

    There both integrands have a peak at t = 0 that is narrower than the points are apart. With x = above / (vol sqrt t)
    the peaks are (r - q B) n(x) / (vol sqrt t) and (r - q B) n(x) x / (vol^2 t); their integrals are known.
    """
    above, vol, years, strength = np.maximum(above, 0.0), put[VOL], put[YEARS], put[RATE] - put[HELD] * edge
    last = above * put[PER]
    density = np.exp(-0.5 * last * last) / ROOT_TWO_PI
    beyond = _tail(last, density, np.ones_like(last))
    per_sd = put[PER] / rule[0][:, None]
    x = above * per_sd
    peak = rule[2][:, None] * years * per_sd * np.exp(-0.5 * x * x) / ROOT_TWO_PI
    first = 2.0 * (density / put[PER] - above * beyond) / (vol * vol) - peak.sum(0)
    second = 2.0 * beyond / (vol * vol) - (peak * x * per_sd).sum(0)
    return -strength * first, strength * second


def _tail(d: Array, density: Array, whole: Array) -> Array:
    """whole × N(-d), with density = whole × n(d)."""
    part = density * mills(np.minimum(np.abs(d), 50.0))
    return np.where(d > 0.0, part, whole - part)


def _boundary(put: Array) -> Array:
    """ln(X / B) at the nodes."""
    _ends(put)
    g = np.empty((NODES, put.shape[1]))
    for i in range(NODES):
        g[i] = _guess(put, i, g)
        for _ in range(SEARCHES):
            g[i] = _searched(put, X[i + 1], g[i])
    for _ in range(STEPS):
        slope, gap = np.empty((NODES, *g.shape)), np.empty_like(g)
        for i in range(NODES):
            slope[i], gap[i] = _equation(put, i, g)
        step = _solved(slope, gap)
        moved = g + np.where(np.abs(step) < CEILING, step, 0.0)
        g = np.minimum(np.clip(moved, SHRINK * g, GROW * g), put[MOST])
    return g


def _ends(put: Array) -> None:
    """Fill in TOP, MOST and PER."""
    rate, held, variance = put[RATE], put[HELD], put[VOL] * put[VOL]
    speed = 2.0 * (rate - held) / variance - 1.0
    root = np.sqrt(speed * speed + 8.0 * rate / variance)
    power = np.where(speed > 0.0, 0.5 * (speed + root), 4.0 * rate / variance / (root - speed))
    put[TOP] = np.where(held > rate, np.log(np.maximum(rate, FLOOR) / held), 0.0)
    put[MOST] = np.maximum(put[TOP] - np.log(np.maximum(power / (1.0 + power), FLOOR)), 0.0)
    put[PER] = 1.0 / (put[VOL] * np.sqrt(put[YEARS]))


def _guess(put: Array, i: int, g: Array) -> Array:
    """Where the search for node i begins: on the line through the two nodes before it."""
    if i == 0:
        return np.asarray(0.8 * X[1] / put[PER])
    if i == 1:
        return np.asarray(g[0] * X[2] / X[1])
    return np.asarray(g[i - 1] + (g[i - 1] - g[i - 2]) * (X[i + 1] - X[i]) / (X[i] - X[i - 1]))


def _searched(put: Array, x: float, own: Array) -> Array:
    """One Newton step for g at the time x^2 × years, in the equation of QD+ times its denominator."""
    rate, held, vol, now = put[RATE], put[HELD], put[VOL], put[TOP] - own
    t = put[YEARS] * x * x
    root = np.sqrt(t)
    sd = vol * root
    part = np.exp(-rate * t)
    per = np.where(rate * t > 1e-8, rate / (1.0 - part), (1.0 + 0.5 * rate * t) / t)
    speed = 2.0 * (rate - held) / (vol * vol) - 1.0
    level = 2.0 * per / (vol * vol)
    spread = np.sqrt(speed * speed + 4.0 * level)
    power = np.where(speed > 0.0, -0.5 * (speed + spread), -2.0 * level / (spread - speed))
    power += part / spread * (level - level * level / (spread * spread))
    weight = -2.0 / (vol * vol * spread)
    b = np.exp(now)
    up = (now + (rate - held + 0.5 * vol * vol) * t) / sd
    whole = b * np.exp(-held * t)
    density = whole * np.exp(-0.5 * up * up) / ROOT_TWO_PI
    share, cash = _tail(up, density, whole), _tail(up - sd, density, part)
    fade = 0.5 * vol * density / root
    gap = (b - share) + power * (1.0 - b - cash + share) + weight * (rate * cash - held * share - fade)
    tilt = (b - share) * (1.0 - power) + density / sd
    tilt += weight * ((held - rate) * density / sd - held * share - fade * (1.0 - up / sd))
    step = np.clip(gap / tilt, -sd, sd)
    return np.asarray(np.minimum(np.maximum(own + np.where(np.isnan(step), 0.0, step), 0.0), put[MOST]))


def _equation(put: Array, i: int, g: Array) -> tuple[Array, Array]:
    """Derivatives (NODES, puts) of node i's equation by all nodes, and the logarithm that it misses."""
    rate, held, vol, x, own = put[RATE], put[HELD], put[VOL], X[i + 1], g[i]
    drift, tau = rate - held - 0.5 * vol * vol, put[YEARS] * x * x
    sd = vol * np.sqrt(tau)
    down = (put[TOP] - own + drift * tau) / sd
    density = np.exp(-0.5 * down * down - rate * tau) / ROOT_TWO_PI
    gains = density / sd
    costs = gains + _tail(-down - sd, density, np.exp(put[TOP] - own - held * tau))
    slope = gains * down / sd
    at = BETWEEN[i] @ (g * g)
    there = np.sqrt(np.maximum(at, NOTHING))
    s, weight = RULE[0][:, None], RULE[2][:, None] * tau
    t, per_sd = tau * s * s, put[PER] / (x * s)
    down = (there - own + drift * t) * per_sd
    up = down + vol * vol * t * per_sd
    whole = weight * np.exp(put[TOP] - own - held * t)
    cash = weight * np.exp(-0.5 * down * down - rate * t) / ROOT_TWO_PI
    share = whole * np.exp(-0.5 * up * up) / ROOT_TWO_PI
    gains = gains + (rate * cash * per_sd).sum(0)
    costs = costs + (held * (_tail(-up, share, whole) + share * per_sd)).sum(0)
    pull = down * per_sd * per_sd * (rate * cash / gains - held * share / costs)
    slopes = -(BETWEEN[i].T @ np.where(at > NOTHING, pull / there, 0.0)) * g
    slopes[i] += 1.0 + slope * (1.0 / gains - 1.0 / costs) + pull.sum(0)
    return slopes, -np.log(gains / costs)


def _solved(slope: Array, gap: Array) -> Array:
    """Gauss elimination without pivots: the diagonal leads, as a node depends little on later ones."""
    for i in range(NODES):
        for m in range(i + 1, NODES):
            factor = slope[m, i] / slope[i, i]
            gap[m] -= factor * gap[i]
            slope[m, i + 1 :] -= factor * slope[i, i + 1 :]
    for i in reversed(range(NODES)):
        gap[i] = (gap[i] - (slope[i, i + 1 :] * gap[i + 1 :]).sum(0)) / slope[i, i]
    return gap


def _log_boundary(put: Array, shape: Array, years: Array, x: Array) -> Array:
    """ln B at x^2 × `years` (a row for each x), by Clenshaw's recurrence."""
    place = 2.0 * x[:, None] * np.sqrt(years / put[YEARS]) - 1.0
    one, two = np.zeros_like(place), np.zeros_like(place)
    for c in range(NODES, 0, -1):
        one, two = 2.0 * place * one - two + shape[c], one
    return np.asarray(put[TOP] - np.sqrt(np.maximum(place * one - two + shape[0], 0.0)))


def _terms(put: Array, shape: Array, years: Array, rule: Array) -> tuple[tuple[Array, ...], Array]:
    """What describes the terms a N(-d-) - s b N(-d+) of puts that expire after `years`, and ln B now.

    Rows: the points of the integral, then the European put. Columns: 1 / (vol sqrt t); vol sqrt t; d- at spot 1; a; b;
    and b times the boundary, over what time takes from b and adds what it takes from a: s b n(d+) = that × n(d-).
    """
    rate, held, vol = put[RATE], put[HELD], put[VOL]
    log_b = _log_boundary(put, shape, years, np.append(rule[1], 1.0))
    edge = log_b[-1].copy()
    log_b[-1] = 0.0
    s = np.append(rule[0], 1.0)[:, None]
    weight = rule[2][:, None] * years
    by_rate, by_yield = np.vstack([rate * weight, np.ones_like(years)]), np.vstack([held * weight, np.ones_like(years)])
    t = years * s * s
    sd = vol * np.sqrt(t)
    discount = np.exp(-rate * t)
    shift = ((rate - held - 0.5 * vol * vol) * t - log_b) / sd
    level = by_yield * discount * np.exp(log_b)
    return (1.0 / sd, sd, shift, by_rate * discount, by_yield * np.exp(-held * t), level), edge


def _parts(terms: tuple[Array, ...], spot: Array) -> tuple[Array, Array, Array]:
    """n(d-) of each term, a N(-d-) and s b N(-d+)."""
    per_sd, sd, shift, cash, share, level = terms
    down = np.log(spot) * per_sd + shift
    density = np.exp(-0.5 * down * down) / ROOT_TWO_PI
    return density, _tail(down, cash * density, cash), _tail(down + sd, level * density, share * spot)

"""Reference equilibria of the continuous position-building game, in plain NumPy.

Firm i builds a position x_i from 0 at time 0 to V_i at time 1 and pays

    C_i = int_0^1 (X' + u') x_i' + kappa_i (X + u) x_i' + r_i x_i^2 dt,  X = sum_j x_j,

where u is a flow that reacts to nothing. Types carry kappa, V, u and r; they are
listed firm after firm ("(firm, type) order"), S in all. Written from the first-order
conditions alone; the package is tested against it. Sources: N. Chriss, arXiv
2409.03586 and 2501.01241 (called C25).

Every function that returns paths gives positions and rates, two arrays of shape
(S, times).
"""

import numpy as np
from numpy.polynomial import chebyshev, polynomial
from scipy.linalg import expm

from .position_costs import gauss_panels


def marginals(prior):
    """Return the probability of every type, shape (S,), from a joint prior (N axes)."""
    prior = np.asarray(prior, dtype=float)
    firms = range(prior.ndim)
    return np.concatenate(
        [prior.sum(axis=tuple(j for j in firms if j != i)) for i in firms]
    )


def conditionals(prior):
    """Return p(firm j is l | firm i is k), shape (S, S), zero where i = j.

    Own costs are affine in the paths of the others, so that no more of the joint prior
    than these pairwise conditionals decides an equilibrium.
    """
    prior = np.asarray(prior, dtype=float)
    firms = range(prior.ndim)

    def block(i, j):
        if i == j:
            return np.zeros((prior.shape[i], prior.shape[i]))
        pair = prior.sum(axis=tuple(m for m in firms if m not in (i, j)))
        pair = pair if i < j else pair.T
        return pair / pair.sum(axis=1, keepdims=True)

    return np.block([[block(i, j) for j in firms] for i in firms])


def complete_information(num_firms):
    """Return the conditionals of firms with one type each, shape (N, N)."""
    return conditionals(np.ones((1,) * num_firms))


def random_game(rng, shape):
    """Return a random joint prior of that shape, impacts and targets (both (S,))."""
    prior = rng.dirichlet(np.full(np.prod(shape), 0.5)).reshape(shape) + 1e-3
    size = sum(shape)
    kappa = np.exp(rng.uniform(np.log(0.3), np.log(15.0), size))
    return prior / prior.sum(), kappa, rng.uniform(-2.0, 6.0, size)


def _coefficients(P, kappa, targets, flows, risk_aversion):
    """Return A, B, V, R and the polynomial forcing f of A z'' + B z' - 2 R z + f = 0.

    `f` has shape (S, d + 1), in ascending powers of t.
    """
    P = np.asarray(P, dtype=float)
    size = len(P)
    kappa = np.broadcast_to(np.asarray(kappa, dtype=float), (size,))
    targets = np.broadcast_to(np.asarray(targets, dtype=float), (size,))
    risk = 0.0 if risk_aversion is None else risk_aversion
    risk = np.broadcast_to(np.asarray(risk, dtype=float), (size,))
    forcing = np.zeros((size, 1))
    if flows is not None:
        flows = np.asarray(flows, dtype=float)
        forcing = np.zeros(flows.shape)
        for i, u in enumerate(flows):
            for order, factor in ((1, kappa[i]), (2, 1.0)):
                derivative = polynomial.polyder(u, order)
                forcing[i, : len(derivative)] += factor * derivative
    A = 2 * np.eye(size) + P
    return A, kappa[:, None] * P, targets, np.diag(risk), forcing


def boundary_value_paths(
    P, kappa, targets, times, flows=None, risk_aversion=None, degree=None
):
    """Solve A z'' + B z' - 2 R z + u'' + K u' = 0, z(0) = 0, z(1) = V, by collocation.

    The unknowns are Chebyshev coefficients of z''; z' = V + G' z'' and z = V t + G z''
    with G the Green's function of the second derivative. The equation is then a
    Fredholm equation of the second kind, well conditioned whatever the degree.

    Args:
        P: conditionals, shape (S, S).
        kappa: permanent impact of every type, shape (S,) or scalar.
        targets: final positions, shape (S,).
        times: in [0, 1], shape (M,).
        flows: believed flow of every type, ascending powers of t, shape (S, d + 1).
        risk_aversion: weights of int x^2, shape (S,) or scalar.
        degree: of the polynomial z''; by default enough for rounding error.
    """
    A, B, targets, R, forcing = _coefficients(P, kappa, targets, flows, risk_aversion)
    size = len(A)
    if degree is None:
        # No mode is faster, and e^{rx} has Chebyshev coefficients like e^{-n^2 / 2r}.
        fastest = np.max(np.abs(kappa)) + np.sqrt(np.max(R))
        degree = 40 + int(8 * np.sqrt(fastest)) + forcing.shape[1]

    def bases(times):
        """Values of the basis, of its G' and of its G at `times`, each (M, n)."""
        x = 2 * np.asarray(times, dtype=float) - 1
        identity = np.eye(degree + 1)
        once = chebyshev.chebint(identity, 1, lbnd=-1, scl=0.5, axis=0)
        twice = chebyshev.chebint(identity, 2, lbnd=-1, scl=0.5, axis=0)
        at_one = twice.sum(axis=0)  # every T_n(1) is 1
        t = (x + 1) / 2
        return (
            chebyshev.chebvander(x, degree),
            chebyshev.chebvander(x, degree + 1) @ once - at_one,
            chebyshev.chebvander(x, degree + 2) @ twice - np.outer(t, at_one),
        )

    nodes = (1 + np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))) / 2
    second, first, zeroth = bases(nodes)
    operator = np.kron(A, second) + np.kron(B, first) - 2 * np.kron(R, zeroth)
    right = -polynomial.polyval(nodes, forcing.T)
    right -= (B @ targets)[:, None] - 2 * np.outer(R @ targets, nodes)
    solution = np.linalg.solve(operator, right.ravel()).reshape(size, degree + 1)
    _, first, zeroth = bases(times)
    positions = np.outer(targets, times) + solution @ zeroth.T
    return positions, targets[:, None] + solution @ first.T


def expm_paths(P, kappa, targets, times, flows=None, risk_aversion=None):
    """Return the same by matrix exponentials of the companion system.

    The state is (z, z', 1, t, .., t^d); one exponential for each time. The system for
    z'(0) has a condition like e^{kappa}, so that digits go long before anything
    overflows: the rates of two firms with one kappa are wrong by 1e-12 at 4, 2e-11 at
    10, 4e-7 at 20, 2e-2 at 30 and altogether at 40.
    """
    A, B, targets, R, forcing = _coefficients(P, kappa, targets, flows, risk_aversion)
    size, num_powers = forcing.shape
    companion = np.zeros((2 * size + num_powers,) * 2)
    companion[:size, size : 2 * size] = np.eye(size)
    companion[size : 2 * size] = np.linalg.solve(A, np.hstack([2 * R, -B, -forcing]))
    powers = 2 * size + np.arange(1, num_powers)
    companion[powers, powers - 1] = np.arange(1, num_powers)  # (t^m)' = m t^(m - 1)

    start = np.zeros(2 * size + num_powers)
    start[2 * size] = 1.0
    to_one = expm(companion)[:size]
    start[size : 2 * size] = np.linalg.solve(
        to_one[:, size : 2 * size], targets - to_one @ start
    )
    states = np.array([expm(companion * t) @ start for t in times]).T
    return states[:size], states[size : 2 * size]


def growth(rate, t):
    """Return (e^{rate t} - 1) / (e^{rate} - 1) and its derivative, for any rate."""
    if rate == 0:
        return t, np.ones_like(t)
    if rate < 0:
        scale = -np.expm1(rate)
        return -np.expm1(rate * t) / scale, -rate * np.exp(rate * t) / scale
    scale = -np.expm1(-rate)
    late = np.exp(rate * (t - 1)) / scale
    return late * -np.expm1(-rate * t), rate * late


def complete_information_path(kappa, targets, t):
    """Return the equilibrium of N firms with one kappa: the mean and the deviations.

    Args:
        kappa: permanent impact, scalar.
        targets: shape (N,).
        t: times, shape (M,).
    """
    targets, t = np.asarray(targets, dtype=float), np.asarray(t, dtype=float)
    num_firms, mean = len(targets), np.mean(targets)
    shared = growth(-kappa * (num_firms - 1) / (num_firms + 1), t)
    own = growth(kappa, t)
    return tuple(
        mean * a + np.outer(targets - mean, b) for a, b in zip(shared, own, strict=True)
    )


def complete_information_costs(kappa, targets):
    """Return every firm's equilibrium cost, shape (N,), for N firms with one kappa > 0.

    C_i = Vtot [ Vbar (Iaa + kappa / 2) + (V_i - Vbar) (Iab + kappa J) ], with
    Iaa = int a'^2, Iab = int a'b', J = int a b' of the two shapes of the path.
    """
    targets = np.asarray(targets, dtype=float)
    num_firms, mean, total = len(targets), np.mean(targets), np.sum(targets)
    k, g = kappa, kappa * (num_firms - 1) / (num_firms + 1)
    if num_firms == 1:
        return total**2 * np.array([1 + k / 2])
    # e / (e^k - 1) with e = (e^{k - g} - 1) / (k - g), without overflow.
    ratio = (np.exp(-g) - np.exp(-k)) / ((k - g) * -np.expm1(-k))
    scale = -np.expm1(-g)
    iaa = g / 2 / np.tanh(g / 2)
    iab = g * k * ratio / scale
    j = (1 - k * ratio) / scale
    return total * (mean * (iaa + k / 2) + (targets - mean) * (iab + k * j))


def complete_information_total(kappa, total, num_firms):
    """Return the sum of the N costs: a function of the summed targets alone."""
    g = kappa * (num_firms - 1) / (num_firms + 1)
    return total**2 * ((g / 2 / np.tanh(g / 2) if g else 1.0) + kappa / 2)


def planner(prior, kappa, targets):
    """Return the least expected total cost of any type-measurable paths, one kappa.

    It is E[(sum of targets)^2] (1 + kappa / 2), of straight lines. With two different
    kappas there is no planner's cost: the total is then unbounded below.
    """
    prior = np.asarray(prior, dtype=float)
    split = np.split(np.asarray(targets, dtype=float), np.cumsum(prior.shape)[:-1])
    totals = sum(np.meshgrid(*split, indexing="ij"))
    return np.sum(prior * totals**2) * (1 + kappa / 2)


def price_of_anarchy(kappa, num_firms):
    """Return equilibrium total over planner's cost, complete information."""
    return complete_information_total(kappa, 1.0, num_firms) / (1 + kappa / 2)


def two_trader_form(kappa, ratio, t):
    """Return the unit trader a and the adversary lambda b of arXiv 2409.03586.

    Args:
        kappa: permanent impact, scalar, nonzero.
        ratio: lambda, the adversary's target.
        t: times, shape (M,).
    """
    k, e = kappa, np.exp
    sums = e(k / 3) * (e(k / 3) + e(2 * k / 3) + 1) * (ratio + 1)
    differences = (ratio - 1) * (e(k * t / 3) + e(2 * k * t / 3) + e(k * t))
    factor = -np.expm1(-k * t / 3) / (2 * np.expm1(k))
    return factor * (sums - differences), factor * (sums + differences)


def best_response(kappa, target, others, t, num_panels=64):
    """Return the cheapest path against the summed flow of all others.

    a(t) = V t + (t (b(1) + kappa B(1)) - b(t) - kappa B(t)) / 2 with B = int_0^t b.

    Args:
        kappa: own permanent impact, scalar.
        target: own final position, scalar.
        others: function of times (M,) to the others' position, 0 at time 0.
        t: times, shape (M,).
        num_panels: Gauss-Legendre panels for each integral.

    Returns:
        Positions, shape (M,).
    """
    nodes, weights = gauss_panels(num_panels)
    end = np.array([1.0])

    def integral(t):
        return others(np.outer(t, nodes).ravel()).reshape(-1, len(nodes)) @ weights * t

    total = others(end) + kappa * integral(end)
    return target * t + (t * total - others(t) - kappa * integral(t)) / 2

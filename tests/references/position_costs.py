"""Reference costs of the position-building game by quadrature, and the tables of C25.

Types, paths and flows are as in `position_building`. `paths` stands for a function of
times (M,) to positions and rates, each (S, M).
"""

import itertools

import numpy as np
from numpy.polynomial import polynomial

# The two-by-two example of C25 section 5. Rows of the prior: the type of firm 1.
PRIOR = np.array([[0.40, 0.20], [0.15, 0.25]])
IMPACTS = np.array([1.0, 3.0, 2.0, 15.0])
TARGETS = np.array([3.0, 5.0, 7.0, 5.0])
EVALUATION_IMPACTS = np.array([1.0, 2.0, 3.0, 15.0])
# Realised cost / own target: [type of firm 1, type of firm 2, firm, evaluation].
COST_TABLE = np.array(
    [
        [
            [[15.81, 21.73, 27.65, 98.68], [14.68, 19.28, 23.89, 79.16]],
            [[12.49, 19.12, 25.76, 105.37], [22.64, 25.05, 27.47, 56.49]],
        ],
        [
            [[18.62, 25.02, 31.42, 108.22], [17.85, 23.56, 29.28, 97.85]],
            [[16.98, 24.14, 31.29, 117.14], [25.98, 28.83, 31.67, 65.80]],
        ],
    ]
)
# Expected cost / own target. C25 prints MISPRINTED for firm 2, whose weights
# p[k, l] / colsum[k] should be p[k, l] / colsum[l].
EXPECTED_COSTS = np.array([14.71, 31.34, 20.45, 61.66])
MISPRINTED = np.array([21.88, 57.10])
INITIAL_RATES = np.array([2.24597679, 7.07612849, 8.57294733, 18.97552568])
EIGENVALUES = np.array([-4.66094, -0.39416, 0.25594, 1.34351])
# Section 5.1, three types a firm; the paper gives no prior.
THREE_IMPACTS = np.array([20.0, 5.0, 1.0, 5.0, 2.0, 1.0])
THREE_TARGETS = np.array([1.0, 2.0, 3.0, 0.25, 1.5, 5.0])
# Section 5.2: all kappa and targets 1, firm 2's first type believes in a flow 5 t.
FLOW_HALFWAY = np.array([0.411760, 0.458230, 0.910629, 0.591701])
NO_FLOW_HALFWAY = 0.541570


def gauss_panels(num_panels=64, order=10, until=1.0):
    """Return nodes and weights of composite Gauss-Legendre quadrature on [0, until]."""
    x, w = np.polynomial.legendre.leggauss(order)
    edges = np.linspace(0.0, until, num_panels + 1)
    widths = np.diff(edges)[:, None]
    return (edges[:-1, None] + widths * (x + 1) / 2).ravel(), (widths * w / 2).ravel()


def trapezoid(num_points, until=1.0):
    """Return nodes and weights of the trapezoid rule with `num_points` points."""
    weights = np.full(num_points, until / (num_points - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0.0, until, num_points), weights


def _rule(rule, num_points, until):
    if rule == "gauss":
        return gauss_panels(until=until)
    if rule == "trapezoid":
        return trapezoid(num_points, until)
    raise ValueError(f"rule has to be gauss or trapezoid, not {rule}")


def _flow_values(flow, nodes):
    """Return values and derivatives of polynomials in ascending powers of t."""
    coefficients = np.asarray(flow, dtype=float).T
    derivatives = polynomial.polyder(coefficients, axis=0)
    return polynomial.polyval(nodes, coefficients), polynomial.polyval(
        nodes, derivatives
    )


def cost_parts(prior_shape, paths, flow=None, rule="gauss", num_points=100, until=1.0):
    """Return int X' x_i' and int X x_i' of every firm for every profile of types.

    A firm pays the first plus kappa times the second.

    Args:
        prior_shape: number of types of each firm.
        paths: function of times to positions and rates.
        flow: the non-strategic flow that really happens, ascending powers of t.
        rule: "gauss" for exact integrals, "trapezoid" for `num_points` equal spaces.
        num_points: of the trapezoid.
        until: upper limit of the integrals (cumulative costs).

    Returns:
        Two arrays of shape (K_1, .., K_N, N).
    """
    nodes, weights = _rule(rule, num_points, until)
    positions, rates = paths(nodes)
    u, du = _flow_values([0.0] if flow is None else flow, nodes)
    offsets = np.concatenate([[0], np.cumsum(prior_shape)[:-1]])
    temporary = np.empty((*prior_shape, len(prior_shape)))
    permanent = np.empty_like(temporary)
    for profile in itertools.product(*(range(k) for k in prior_shape)):
        rows = offsets + np.array(profile)
        total = positions[rows].sum(axis=0) + u
        total_rate = rates[rows].sum(axis=0) + du
        for firm, row in enumerate(rows):
            temporary[(*profile, firm)] = np.sum(weights * total_rate * rates[row])
            permanent[(*profile, firm)] = np.sum(weights * total * rates[row])
    return temporary, permanent


def realised_costs(prior_shape, paths, evaluation_impacts, **options):
    """Return realised costs at given kappas, shape (K_1, .., K_N, N, E).

    Args:
        prior_shape: number of types of each firm.
        paths: function of times to positions and rates.
        evaluation_impacts: the kappas at which everybody is charged, shape (E,).
        **options: those of `cost_parts`.
    """
    temporary, permanent = cost_parts(prior_shape, paths, **options)
    return temporary[..., None] + permanent[..., None] * np.asarray(evaluation_impacts)


def own_costs(prior_shape, kappa, paths, **options):
    """Return realised costs at the kappa of each firm's type, (K_1, .., K_N, N)."""
    temporary, permanent = cost_parts(prior_shape, paths, **options)
    split = np.split(np.asarray(kappa, dtype=float), np.cumsum(prior_shape)[:-1])
    impacts = np.stack(np.meshgrid(*split, indexing="ij"), axis=-1)
    return temporary + impacts * permanent


def expected_costs(
    P,
    kappa,
    paths,
    flows=None,
    risk_aversion=None,
    rule="gauss",
    num_points=100,
    until=1.0,
):
    """Return the cost each type expects with its own kappa and beliefs, shape (S,).

    Arguments as in `cost_parts` and `position_building.boundary_value_paths`; `flows`
    are the believed ones. The risk term r int x^2 is included.
    """
    nodes, weights = _rule(rule, num_points, until)
    x, dx = paths(nodes)
    u, du = _flow_values(np.zeros((len(x), 1)) if flows is None else flows, nodes)
    kappa = np.broadcast_to(np.asarray(kappa, dtype=float), (len(x),))[:, None]
    risk = np.broadcast_to(
        np.asarray(0.0 if risk_aversion is None else risk_aversion), (len(x),)
    )
    integrand = (dx + P @ dx + du) * dx + kappa * (x + P @ x + u) * dx
    return (integrand + risk[:, None] * x**2) @ weights


def welfare(prior, kappa, paths):
    """Return the expected sum of all firms' costs, each at its own kappa."""
    prior = np.asarray(prior, dtype=float)
    kappa = np.broadcast_to(np.asarray(kappa, dtype=float), (sum(prior.shape),))
    return np.sum(prior[..., None] * own_costs(prior.shape, kappa, paths))


def deviation_gains(P, kappa, targets, paths, flows=None):
    """Return what each type could save by its best response, shape (S,).

    Own cost is int x'^2 plus a linear functional, so that the saving is exactly
    int (x' - a')^2 with a the best response; risk-neutral types only.
    """
    nodes, weights = gauss_panels()
    x, dx = paths(nodes)
    u, du = _flow_values(np.zeros((len(x), 1)) if flows is None else flows, nodes)
    kappa = np.broadcast_to(np.asarray(kappa, dtype=float), (len(x),))[:, None]
    slope = P @ dx + du + kappa * (P @ x + u)
    response = np.asarray(targets)[:, None] - (slope - (slope @ weights)[:, None]) / 2
    return (dx - response) ** 2 @ weights

"""Kyle (1985): linear-Gaussian covariances, best responses, original recursion.

Random variables are rows of loadings on independent primitives, so that every mean
product is a weighted dot product. Prices are measured from the prior mean of the value.
"""

import numpy as np
from scipy.optimize import brentq


def loadings(num_insiders, signals):
    """Value, signals (insiders, ...) and noise as rows on the primitives.

    The primitives are the value, the signal errors (one for all, or one each), the
    noise orders.
    """
    num_errors = 1 if signals == "common" else num_insiders
    eye = np.eye(num_errors + 2)
    errors = np.repeat(eye[1:-1], num_insiders // num_errors, axis=0)
    return eye[0], eye[0] + errors, eye[-1]


def variances(stds, num_insiders, signals):
    """Variances of those primitives; `stds` of value, noise orders, signal errors."""
    value_std, noise_std, signal_noise_std = stds
    num_errors = 1 if signals == "common" else num_insiders
    stds = [value_std, *[signal_noise_std] * num_errors, noise_std]
    return np.array(stds) ** 2


def vertex(function):
    """Return the maximum point of a concave parabola, through three of its points."""
    left, middle, right = function(-1.0), function(0.0), function(1.0)
    return (right - left) / 2 / (2 * middle - left - right)


def pricing_response(intensity, stds, num_insiders=1, signals="common"):
    """Slope of the projection of the value on the order flow."""
    value, observed, noise = loadings(num_insiders, signals)
    weight = variances(stds, num_insiders, signals)
    flow = intensity * observed.sum(axis=0) + noise
    return (value * weight) @ flow / ((flow * weight) @ flow)


def insider_response(impact, intensity, stds, num_insiders=1, signals="common"):
    """Best multiple of its signal for one insider, the others using `intensity`."""
    value, observed, noise = loadings(num_insiders, signals)
    weight = variances(stds, num_insiders, signals)
    others = intensity * observed[1:].sum(axis=0) + noise
    # The trial orders are scaled so that the parabola bends over them.
    scale = np.sqrt(weight[-1] / ((observed[0] * weight) @ observed[0]))

    def profit(multiple):
        order = multiple * scale * observed[0]
        return (order * weight) @ (value - impact * (order + others))

    return vertex(profit) * scale


def one_auction(
    value_std, noise_std, signal_noise_std=0.0, num_insiders=1, signals="common"
):
    """Equilibrium by a root search over the intensity, moments by covariances.

    Returns:
        A dict: price_impact, intensity, insider_profit (one insider's), its variance,
        noise_profit, dealer_profit, posterior_variance, price_value_correlation.
    """
    stds = (value_std, noise_std, signal_noise_std)

    def gain(log_intensity):
        intensity = np.exp(log_intensity)
        impact = pricing_response(intensity, stds, num_insiders, signals)
        best = insider_response(impact, intensity, stds, num_insiders, signals)
        return best / intensity - 1

    centre = np.log(noise_std / np.hypot(value_std, signal_noise_std))
    # Relative accuracy of the intensity is absolute accuracy of its logarithm.
    root = brentq(lambda x: gain(centre + x), -20.0, 5.0, xtol=1e-16)
    intensity = np.exp(centre + root)
    impact = pricing_response(intensity, stds, num_insiders, signals)

    value, observed, noise = loadings(num_insiders, signals)
    weight = variances(stds, num_insiders, signals)

    def mean_product(a, b):
        return (a * weight) @ b

    orders = intensity * observed
    price = impact * (orders.sum(axis=0) + noise)
    error = value - price
    return {
        "price_impact": impact,
        "intensity": intensity,
        "insider_profit": mean_product(orders[0], error),
        # Gaussian fourth moments: var(ab) = var(a) var(b) + cov(a, b)^2.
        "insider_profit_variance": mean_product(orders[0], orders[0])
        * mean_product(error, error)
        + mean_product(orders[0], error) ** 2,
        "noise_profit": mean_product(noise, error),
        "dealer_profit": -mean_product(orders.sum(axis=0) + noise, error),
        "posterior_variance": mean_product(error, error),
        "price_value_correlation": mean_product(price, value)
        / np.sqrt(mean_product(price, price) * mean_product(value, value)),
    }


def auction_paths(
    value, signal_errors, noise, impact, intensity, value_mean=0.0, deviation=1.0
):
    """One auction on given numbers, path after path.

    Args:
        value: shape (paths,), price units.
        signal_errors: shape (paths, insiders), equal columns for a common signal.
        noise: noise orders, shape (paths,).
        impact: price per unit of order flow.
        intensity: every insider's order per unit of its signal.
        value_mean: prior mean.
        deviation: the first insider multiplies its order by this.

    Returns:
        A dict of arrays, (paths,) or (paths, insiders) for `signals`, `orders` and
        `insider_profits`.
    """
    rows = []
    for v, errors, u in zip(value, signal_errors, noise, strict=True):
        seen = v + errors
        orders = intensity * (seen - value_mean)
        orders[0] *= deviation
        flow = orders.sum() + u
        price = value_mean + impact * flow
        rows.append(
            {
                "signals": seen,
                "orders": orders,
                "flow": flow,
                "price": price,
                "insider_profits": orders * (v - price),
                "noise_profit": u * (v - price),
                "dealer_profit": flow * (price - v),
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _impact_root(alpha, variance, noise_variance, num_insiders):
    """Root of impact^2 D noise_variance = M variance (1 - 2 alpha impact), q < 1/2.

    By bisection. Roots beyond 1 / (2 alpha) make the variance before the auction
    negative.
    """
    m = num_insiders

    def excess(impact):
        fading = 1 - 2 * alpha * impact
        return impact**2 * noise_variance * (1 + m * fading) - m * variance * fading

    low, high = np.longdouble(0), np.sqrt(m * variance / noise_variance)
    if alpha > 0:
        high = min(high, 1 / (2 * alpha))
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)


def sequential(value_std, noise_std, step_lengths, num_insiders=1):
    """Auctions one after the other, from the last one with posterior variance one.

    The recursion is the one in extended precision and range of impact, value of
    trading on, and variance; at the end all are rescaled to the given prior variance.

    Args:
        value_std: of the prior.
        noise_std: of noise orders per unit of time.
        step_lengths: shape (auctions,).
        num_insiders: with identical, exact information.

    Returns:
        A dict: price_impact, intensity (order per unit of mispricing and time),
        posterior_variance, each (auctions,); alpha and delta, (auctions + 1,);
        insider_profit (one insider's), total_profit.
    """
    steps = np.asarray(step_lengths, np.longdouble)
    size, m, noise_variance = len(steps), num_insiders, np.longdouble(noise_std) ** 2
    impact, intensity = np.zeros(size, np.longdouble), np.zeros(size, np.longdouble)
    alpha, delta, variance = (np.zeros(size + 1, np.longdouble) for _ in range(3))
    variance[-1] = 1
    for n in reversed(range(size)):
        value, left = alpha[n + 1], variance[n + 1]
        impact[n] = _impact_root(value, left, noise_variance * steps[n], m)
        fading = 1 - 2 * value * impact[n]
        growth = 1 + m * fading
        intensity[n] = fading / (impact[n] * growth * steps[n])
        projected = impact[n] * noise_variance / (m * intensity[n])
        assert abs(projected / left - 1) < 1e-12
        assert impact[n] * (1 - value * impact[n]) > 0
        variance[n] = left / (1 - m * intensity[n] * steps[n] * impact[n])
        alpha[n] = (1 - value * impact[n]) / (impact[n] * growth**2)
        delta[n] = delta[n + 1] + value * impact[n] ** 2 * noise_variance * steps[n]
    scale = np.longdouble(value_std) ** 2 / variance[0]
    root = np.sqrt(scale)
    profit = alpha[0] / root * (scale * variance[0]) + root * delta[0]
    return {
        "price_impact": (root * impact).astype(float),
        "intensity": (intensity / root).astype(float),
        "posterior_variance": (scale * variance[1:]).astype(float),
        "alpha": (alpha / root).astype(float),
        "delta": (root * delta).astype(float),
        "insider_profit": float(profit),
        "total_profit": float(m * profit),
    }


def sequential_loadings(impact, intensities, step_lengths):
    """Orders and prices as rows on value and noise orders.

    Args:
        impact: (auctions,).
        intensities: of each insider, (insiders, auctions).
        step_lengths: (auctions,).

    Returns:
        Orders (insiders, auctions, 1 + auctions), prices (auctions, 1 + auctions).
    """
    intensities = np.asarray(intensities, float)
    size = intensities.shape[1]
    value, noise = np.eye(size + 1)[0], np.eye(size + 1)[1:]
    price, orders, prices = np.zeros(size + 1), [], []
    for n in range(size):
        order = np.outer(intensities[:, n] * step_lengths[n], value - price)
        price = price + impact[n] * (order.sum(axis=0) + noise[n])
        orders.append(order)
        prices.append(price)
    return np.swapaxes(orders, 0, 1), np.array(prices)


def sequential_moments(value_std, noise_std, step_lengths, impact, intensities):
    """Profits and the covariance of pricing errors, from the dynamics alone.

    Returns:
        A dict: insider_profits (insiders,), noise_loss, error_covariance (auctions,
        auctions) of value minus price, flow_error_covariance (auctions, auctions) of
        order flow and pricing error, price_covariance of price changes.
    """
    steps = np.asarray(step_lengths, float)
    weight = np.append(value_std**2, noise_std**2 * steps)
    orders, prices = sequential_loadings(impact, intensities, steps)
    noise = np.eye(len(weight))[1:]
    errors = np.eye(len(weight))[0] - prices
    flow = orders.sum(axis=0) + noise
    changes = np.diff(prices, axis=0, prepend=0)
    return {
        "insider_profits": np.einsum("ink,k,nk->i", orders, weight, errors),
        "noise_loss": -np.einsum("nk,k,nk->", noise, weight, errors),
        "error_covariance": errors * weight @ errors.T,
        "flow_error_covariance": flow * weight @ errors.T,
        "price_covariance": changes * weight @ changes.T,
    }


def sequential_paths(value, noise, impact, intensity, step_lengths, num_insiders=1):
    """Auctions on given values (paths,) and noise orders (paths, auctions).

    Returns:
        A dict of (paths, auctions): orders (of one insider), flow, price; and
        (paths,): insider_profit (one insider's), noise_profit, dealer_profit.
    """
    noise = np.asarray(noise, float)
    orders, flow, prices = (np.zeros(noise.shape) for _ in range(3))
    for i, v in enumerate(value):
        price = 0.0
        for n in range(noise.shape[1]):
            orders[i, n] = intensity[n] * step_lengths[n] * (v - price)
            flow[i, n] = num_insiders * orders[i, n] + noise[i, n]
            price += impact[n] * flow[i, n]
            prices[i, n] = price
    gain = np.asarray(value)[:, None] - prices
    return {
        "orders": orders,
        "flow": flow,
        "price": prices,
        "insider_profit": (orders * gain).sum(axis=1),
        "noise_profit": (noise * gain).sum(axis=1),
        "dealer_profit": -(flow * gain).sum(axis=1),
    }

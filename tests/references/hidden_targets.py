"""Reference play of the hidden-target game, in the state (r, q, m).

Plain NumPy in double precision. r and q are what trader and arbitrageur have left to
buy, m what the arbitrageur expects r to be. Equilibrium comes from iterating on what
the arbitrageur thinks that trades reveal; costs from simulation; best responses from a
Riccati recursion.
"""

import numpy as np


def symmetric(left, right):
    product = np.outer(left, right)
    return (product + product.T) / 2


def filter_path(signals, std, noise_std):
    """Return variances of r before every step and gains of a Kalman filter."""
    steps = len(signals)
    noise = noise_std**2 / steps
    variances, gains = np.zeros(steps), np.zeros(steps)
    variances[0] = std**2
    for t in range(steps - 1):
        signal, v = signals[t], variances[t]
        kalman = signal * v / (signal**2 * v + noise)
        gains[t] = (1 - signal) * kalman
        variances[t + 1] = (1 - signal) ** 2 * (1 - signal * kalman) * v
    return variances, gains


def reply_rules(signals, gains, impact):
    """Return rules when the arbitrageur reads trades with these signals and gains.

    Returns:
        Trader's rules on (r, q, m), shape (steps, 3), the first column being its best
        response to being read in this way; arbitrageur's rules on (q, m).
    """
    steps = len(signals)
    weight = steps - impact / 2
    trader, other = np.zeros((steps, 3)), np.zeros((steps, 2))
    trader[-1], other[-1] = [1, 0, 0], [1, 0]
    p = (weight + impact) * symmetric([1, 1, 0], [1, 0, 0])
    q = (weight + impact) * symmetric([1, 1], [1, 0])
    for t in range(steps - 2, -1, -1):
        signal, gain = signals[t], gains[t]
        pull = 2 * np.array([-1, 0, gain]) @ p
        own = -(impact + pull[0]) / (2 * weight - pull[0] + pull[2] * gain)
        # Unknown: the trader's coefficients on q and m, then the arbitrageur's.
        on_trade = np.array([2 * weight - pull[0] - pull[2], weight - pull[1]])
        push = 2 * q[0]
        on_reply = np.array([weight + push[1], 2 * weight + push[0]])
        matrix = np.kron(np.array([on_trade, on_reply]), np.eye(2))
        right = np.zeros((2, 2))
        right[0, 0] = -pull[1]
        right[0, 1] = -pull[2] * (1 - signal - gain * signal)
        right[1, 0] = -impact + push[0]
        right[1, 1] = push[1] * (1 - signal) - weight * signal
        # The arbitrageur expects (signal + a_m) m + a_q q.
        a, b = np.linalg.solve(matrix, right.ravel()).reshape(2, 2)
        trader[t], other[t] = [own, *a], b
        expected = np.array([0, a[0], signal + a[1]])
        reply = np.array([0, *b])
        move = np.array(
            [
                np.array([1, 0, 0]) - trader[t],
                np.array([0, 1, 0]) - reply,
                np.array([0, 0, 1]) - expected + gain * (trader[t] - expected),
            ]
        )
        price = weight * trader[t] + impact * np.array([1, 0, 0])
        p = symmetric(trader[t] + reply, price) + move.T @ p @ move
        mean = np.array([np.array([1, 0]) - b, np.array([0, 1]) - expected[1:]])
        price = weight * b + impact * np.array([1, 0])
        q = symmetric(expected[1:] + b, price) + mean.T @ q @ mean
    return trader, other


def equilibrium(impact, std, noise_std, steps, damping=0.5, rounds=2000):
    """Return rules and filter gains by damped iteration; for moderate impacts only."""
    signals = 1 / np.arange(steps, 0, -1.0)
    for _ in range(rounds):
        _, gains = filter_path(signals, std, noise_std)
        trader, other = reply_rules(signals, gains, impact)
        change = trader[:, 0] - signals
        signals = signals + damping * change
        if np.abs(change).max() < 1e-14:
            return trader, other, gains
    raise RuntimeError(f"no fixed point after {rounds} rounds")


def simulate(game, trader, other, gains, targets, noise):
    """Return costs of paths, shape (paths, 2), with the noise left in the price.

    Args:
        game: target_mean, noise_std, permanent_impact, arbitrageur_target by name.
        trader: rules on (r, q, m).
        other: rules on (q, m).
        gains: filter gains.
        targets: the trader's target on every path, shape (paths,).
        noise: standard normal draws, shape (paths, steps).
    """
    steps, kappa = len(gains), game["permanent_impact"]
    noise = game["noise_std"] / steps**0.5 * noise
    r = np.array(targets)
    q = np.full_like(r, game["arbitrageur_target"])
    m = np.full_like(r, game["target_mean"])
    held, costs = np.zeros_like(r), np.zeros((len(r), 2))
    for t in range(steps):
        a = trader[t] @ np.array([r, q, m])
        b = other[t] @ np.array([q, m])
        p = trader[t] @ np.array([m, q, m])
        price = (steps + kappa / 2) * (a + b) + kappa * held
        costs += np.array([a * price, b * price]).T
        m = m - p + gains[t] * (a + noise[:, t] - p)
        held = held + a + b + noise[:, t]  # noise moves the price for good
        r, q = r - a, q - b
    return costs


def least_trader_cost(game, trader, other, gains, target):
    """Return the trader's least expected cost against a rule and filter.

    Dynamic programming over (r, q, m, net position).
    """
    steps, kappa = len(gains), game["permanent_impact"]
    weight = steps + kappa / 2
    noise = game["noise_std"] ** 2 / steps
    reply = np.pad(other, ((0, 0), (1, 1)))
    flow = np.array([1, 0, 0, 0]) + reply[-1]
    price = weight * flow + kappa * np.array([0, 0, 0, 1])
    form, constant = symmetric([1, 0, 0, 0], price), 0.0
    for t in range(steps - 2, -1, -1):
        constant += noise * gains[t] ** 2 * form[2, 2]
        expected = np.array([0, trader[t, 1], trader[t, 0] + trader[t, 2], 0])
        move = np.eye(4) + np.array(
            [np.zeros(4), -reply[t], -(1 + gains[t]) * expected, reply[t]]
        )
        effect = np.array([-1, 0, gains[t], 1])
        price = weight * reply[t] + kappa * np.array([0, 0, 0, 1])
        curvature = weight + effect @ form @ effect
        slope = price / 2 + effect @ form @ move
        form = move.T @ form @ move - np.outer(slope, slope) / curvature
    start = np.array([target, game["arbitrageur_target"], game["target_mean"], 0])
    return start @ form @ start + constant


def least_arbitrageur_cost(game, trader, gains, std):
    """Return the arbitrageur's least expected cost, its beliefs being right.

    Dynamic programming over (q, m, net position expected); what a surprise says about
    earlier trades of the trader moves the last of them.
    """
    steps, kappa = len(gains), game["permanent_impact"]
    weight = steps + kappa / 2
    noise = game["noise_std"] ** 2 / steps
    signals = trader[:, 0]
    variances, _ = filter_path(signals, std, game["noise_std"])
    # Covariance of (target, r) given what was seen, forward.
    covariance = np.full((2, 2), std**2)
    shakes = []
    for t in range(steps - 1):
        row = covariance[:, 1] * signals[t]
        total = signals[t] ** 2 * covariance[1, 1] + noise
        kalman = row / total
        covariance = covariance - np.outer(kalman, row)
        after = np.array([[1, 0], [0, 1 - signals[t]]])
        covariance = after @ covariance @ after.T
        # Surprises move the guess of the target, and of r after the trade.
        moves = np.array([0, gains[t], kalman[0] - gains[t]])
        shakes.append(total * np.outer(moves, moves))
    np.testing.assert_allclose(covariance[1, 1], variances[-1], rtol=1e-8)
    flow = np.array([1, 1, 0])
    price = weight * flow + kappa * np.array([0, 0, 1])
    form, constant = symmetric([1, 0, 0], price), 0.0
    for t in range(steps - 2, -1, -1):
        constant += np.trace(form @ shakes[t])
        expected = np.array([trader[t, 1], trader[t, 0] + trader[t, 2], 0])
        move = np.eye(3) + np.array([np.zeros(3), -expected, expected])
        effect = np.array([-1, 0, 1])
        price = weight * expected + kappa * np.array([0, 0, 1])
        curvature = weight + effect @ form @ effect
        slope = price / 2 + effect @ form @ move
        form = move.T @ form @ move - np.outer(slope, slope) / curvature
    start = np.array([game["arbitrageur_target"], game["target_mean"], 0])
    return start @ form @ start + constant

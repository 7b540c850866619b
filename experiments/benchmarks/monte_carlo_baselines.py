"""The simulations of `monte_carlo.py` with NumPy, and as textbooks loop in Python.

NumPy gets what makes it fast: normals drawn into buffers by the ziggurat, arithmetic
without temporaries, chunks of paths that stay in a core's cache, sums by BLAS. Every
outcome of a path gets mean and variance, hence a standard error. They are written from
docs/models and import nothing of the package.
"""

import math
import random

import numpy as np

DEVIATIONS = np.array([0.5, 0.8, 1.0, 1.25, 1.5])


class Moments:
    """Sums of rows and of their squares, over chunks of paths."""

    def __init__(self, shape):
        """Start with no paths."""
        self.count = 0
        self.sums, self.squares = np.zeros(shape), np.zeros(shape)

    def add(self, place, rows):
        """Add a chunk; rows have paths on the last axis."""
        self.sums[place] += rows @ np.ones(rows.shape[-1], rows.dtype)
        self.squares[place] += np.vecdot(rows, rows)

    def estimates(self):
        """Return means, variances and standard errors of the means."""
        mean = self.sums / self.count
        variance = (self.squares / self.count - mean**2) * self.count / (self.count - 1)
        return mean, variance, np.sqrt(variance / self.count)


class KyleAuction:
    """One auction of Kyle's model.

    Rows: value, flow, value less price, what the first insider's signal is about, the
    value's square, the mean insider's profit, what the dealer loses, what noise traders
    earn, and the first insider's profit under five deviations; the signal where it is
    not the value.
    """

    def __init__(self, chunk, dtype, numbers):
        """Make room for a chunk of paths.

        Args:
            chunk: paths at a time, at most.
            dtype: floating.
            numbers: `value_std`, `noise_std`, `price_impact`, `intensity` and, if they
                are not 0, 1 and "common", `signal_noise_std`, `num_insiders` and
                `signals`.
        """
        self.numbers = numbers
        self.is_exact = not numbers.get("signal_noise_std", 0.0)
        self.draws = np.empty((2 if self.is_exact else 4, chunk), dtype)
        self.rows = np.empty((13 if self.is_exact else 14, chunk), dtype)
        self.held = np.empty((7, chunk), dtype)
        self.moments = Moments(len(self.rows))

    def run(self, rng, count):
        """Add so many paths, at most a chunk."""
        n = self.numbers
        dtype = self.rows.dtype.type
        draws, rows = self.draws[:, :count], self.rows[:, :count]
        noise, own, others, cost, square, *turned = self.held[:, :count]
        rng.standard_normal(dtype=dtype, out=draws)
        value, flow, gap, rest, value_square, insider, dealer, trader = rows[:8]
        deviations = rows[8:13]
        insiders = n.get("num_insiders", 1)
        np.multiply(draws[0], dtype(n["value_std"]), out=value)
        np.multiply(draws[1], dtype(n["noise_std"]), out=noise)
        signal = value
        if not self.is_exact:
            signal = rows[13]
            np.multiply(draws[2], dtype(n["signal_noise_std"]), out=signal)
            signal += value
        np.multiply(signal, dtype(n["intensity"]), out=own)
        np.copyto(flow, noise)
        if insiders > 1:
            if n.get("signals", "common") == "common" or self.is_exact:
                np.multiply(own, dtype(insiders - 1), out=others)
            else:
                spread = n["signal_noise_std"] * math.sqrt(insiders - 1)
                np.multiply(draws[3], dtype(spread), out=others)
                others += dtype(insiders - 1) * value
                others *= dtype(n["intensity"])
            flow += others
        np.multiply(flow, dtype(n["price_impact"]), out=rest)
        np.subtract(value, rest, out=rest)
        flow += own
        np.multiply(own, dtype(n["price_impact"]), out=cost)
        np.subtract(rest, cost, out=gap)
        np.multiply(value, value, out=value_square)
        np.multiply(flow, gap, out=dealer)
        np.multiply(noise, gap, out=trader)
        np.subtract(dealer, trader, out=insider)
        insider /= dtype(insiders)
        # With orders times f: f own (gap - (f - 1) cost).
        np.multiply(own, rest, out=turned[0])
        np.multiply(own, cost, out=square)
        np.multiply(DEVIATIONS[:, None].astype(dtype), turned[0], out=deviations)
        for deviation, factor in zip(deviations, DEVIATIONS, strict=True):
            np.multiply(square, dtype(factor**2), out=turned[1])
            deviation -= turned[1]
        self.moments.add(slice(None), rows)
        self.moments.count += count


class KyleAuctions:
    """Auctions in sequence, seven rows each; the last of all is total profit.

    Rows of an auction: what the price has left to learn, squared; its move, squared,
    and times what it had to learn; profits of an insider and of noise traders, and what
    the dealer loses.
    """

    def __init__(self, chunk, dtype, numbers):
        """Make room for a chunk of paths.

        Args:
            chunk: paths at a time, at most.
            dtype: floating.
            numbers: `value_std`, `num_insiders` and, by auction, `noise_stds`,
                `price_impacts` and `shares` (lambda beta dt).
        """
        self.numbers = numbers
        self.rows = np.empty((7, chunk), dtype)
        self.held = np.empty((6, chunk), dtype)
        self.moments = Moments((len(numbers["shares"]) + 1, 7))

    def run(self, rng, count):
        """Add so many paths, at most a chunk."""
        numbers, rows = self.numbers, self.rows[:, :count]
        dtype = rows.dtype.type
        noise, pushed, order, before, gap, total = self.held[:, :count]
        gap_square, move, move_square, move_gap, insider, dealer, trader = rows
        insiders = numbers["num_insiders"]
        rng.standard_normal(dtype=dtype, out=gap)
        gap *= dtype(numbers["value_std"])
        total[:] = 0
        parts = (numbers[x] for x in ("noise_stds", "price_impacts", "shares"))
        for auction, (std, impact, share) in enumerate(zip(*parts, strict=True)):
            gap, before = before, gap
            rng.standard_normal(dtype=dtype, out=noise)
            noise *= dtype(std)
            np.multiply(noise, dtype(impact), out=pushed)
            np.multiply(before, dtype(insiders * share), out=move)
            move += pushed
            np.subtract(before, move, out=gap)
            np.multiply(before, dtype(share / impact), out=order)
            np.multiply(gap, gap, out=gap_square)
            np.multiply(move, move, out=move_square)
            np.multiply(move, before, out=move_gap)
            np.multiply(order, gap, out=insider)
            np.multiply(noise, gap, out=trader)
            if insiders == 1:
                np.add(insider, trader, out=dealer)
                total += insider
            else:
                np.multiply(insider, dtype(insiders), out=dealer)
                total += dealer
                dealer += trader
            self.moments.add(auction, rows)
        self.moments.add(-1, total[None])
        self.moments.count += count


class Execution:
    """A plan of Almgren and Chriss on random prices; the row is its shortfall."""

    def __init__(self, chunk, dtype, numbers):
        """Make room for a chunk of paths.

        Args:
            chunk: paths at a time, at most.
            dtype: floating.
            numbers: `trades` by period, `horizon`, `volatility`, `permanent_impact`,
                `temporary_impact` and `fixed_cost`.
        """
        trades = np.asarray(numbers["trades"])
        tau = numbers["horizon"] / len(trades)
        self.trades = trades
        self.concessions = np.sign(trades) * numbers["fixed_cost"]
        self.concessions = self.concessions + numbers["temporary_impact"] * trades / tau
        self.noise = numbers["volatility"] * math.sqrt(tau)
        self.falls = numbers["permanent_impact"] * trades
        self.held = np.empty((4, chunk), dtype)
        self.moments = Moments(1)

    def run(self, rng, count):
        """Add so many paths, at most a chunk."""
        shortfall, price, shock, fill = held = self.held[:, :count]
        dtype = held.dtype.type
        shortfall[:], price[:] = 0, 0
        periods = zip(self.trades, self.concessions, self.falls, strict=True)
        for trade, concession, fall in periods:
            np.subtract(price, dtype(concession), out=fill)
            fill *= dtype(trade)
            shortfall -= fill
            rng.standard_normal(dtype=dtype, out=shock)
            shock *= dtype(self.noise)
            price += shock
            price -= dtype(fall)
        self.moments.add(slice(None), shortfall[None])
        self.moments.count += count


def simulate(model, numbers, num_paths, *, chunk, dtype, rng):
    """Return the moments of so many paths."""
    simulation = model(min(chunk, num_paths), np.dtype(dtype), numbers)
    for first in range(0, num_paths, chunk):
        simulation.run(rng, min(chunk, num_paths - first))
    return simulation.moments


# --- Plain Python ---------------------------------------------------------------------


class Running:
    """Sums and squares of one outcome."""

    def __init__(self):
        """Start with no paths."""
        self.count, self.sum, self.square = 0, 0.0, 0.0

    def add(self, x):
        """Add a path's outcome."""
        self.count += 1
        self.sum += x
        self.square += x * x


def kyle_loop(numbers, num_paths):
    """Play one auction after the other; exact signals, one insider."""
    value_std, noise_std = numbers["value_std"], numbers["noise_std"]
    price_impact, intensity = numbers["price_impact"], numbers["intensity"]
    outcomes = [Running() for _ in range(13)]
    for _ in range(num_paths):
        value = random.gauss(0.0, value_std)
        noise = random.gauss(0.0, noise_std)
        order = intensity * value
        flow = order + noise
        price = price_impact * flow
        found = [
            value,
            flow,
            value - price,
            value - price_impact * noise,
            value**2,
            order * (value - price),
            flow * (value - price),
            noise * (value - price),
        ]
        for factor in (0.5, 0.8, 1.0, 1.25, 1.5):
            deviation = factor * order
            price = price_impact * (deviation + noise)
            found.append(deviation * (value - price))
        for outcome, x in zip(outcomes, found, strict=True):
            outcome.add(x)
    return outcomes


def sequential_loop(numbers, num_paths):
    """Play one sequence of auctions after the other."""
    insiders, value_std = numbers["num_insiders"], numbers["value_std"]
    shares, price_impacts = numbers["shares"], numbers["price_impacts"]
    noise_stds = numbers["noise_stds"]
    auctions = range(len(shares))
    outcomes = [[Running() for _ in range(7)] for _ in auctions]
    totals = Running()
    for _ in range(num_paths):
        value = random.gauss(0.0, value_std)
        price, total = 0.0, 0.0
        for auction in auctions:
            order = shares[auction] / price_impacts[auction] * (value - price)
            noise = random.gauss(0.0, noise_stds[auction])
            move = price_impacts[auction] * (insiders * order + noise)
            before, price = price, price + move
            found = (
                (value - price) ** 2,
                move,
                move**2,
                move * (value - before),
                order * (value - price),
                (insiders * order + noise) * (value - price),
                noise * (value - price),
            )
            for outcome, x in zip(outcomes[auction], found, strict=True):
                outcome.add(x)
            total += insiders * order * (value - price)
        totals.add(total)
    return totals


def execution_loop(numbers, num_paths):
    """Execute a plan on one price path after the other."""
    trades = [float(x) for x in numbers["trades"]]
    tau = numbers["horizon"] / len(trades)
    std = numbers["volatility"] * math.sqrt(tau)
    outcome = Running()
    for _ in range(num_paths):
        price, shortfall = 0.0, 0.0
        for trade in trades:
            concession = numbers["fixed_cost"] + numbers["temporary_impact"] * (
                abs(trade) / tau
            )
            fill = price - math.copysign(concession, trade)
            shortfall -= trade * fill
            price += random.gauss(0.0, std) - numbers["permanent_impact"] * trade
        outcome.add(shortfall)
    return outcome

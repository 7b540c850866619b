"""Fits of PIN a second, in batch, against frds (or a SciPy loop) on the same days.

Both search from the same grid of starts and keep the best. The baseline runs in the
same process, one fit after the other, each on one core; the batch runs on `--cores`.
The bound is what the exponentials of the steps taken would cost at the speed this
machine was measured to have.
"""

import contextlib
import io
import time
import warnings

from measuring import bounds, once, read_arguments, row, timed, write_record

ARGUMENTS = read_arguments(__doc__.splitlines()[0], one_thread=True)

import jax
import numpy as np
from pin_baseline import fit_by_scipy, log_likelihood

import gtrade
from gtrade.calibration.pin_fit import PinDays, PinLikelihood
from gtrade.solution import is_success

# alpha, delta, e_b, e_s, mu, and days.
MARKETS = {
    "quiet": ((0.4, 0.3, 250, 220, 130), 60),
    "faint": ((0.2, 0.5, 250, 220, 60), 60),
    "busy": ((0.4, 0.3, 1e5, 9e4, 2e4), 60),
    "year": ((0.3, 0.5, 1e4, 1e4, 700), 250),
}
BATCH, BASELINE_FITS = 512, 2
EXPONENTIALS = 2  # a day and step


def draw(rng, numbers, num_days, count):
    """Return counts of buys and sells, shape (count, days)."""
    alpha, delta, buy, sell, informed = numbers
    kind = rng.random((count, num_days))
    is_bad, is_good = kind < alpha * delta, (kind >= alpha * delta) & (kind < alpha)
    buys = rng.poisson(buy + informed * is_good)
    return buys, rng.poisson(sell + informed * is_bad)


def baseline():
    """Return the name of the peer, and its fit: numbers, or NaN where it fails."""
    silence = contextlib.redirect_stderr(io.StringIO())
    with warnings.catch_warnings(), silence:
        warnings.simplefilter("ignore")
        try:
            from frds.measures import PIN
        except ImportError:
            return "SciPy L-BFGS-B", fit_by_scipy

    def fit(buys, sells):
        found = PIN(buys, sells).estimate("LK2011")
        names = ("alpha", "delta", "epsilon_b", "epsilon_s", "mu")
        return np.array([getattr(found, name) for name in names])

    return "frds LK2011", fit


def measure(name, numbers, num_days, batch, peers, arguments):
    """Return rows of one market: the batch, and the peer."""
    rng = np.random.default_rng(17)
    buys, sells = draw(rng, numbers, num_days, batch)
    weights = np.ones(buys.shape)
    with jax.enable_x64(True):
        days = gtrade.make_batch(PinDays, buys=buys, sells=sells, weights=weights)
        solver = PinLikelihood()
        solution, first, later = timed(
            lambda: gtrade.solve_batch(days, solver), arguments.repeats
        )
    values = np.asarray(solution.value.fit.values)
    looks = int(np.asarray(solution.num_steps).sum())
    own = row(
        f"gtrade PinLikelihood, {name}", "float64", batch, arguments.cores, first, later
    )
    own |= {
        "fits_per_s": batch / own["run_s"],
        "ms_per_fit": 1e3 * own["run_s"] / batch,
        "core_ms_per_fit": 1e3 * own["run_s"] / batch * arguments.cores,
        "steps_per_fit": looks / batch,
        "exponentials": EXPONENTIALS * looks * num_days,
        "without_answer": int((~is_success(solution.status)).sum()),
    }
    what, fit = peers
    count = min(BASELINE_FITS, batch)
    theirs, first, later = once(
        lambda: [fit(buys[lane], sells[lane]) for lane in range(count)]
    )
    other = row(f"{what}, {name}", "float64", 1, 1, first, later)
    seconds = other["run_s"] / count
    gaps = [
        log_likelihood(values[lane], buys[lane], sells[lane])
        - log_likelihood(theirs[lane], buys[lane], sells[lane])
        for lane in range(count)
    ]
    other |= {
        "fits": count,
        "fits_per_s": 1 / seconds,
        "ms_per_fit": 1e3 * seconds,
        "core_ms_per_fit": 1e3 * seconds,
        "log_likelihood_ours_less_theirs": [float(x) for x in gaps],
    }
    own["times_as_fast_per_core"] = other["core_ms_per_fit"] / own["core_ms_per_fit"]
    return [own, other]


def main():
    """Measure, print, and write what was asked for."""
    arguments = ARGUMENTS
    markets = dict(list(MARKETS.items())[:1]) if arguments.smoke else MARKETS
    batch = 16 if arguments.smoke else BATCH
    peers = baseline()
    start = time.perf_counter()
    rows = []
    for name, (numbers, num_days) in markets.items():
        rows += measure(name, numbers, num_days, batch, peers, arguments)
    with jax.enable_x64(True):
        best = bounds(arguments.cores, "float64")
    for x in rows:
        if "exponentials" in x:
            least = x["exponentials"] / best["exponentials_per_s"]
            x["share_of_bound"] = least / x["run_s"]
        print(
            f"{x['what']:34} {x['fits_per_s']:9.1f} fits/s"
            f" {x['core_ms_per_fit']:9.2f} core-ms a fit",
            f"{x['times_as_fast_per_core']:6.0f} x"
            f", {100 * x['share_of_bound']:.0f} % of the bound"
            if "share_of_bound" in x
            else f"  gaps {x['log_likelihood_ours_less_theirs']}",
        )
    seconds = time.perf_counter() - start
    write_record(arguments, rows, bounds={"float64": best}, seconds=seconds)


if __name__ == "__main__":
    main()

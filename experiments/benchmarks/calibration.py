"""Times fits of Kyle's lambda: many series at once, and resamples of one.

Against a loop of NumPy over the fits, by sums of products as a careful user would write
it, and one of statsmodels where that is installed, on fewer fits and scaled up. All are
held to the same estimates and the same errors.

    python calibration.py --cores 1 --out results/NAME.json
"""

import time

import numpy as np
from measuring import once, read_arguments, row, timed, write_record

BARS, FITS, BLOCK = 2340, 10_000, 10
# Fits of a loop that are timed; the rest would take as long again.
NUMPY_FITS, STATSMODELS_FITS = 10_000, 200
PARTS = ("series", "bootstrap", "blocks")


def main():
    """Measure, print and write what was asked for."""
    arguments = read_arguments(__doc__.splitlines()[0], PARTS, one_thread=True)
    num_fits = 300 if arguments.smoke else FITS
    rng = np.random.default_rng(1)
    rows = []
    for part in arguments.parts:
        if part == "series":
            rows += series(rng, num_fits, arguments)
        else:
            length = 1 if part == "bootstrap" else BLOCK
            rows += resamples(rng, num_fits, length, arguments)
    for one in rows:
        print(f"{one['what']:34s} {one['batch']:6d} fits {one['run_s']:9.4f} s")
    write_record(arguments, rows, bars=BARS)


def market(rng, *shape):
    """Draw flow, and mid changes with more noise where there is more flow."""
    flow = (300 * rng.standard_t(5, size=shape)).astype(np.float32)
    noise = rng.normal(size=shape) * (0.5 + np.abs(flow) / 600)
    return (8e-5 * flow + 0.02 * noise).astype(np.float32), flow


def series(rng, num_fits, arguments):
    """Fit every series with robust errors."""
    import jax

    from gtrade.calibration.linear import OrdinaryLeastSquares
    from gtrade.calibration.linear_impact import LinearImpact
    from gtrade.problems.base import make_batch
    from gtrade.solving import LaneProgram

    changes, flow = market(rng, num_fits, BARS)
    problems = make_batch(
        LinearImpact,
        price_changes=changes,
        signed_volume=flow,
        weights=np.ones_like(flow),
    )
    solver = OrdinaryLeastSquares()
    program = LaneProgram(solver.solve, cpu_block=solver.cpu_block)
    width = num_fits - num_fits % program.num_devices
    problems = jax.tree.map(lambda x: x[:width], problems)
    solution, first, later = timed(lambda: program(problems), arguments.repeats)
    errors = np.array(solution.value.standard_error[:, 0])
    found = np.array(solution.value.values[:, 0]), errors
    rows = [row("series", "float32", width, program.num_devices, first, later)]
    for name, fit, limit in (
        ("numpy", numpy_fit, NUMPY_FITS),
        ("statsmodels", statsmodels_fit(), STATSMODELS_FITS),
    ):
        if fit is None:
            continue
        count = min(limit, width)
        answers, seconds = loop(fit, zip(changes[:count], flow[:count], strict=True))
        for mine, theirs in zip(found, answers.T, strict=True):
            np.testing.assert_allclose(mine[:count], theirs, rtol=2e-3)
        rows.append(
            row(f"series, {name}", "float64", count, 1, seconds, [seconds])
            | {"seconds_per_fit": seconds / count}
        )
    return rows


def resamples(rng, num_fits, block_length, arguments):
    """Fit resamples of one series."""
    import equinox as eqx
    import jax

    from gtrade.calibration.linear import resampled_estimates
    from gtrade.calibration.linear_impact import LinearImpact

    changes, flow = market(rng, BARS)
    problem = LinearImpact(changes, flow, np.ones_like(flow))
    program = eqx.filter_jit(resampled_estimates)
    key = jax.random.key(1)
    found, first, later = timed(
        lambda: program(problem, key, num_fits, block_length), arguments.repeats
    )
    what = f"resamples, blocks of {block_length}"
    rows = [row(what, "float32", num_fits, 1, first, later)]
    spread = float(np.std(np.array(found[:, 0])))
    for name, fit, limit in (
        ("numpy", numpy_slope, NUMPY_FITS),
        ("statsmodels", statsmodels_fit(), STATSMODELS_FITS),
    ):
        if fit is None:
            continue
        count = min(limit, num_fits)
        drawn = draws(rng, changes, flow, count, block_length)
        answers, seconds = loop(fit, drawn)
        theirs = np.std(answers[:, 0])
        assert abs(theirs / spread - 1) < 5 / np.sqrt(2 * count), (theirs, spread)
        rows.append(
            row(f"{what}, {name}", "float64", count, 1, seconds, [seconds])
            | {"seconds_per_fit": seconds / count}
        )
    return rows


def draws(rng, changes, flow, count, block_length):
    """Yield resamples by circular blocks."""
    changes, flow = changes.astype(float), flow.astype(float)
    offsets = np.arange(block_length)
    for _ in range(count):
        starts = rng.integers(0, BARS, -(-BARS // block_length))
        places = ((starts[:, None] + offsets) % BARS).ravel()[:BARS]
        yield changes[places], flow[places]


def loop(fit, pairs):
    """Return answers, and the seconds of a loop over fits."""
    answers, seconds, _ = once(lambda: np.array([fit(y, x) for y, x in pairs]))
    return answers, seconds


def numpy_slope(changes, flow):
    """Return the slope of a line with intercept."""
    x = flow - flow.mean()
    return (np.dot(x, changes) / np.dot(x, x),)


def numpy_fit(changes, flow):
    """Return the slope and its robust error."""
    x, y = flow.astype(float), changes.astype(float)
    x, y = x - x.mean(), y - y.mean()
    squares = np.dot(x, x)
    slope = np.dot(x, y) / squares
    scores = x * (y - slope * x)
    return slope, np.sqrt(np.dot(scores, scores)) / squares


def statsmodels_fit():
    """Return a function of changes and flow, None where it is not installed."""
    try:
        import statsmodels.api as sm
    except ImportError:
        return None

    def fit(changes, flow):
        design = sm.add_constant(flow.astype(float))
        found = sm.OLS(changes.astype(float), design).fit(cov_type="HC0")
        return found.params[1], found.bse[1]

    return fit


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s in all")

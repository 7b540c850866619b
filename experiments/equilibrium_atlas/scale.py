"""How long double oracle takes on games of real size, and how exact its answers are."""

import math
import time

from atlas import MAX_SUPPORT, read_arguments, write

TARGET = 10_000  # shares, of both players
HORIZONS = (5, 20, 78, 390)  # 78 steps are five minutes of a trading day, 390 one
KAPPAS = (0.2, 1.0, 1.9, 2.5, 5.0)
MAX_STEPS = 500  # from one start


def main(argv=None):
    """Solve one game at a time, compiled before the clock starts."""
    arguments = read_arguments(__doc__, argv)
    from gtrade.cli.environment import prepare_environment

    prepare_environment()
    import jax

    import gtrade

    target, horizons, kappas = TARGET, HORIZONS, KAPPAS
    solver = gtrade.DoubleOracle(max_steps=MAX_STEPS)
    if arguments.is_smoke:
        target, horizons, kappas = 100, (5,), (1.0, 5.0)
        solver = gtrade.DoubleOracle(max_steps=MAX_STEPS, max_support=MAX_SUPPORT)
    with jax.enable_x64(True):
        rows = measure(target, horizons, kappas, solver)
    note = (
        f"Two players, {target} shares each. One solve each, on"
        f" {'the GPU' if jax.default_backend() == 'gpu' else 'one CPU core'},"
        " compilation not counted. `exploitability`: largest gain from a deviation,"
        " relative to a player's cost, recomputed from the answer. `steps`: best"
        f" responses from all starts, at most {MAX_STEPS} from one."
    )
    formats = dict.fromkeys(
        ("horizon", "theta", "steps", "support_1", "support_2"), "d"
    )
    formats |= {
        "kappa": "g",
        "seconds": ".2g",
        "exploitability": ".1e",
        "cost_1": ".4g",
    }
    write(arguments, "atlas_scale", rows=rows, formats=formats, note=note)


def measure(target, horizons, kappas, solver):
    """Return a row for every game, timed after compilation."""
    import jax

    import gtrade

    rows = []
    for horizon in horizons:
        # Room for eight times the even schedule, in both directions.
        limit = math.ceil(8 * target / horizon)
        games = [
            gtrade.TradingGame(
                horizon=horizon,
                targets=[target, target],
                min_trade=-limit,
                max_trade=limit,
                permanent_impact=kappa,
            )
            for kappa in kappas
        ]
        jax.block_until_ready(gtrade.solve(games[0], solver).status)  # compiles
        for kappa, game in zip(kappas, games, strict=True):
            started = time.perf_counter()
            solution = gtrade.solve(game, solver)
            jax.block_until_ready(solution.status)
            seconds = time.perf_counter() - started
            columns = gtrade.verify(game, solution)
            values = [float(x) for x in columns["values"]]
            rows.append(
                {
                    "horizon": horizon,
                    "theta": limit,
                    "kappa": kappa,
                    "status": str(gtrade.status_names(solution.status)),
                    "seconds": seconds,
                    "steps": int(solution.num_steps),
                    "support_1": int(columns["support_size"][0]),
                    "support_2": int(columns["support_size"][1]),
                    "exploitability": float(columns["exploitability"])
                    / max(map(abs, values)),
                    "cost_1": values[0],
                }
            )
            print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    main()

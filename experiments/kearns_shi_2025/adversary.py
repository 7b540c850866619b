"""Both learners against an adversary, beside the regret bounds that are proved."""

import numpy as np
from experiment import read_arguments, write

HORIZON, TARGETS, LIMIT = 5, (10, 10), 5
KAPPAS = (1.0, 5.0)
ROUNDS = (250, 1000, 4000, 16000)
RUNS = 8
# Name, perturbation, noise.
LEARNERS = (
    ("KS25, theory noise", "full", "theory"),
    ("composite, theory noise", "linear", "theory"),
    ("KS25, η = 50", "full", 50.0),
    ("composite, η = 5", "linear", 5.0),
)


def main(argv=None):
    arguments = read_arguments(__doc__, argv)
    from gtrade.cli.environment import prepare_environment

    prepare_environment()
    from gtrade.plotting.trading import bound_check

    rounds = (20, 40) if arguments.is_smoke else ROUNDS
    runs = 2 if arguments.is_smoke else RUNS
    rows = [
        measure(kappa, num_rounds, runs, *learner)
        for kappa in KAPPAS
        for learner in LEARNERS
        for num_rounds in rounds
    ]
    series, bounds = {}, {}
    for kappa in KAPPAS:
        panel = f"κ = {kappa:g}"
        series[panel], bounds[panel] = {}, {}
        for name, _, noise in LEARNERS:
            own = [r for r in rows if (r["kappa"], r["learner"]) == (kappa, name)]
            mean, error, bound = (
                np.array([row[key] for row in own])
                for key in ("regret", "regret_se", "bound")
            )
            series[panel][name] = mean, error
            if noise == "theory":
                bounds[panel][name] = bound
    proved = [row for row in rows if row["noise_rule"] == "theory"]
    closest = max(row["regret"] / row["bound"] for row in proved)
    title = (
        f"Against an adversary, theory noise keeps regret below {closest:.0%} of its"
        " bound; the small noise of self-play guarantees nothing"
    )
    figure = bound_check(np.array(rounds), series, bounds, title=title)
    note = (
        f"Mean ± standard error over {runs} runs. The adversary knows the mean of the"
        " learner's next schedule and makes it as dear as it can."
    )
    formats = {"kappa": "g", "rounds": "d", "noise": ".0f"}
    write(
        arguments,
        "adversary",
        rows=rows,
        figure=figure,
        note=note,
        formats=formats,
    )


def measure(kappa, num_rounds, runs, name, perturbation, noise):
    """Return regret and bound of one learner against the adversary."""
    import gtrade
    import jax
    from gtrade.solvers.regret_bounds import regret_bound
    from gtrade.solvers.self_play import Punisher
    from gtrade.verification import external_regret

    numbers = {
        "targets": TARGETS,
        "horizon": HORIZON,
        "min_trade": -LIMIT,
        "max_trade": LIMIT,
    }
    game = gtrade.TradingGame(permanent_impact=kappa, **numbers)
    learner = gtrade.FTPL(
        noise=noise, num_rounds=num_rounds, perturbation=perturbation
    ).prepare(game)
    opponent = Punisher(game.targets[1])
    play = jax.jit(
        jax.vmap(
            lambda key: gtrade.face(
                learner, opponent, game, num_rounds=num_rounds, key=key
            ).schedules
        )
    )
    schedules = np.asarray(play(jax.random.split(jax.random.key(0), runs)))
    with jax.enable_x64(True):
        exact = gtrade.TradingGame(permanent_impact=kappa, **numbers)
        regret = jax.jit(jax.vmap(lambda s: external_regret(exact, s)[0]))(schedules)
    regret = np.asarray(regret)
    level = learner.noise_level(game)
    bound = regret_bound(game, level, num_rounds=num_rounds, perturbation=perturbation)
    return {
        "kappa": kappa,
        "learner": name,
        "noise_rule": "theory" if noise == "theory" else "fixed",
        "rounds": num_rounds,
        "noise": float(level),
        "regret": float(regret.mean()),
        "regret_se": float(regret.std(ddof=1) / np.sqrt(runs)),
        "bound": float(bound),
    }


if __name__ == "__main__":
    main()

"""Both learners against an adversary, beside the regret bounds that are proved."""

import math

import numpy as np
from experiment import SMOKE_GAME, read_arguments, write

GAME = {"horizon": 5, "targets": [10, 10], "min_trade": -5, "max_trade": 5}
KAPPAS = (1.0, 5.0)
ROUNDS = (250, 1000, 4000, 16000)
RUNS = 32
# By kind of perturbation: a learner's name with the noise that suits any opponent, and
# with the smaller noise that suits self-play.
LEARNERS = {
    "full": ("KS25, theory noise", "KS25, η = 50", 50.0),
    "linear": ("composite, theory noise", "composite, η = 5", 5.0),
}


def main(argv=None):
    """Measure every learner at every length of play, beside its bound."""
    arguments = read_arguments(__doc__, argv)
    from gtrade.cli.environment import prepare_environment

    prepare_environment()
    from gtrade.plotting.learners import bound_check

    rounds = (40,) if arguments.is_smoke else ROUNDS
    runs = 2 if arguments.is_smoke else RUNS
    game = SMOKE_GAME if arguments.is_smoke else GAME
    rows = [
        row
        for perturbation in LEARNERS
        for num_rounds in rounds
        for row in measure(perturbation, num_rounds, runs, game)
    ]
    names = [name for *pair, _ in LEARNERS.values() for name in pair]
    rows.sort(key=lambda r: (r["kappa"], names.index(r["learner"]), r["rounds"]))
    series, bounds = {}, {}
    for row in rows:
        panel, name = f"κ = {row['kappa']:g}", row["learner"]
        line = series.setdefault(panel, {}).setdefault(name, [])
        line.append((row["regret"], row["regret_se"]))
        if "theory" in name:
            bounds.setdefault(panel, {}).setdefault(name, []).append(row["bound"])
    figure = bound_check(
        np.array(rounds),
        {p: {n: np.array(v).T for n, v in by.items()} for p, by in series.items()},
        bounds,
        title=finding(rows, rounds[-1]),
    )
    note = (
        f"Mean ± standard error over {runs} runs. The adversary knows the mean of the"
        " learner's next schedule and makes it as dear as it can."
    )
    write(
        arguments,
        "adversary",
        rows=rows,
        figure=figure,
        note=note,
        formats={"kappa": "g", "rounds": "d", "noise": ".0f"},
    )


def finding(rows, longest):
    """Say how close theory noise comes to its bound, and what small noise risks."""
    theory = [row for row in rows if "theory" in row["learner"]]
    closest = max(row["regret"] / row["bound"] for row in theory)
    last = [row for row in rows if row["rounds"] == longest]
    worst = max(last, key=lambda row: row["regret"])
    return (
        f"Against an adversary theory noise keeps regret within {closest:.0%} of its"
        f" bound; {worst['learner']} still pays {worst['regret']:.2g} a round after"
        f" {longest} rounds at κ = {worst['kappa']:g}"
    )


def measure(perturbation, num_rounds, runs, numbers):
    """Return regret and bound of a learner, by kappa and level of noise."""
    import jax

    import gtrade
    from gtrade.solvers.regret_bounds import regret_bound, theory_noise
    from gtrade.solvers.self_play import Punisher
    from gtrade.solving import LaneProgram
    from gtrade.verification import external_regret

    with_theory, with_little, little = LEARNERS[perturbation]
    rule = {"num_rounds": num_rounds, "perturbation": perturbation}
    cases = []
    for kappa in KAPPAS:
        game = gtrade.TradingGame(permanent_impact=kappa, **numbers)
        for name, noise in (
            (with_theory, float(theory_noise(game, **rule))),
            (with_little, little),
        ):
            bound = float(regret_bound(game, noise, **rule))
            cases.append((kappa, name, noise, bound))
    columns = [np.repeat([case[i] for case in cases], runs) for i in (0, 2)]
    games = gtrade.make_batch(
        gtrade.TradingGame, permanent_impact=columns[0], **numbers
    )
    learners = gtrade.make_batch(gtrade.FTPL, noise=columns[1], **rule).prepare(games)

    def play(game, learner, key):
        opponent = Punisher(game.targets[1])
        return gtrade.face(learner, opponent, game, num_rounds=num_rounds, key=key)

    program = LaneProgram(
        play,
        num_devices=math.gcd(len(columns[0]), jax.local_device_count()),
        cpu_compiler_options=learners.cpu_compiler_options(games),
    )
    keys = jax.random.split(jax.random.key(0), len(columns[0]))
    schedules = np.asarray(program(games, learners, keys).schedules)
    with jax.enable_x64(True):
        exact = gtrade.make_batch(
            gtrade.TradingGame, permanent_impact=columns[0], **numbers
        )
        # The learner is player 0.
        verify = LaneProgram(lambda g, s: external_regret(g, s)[0], num_devices=1)
        regret = np.asarray(verify(exact, schedules)).reshape(len(cases), runs)
    return [
        {
            "kappa": kappa,
            "learner": name,
            "rounds": num_rounds,
            "noise": noise,
            "regret": float(own.mean()),
            "regret_se": float(own.std(ddof=1) / np.sqrt(runs)),
            "bound": bound,
        }
        for (kappa, name, noise, bound), own in zip(cases, regret, strict=True)
    ]


if __name__ == "__main__":
    main()

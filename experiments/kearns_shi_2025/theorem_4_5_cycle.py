"""Theorem 4.5: best-response dynamics cycle at kappa = 1."""

import numpy as np
from experiment import read_arguments, write

HORIZON, TARGET, KAPPA = 5, 5, 1.0
LIMIT = 20  # never binds
# The paper's second player moves first, so its players are listed in reverse.
START = ((1, 1, 1, 1, 1), (2, 2, 1, 0, 0))


def main(argv=None):
    """Follow the dynamics move by move until they cycle."""
    arguments = read_arguments(__doc__, argv)
    import gtrade
    from gtrade.plotting.play import cycle

    game = gtrade.TradingGame(
        targets=[TARGET, TARGET],
        permanent_impact=KAPPA,
        horizon=HORIZON,
        min_trade=-LIMIT,
        max_trade=LIMIT,
    )
    solver = gtrade.BestResponseDynamics(start=START, max_rounds=20)
    solution = gtrade.solve(game, solver)
    status = gtrade.status_names(solution.status)
    path, rounds = solution.value, int(solution.num_steps)
    # Within a round player 0 moves before player 1.
    moves = []
    for before, after in zip(path.profiles[:rounds], path.profiles[1:], strict=False):
        for player in (0, 1):
            new = before.at[player].set(after[player])
            if (new != before).any():
                costs = [float(game.costs(p)[player]) for p in (before, new)]
                moves.append((player, np.asarray(before), np.asarray(new), *costs))
            before = new
    length = count_moves(moves)
    rows = [
        {
            "move": n + 1,
            "player_in_paper": 2 - player,
            "from": flow_text(before[player]),
            "to": flow_text(after[player]),
            "against": flow_text(before[1 - player]),
            "cost_before": cost_before,
            "cost_after": cost_after,
        }
        for n, (player, before, after, cost_before, cost_after) in enumerate(moves)
    ][: length + 1]
    # The figure shows one turn of the cycle, players numbered as in the paper.
    turn = moves[1 : length + 1]
    profiles = np.stack([turn[0][1], *(move[2] for move in turn)])[:, ::-1]
    figure = cycle(
        profiles,
        [1 - move[0] for move in turn],
        [move[3] for move in turn],
        [move[4] for move in turn],
        title=(
            f"Best responses chase one another for ever: {length} moves, each an"
            f" improvement, lead back to the start (κ = {KAPPA:g})"
        ),
    )
    note = (
        f"Status `{status}` after {rounds} rounds; the profile after round"
        f" {int(path.cycle_start)} recurs {int(path.cycle_length)} rounds later. Moves"
        f" 2 to {length + 1} are the cycle; move 1 leads into it."
    )
    formats = {
        "cost_before": "g",
        "cost_after": "g",
        "move": "d",
        "player_in_paper": "d",
    }
    write(
        arguments,
        "theorem_4_5_cycle",
        rows=rows,
        figure=figure,
        note=note,
        formats=formats,
    )


def count_moves(moves):
    """Return after how many moves the profile after the first one recurs."""
    first = moves[0][2]
    for n, move in enumerate(moves[1:], start=1):
        if (move[2] == first).all():
            return n
    raise SystemExit("the dynamics did not cycle")


def flow_text(flow):
    """Write a flow as the paper does."""
    return "(" + ", ".join(str(int(x)) for x in flow) + ")"


if __name__ == "__main__":
    main()

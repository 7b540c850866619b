"""Figures of schedules and of histories of play."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gtrade.plotting import style

_OTHERS = "#C9C9C9"


def responses(
    opponents: Mapping[str, np.ndarray],
    answers: Mapping[str, Mapping[str, np.ndarray]],
    *,
    title: str,
) -> Figure:
    """Draw positions over time: opponents, one a panel, and the answers to each.

    Args:
        opponents: flows by name, each of shape (horizon,).
        answers: by opponent, flows by label, each of shape (horizon,).
        title: the finding.
    """
    with style.style():
        figure, panels = style.new_figure(
            1, len(opponents), width=2.3 * len(opponents) + 0.9, height=3.0,
            title=title, squeeze=False, sharey=True,
        )  # fmt: skip
        for panel, (name, opponent) in zip(panels[0], opponents.items(), strict=True):
            colours = style.colours_for(len(answers[name]))
            position = _position(opponent)
            time = np.arange(len(position))
            panel.axhline(0, color=style.GREY, linewidth=0.7)
            panel.plot(time, position, color=style.GREY, linestyle="--")
            ends = {}
            for place, (label, flow) in enumerate(answers[name].items()):
                # Lines that coincide stay visible beside one another.
                shift = 0.035 * (place - (len(answers[name]) - 1) / 2)
                held = _position(flow)
                panel.plot(time + shift, held, color=colours[place], marker="o")
                ends[label] = colours[place]
            panel.set_title(name)
            panel.set_xticks(time)
            panel.set_xlabel("after step")
            if panel is panels[0][-1]:
                labels = [(time[-1], held[-1], k, c) for k, c in ends.items()]
                labels.append((time[-1], position[-1], "opponent", style.GREY))
        panels[0][0].set_ylabel("position (shares)")
        style.label_ends(panels[0][-1], labels)
    return figure


def actions(
    histories: Mapping[str, np.ndarray], *, num_shown: int = 4, window: int = 100
) -> Figure:
    """Draw which schedules are played how often, and the positions they build.

    Args:
        histories: flows by name, one run each, shape (rounds, players, horizon).
        num_shown: schedules told apart in each history.
        window: rounds that a frequency is taken over.
    """
    tops = [max(_frequencies(h[len(h) // 2 :, 0])[1]) for h in histories.values()]
    settled = [name for name, top in zip(histories, tops, strict=True) if top >= 0.9]
    mixed = [name for name, top in zip(histories, tops, strict=True) if top < 0.5]
    title = "Frequency of the schedules played"
    if settled:
        title = f"Play settles on one schedule at {_join(settled)}"
    if settled and mixed:
        title += f" and keeps moving at {_join(mixed)}"
    num = len(histories)
    with style.style():
        players = next(iter(histories.values())).shape[1]
        figure, panels = style.new_figure(
            1 + players, num, width=1.95 * num + 0.6, height=1.75 * (1 + players) + 0.6,
            title=title, squeeze=False, sharey="row",
        )  # fmt: skip
        for column, (name, history) in enumerate(histories.items()):
            last = history[len(history) // 2 :]
            chosen, _ = _frequencies(last.reshape(-1, last.shape[-1]))
            chosen = chosen[:num_shown]
            _draw_positions(panels[0][column], chosen, last)
            panels[0][column].set_title(name)
            for player in range(players):
                panel = panels[1 + player][column]
                _draw_shares(panel, history[:, player], chosen, window)
                panel.set_xlabel("round" if player == players - 1 else "")
                if player < players - 1:
                    panel.tick_params(labelbottom=False)
            _name_schedules(panels[1][column], chosen)
        panels[0][0].set_ylabel("position (shares)")
        panels[0][0].annotate(
            "dashed: mean", (0.05, 0.9), xycoords="axes fraction", fontsize=7.5,
        )  # fmt: skip
        for player in range(players):
            panels[1 + player][0].set_ylabel(f"player {player + 1}: share (%)")
    return figure


def cycle(
    profiles: np.ndarray,
    movers: Sequence[int],
    before: Sequence[float],
    after: Sequence[float],
    *,
    title: str,
) -> Figure:
    """Draw a cycle of best responses: every move, what it changes and what it saves.

    Args:
        profiles: flows before the first and after each move, shape (moves + 1, players,
            horizon).
        movers: who moves.
        before: cost of the mover before the move.
        after: its cost after it.
        title: the finding.
    """
    moves, (_, players, horizon) = len(movers), profiles.shape
    steps = np.arange(1, horizon + 1)
    with style.style():
        figure, panels = style.new_figure(
            players, moves, width=1.35 * moves + 0.8, height=1.35 * players + 1.1,
            title=title, squeeze=False, sharex=True, sharey=True,
        )  # fmt: skip
        for move in range(moves):
            for player in range(players):
                panel = panels[player][move]
                colour = style.PALETTE[player]
                is_mover = movers[move] == player
                new = profiles[move + 1, player]
                panel.bar(steps, new, width=0.7, color=colour if is_mover else _OTHERS)
                for step, flow in zip(steps, new, strict=True):
                    panel.annotate(
                        str(flow), (step, flow), xytext=(0, 2), ha="center",
                        textcoords="offset points", fontsize=7, color=style.INK,
                    )  # fmt: skip
                if is_mover:
                    old = profiles[move, player]
                    edges = np.arange(horizon + 1) + 0.5
                    panel.stairs(old, edges, color=style.INK, linestyle=":")
                panel.set_xticks(steps)
                panel.grid(False)
            saved = f"{before[move]:g} → {after[move]:g}"
            panels[0][move].set_title(
                f"move {move + 1}: player {movers[move] + 1}\ncost {saved}",
                color=style.PALETTE[movers[move]], fontsize=8,
            )  # fmt: skip
            panels[-1][move].set_xlabel("step")
        for player in range(players):
            panels[player][0].set_ylabel(f"player {player + 1}\nflow (shares)")
            panels[player][0].set_ylim(0, profiles.max() * 1.25)
        figure.supxlabel(
            "in colour: who moves; dotted: its schedule before", fontsize=8
        )
    return figure


def _position(flow: np.ndarray) -> np.ndarray:
    """Return holdings at the start and after each step."""
    return np.concatenate([[0], np.cumsum(flow)])


def _frequencies(schedules: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct schedules, most frequent first, and their shares."""
    distinct, count = np.unique(schedules, axis=0, return_counts=True)
    order = np.argsort(-count, kind="stable")
    return distinct[order], count[order] / len(schedules)


def _draw_positions(axes: Axes, chosen: np.ndarray, history: np.ndarray) -> None:
    held = np.cumsum(history.mean(axis=(0, 1)))
    axes.axhline(0, color=style.GREY, linewidth=0.7)
    for schedule, colour in [*zip(chosen, style.PALETTE, strict=False)][::-1]:
        axes.plot(_position(schedule), color=colour, linewidth=1.2)
    axes.plot(np.concatenate([[0], held]), color=style.INK, linestyle="--")
    axes.set_xticks(np.arange(history.shape[-1] + 1))
    axes.set_xlabel("after step")


def _draw_shares(
    axes: Axes, schedules: np.ndarray, chosen: np.ndarray, window: int
) -> None:
    rounds = len(schedules) // window * window
    is_played = (schedules[:rounds, None] == chosen).all(axis=-1)  # (rounds, chosen)
    blocks = is_played.reshape(-1, window, len(chosen)).mean(axis=1)
    shares = 100 * np.concatenate([blocks, 1 - blocks.sum(axis=1, keepdims=True)], 1)
    colours = [*style.PALETTE[: len(chosen)], _OTHERS]
    edges = np.arange(len(shares) + 1) * window
    below = np.zeros(len(shares))
    for share, colour in zip(shares.T, colours, strict=True):
        axes.stairs(below + share, edges, baseline=below, fill=True, color=colour)
        below = below + share
    axes.set_ylim(0, 100)
    axes.set_xlim(0, rounds)
    axes.grid(False)


def _name_schedules(axes: Axes, chosen: np.ndarray) -> None:
    """Write the schedules, in their colours, above a panel."""
    names = [
        "(" + ", ".join(str(x).replace("-", "−") for x in schedule) + ")"
        for schedule in chosen
    ]
    named = [*zip(names, style.PALETTE, strict=False), ("others", style.GREY)]
    for place, (text, colour) in enumerate(named[::-1]):
        axes.annotate(
            text, (0, 1), xycoords="axes fraction", xytext=(0, 3 + 8.5 * place),
            textcoords="offset points", fontsize=7, color=colour,
        )  # fmt: skip


def _join(names: Sequence[str]) -> str:
    """Join names that begin alike: "κ = 0", "κ = 1" give "κ = 0, 1"."""
    head, _, _ = names[0].rpartition(" ")
    if head and all(name.startswith(head + " ") for name in names):
        return f"{head} " + ", ".join(name[len(head) + 1 :] for name in names)
    return ", ".join(names)

"""The kernel of `pallas_ftpl.py`: all rounds of FTPL's self-play for a block of games.

Draws are those of `gtrade.FTPL(perturbation="full")` bit for bit, and the arithmetic is
that of `gtrade.responses.dynamic_programming`, operation for operation.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gtrade._arrays import smallest_int_dtype
from gtrade.numerics.lanes import fenced
from gtrade.numerics.threefry import threefry
from gtrade.responses.dynamic_programming import _WORD_BITS, _windows


class Shape(NamedTuple):
    """What a kernel is compiled for.

    Attributes:
        num_rounds: rounds of play.
        horizon: steps of a schedule.
        limits: fewest and most shares of a step.
        target_ranges: smallest and largest target of each player over the batch.
        block: games that run together, a power of two.
        backend: what compiles it, one of "triton", "mosaic" and, for checks on any
            device, "interpret" (XLA).
    """

    num_rounds: int
    horizon: int
    limits: tuple[int, int]
    target_ranges: tuple[tuple[int, int], ...]
    block: int
    backend: str

    @property
    def num_players(self) -> int:
        """Number of players n."""
        return len(self.target_ranges)

    @property
    def dtype(self) -> Any:
        """The dtype of the history, the narrowest that holds the limits."""
        return smallest_int_dtype(*self.limits)


def play_block(
    impact_ref, noise_ref, targets_ref, keys_ref, history_ref, *, shape: Shape
):
    """Play all rounds of one block of games.

    Compilers for GPUs want powers of two and no gathers: steps, players and states of
    the dynamic program are vectors of their own, and loops over them are unrolled.

    Args:
        impact_ref: kappa, shape (block,).
        noise_ref: the noise, shape (block,).
        targets_ref: shape (players, block), int32.
        keys_ref: the players' keys, shape (players, 2, block), uint32.
        history_ref: what is written, shape (rounds, players, horizon, block).
        shape: what the kernel is compiled for.
    """
    players, steps = range(shape.num_players), range(shape.horizon)
    impact, noise = impact_ref[...], noise_ref[...]
    targets = [targets_ref[i] for i in players]
    keys = [(keys_ref[i, 0], keys_ref[i, 1]) for i in players]

    def play_round(round_index, sums):
        weight = round_index.astype(impact.dtype) * (1 - impact / 2)
        profile = []
        for i in players:
            uniform = _uniforms(keys[i], round_index, 2 * shape.horizon)
            draws = [x * noise for x in uniform]
            prices, before = [], jnp.zeros_like(targets[i])
            for flow, draw in zip(sums[i], draws, strict=False):
                held = before.astype(impact.dtype)
                prices.append(flow.astype(impact.dtype) + impact * held + draw)
                before = before + flow
            own = weight, draws[shape.horizon :], impact
            windows = _windows(shape.horizon, *shape.limits, shape.target_ranges[i])
            profile.append(_leader(prices, *own, targets[i], windows, shape))
            for t in steps:
                history_ref[round_index, i, t] = profile[i][t].astype(shape.dtype)
        flow = [sum(schedule[t] for schedule in profile) for t in steps]
        return [
            [sums[i][t] + (flow[t] - profile[i][t]) for t in steps] for i in players
        ]

    # Not `zeros`: Mosaic lays constants out in another way, and a loop keeps layouts.
    sums = [[target - target for _ in steps] for target in targets]
    jax.lax.fori_loop(0, shape.num_rounds, play_round, sums)


def _uniforms(key, round_index, count: int):
    """Return `jax.random.uniform(jax.random.fold_in(key, round_index), (count,))`."""
    zero = np.uint32(0)
    key = threefry(key, (zero, round_index.astype(np.uint32)))
    draws = []
    for i in range(count):
        first, second = threefry(key, (zero, np.uint32(i)))
        bits = ((first ^ second) >> np.uint32(9)) | np.uint32(0x3F800000)  # in [1, 2)
        draws.append(jax.lax.bitcast_convert_type(bits, jnp.float32) - 1)
    return draws


def _leader(prices, weight, path_weights, impact, target, windows, shape: Shape):
    """Return a player's cheapest schedule, one vector of trades a step.

    Every state carries the trades of its best continuation, packed into words.
    """
    (low, high), horizon = shape.limits, shape.horizon
    bits = max(1, (high - low).bit_length())
    per_word = _WORD_BITS // bits
    no_trades = [jnp.zeros_like(target)] * math.ceil(horizon / per_word)
    states = {0: (jnp.zeros_like(weight), no_trades)}
    for t in reversed(range(horizon)):
        word, place = t // per_word, bits * (t % per_word)

        def step(price, path_weight, states, t=t, word=word, place=place):
            slope = path_weight * impact
            flat = {
                k: price * k
                + (weight + path_weight) * float(k * k)
                + slope * k * target.astype(slope.dtype)
                for k in range(low, high + 1)
            }

            def arc(remaining, k):
                cost, words = states[remaining - k]
                cost = cost + flat[k]
                if k * remaining:
                    cost = cost - slope * float(k * remaining)
                packed = words[word] | ((k - low) << place)
                return cost, [*words[:word], packed, *words[word + 1 :]]

            new_states = {}
            for remaining in range(windows[t][0], windows[t][1] + 1):
                trades = [k for k in flat if remaining - k in states]
                if trades:
                    arcs = functools.partial(arc, remaining)
                    new_states[remaining] = _cheapest(arcs, trades)
            return new_states

        # XLA alone would fuse all steps, and recompute them beyond all bounds.
        step = fenced(step) if shape.backend == "interpret" else step
        states = step(prices[t], path_weights[t], states)
    (_, words), *others = states.values()
    for start, (_, new) in zip(list(states)[1:], others, strict=True):
        words = _select(target == start, new, words)
    mask = (1 << bits) - 1
    places = [divmod(t, per_word) for t in range(horizon)]
    return [((words[i] >> (bits * digit)) & mask) + low for i, digit in places]


def _cheapest(arc, trades):
    """Return the cheapest `arc(trade)`, the earlier of equals, by a knock-out.

    Played pair by pair, in depth, so that few costs take up registers at a time.
    """
    if len(trades) == 1:
        return arc(trades[0])
    half = len(trades) // 2
    cost, words = _cheapest(arc, trades[:half])
    other, other_words = _cheapest(arc, trades[half:])
    is_better = other < cost
    return jnp.where(is_better, other, cost), _select(is_better, other_words, words)


def _select(condition, new, old):
    """Choose between lists of vectors."""
    pairs = zip(new, old, strict=True)
    return [jnp.where(condition, x, y) for x, y in pairs]

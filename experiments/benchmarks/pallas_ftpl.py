"""A candidate for GPUs: FTPL's self-play as one Pallas kernel, timed against XLA's.

Run by hand on a GPU: `python experiments/benchmarks/pallas_ftpl.py --out results.json`.
XLA runs every round as several kernels, between which the tables of the dynamic program
travel through memory. Here a block of games keeps its tables in registers and loops
over all rounds; only trades leave the chip. Schedules are those of
`gtrade.FTPL(perturbation="full")`, except where costs of two differ by rounding alone.
The package takes it in only once a GPU has shown that it wins.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from ftpl_kernel import Shape, play_block
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu, triton
from measuring import device_name, read_arguments, row, timed, write_record

import gtrade
from gtrade.problems.general_costs import require_linear
from gtrade.responses.dynamic_programming import is_unrolled
from gtrade.solvers.ftpl import FTPLState
from gtrade.solving import LaneProgram

PAPER = {"horizon": 5, "targets": [10, 10], "min_trade": -5, "max_trade": 5}
KAPPAS = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 10.0]
NOISE, ROUNDS, LANES = 50.0, 2500, (900, 9_000, 30_000, 100_000)
CANDIDATES = ("triton", 32), ("triton", 128), ("mosaic", 128)
REPLAYED = 90  # games
SMOKE_ROUNDS, SMOKE_LANES, INTERPRETED = 50, (18,), (("interpret", 8),)

# Numbers that one call may write: below 2^32 bytes Pallas counts them in 32 bits, which
# Triton takes as signed.
MOST_NUMBERS = 2**31 - 1


def play(
    games, keys, *, noise, num_rounds, block=128, interpret=False, backend="triton"
):
    """Let every player of every game follow its perturbed leader.

    Args:
        games: a batch of `TradingGame`s of one shape, with concrete float32 numbers.
        keys: one typed Threefry key a game, shape (games,).
        noise: perturbations are uniform on [0, noise], shape () or (games,).
        num_rounds: rounds of play.
        block: games that run together, one a thread; a power of two, and with Mosaic a
            multiple of 128.
        interpret: whether XLA runs the kernel (on any device, slowly).
        backend: what compiles it for a GPU, "triton" (deprecated since jax 0.12) or
            "mosaic".

    Returns:
        The schedules, shape (games, rounds, players, horizon), in the dtype of `Play`.

    Raises:
        ValueError: for games, keys or blocks that the kernel does not serve.
    """
    backend = "interpret" if interpret else backend
    shape = shape_for(games, num_rounds=num_rounds, block=block, backend=backend)
    is_partitionable = jax.config.jax_threefry_partitionable
    if str(jax.random.key_impl(keys)) != "threefry2x32" or not is_partitionable:
        raise ValueError("keys must be threefry2x32, with jax_threefry_partitionable")
    return play_lanes(games, keys, jnp.asarray(noise, jnp.float32), shape=shape)


def shape_for(games, *, num_rounds, block, backend):
    """Return what the kernel is compiled for; arguments and errors as for `play`."""
    require_linear("the kernel", games)
    if games.permanent_impact.dtype != jnp.float32:
        raise ValueError(f"games must be float32; got {games.permanent_impact.dtype}")
    if block < 1 or block & (block - 1) or (backend == "mosaic" and block < 128):
        raise ValueError(f"block must be a power of two (Mosaic: >= 128); got {block}")
    limits = games.lowest_trade, games.highest_trade
    columns = np.asarray(games.targets).T
    ranges = tuple((int(column.min()), int(column.max())) for column in columns)
    for target_range in ranges:
        if not is_unrolled(games.horizon, *limits, target_range):
            raise ValueError(f"too many states to unroll for targets {target_range}")
    # Others' flow, summed over rounds and earlier steps, and the history of a block.
    flow = (len(ranges) - 1) * games.largest_trade
    largest = num_rounds * games.horizon * max(flow, len(ranges) * block)
    if largest > MOST_NUMBERS:
        raise ValueError(f"num_rounds is too large for 32 bits; got {num_rounds}")
    return Shape(num_rounds, games.horizon, limits, ranges, block, backend)


@functools.partial(jax.jit, static_argnames="shape")
def play_lanes(games, keys, noise, *, shape: Shape):
    """Play games with everything static in `shape`; the rest as for `play`."""
    lanes, players = games.targets.shape
    # A game's key is split as `self_play` does; rounds are folded in by the kernel.
    player_keys = jax.vmap(lambda key: jax.random.split(key, players))(keys)
    arrays = (
        games.permanent_impact,
        jnp.broadcast_to(noise, (lanes,)),
        games.targets.T,
        jnp.moveaxis(jax.random.key_data(player_keys), 0, -1),
    )
    num_blocks = math.ceil(lanes / shape.block)
    per_block = shape.num_rounds * players * shape.horizon * shape.block
    num_calls = math.ceil(num_blocks / (MOST_NUMBERS // per_block))
    width = math.ceil(num_blocks / num_calls) * shape.block
    histories = []
    for start in range(0, lanes, width):
        part = [x[..., start : start + width] for x in arrays]
        count = part[0].shape[-1]
        history = _call([_padded(x, shape.block) for x in part], shape)
        histories.append(jnp.moveaxis(history, -1, 0)[:count])
    return jnp.concatenate(histories)


def _padded(x, block: int):
    """Repeat the last lane until lanes fill whole blocks."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % block)], "edge")


def _call(arrays, shape: Shape):
    """Run the kernel on whole blocks of lanes, which stay on the last axis."""
    lanes = arrays[0].shape[-1]
    grid = (lanes // shape.block,)
    history = (shape.num_rounds, shape.num_players, shape.horizon, lanes)
    history = jax.ShapeDtypeStruct(history, shape.dtype)
    kernel = functools.partial(play_block, shape=shape)
    if shape.backend == "mosaic":
        return _call_mosaic(kernel, arrays, history, grid, shape.block)

    def spec(x):
        index = functools.partial(_last_block, x.ndim)
        return pl.BlockSpec((*x.shape[:-1], shape.block), index)

    return pl.pallas_call(
        kernel,
        grid=grid,
        in_specs=[spec(x) for x in arrays],
        out_specs=spec(history),
        out_shape=history,
        # One game a thread: its tables fill the registers that a thread may have.
        compiler_params=triton.CompilerParams(
            num_warps=max(1, shape.block // 32), num_stages=1
        ),
        interpret=shape.backend == "interpret",
        name="ftpl_self_play",
    )(*arrays)


def _last_block(rank: int, i):
    """Return the place of block i of the lanes."""
    return (*[0] * (rank - 1), i)


def _call_mosaic(kernel, arrays, history, grid, block: int):
    """Run the kernel by Mosaic, whose memory is cut into blocks by hand."""

    def body(*refs):
        lanes = pl.ds(jax.lax.axis_index("blocks") * block, block)
        kernel(*(x.at[(*[slice(None)] * (len(x.shape) - 1), lanes)] for x in refs))

    lane = mosaic_gpu.LoweringSemantics.Lane
    launch = mosaic_gpu.kernel(
        body,
        out_type=history,
        grid=grid,
        grid_names=("blocks",),
        compiler_params=mosaic_gpu.CompilerParams(lowering_semantics=lane),
    )
    return launch(*arrays)


@jax.jit
def replayed(solver, games, keys, schedules):
    """Return the share of rounds in which XLA answers a history as the kernel did.

    Whole plays part for good at the first two schedules whose costs differ by rounding
    alone; here every round starts from the kernel's own past.
    """
    rounds = jnp.arange(solver.num_rounds)

    def one(game, key, schedules):
        flows = schedules.astype(jnp.int32)
        others = flows.sum(axis=1, keepdims=True, dtype=jnp.int32) - flows
        sums = jnp.cumsum(others, axis=0, dtype=jnp.int32) - others

        def answer(target, key, flow_sum, round_index):
            noise = solver.draw(game, jax.random.fold_in(key, round_index))
            return solver.act(game, target, FTPLState(flow_sum, round_index), noise)

        player_keys = jax.random.split(key, game.num_players)
        players = jax.vmap(answer, in_axes=(0, 0, 0, None))
        each_round = jax.vmap(players, in_axes=(None, None, 0, 0))
        found = each_round(game.targets, player_keys, sums, rounds)
        return (found == flows).all(axis=(1, 2)).mean()

    return jax.vmap(one)(games, keys, schedules).mean()


def measure(lanes, candidates, num_rounds, repeats):
    """Time XLA and the candidates on one batch; return a row each."""
    kappas = np.resize(KAPPAS, lanes)
    games = gtrade.make_batch(gtrade.TradingGame, **PAPER, permanent_impact=kappas)
    keys = jax.random.split(jax.random.key(0), lanes)
    solver = gtrade.FTPL(noise=NOISE, num_rounds=num_rounds).prepare(games)
    program = LaneProgram(
        lambda game, key: solver.solve(game, key=key).value.schedules,
        num_devices=1,
        cpu_compiler_options=solver.cpu_compiler_options,
    )
    responses = lanes * games.targets.shape[-1] * num_rounds

    def run(backend, block):
        is_interpreted = backend == "interpret"
        numbers = {"noise": NOISE, "num_rounds": num_rounds, "block": block}
        backend = "triton" if is_interpreted else backend
        numbers |= {"interpret": is_interpreted, "backend": backend}
        return play(games, keys, **numbers)

    oracle, *times = timed(lambda: program(games, keys), repeats)
    rows = [row("XLA", "float32", lanes, 1, *times)]
    few = jax.tree.map(lambda x: x[:REPLAYED], (games, keys))
    for backend, block in candidates:
        what = f"Pallas, {backend}, block {block}"
        try:
            schedules, *times = timed(functools.partial(run, backend, block), repeats)
        except Exception as error:  # what one backend cannot do, another may
            print(f"{what}, {lanes} games: {type(error).__name__}: {error}"[:2000])
            rows.append({"what": what, "batch": lanes, "error": str(error)[:2000]})
            continue
        is_same = (schedules == oracle).all(axis=(2, 3))
        agreement = {
            "rounds_that_agree": float(is_same.mean()),
            "games_that_agree": float(is_same.all(axis=1).mean()),
            "rounds_replayed_alike": float(
                replayed(solver, *few, schedules[:REPLAYED])
            ),
        }
        rows.append(row(what, "float32", lanes, 1, *times, **agreement))
    for result in rows:
        if "run_s" in result:
            result |= {
                "rounds": num_rounds,
                "responses_per_s": responses / result["run_s"],
            }
    return rows


def report(rows):
    """Print a batch's rows and which version wins."""
    rows = [result for result in rows if "run_s" in result]
    for result in rows:
        agree = ""
        if "rounds_that_agree" in result:
            agree = (
                f", {result['rounds_that_agree']:.6f} of rounds agree"
                f" ({result['rounds_replayed_alike']:.6f} from the same past)"
            )
        print(
            f"{result['what']}, {result['batch']} games: {result['run_s']:.4g} s,"
            f" {result['responses_per_s']:.3g} responses/s,"
            f" {result['compile_s']:.3g} s to compile{agree}"
        )
    xla, *candidates = rows
    if candidates:
        best = min(candidates, key=lambda result: result["run_s"])
        ratio = xla["run_s"] / best["run_s"]
        winner = best["what"] if ratio > 1 else "XLA"
        print(f"{winner} wins; XLA takes {ratio:.3g} times as long as {best['what']}")


def _add_arguments(parser):
    parser.add_argument("--interpret", action="store_true", help="tiny, on any device")


def main():
    """Time all versions, print which wins, and write JSON."""
    arguments = read_arguments(__doc__, calls_lapack=False, add_more=_add_arguments)
    if jax.default_backend() == "cpu" and not arguments.interpret:
        raise SystemExit("the kernel needs a GPU; --interpret checks it without, tiny")
    is_tiny = arguments.smoke or arguments.interpret
    num_rounds, sizes = (SMOKE_ROUNDS, SMOKE_LANES) if is_tiny else (ROUNDS, LANES)
    candidates = INTERPRETED if arguments.interpret else CANDIDATES
    print(f"{device_name()}, jax {jax.__version__}", flush=True)
    rows = []
    for lanes in sizes:
        rows += (found := measure(lanes, candidates, num_rounds, arguments.repeats))
        report(found)
    write_record(arguments, rows, interpreted=arguments.interpret)


if __name__ == "__main__":
    main()

"""Kernels with the batch on the last axis, under an ordinary `vmap`.

A CPU vectorises along the minor axis. A kernel of a few dozen numbers per instance is
therefore fastest when the instances, not the numbers, lie next to each other in memory.
`lanes_last` lets such a kernel be written once for arrays of shape `(..., lanes)` while
its callers go on writing single instances and mapping them with `jax.vmap`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array


def lanes_last(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a kernel over a trailing lane axis into a function of one instance.

    Args:
        kernel: takes arrays with a trailing lane axis of one common length and returns
            a pytree of such arrays. It must treat lanes independently.

    Returns:
        A function of arrays without the lane axis. Under `vmap`, nested or not, all
        mapped axes are merged into the lane axis of a single call of `kernel`.
    """

    @jax.custom_batching.custom_vmap
    def on_lanes(*args: Array) -> Any:
        return kernel(*args)

    @on_lanes.def_vmap
    def _(axis_size: int, in_batched: list[bool], *args: Array) -> tuple[Any, Any]:
        def merge(x: Array, is_batched: bool) -> Array:
            if is_batched:
                x = jnp.moveaxis(x, 0, -2)
            else:
                x = jnp.broadcast_to(
                    x[..., None, :], (*x.shape[:-1], axis_size, x.shape[-1])
                )
            return x.reshape(*x.shape[:-2], axis_size * x.shape[-1])

        def split(x: Array) -> Array:
            x = x.reshape(*x.shape[:-1], axis_size, x.shape[-1] // axis_size)
            return jnp.moveaxis(x, -2, 0)

        merged = [merge(x, b) for x, b in zip(args, in_batched, strict=True)]
        out = jax.tree.map(split, on_lanes(*merged))
        return out, jax.tree.map(lambda _: True, out)

    def single(*args: Array) -> Any:
        out = on_lanes(*(jnp.asarray(x)[..., None] for x in args))
        return jax.tree.map(lambda x: x[..., 0], out)

    return single


def fenced(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Keep XLA from fusing a kernel with what comes before and after it.

    Fused with its producers, a kernel reads strided memory; fused with its consumers,
    it is computed once per use - exponentially often in a chain of uses. An
    optimisation barrier does not help: it is dropped before fusion. A branch is not, so
    the kernel goes into one that is always taken.

    Args:
        kernel: takes an array of numbers first, and returns a pytree of arrays.
    """

    def call(*args: Any) -> Any:
        def dead(*args: Any) -> Any:
            shapes = jax.eval_shape(kernel, *args)
            return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

        return jax.lax.cond(_is_live(args[0]), kernel, dead, *args)

    return call


def _is_live(x: Array) -> Array:
    """Return true, in a way that no compiler can know from the type alone.

    The first number is compared with a NaN whose payload no arithmetic produces.
    """
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.ravel()[0].astype(jnp.float32)
    bits = jnp.finfo(x.dtype).bits
    integer = jnp.dtype(f"int{bits}")
    first = jax.lax.bitcast_convert_type(x.ravel()[0], integer)
    pattern = 0x7FC0DEAD if bits == 32 else 0x7FF8C0DEDEADBEEF
    return first != jnp.asarray(pattern, integer)


def in_blocks(kernel: Callable[..., Any], block: int) -> Callable[..., Any]:
    """Run a lane kernel block after block on a CPU, so that its state stays in cache.

    Elsewhere, and where the lanes fit one block, the kernel runs at once.

    Args:
        kernel: as for `lanes_last`.
        block: lanes in a block.
    """

    def blocked(*args: Array) -> Any:
        lanes = args[0].shape[-1]
        if lanes <= block or jax.default_backend() != "cpu":
            return kernel(*args)
        num_blocks = -(-lanes // block)
        padding = num_blocks * block - lanes

        def cut(x: Array) -> Array:
            x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, padding)], mode="edge")
            return jnp.moveaxis(x.reshape(*x.shape[:-1], num_blocks, block), -2, 0)

        def join(x: Array) -> Array:
            x = jnp.moveaxis(x, 0, -2)
            return x.reshape(*x.shape[:-2], num_blocks * block)[..., :lanes]

        out = jax.lax.map(lambda xs: kernel(*xs), tuple(cut(x) for x in args))
        return jax.tree.map(join, out)

    return blocked


def one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run lanes one after the other on a CPU, under an ordinary `vmap`.

    A loop under `vmap` takes as many steps as its slowest lane, in all lanes. Where the
    lanes' numbers of steps differ widely and one lane fills the processor's vectors,
    it is better to let each lane run its own loop. Elsewhere they run in step.

    Args:
        function: takes and returns pytrees of arrays, for one instance.
    """

    @jax.custom_batching.custom_vmap
    def single(*args: Any) -> Any:
        return function(*args)

    @single.def_vmap
    def _(axis_size: int, in_batched: list[Any], *args: Any) -> tuple[Any, Any]:
        def fill(x: Array, is_batched: bool) -> Array:
            return x if is_batched else jnp.broadcast_to(x, (axis_size, *x.shape))

        lanes = jax.tree.map(fill, args, tuple(in_batched))
        if jax.default_backend() == "cpu":
            out = jax.lax.map(lambda lane: single(*lane), lanes)
        else:
            out = jax.vmap(function)(*lanes)
        return out, jax.tree.map(lambda _: True, out)

    return single


@jax.custom_batching.custom_vmap
def largest_of_lanes(number: Array) -> Array:
    """Return a number, and under `vmap` the largest of all lanes' in every lane.

    A condition on it is the same for all lanes and stays a branch, where one on the
    lanes' own numbers would be worked out both ways.

    Args:
        number: an integer, any shape.
    """
    return number


@largest_of_lanes.def_vmap
def _(axis_size: int, in_batched: list[bool], number: Array) -> tuple[Array, bool]:
    del axis_size
    return largest_of_lanes(number.max(axis=0) if in_batched[0] else number), False

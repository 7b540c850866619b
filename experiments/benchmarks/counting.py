"""How much arithmetic a solve needs, counted while it runs.

A program's primitives are known before it runs, but not how often its loops do: they
end when an answer is found. So the program is rewritten to carry a tally beside its
values, and run. Counted are operations on single numbers whose operands are numbers of
the game - sums, products, comparisons, choices - whatever the compiler makes of them,
and none for what only moves numbers.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

# A tally holds these, in this order.
TALLY = ("operations", "transcendentals", "steps")
"""`operations` on single numbers, `transcendentals` (exponentials and their like), and
loop `steps`, each of which has to wait for the one before."""

_FREE = frozenset(
    "bitcast_convert_type broadcast_in_dim concatenate convert_element_type copy"
    " copy_p device_put dynamic_slice dynamic_update_slice gather iota"
    " lu_pivots_to_permutation optimization_barrier pad platform_index random_unwrap"
    " random_wrap reshape rev scatter slice split squeeze stack stop_gradient"
    " transpose unstack call_hi_primitive".split()
)
_TRANSCENDENTAL = frozenset(
    "acos asin asinh atan atan2 cbrt cos cosh erf erf_inv erfc exp exp2 expm1 lgamma"
    " log log1p log2 logistic pow sin sinh tan tanh".split()
)
_OF_OPERAND = frozenset(  # one operation for each number that goes in
    "argmax argmin cumlogsumexp cummax cummin cumprod cumsum reduce_and reduce_max"
    " reduce_min reduce_or reduce_prod reduce_sum reduce_xor".split()
)
# Twenty rounds of addition, rotation and exclusive or, and five key injections of
# three additions, for two words: the random numbers of Threefry (Salmon et al. 2011).
_THREEFRY = 75


def counted(function: Callable[..., Any], *example: Any) -> Callable[..., Any]:
    """Return a function of the same arguments that returns its tally, shape (3,).

    Args:
        function: takes and returns pytrees of arrays.
        example: arguments, concrete or abstract, of the shapes to come.

    Returns:
        A function to be compiled where 64-bit numbers are on, or steps beyond 2^24 are
        lost.
    """
    closed = jax.make_jaxpr(function)(*example)

    def tally(*args: Any) -> Any:
        return _run(closed, jax.tree.leaves(args))[-1]

    return tally


def _run(
    closed: core.ClosedJaxpr, args: Any, varies: Any = None, is_wanted: Any = None
) -> tuple[list[Any], list[bool], Any]:
    """Evaluate and count, leaving out what nobody wants.

    Args:
        closed: the program.
        args: its arguments.
        varies: which of them depend on the game; all if None. What none of these
            enters is the same for all games and not counted.
        is_wanted: which outputs are; all if None. The others are None.

    Returns:
        The outputs, whether they depend on the game, and the tally.
    """
    jaxpr = closed.jaxpr
    varies = [True] * len(args) if varies is None else varies
    is_wanted = [True] * len(jaxpr.outvars) if is_wanted is None else is_wanted
    outputs = zip(jaxpr.outvars, is_wanted, strict=True)
    live = set(_variables(x for x, wanted in outputs if wanted))
    kept = []
    for eqn in reversed(jaxpr.eqns):
        if live.intersection(eqn.outvars) or eqn.effects:
            kept.append(eqn)
            live.update(_variables(eqn.invars))
    values: dict[Any, tuple[Any, bool]] = {}

    def read(x: Any) -> tuple[Any, bool]:
        return (x.val, False) if isinstance(x, core.Literal) else values[x]

    def write(places: Any, numbers: Any, varies: Any) -> None:
        pairs = zip(numbers, varies, strict=True)
        values.update(zip(places, pairs, strict=True))

    write(jaxpr.constvars, closed.consts, [False] * len(closed.consts))
    write(jaxpr.invars, args, varies)
    total = jnp.zeros(len(TALLY))
    for eqn in reversed(kept):
        read_ones = [read(x) for x in eqn.invars]
        inputs, does_vary = [x for x, _ in read_ones], [v for _, v in read_ones]
        inner = _inlined(eqn)
        if inner is None:
            outputs, tally = _run_one(eqn, inputs)
            does_vary = [any(does_vary)] * len(outputs)
            tally = tally if any(does_vary) else 0.0
        else:
            wanted = [x in live for x in eqn.outvars]
            outputs, does_vary, tally = _run(inner, inputs, does_vary, wanted)
        write(eqn.outvars, outputs, does_vary)
        total = total + tally
    found = [
        read(x) if wanted else (None, False)
        for x, wanted in zip(jaxpr.outvars, is_wanted, strict=True)
    ]
    return [x for x, _ in found], [v for _, v in found], total


def _variables(places: Any) -> list[Any]:
    return [x for x in places if not isinstance(x, core.Literal)]


def _run_one(eqn: core.JaxprEqn, args: list[Any]) -> tuple[Any, Any]:
    name, params = eqn.primitive.name, eqn.params
    if _is_counted_beforehand(eqn):
        bound = eqn.primitive.get_bind_params(params)
        outputs = eqn.primitive.bind(*args, **bound)
        several = eqn.primitive.multiple_results
        return outputs if several else [outputs], _tally_of(eqn)
    if name == "cond":
        index, *operands = args
        branches = [_branch(branch) for branch in params["branches"]]
        if len(branches) == 2:
            index = jnp.asarray(index, jnp.int32)
        return jax.lax.switch(index, branches, *operands)
    return _run_scan(params, args) if name == "scan" else _run_while(params, args)


def _branch(closed: core.ClosedJaxpr) -> Callable[..., Any]:
    def run(*operands: Any) -> Any:
        outputs, _, total = _run(closed, operands)
        return outputs, total

    return run


def _run_scan(params: Any, args: list[Any]) -> tuple[Any, Any]:
    body, length = params["jaxpr"], params["length"]
    num_consts, num_carry = _scan_parts(params)
    consts, carry = args[:num_consts], args[num_consts : num_consts + num_carry]

    def step(state: Any, x: Any) -> Any:
        carry, total = state
        outputs, _, tally = _run(body, [*consts, *carry, *x])
        return (outputs[:num_carry], total + tally + _ONE_STEP), outputs[num_carry:]

    (carry, total), stacked = jax.lax.scan(
        step,
        (carry, jnp.zeros(3)),
        args[num_consts + num_carry :],
        length=length,
        reverse=params["reverse"],
    )
    return [*carry, *stacked], total


def _scan_parts(params: Any) -> tuple[int, int]:
    """Return how many operands of a scan are constants, and how many are carried."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    constants, carry, _ = params["ft_in"].unpack()  # since jax 0.12
    return len(list(constants)), len(list(carry))


def _run_while(params: Any, args: list[Any]) -> tuple[Any, Any]:
    condition, body = params["cond_jaxpr"], params["body_jaxpr"]
    first, second = params["cond_nconsts"], params["body_nconsts"]
    condition_consts, body_consts = args[:first], args[first : first + second]

    def is_unfinished(state: Any) -> Any:
        operands = [*condition_consts, *state[0]]
        return _run(condition, operands)[0][0]

    def step(state: Any) -> Any:
        carry, total = state
        operands = [*condition_consts, *carry]
        *_, asked = _run(condition, operands)
        carry, _, done = _run(body, [*body_consts, *carry])
        return carry, total + asked + done + _ONE_STEP

    start = (args[first + second :], jnp.zeros(3))
    return jax.lax.while_loop(is_unfinished, step, start)


_ONE_STEP = np.array([0.0, 0.0, 1.0])


# --- What is known beforehand ---------------------------------------------------------


def _inlined(eqn: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """Return the program that an equation just calls, if it does."""
    if eqn.primitive.name in ("custom_linear_solve", "reduce"):
        return None
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr", "call"):
        inner = eqn.params.get(key)
        if isinstance(inner, core.ClosedJaxpr) and eqn.primitive.name != "scan":
            return inner
    return None


def _bodies(eqn: core.JaxprEqn) -> list[core.Jaxpr]:
    inner = _inlined(eqn)
    if inner is not None:
        return [inner.jaxpr]
    keys = {"scan": ["jaxpr"], "while": ["cond_jaxpr", "body_jaxpr"]}
    if eqn.primitive.name == "cond":
        return [branch.jaxpr for branch in eqn.params["branches"]]
    return [eqn.params[key].jaxpr for key in keys.get(eqn.primitive.name, [])]


def _is_counted_beforehand(eqn: core.JaxprEqn) -> bool:
    """Return whether the tally does not depend on values."""
    if eqn.primitive.name == "while":
        return False
    if eqn.primitive.name == "cond" and not eqn.params.get("branches_platforms"):
        return False
    return all(_is_counted_beforehand(x) for body in _bodies(eqn) for x in body.eqns)


def _sum_of(jaxpr: core.Jaxpr) -> np.ndarray:
    return sum((_tally_of(eqn) for eqn in jaxpr.eqns), np.zeros(3))


def _tally_of(eqn: core.JaxprEqn) -> np.ndarray:
    name, params = eqn.primitive.name, eqn.params
    if name == "scan":
        return params["length"] * (_sum_of(params["jaxpr"].jaxpr) + _ONE_STEP)
    if name == "cond":  # one branch a platform: all do the same
        return _sum_of(params["branches"][0].jaxpr)
    if name == "custom_linear_solve":
        return _sum_of(params["jaxprs"].solve.jaxpr)
    inner = _inlined(eqn)
    if inner is not None:
        return _sum_of(inner.jaxpr)
    if name in _TRANSCENDENTAL:
        return np.array([0.0, _size(eqn.outvars[0]), 0.0])
    return np.array([_operations(eqn), 0.0, 0.0])


def _operations(eqn: core.JaxprEqn) -> float:
    name, size = eqn.primitive.name, _size(eqn.outvars[0])
    if name in _FREE:
        return 0
    if name in _OF_OPERAND:
        return _size(eqn.invars[0])
    if name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        shape = eqn.invars[0].aval.shape
        return 2 * size * math.prod(shape[axis] for axis in contracted)
    if name == "integer_pow":
        return size * max(abs(eqn.params["y"]).bit_length() - 1, 1)
    if name.startswith("scatter"):
        return _size(eqn.invars[-1])
    if name == "reduce":  # several terms at once, each with its own start
        return sum(_size(x) for x in eqn.invars[: len(eqn.invars) // 2])
    if name == "sort":
        length = eqn.invars[0].aval.shape[eqn.params["dimension"]]
        return _size(eqn.invars[0]) * max(math.log2(max(length, 1)), 0)
    if name == "random_bits":  # a whole block of two words for every word
        return _THREEFRY * size
    if name in ("random_fold_in", "random_split", "random_seed", "threefry2x32"):
        return _THREEFRY * size
    return _LINEAR_ALGEBRA.get(name, lambda eqn: size)(eqn)


def _size(x: Any) -> int:
    return math.prod(x.aval.shape)


def _stack_and_order(eqn: core.JaxprEqn) -> tuple[int, int]:
    *stack, _, order = eqn.invars[0].aval.shape
    return math.prod(stack), order


def _cubes(factor: float) -> Callable[[core.JaxprEqn], float]:
    def operations(eqn: core.JaxprEqn) -> float:
        stack, order = _stack_and_order(eqn)
        return stack * factor * order**3

    return operations


def _triangular_solve(eqn: core.JaxprEqn) -> float:
    _, order = _stack_and_order(eqn)
    return order * _size(eqn.outvars[0])


# Leading terms of the usual counts (Golub & Van Loan 2013).
_LINEAR_ALGEBRA: dict[str, Callable[[core.JaxprEqn], float]] = {
    "cholesky": _cubes(1 / 3),
    "eigh": _cubes(9.0),
    "lu": _cubes(2 / 3),
    "triangular_solve": _triangular_solve,
    "tridiagonal_solve": lambda eqn: 8.0 * _size(eqn.outvars[0]),
}

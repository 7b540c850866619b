"""Newton's method for power-law position building on a grid of times.

Summed over the firms, the first-order conditions of piecewise-linear paths hold the
total rate Y alone: with `g(y) = N h(y) + y h'(y)` and X_k the total position at the
middle of cell k,

    g(Y_k) + (N - 1) kappa X_k = price,    mean of Y = total target,

a strictly monotone system. Its unknowns here are `r_k = g(Y_k) + a Y_k`, the price less
what was built before the cell: Y is a function of r with bounded slope however steep or
flat h is at zero, and the Jacobian is lower triangular with a unit diagonal. So it is
never singular, and Newton steps with a line search need no good start. Given Y, what
firms want beyond the mean solves one linear system, the same for all firms.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade._arrays import as_float
from gtrade._checks import check_integer, check_positive, check_shape, check_static
from gtrade.numerics.loops import iterate_until
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.power_law_position import PowerLawPosition, SampledPaths, cells
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.power_law_conditions import check_balance, judge, violation
from gtrade.solvers.power_law_push import Push

# Newton steps are halved until they help, down to this.
_LEAST_LENGTH = 2.0**-20
# Rounding units that the residual of a solved system may have.
_ROUNDING = 200


class PowerLawNewton(AbstractSolver):
    """Solve the first-order conditions of piecewise-linear paths, for any targets.

    The answer is the only profile of such paths that meets them. It is an equilibrium
    of the game on the grid if no firm's cost falls elsewhere, which verification
    decides.

    Attributes:
        tol: of the violation of first- and second-order conditions, relative, shape ();
            never below 200 units of rounding.
        num_points: equally spaced times at which rates change, both ends included
            (static).
        max_steps: largest number of Newton steps, those that are cut in two counted
            again (static).
    """

    tol: Float[Array, ""] = eqx.field(converter=as_float, default=1e-9)
    num_points: int = eqx.field(static=True, default=65)
    max_steps: int = eqx.field(static=True, default=100)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), tol=self.tol)
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls, *, tol: Any = 1e-9, num_points: Any = 65, max_steps: Any = 100
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_positive(tol=tol)
        check_static(num_points=num_points, max_steps=max_steps)
        check_integer(num_points=num_points, at_least=3)
        check_integer(max_steps=max_steps, at_least=1)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for targets that cancel where that leaves no solution."""
        del numbers
        check_balance("newton", problem)

    def solve(
        self, problem: PowerLawPosition, *, key: PRNGKeyArray | None = None
    ) -> Solution[SampledPaths]:
        """Solve one instance.

        Returns:
            The paths (rates at the points are interpolated between cells), with status
            `converged`, `max_steps_reached`, `stalled` (the conditions of second order
            fail, or rounding stopped progress), `nonfinite` or `invalid_input` (targets
            that cancel, among traced numbers); the residual is the larger violation of
            first- and second-order conditions, relative; `num_steps` counts Newton
            steps that were tried.
        """
        game, is_valid = problem.admitted()
        is_valid = is_valid & ~game.has_singular_balance
        game = game.replaced_unless(is_valid)
        tol = jnp.maximum(self.tol.astype(game.targets.dtype), _least_tol(game))
        num_cells = self.num_points - 1
        found = total_rate(game, num_cells, tol=tol / 10, max_steps=self.max_steps)
        total, mean = found.value, game.targets.mean()
        beyond = (game.targets - mean)[:, None]
        rates = total[None] / game.num_firms + beyond * difference(game, total)[None]

        start = jnp.zeros((game.num_firms, 1), rates.dtype)
        inner = jnp.cumsum(rates[:, :-1], axis=1) / num_cells
        schedules = jnp.concatenate([start, inner, game.targets[:, None]], axis=1)
        residual = violation(game, cells(schedules)[1], rates)
        is_done = found.status == Status.converged
        status = Status.where(is_done, Status.stalled, found.status)
        status = Status.where(residual <= tol, Status.converged, status)
        paths = SampledPaths(schedules, _at_points(rates))
        return judge(paths, status, residual, found.num_steps, is_valid)


def total_rate(
    game: PowerLawPosition,
    num_cells: int,
    *,
    tol: Float[Array, ""],
    max_steps: int,
) -> Solution[Float[Array, " cells"]]:
    """Return the total rate in every cell, shape (cells,).

    Args:
        game: one instance whose targets do not cancel.
        num_cells: cells of the grid (static).
        tol: of the residual, relative to the largest price.
        max_steps: largest number of Newton steps that are tried (static).
    """
    target = game.targets.sum()
    build_up = (game.num_firms - 1) * game.permanent_impact / num_cells
    # A straight line may be the answer already; a step from there would be 0 / 0.
    is_straight = (build_up == 0) | (target == 0)
    push = Push(game, build_up / 2)  # what a cell adds to the price by its middle
    tiny = jnp.finfo(target.dtype).tiny

    size = jnp.where(is_straight, 1, jnp.abs(target))
    rates = push.at(jnp.sign(target), jnp.full((num_cells,), jnp.log(size)))
    first = rates.pushed[0] * jnp.ones_like(rates.pushed)
    first = first + build_up * target * jnp.arange(num_cells, dtype=first.dtype)
    price = first.mean()
    scale = jnp.maximum(jnp.abs(first).max(), tiny)
    per_share = scale / size

    def newton(rates, price):
        """Return the violation there, and where a Newton step would go."""
        gain = rates.gain

        def forward(sums, cell):
            # Conditions are r + (what was built before) - price, along and back the
            # changes of r per price and per condition.
            built, along_sum, back_sum = sums
            pushed, rate, gain = cell
            condition = pushed + build_up * built - price
            along = 1 - build_up * along_sum
            back = condition - build_up * back_sum
            sums = built + rate, along_sum + gain * along, back_sum + gain * back
            return sums, (condition, along, back)

        zero = jnp.zeros((), gain.dtype)
        sums, (conditions, along, back) = jax.lax.scan(
            forward, (zero, zero, zero), (rates.pushed, rates.rate, gain)
        )
        built, along_sum, back_sum = sums
        shortfall = built / num_cells - target
        merit = jnp.maximum(jnp.abs(conditions).max(), per_share * jnp.abs(shortfall))
        raise_by = (back_sum - num_cells * shortfall) / along_sum
        return merit, (raise_by * along - back, raise_by)

    def step(state):
        rates, price, merit, move, length = state
        pushed = rates.pushed + length * move[0]
        tried = push.move(rates, pushed), price + length * move[1]
        tried_merit, next_move = newton(*tried)
        # NaN compares false: such a step is cut like one that does not help.
        is_better = tried_merit < merit
        tried = *tried, tried_merit, next_move, jnp.ones_like(length)
        kept = rates, price, merit, move, length / 2
        state = jax.tree.map(lambda x, y: jnp.where(is_better, x, y), tried, kept)
        return state, jnp.where(is_straight, 0, state[2] / scale)

    # The first step goes nowhere: it only looks where the next should go.
    move = jnp.zeros_like(first), jnp.zeros_like(price)
    start = rates, price, jnp.full_like(price, jnp.inf), move, jnp.ones_like(price)
    found = iterate_until(
        step,
        start,
        tol=tol,
        max_steps=max_steps + 1,
        has_cycled=lambda state: state[-1] < _LEAST_LENGTH,
    )
    rate = jnp.where(is_straight, target, found.value[0].rate)
    status = Status.where(found.status == Status.cycled, Status.stalled, found.status)
    return Solution(rate, status, found.residual, found.num_steps - 1)


def difference(
    game: PowerLawPosition, total: Float[Array, " cells"]
) -> Float[Array, " cells"]:
    """Return the rates at which a share beyond the mean target is traded, mean one.

    They solve `(D - kappa L) w ~ 1` with D the slopes of h and L w the position at the
    middle of each cell. On rates of mean one `L w = 1 - L' w`, so `(D + kappa L') w ~
    1` too, and that recursion from the end has nothing but positive terms on its
    diagonal, however coarse the grid.
    """
    num_cells = total.shape[0]
    impact = game.permanent_impact / num_cells
    slope = game.slope(total)

    def backward(after, slope):
        rate = (1 - impact * after) / (slope + impact / 2)
        return after + rate, rate

    _, rates = jax.lax.scan(backward, jnp.zeros((), total.dtype), slope, reverse=True)
    # Where all slopes are zero or infinite nothing differs (`has_singular_balance`).
    mean = rates.mean()
    return jnp.where(jnp.isfinite(rates / mean), rates / mean, 0)


def _at_points(rates: Float[Array, "firms cells"]) -> Float[Array, "firms points"]:
    """Interpolate rates of cells at their ends; extrapolate at the first and last."""
    first = (3 * rates[:, :1] - rates[:, 1:2]) / 2
    last = (3 * rates[:, -1:] - rates[:, -2:-1]) / 2
    return jnp.concatenate([first, (rates[:, 1:] + rates[:, :-1]) / 2, last], axis=1)


def _least_tol(game):
    return jnp.asarray(
        _ROUNDING * jnp.finfo(game.targets.dtype).eps, game.targets.dtype
    )

"""A small model with everything the pipeline must handle, in a few operations.

Square roots by Newton's method from a random start. Levels above 1000 end as
`invalid_input`, a level of exactly 13 as `nonfinite`, and few steps do not converge.
"""

import os
import signal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade._arrays import as_float
from gtrade._checks import InadmissibleError, check_integer, check_nonnegative
from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry
from gtrade.problems.base import AbstractProblem
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractHostSolver, AbstractSolver


class Roots(AbstractProblem):
    levels: Float[Array, " players"] = eqx.field(converter=as_float)
    scale: Float[Array, ""] = eqx.field(converter=as_float)
    num_things: int = eqx.field(static=True)
    rule: str = eqx.field(static=True)

    @classmethod
    def validate(cls, *, levels, scale, num_things, rule):
        check_integer(num_things=num_things, at_least=1)
        check_nonnegative(levels=levels, ndim=1)
        check_nonnegative(scale=scale)
        if rule == "never":
            raise InadmissibleError("rule", "not be never", rule)


class Newton(AbstractSolver):
    tol: Float[Array, ""] = eqx.field(converter=as_float)
    noise: Float[Array, ""] | str = eqx.field(converter=lambda x: x)
    max_steps: int = eqx.field(static=True, default=50)

    @classmethod
    def validate(cls, *, tol, noise, max_steps):
        check_nonnegative(tol=tol)

    def solve(self, problem, *, key=None):
        dtype = problem.levels.dtype
        noise = 0.5 if isinstance(self.noise, str) else self.noise
        start = 1 + jax.random.uniform(key, problem.levels.shape, dtype) * noise
        target = problem.levels * problem.scale

        def step(carry):
            root, _, steps = carry
            new = (root + target / root) / 2
            return new, jnp.abs(new - root).max(), steps + 1

        def unfinished(carry):
            return (carry[1] > self.tol) & (carry[2] < self.max_steps)

        first = (start, jnp.full((), jnp.inf, dtype), jnp.zeros((), jnp.int32))
        root, residual, steps = jax.lax.while_loop(unfinished, step, first)
        root = jnp.where((problem.levels == 13).any(), jnp.nan, root)
        status = Status.where(
            residual <= self.tol, Status.converged, Status.max_steps_reached
        )
        is_nan = jnp.isnan(root).any()
        status = Status.where(is_nan, Status.nonfinite, status)
        is_bad = (problem.levels > 1000).any()
        status = Status.where(is_bad, Status.invalid_input, status)
        residual = jnp.where(is_nan, jnp.inf, residual)
        return Solution(root, status, residual, steps)


class HostRoots(AbstractHostSolver):
    """The same on the host, off by a random error; counts what it solves.

    A level of 667 is an error of the program, and one of 666 is its end.
    """

    error: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)

    solved = []  # a class variable: levels, in the order of solving

    def solve_on_host(self, problem, *, key=None):
        assert isinstance(problem.levels, np.ndarray | np.generic)
        assert isinstance(self.error, np.ndarray | np.generic)
        self.solved.append(problem.levels.tolist())
        if (problem.levels == 667).any():
            raise RuntimeError("a level of 667")
        if (problem.levels == 666).any():
            os.kill(os.getpid(), signal.SIGKILL)
        generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        root = np.sqrt(problem.levels * problem.scale)
        root = (root + self.error * generator.random()).astype(problem.levels.dtype)
        status = Status.invalid_input if problem.levels.max() > 1000 else None
        if (problem.levels == 13).any():
            root, status = np.full_like(root, np.nan), Status.nonfinite
        residual = np.zeros((), root.dtype)
        return Solution(root, status or Status.completed, residual, np.int32(1))

    def abstract_solution(self, problem):
        like = jax.ShapeDtypeStruct
        status = jax.tree.map(lambda _: like((), np.int32), Status.completed)
        return Solution(
            like(problem.levels.shape, problem.levels.dtype),
            status,
            like((), problem.levels.dtype),
            like((), np.int32),
        )


def verify(problem, solver, solution, arrays):
    root = solution.value.astype(problem.levels.dtype)
    gaps = root * root - problem.levels * problem.scale
    results = {
        "gap": jnp.abs(gaps).max(),
        "roots": root,
        "table": jnp.outer(root, jnp.arange(problem.num_things, dtype=root.dtype)),
        "is_small": root.max() < 2,
    }
    if "path" in arrays:
        results["path"] = jnp.cumsum(jnp.ones(problem.num_things, root.dtype)) * root[0]
    return results


def figures(table):
    import matplotlib.figure

    figure = matplotlib.figure.Figure()
    figure.add_subplot().plot(table["gap"])
    return {"gap": figure}


ENTRY = ModelEntry(
    name="roots",
    summary="Square roots.",
    source="Heron & others <60>",
    problem="fake_model:Roots",
    parameters=(
        Parameter("levels", "number", "numbers; at least 0", "m", ndim=1),
        Parameter("scale", "number", "a factor; at least 0", default=1.0),
        Parameter(
            "num_things", "integer", "of things; at least 1", default=2, is_static=True
        ),
        Parameter(
            "rule", "text", "a rule", default="one", choices=("one", "two", "never")
        ),
    ),
    solvers=(
        SolverEntry(
            "newton",
            "fake_model:Newton",
            "Newton's method.",
            "Newton 1669",
            (
                Parameter("tol", "number", "tolerance; at least 0", default=1e-4),
                Parameter("noise", "number", "start", default=0.5, choices=("theory",)),
                Parameter("max_steps", "integer", "steps", default=50, is_static=True),
            ),
        ),
        SolverEntry("exact", "fake_model:Newton", "The same.", "", (), "f64"),
        SolverEntry(
            "host",
            "fake_model:HostRoots",
            "Square roots of NumPy.",
            "",
            (Parameter("error", "number", "error added", default=0.0),),
        ),
    ),
    verify="fake_model:verify",
    evidence=Evidence(
        columns=(
            Column("gap", "largest error", "m"),
            Column("roots", "the roots", "m", ("players",)),
            Column("table", "multiples", "m", ("players", "things")),
            Column("is_small", "whether all are below 2"),
        ),
        arrays=(Column("path", "a path", "m", ("things",)),),
        headline=("gap",),
        figures="fake_model:figures",
    ),
)

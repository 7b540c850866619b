"""Two-player games in which both players choose from a finite list."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from gtrade._arrays import as_float
from gtrade._checks import InadmissibleError, check_real, check_shape
from gtrade.problems.base import AbstractProblem


class BimatrixGame(AbstractProblem):
    """A finite two-player game, by the costs (minimised) or payoffs (maximised).

    Give `costs_row` and `costs_col`, or `payoffs_row` and `payoffs_col`; entry (i, j)
    belongs to the row player's strategy i against the column player's strategy j, in
    both matrices.

    Attributes:
        costs_row: costs of the row player, shape (rows, cols).
        costs_col: costs of the column player, shape (rows, cols).

    Raises:
        ValueError: if a matrix is missing, is empty, has another shape than the other,
            or holds numbers that are not finite.
    """

    costs_row: Float[Array, "rows cols"]
    costs_col: Float[Array, "rows cols"]

    # Arguments that are no fields, with the rank of one value: see `split_columns`.
    argument_ranks: ClassVar[dict[str, int]] = {"payoffs_row": 2, "payoffs_col": 2}

    def __init__(
        self,
        *,
        costs_row: Any = None,
        costs_col: Any = None,
        payoffs_row: Any = None,
        payoffs_col: Any = None,
    ) -> None:
        """Build a game from costs or payoffs."""
        given = {
            "costs_row": costs_row,
            "costs_col": costs_col,
            "payoffs_row": payoffs_row,
            "payoffs_col": payoffs_col,
        }
        if any(isinstance(x, Tracer) for x in given.values()):
            _check_given(**given)
        else:
            self.validate(**given)
        sign = 1 if payoffs_row is None else -1
        row, col = [x for x in given.values() if x is not None]
        self.costs_row, self.costs_col = sign * as_float(row), sign * as_float(col)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None, None), costs_row=self.costs_row)
        check_shape(self.costs_row.shape, costs_col=self.costs_col)
        _check_matrix("costs_row", np.empty(self.costs_row.shape))

    @classmethod
    def validate(
        cls,
        *,
        costs_row: Any = None,
        costs_col: Any = None,
        payoffs_row: Any = None,
        payoffs_col: Any = None,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes matrices or columns."""
        _check_given(costs_row, costs_col, payoffs_row, payoffs_col)
        kind = "payoffs" if costs_row is None else "costs"
        row = payoffs_row if costs_row is None else costs_row
        col = payoffs_col if costs_col is None else costs_col
        for name, matrix in ((f"{kind}_row", row), (f"{kind}_col", col)):
            _check_matrix(name, matrix)
            check_real(ndim=2, **{name: matrix})
        if np.shape(row)[-2:] != np.shape(col)[-2:]:
            rule = f"have the shape of {kind}_row, {np.shape(row)[-2:]}"
            raise InadmissibleError(f"{kind}_col", rule, np.shape(col)[-2:])

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of strategies of the row and the column player."""
        rows, cols = self.costs_row.shape[-2:]
        return rows, cols

    def costs(
        self, row: Float[Array, " rows"], col: Float[Array, " cols"]
    ) -> Float[Array, " 2"]:
        """Return the expected costs of two independent mixed strategies, shape (2,)."""
        precision = jax.lax.Precision.HIGHEST
        return jnp.stack(
            [
                jnp.einsum("i,ij,j->", row, costs, col, precision=precision)
                for costs in (self.costs_row, self.costs_col)
            ]
        )


def _check_matrix(name: str, matrix: Any) -> None:
    rule = "be a matrix of at least one row and one column"
    try:
        shape = np.shape(matrix)
    except ValueError:  # rows of different lengths
        raise InadmissibleError(name, rule, matrix) from None
    if len(shape) < 2 or 0 in shape[-2:]:
        raise InadmissibleError(name, rule, matrix)


def _check_given(costs_row, costs_col, payoffs_row, payoffs_col) -> None:
    """Require both costs or both payoffs, and not a mixture."""
    given = {
        "costs_row": costs_row,
        "costs_col": costs_col,
        "payoffs_row": payoffs_row,
        "payoffs_col": payoffs_col,
    }
    names = [name for name, value in given.items() if value is not None]
    if names in (["costs_row", "costs_col"], ["payoffs_row", "payoffs_col"]):
        return
    rule = "be given as costs_row and costs_col, or as payoffs_row and payoffs_col"
    missing = "costs_col" if names == ["costs_row"] else "costs_row"
    missing = "payoffs_col" if names == ["payoffs_row"] else missing
    missing = "payoffs_row" if names == ["payoffs_col"] else missing
    raise InadmissibleError(missing, rule, names or "neither")

"""Paths of positions over [0, 1]: what every solver of a position game answers."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade.numerics.precision import product
from gtrade.numerics.quadrature import Rule, cells


class PositionPaths(eqx.Module):
    """One path for every type, known well enough to integrate it exactly.

    Attributes:
        schedules: positions at equally spaced times from 0 to 1, shares, shape
            (types, points).
        positions: positions at the nodes of `rule`, shares, shape (types, nodes).
        rates: trading rates at these nodes, shares per unit time, the same shape.
        initial_rates: rates at time 0, shape (types,).
        rule: quadrature whose nodes these are (static).
    """

    schedules: Float[Array, "types points"]
    positions: Float[Array, "types nodes"]
    rates: Float[Array, "types nodes"]
    initial_rates: Float[Array, " types"]
    rule: Rule = eqx.field(static=True)

    @property
    def num_points(self) -> int:
        """Number of equally spaced times."""
        return self.schedules.shape[-1]

    @property
    def follows_lines(self) -> bool:
        """Whether paths are straight between the equally spaced times (static)."""
        return self.rule == cells(self.num_points - 1)

    @property
    def times(self) -> np.ndarray:
        """The equally spaced times, shape (points,)."""
        return np.linspace(0.0, 1.0, self.num_points)

    def positions_at(self, times: np.ndarray) -> Float[Array, "types times"]:
        """Return positions at any times in [0, 1], a NumPy array of them."""
        return self._at(self.positions, times)

    def rates_at(self, times: np.ndarray) -> Float[Array, "types times"]:
        """Return rates at any times in [0, 1]; within cells for straight lines."""
        return self._at(self.rates, times)

    def _at(self, values: Array, times: np.ndarray) -> Array:
        table = self.rule.interpolation(np.asarray(times))
        return product(values, jnp.asarray(table.T, values.dtype))

    def integrals(
        self, densities: Float[Array, "*rows nodes"]
    ) -> Float[Array, "*rows"]:
        """Return integrals over [0, 1] of functions known at the nodes."""
        return product(densities, jnp.asarray(self.rule.weights, densities.dtype))

    def cumulative(
        self, densities: Float[Array, "rows nodes"]
    ) -> Float[Array, "rows points"]:
        """Return integrals from 0 to each of the equally spaced times."""
        table = self.rule.cumulative(self.times)
        return product(densities, jnp.asarray(table.T, densities.dtype))


def piecewise_linear(schedules: Float[Array, "types points"]) -> PositionPaths:
    """Join positions at equally spaced times by straight lines."""
    num_cells = schedules.shape[-1] - 1
    rule = cells(num_cells)
    rates = jnp.diff(schedules) * num_cells
    within = (np.asarray(rule.times).reshape(num_cells, -1) * num_cells) % 1.0
    share = jnp.asarray(within, schedules.dtype)[None]
    low, high = schedules[:, :-1, None], schedules[:, 1:, None]
    positions = (low * (1 - share) + high * share).reshape(len(schedules), -1)
    return PositionPaths(
        schedules=schedules,
        positions=positions,
        rates=jnp.repeat(rates, rule.num_nodes, axis=-1),
        initial_rates=rates[:, 0],
        rule=rule,
    )

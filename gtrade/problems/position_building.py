"""Competitive position building over [0, 1] (Chriss 2024-25)."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gtrade._arrays import as_float, as_optional_float
from gtrade._checks import InadmissibleError, check_each, check_shape
from gtrade.numerics.precision import product
from gtrade.problems.base import AbstractProblem, replace_fields
from gtrade.problems.position_bounds import check_bounds, has_room
from gtrade.problems.types import (
    check_conditionals,
    check_num_types,
    check_prior,
    firm_of_type,
    pairwise_joint,
)


class PositionBuilding(AbstractProblem):
    """Firms reach targets over [0, 1] while moving each other's price.

    With X the sum of all positions, a firm's cost is

        int (X' + u') x' + kappa (X + u) x' + risk_aversion x^2 dt,

    with x(0) = 0 and x(1) = V.

    A type of a firm has its own kappa, target V and belief about a non-strategic flow
    u. Types are drawn from a common prior, or each type has its own conditional
    beliefs about every other firm's. Time is in units of the horizon, temporary impact
    is 1. (Chriss 2025, arXiv 2501.01241, section 3.)

    Quantities per type are in (firm, type) order.

    Attributes:
        permanent_impacts: kappa of every type, at least 0, shape (types,).
        targets: shares every type ends with (negative: short), shape (types,).
        non_strategic: believed non-strategic flow u(t), coefficients of 1, t, t^2, ...
            in shares, shape (types, coefficients).
        risk_aversions: risk aversion times variance of every firm, at least 0, shape
            (firms,).
        evaluation_impacts: kappas at which realised costs are evaluated, shape
            (evaluations,).
        prior: joint probabilities of the types, one a profile in C order, shape
            (profiles,); None where `conditionals` are given.
        conditionals: probability that each type gives to each type of another firm,
            shape (types, types), zero between types of one firm; or None.
        lower: least position of every firm over time, coefficients as above, shape
            (firms, coefficients); -inf for none. None: no firm has one.
        upper: largest position, likewise.
        num_types: number of types of every firm (static).
    """

    permanent_impacts: Float[Array, " types"] = eqx.field(converter=as_float)
    targets: Float[Array, " types"] = eqx.field(converter=as_float)
    non_strategic: Float[Array, "types coefficients"] = eqx.field(converter=as_float)
    risk_aversions: Float[Array, " firms"] = eqx.field(converter=as_float)
    evaluation_impacts: Float[Array, " evaluations"] = eqx.field(converter=as_float)
    prior: Float[Array, " profiles"] | None = eqx.field(converter=as_optional_float)
    conditionals: Float[Array, "types types"] | None = eqx.field(
        converter=as_optional_float
    )
    lower: Float[Array, "firms coefficients"] | None = eqx.field(
        converter=as_optional_float
    )
    upper: Float[Array, "firms coefficients"] | None = eqx.field(
        converter=as_optional_float
    )
    num_types: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        permanent_impacts: Any,
        targets: Any,
        *,
        num_types: Sequence[int] | None = None,
        prior: Any = None,
        conditionals: Any = None,
        non_strategic: Any = None,
        risk_aversions: Any = None,
        evaluation_impacts: Any = None,
        lower: Any = None,
        upper: Any = None,
    ) -> None:
        """Store the numbers; complete information if neither prior nor beliefs say.

        Args:
            permanent_impacts: kappas, shape (types,).
            targets: shape (types,).
            num_types: types of every firm; one each if left out.
            prior: joint probabilities, one axis a firm (or flat); needed if a firm has
                several types and there are no conditionals.
            conditionals: in place of a prior.
            non_strategic: believed flows; none if left out.
            risk_aversions: zero if left out.
            evaluation_impacts: the types' own impacts if left out.
            lower: bounds, as the attribute.
            upper: bounds, as the attribute.
        """
        self.permanent_impacts = permanent_impacts
        self.targets = targets
        self.num_types = default_num_types(num_types, np.shape(targets)[-1:])
        is_complete = conditionals is None and max(self.num_types, default=0) == 1
        if prior is None and is_complete:
            prior = np.ones(1)
        self.prior = None if prior is None else jnp.ravel(as_float(prior))
        self.conditionals = conditionals
        size, num_firms = np.shape(targets)[-1], len(self.num_types)
        no_flow: Any = np.zeros((size, 2))
        self.non_strategic = no_flow if non_strategic is None else non_strategic
        no_risk: Any = np.zeros(num_firms)
        self.risk_aversions = no_risk if risk_aversions is None else risk_aversions
        own = permanent_impacts if evaluation_impacts is None else evaluation_impacts
        self.evaluation_impacts = own
        self.lower, self.upper = lower, upper

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        types, firms = sum(self.num_types), len(self.num_types)
        check_shape(
            (types,), permanent_impacts=self.permanent_impacts, targets=self.targets
        )
        check_shape((types, None), non_strategic=self.non_strategic)
        check_shape((firms,), risk_aversions=self.risk_aversions)
        check_shape((None,), evaluation_impacts=self.evaluation_impacts)
        check_shape((types, types), conditionals=self.conditionals)
        check_shape((int(np.prod(self.num_types)),), prior=self.prior)
        check_shape((firms, None), lower=self.lower, upper=self.upper)

    @classmethod
    def argument_ranks(cls, numbers: Mapping[str, Any]) -> dict[str, int]:
        """Return the ranks of arguments that differ from the fields' own."""
        num_types = numbers.get("num_types")
        return {"prior": 1 if num_types is None else len(num_types)}

    @classmethod
    def validate(
        cls,
        *,
        permanent_impacts: Any,
        targets: Any,
        num_types: Any = None,
        prior: Any = None,
        conditionals: Any = None,
        non_strategic: Any = None,
        risk_aversions: Any = None,
        evaluation_impacts: Any = None,
        lower: Any = None,
        upper: Any = None,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        if np.ndim(targets) < 1 or not np.shape(targets)[-1]:
            raise InadmissibleError("targets", "name at least one firm", targets)
        num_types = default_num_types(num_types, np.shape(targets)[-1:])
        check_num_types(num_types, has_prior=conditionals is None)
        if prior is not None and conditionals is not None:
            rule = "be left out where conditionals are given"
            raise InadmissibleError("prior", rule, prior)
        if prior is None and conditionals is None and max(num_types) > 1:
            rule = "be given where a firm has several types"
            raise InadmissibleError("prior", rule, prior)
        if prior is not None:
            check_prior(prior, num_types)
        if conditionals is not None:
            check_conditionals(conditionals, num_types)
        _check_lists(sum(num_types), permanent_impacts=permanent_impacts)
        check_each("be at least 0", _nonnegative, permanent_impacts=permanent_impacts)
        _check_lists(sum(num_types), targets=targets)
        if risk_aversions is not None:
            _check_lists(len(num_types), risk_aversions=risk_aversions)
            check_each("be at least 0", _nonnegative, risk_aversions=risk_aversions)
        if evaluation_impacts is not None:
            check_each(
                "be at least 0", _nonnegative, evaluation_impacts=evaluation_impacts
            )
        if non_strategic is not None:
            _check_lists(sum(num_types), ndim=2, non_strategic=non_strategic)
        check_bounds(num_types, targets, lower, upper)

    @property
    def size(self) -> int:
        """Number of types of all firms together."""
        return sum(self.num_types)

    @property
    def num_firms(self) -> int:
        """Number of firms."""
        return len(self.num_types)

    @property
    def is_bounded(self) -> bool:
        """Whether any firm has bounds (static)."""
        return self.lower is not None or self.upper is not None

    @property
    def risk_of_types(self) -> Float[Array, " types"]:
        """Risk aversion of the firm of every type, shape (types,)."""
        return self.risk_aversions[firm_of_type(self.num_types)]

    def joint_beliefs(
        self,
    ) -> tuple[Float[Array, "types types"], Float[Array, " types"]]:
        """Return joint probabilities of pairs of types, and marginals, of the prior.

        Raises:
            ValueError: if there is none.
        """
        if self.prior is None:
            raise ValueError("prior must be given here; got pairwise conditionals")
        return pairwise_joint(self.prior, self.num_types)

    def beliefs(self) -> Float[Array, "types types"]:
        """Return P: the probability each type gives to every type of other firms."""
        if self.conditionals is not None:
            return self.conditionals
        joint, marginals = self.joint_beliefs()
        return joint / marginals[:, None]

    def expected_others(
        self, quantity: Float[Array, "types times"]
    ) -> Float[Array, "types times"]:
        """Return what every type expects of the other firms' sum of a quantity."""
        return product(self.beliefs(), quantity)

    def flow(self, times: np.ndarray) -> Float[Array, "types times"]:
        """Return the believed non-strategic flow u at some times."""
        return polynomials(self.non_strategic, times)

    def flow_rates(self, times: np.ndarray) -> Float[Array, "types times"]:
        """Return its time derivative u'."""
        return polynomials(differentiate(self.non_strategic), times)

    def bounds(
        self, times: np.ndarray
    ) -> tuple[Float[Array, "types times"], Float[Array, "types times"]]:
        """Return least and largest positions of every type at some times."""
        shape, dtype = (self.size, len(times)), self.targets.dtype
        firms = firm_of_type(self.num_types)
        sides = []
        for side, absent in ((self.lower, -jnp.inf), (self.upper, jnp.inf)):
            if side is None:
                sides.append(jnp.full(shape, absent, dtype))
            else:
                sides.append(polynomials(side, times)[firms])
        return sides[0], sides[1]

    def admitted(self) -> tuple["PositionBuilding", Bool[Array, ""]]:
        """Replace what `validate` would refuse, where numbers are traced.

        Returns:
            A game with admissible numbers, and whether this one was, shape (). Solvers
            play the replacement and report `invalid_input`.
        """
        numbers: dict[str, Any] = {}
        is_good = jnp.ones((), bool)
        signed = ("targets", "non_strategic")
        for name in (*signed, "permanent_impacts", "risk_aversions"):
            values = getattr(self, name)
            good = jnp.isfinite(values)
            if name not in signed:
                good &= values >= 0
            numbers[name] = jnp.where(good, values, 1)
            is_good &= good.all()
        if self.prior is not None:
            _, marginals = self.joint_beliefs()
            good = jnp.isfinite(self.prior).all() & (self.prior >= 0).all()
            good &= jnp.abs(self.prior.sum() - 1) <= 1e-5
            good &= (marginals > 0).all()
            numbers["prior"] = jnp.where(good, self.prior, 1 / self.prior.size)
            is_good &= good
        if self.conditionals is not None:
            beliefs = self.conditionals
            firms = firm_of_type(self.num_types)
            membership = (firms[:, None] == np.arange(self.num_firms)).astype(float)
            of_firms = product(beliefs, jnp.asarray(membership, beliefs.dtype))
            sums = jnp.abs(of_firms - jnp.asarray(1 - membership, beliefs.dtype))
            good = jnp.isfinite(beliefs).all() & (beliefs >= 0).all()
            good &= (sums <= 1e-4).all()
            numbers["conditionals"] = jnp.where(good, beliefs, 0)
            is_good &= good
        if self.is_bounded:
            good = has_room(*self.bounds(np.linspace(0.0, 1.0, 129)), self.targets)
            for name, absent in (("lower", -jnp.inf), ("upper", jnp.inf)):
                side = getattr(self, name)
                if side is not None:
                    none = jnp.zeros_like(side).at[:, 0].set(absent)
                    numbers[name] = jnp.where(good, side, none)
            is_good &= good
        return replace_fields(self, **numbers), is_good


def polynomials(
    coefficients: Float[Array, "rows coefficients"], times: np.ndarray
) -> Float[Array, "rows times"]:
    """Evaluate polynomials in t, coefficients of 1, t, t^2, ... in rows."""
    at = jnp.asarray(times, coefficients.dtype)[None, :]
    value = jnp.zeros((coefficients.shape[0], len(times)), coefficients.dtype)
    for k in reversed(range(coefficients.shape[1])):
        value = value * at + coefficients[:, k, None]
    return value


def differentiate(
    coefficients: Float[Array, "rows coefficients"],
) -> Float[Array, "rows fewer"]:
    """Return the coefficients of the derivatives; a constant's is one 0."""
    degree = coefficients.shape[1]
    if degree == 1:
        return jnp.zeros_like(coefficients)
    powers = jnp.arange(1, degree, dtype=coefficients.dtype)
    return coefficients[:, 1:] * powers[None, :]


def default_num_types(num_types: Any, shape: tuple[int, ...]) -> Any:
    """Return one type a firm where nothing is said, else tuples for lists."""
    if num_types is None:
        return (1,) * (shape[0] if shape else 0)
    return tuple(num_types) if isinstance(num_types, list) else num_types


def _nonnegative(x: np.ndarray) -> np.ndarray:
    return x >= 0


def _check_lists(length: int, ndim: int = 1, **subject: Any) -> None:
    ((name, value),) = subject.items()
    shape = np.shape(value)
    if len(shape) not in (ndim, ndim + 1) or shape[len(shape) - ndim] != length:
        raise InadmissibleError(name, f"have {length} entries", value)
    check_each("be a finite number", np.isfinite, ndim=ndim, **subject)

"""Firms with types: common priors, conditional beliefs, and who is who.

Quantities per type are listed in (firm, type) order: the first firm's types, then the
second's. A profile names one type of every firm; profiles are in C order, the last
firm's type running fastest.
"""

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade._checks import InadmissibleError, check, check_real
from gtrade.numerics.precision import product

# Matrices of so many profiles are still small beside everything else.
MOST_PROFILES = 2**17
_SUM_TOLERANCE = 1e-6


@functools.cache
def firm_of_type(num_types: tuple[int, ...]) -> np.ndarray:
    """Return the firm of every type, shape (types,)."""
    return np.repeat(np.arange(len(num_types), dtype=np.int32), num_types)


@functools.cache
def types_in_profile(num_types: tuple[int, ...]) -> np.ndarray:
    """Return which type every firm has in every profile, shape (profiles, firms)."""
    # One firm at a time: there may be more firms than axes an array can have.
    members, offset, after = [], 0, math.prod(num_types)
    profiles = np.arange(math.prod(num_types), dtype=np.int32)
    for number in num_types:
        after //= number
        members.append(profiles // after % number + offset)
        offset += number
    return np.stack(members, axis=1)


@functools.cache
def profile_indicators(num_types: tuple[int, ...]) -> np.ndarray:
    """Return whether a type is in a profile, shape (profiles, types)."""
    members = types_in_profile(num_types)
    result = np.zeros((len(members), sum(num_types)))
    np.put_along_axis(result, members, 1.0, axis=1)
    return result


def pairwise_joint(
    prior: Float[Array, " profiles"], num_types: tuple[int, ...]
) -> tuple[Float[Array, "types types"], Float[Array, " types"]]:
    """Return the joint probabilities of pairs of types, and the marginals.

    Pairs of one firm's own types have probability 0: a firm has one type.
    """
    indicators = jnp.asarray(profile_indicators(num_types), prior.dtype)
    joint = product(indicators.T * prior[None, :], indicators)
    firms = firm_of_type(num_types)
    is_other = firms[:, None] != firms[None, :]
    return jnp.where(is_other, joint, 0), jnp.diagonal(joint)


def check_num_types(num_types: Any, has_prior: bool) -> tuple[int, ...]:
    """Require at least one firm with at least one type each."""
    values = tuple(num_types) if isinstance(num_types, tuple | list) else num_types
    is_whole = isinstance(values, tuple) and all(
        isinstance(x, int | np.integer) and not isinstance(x, bool) and x >= 1
        for x in values
    )
    if not is_whole or not values:
        rule = "list a whole number of types, at least 1, for every firm"
        raise InadmissibleError("num_types", rule, num_types)
    if has_prior and math.prod(values) > MOST_PROFILES:
        rule = (
            f"make at most {MOST_PROFILES} profiles of types; beyond, give pairwise"
            " conditionals"
        )
        raise InadmissibleError("num_types", rule, num_types)
    return values


def check_prior(prior: Any, num_types: tuple[int, ...]) -> None:
    """Require a joint distribution with positive marginals; takes a column too."""
    array, num_profiles = np.asarray(prior), math.prod(num_types)
    is_flat = array.shape == (num_profiles,)  # as a problem holds it
    rank = 1 if is_flat else len(num_types)
    if not is_flat and (
        array.shape[array.ndim - rank :] != num_types or array.ndim > rank + 1
    ):
        sizes = " x ".join(str(n) for n in num_types)
        rule = f"have one axis a firm, of its types' number ({sizes})"
        raise InadmissibleError("prior", rule, prior)
    check_real(prior=prior, ndim=rank)
    check("be at least 0", lambda p: p >= 0, ndim=rank, prior=prior)

    def flat(p: np.ndarray) -> np.ndarray:
        return p.reshape(*p.shape[: p.ndim - rank], num_profiles)

    def sums_to_one(p: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(flat(p).sum(axis=-1) - 1) <= _SUM_TOLERANCE)

    check("sum to 1", sums_to_one, ndim=rank, prior=prior)

    def has_positive_marginals(p: np.ndarray) -> np.ndarray:
        return np.asarray((flat(p) @ profile_indicators(num_types) > 0).all(axis=-1))

    rule = "give every type of every firm a positive probability"
    check(rule, has_positive_marginals, ndim=rank, prior=prior)


def check_conditionals(conditionals: Any, num_types: tuple[int, ...]) -> None:
    """Require beliefs about every other firm that sum to 1; takes a column too."""
    size = sum(num_types)
    array = np.asarray(conditionals)
    if array.shape[-2:] != (size, size) or array.ndim > 3:
        rule = f"be a {size} x {size} matrix, one row and column a type"
        raise InadmissibleError("conditionals", rule, conditionals)
    check_real(conditionals=conditionals, ndim=2)
    check("be at least 0", lambda p: p >= 0, ndim=2, conditionals=conditionals)
    firms = firm_of_type(num_types)
    is_own = firms[:, None] == firms[None, :]
    rule = "be 0 between types of one firm"
    check(rule, lambda p: (p == 0) | ~is_own, ndim=2, conditionals=conditionals)

    def sums_to_one(p: np.ndarray) -> np.ndarray:
        sums = np.stack([p[..., firms == f].sum(-1) for f in range(len(num_types))], -1)
        wanted = (firms[:, None] != np.arange(len(num_types))).astype(float)
        return (np.abs(sums - wanted) <= _SUM_TOLERANCE).all(axis=(-1, -2))

    rule = "sum to 1 over the types of every other firm, in every row"
    check(rule, sums_to_one, ndim=2, conditionals=conditionals)

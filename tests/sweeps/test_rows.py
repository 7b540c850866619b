"""Swept values as columns of the rows."""

import numpy as np
import pyarrow as pa

from gtrade.catalog.base import Parameter
from gtrade.sweeps.points import from_arrow
from gtrade.sweeps.rows import swept_array
from gtrade.sweeps.values import SweptKey, describe, normalise_all

LIMIT = SweptKey(
    "problem.max_trade",
    "problem",
    Parameter("max_trade", "integer", "most", is_static=True, allows_list=True),
)


def written(values):
    column = normalise_all(LIMIT.element, values)
    return swept_array(LIMIT, column, column)


def test_a_number_or_a_list_of_them():
    assert describe(LIMIT.parameter) == "a whole number, or a list of whole numbers"
    assert written([3, 4]).type == pa.int64()
    assert written([[3, 4], [5, 6]]).to_pylist() == [[3, 4], [5, 6]]
    assert written([[3], [5, 6]]).to_pylist() == [[3], [5, 6]]
    assert written([3, [5, 6]]).to_pylist() == ["3", "[5, 6]"]
    # The type depends on the whole axis, not on the rows at hand.
    assert swept_array(LIMIT, [3], [3, [5, 6]]).to_pylist() == ["3"]


def test_tables_of_points_hold_numbers_and_lists():
    numbers = from_arrow(LIMIT, pa.chunked_array([[3, 4]]))
    np.testing.assert_array_equal(numbers, [3, 4])
    assert from_arrow(LIMIT, pa.chunked_array([["3", "[5, 6]"]])) == [3, [5, 6]]
    lists = from_arrow(LIMIT, pa.chunked_array([[[3, 4], [5, 6]]]))
    np.testing.assert_array_equal(lists, [[3, 4], [5, 6]])

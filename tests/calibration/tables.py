"""Comparison of tables of data."""

import numpy as np

from gtrade.calibration.tables import Labels


def assert_same(found, expected):
    assert type(found) is type(expected)
    for name in expected.column_names():
        left, right = getattr(found, name), getattr(expected, name)
        if isinstance(right, Labels):
            assert left.names == right.names
            left, right = left.codes, right.codes
        assert (left is None) == (right is None)
        if right is not None:
            np.testing.assert_array_equal(left, right, err_msg=name)

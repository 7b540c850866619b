import json
import math

import numpy as np
import pyarrow as pa
import pytest

from gtrade.sweeps.manifest import make_manifest
from gtrade.sweeps.packages import MissingPackageError
from gtrade.sweeps.rows import finite_or_none, nested_array
from gtrade.sweeps.spec import resolve_spec
from gtrade.sweeps.table import Table

ROWS = {
    "point": [1, 0, 0],
    "replication": [0, 1, 0],
    "status": ["nonfinite", "converged", "converged"],
    "residual": [math.inf, 0.2, 0.3],
    "num_steps": [1, 2, 3],
    "precision": ["f32"] * 3,
    "problem.scale": [2.0, 1.0, 1.0],
    "gap": [math.nan, 0.5, 0.25],
    "roots": [[math.nan, 1.0], [1.0, 2.0], [3.0, 4.0]],
    "ragged": [[1], [1, 2], []],
}


def make_table(rows=ROWS, arrays=("path",)):
    document = {
        "model": "roots",
        "problem": {"levels": [1.0, 2.0]},
        "solver": {"name": "newton"},
        "run": {"replications": 2, "arrays": list(arrays)},
        "sweep": {"problem.scale": [1.0, 2.0]},
    }
    manifest = make_manifest(resolve_spec(document), {}, [])
    paths = {
        "point": [0, 0, 1],
        "replication": [0, 1, 0],
        "path": [[3.0], [2.0], [1.0]],
    }
    return Table(pa.table(rows), manifest, lambda name: pa.table(paths))


def test_columns_become_numpy():
    table = make_table()
    assert len(table) == 3
    assert table.columns() == list(ROWS)
    assert table["num_steps"].tolist() == [3, 2, 1]
    assert table["status"].tolist() == ["converged", "converged", "nonfinite"]
    assert table["roots"].shape == (3, 2)
    assert [x.tolist() for x in table["ragged"]] == [[], [1, 2], [1]]
    assert table["path"].tolist() == [[3.0], [2.0], [1.0]]
    assert table.swept == ["problem.scale"]
    assert table.arrays == ["path"]
    assert table.model_columns() == ["gap", "roots", "ragged"]
    assert table.status_counts() == {"converged": 2, "nonfinite": 1}
    with pytest.raises(KeyError, match="no column 'gapp'; there are point, "):
        table["gapp"]
    with pytest.raises(KeyError, match="no array"):
        make_table(arrays=()).array("path")


def test_the_last_of_equal_rows_stays():
    rows = {"point": [0, 1, 0], "replication": [0, 0, 0], "gap": [1.0, 2.0, 3.0]}
    table = make_table(rows, arrays=())
    assert table["gap"].tolist() == [3.0, 2.0]


def test_records_are_strict_json():
    records = make_table().to_records()
    json.dumps(records, allow_nan=False)
    assert records[2]["gap"] is None
    assert records[2]["residual"] is None
    assert records[2]["roots"] == [None, 1.0]
    assert records[0]["path"] == [3.0]


def test_arrow_and_pandas():
    pytest.importorskip("pandas")
    table = make_table()
    assert table.to_arrow().num_rows == 3
    assert table.to_pandas()["gap"].tolist()[:2] == [0.25, 0.5]


def test_polars():
    pytest.importorskip("polars")
    assert make_table().to_polars()["num_steps"].to_list() == [3, 2, 1]


def test_xarray():
    pytest.importorskip("xarray")
    data = make_table().to_xarray()
    assert dict(data.sizes) == {"point": 2, "replication": 2, "players": 2, "things": 1}
    assert data["gap"].sel(point=0, replication=1) == 0.5
    assert np.isnan(data["gap"].sel(point=1, replication=1))
    assert data["problem.scale"].values.tolist() == [1.0, 2.0]
    assert "ragged" not in data


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(MissingPackageError, match="pip install polars"):
        make_table().to_polars()


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 2, 4), (0, 2), (3, 0)])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.bool_])
def test_nested_arrays(shape, dtype):
    values = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    assert nested_array(values).to_pylist() == values.tolist()


def test_nested_arrays_have_one_type():
    assert nested_array(np.ones((1, 2), np.float32)).type == pa.list_(pa.float64())
    assert nested_array(np.ones(1, np.int8)).type == pa.int64()


def test_finite_or_none():
    assert finite_or_none({"a": [1, math.nan, [-math.inf]], "b": "nan"}) == {
        "a": [1, None, [None]],
        "b": "nan",
    }

"""Lists of texts that stand for numbers: swept without compiling each anew."""

import json

import numpy as np
import pytest

from gtrade.catalog.base import Parameter
from gtrade.sweeps import load_spec, run_spec
from gtrade.sweeps.complaints import SpecError
from gtrade.sweeps.grid import Grid
from gtrade.sweeps.spec import resolve_spec
from gtrade.sweeps.values import SweptKey, describe, encode, normalise

MOVES = Parameter("moves", "text", "", ndim=1, choices=("up", "down"), codes=(3, -1))
PATHS = [["buy", "buy"], ["sell", "pass"], ["pass", "buy"]]


def document(sweep=None, **problem):
    numbers = {"low": 90, "high": 110, "prior_high": 0.5, "informed_fraction": 0.3}
    return {
        "model": "glosten-milgrom",
        "problem": {**numbers, "buy_probability": 0.4, **problem},
        "solver": {"name": "closed-form"},
        "sweep": sweep or {},
    }


def make_grid(sweep=None, **problem):
    return Grid(resolve_spec(document(sweep, **problem), source="F"))


def test_texts_are_encoded_at_any_depth():
    assert encode(MOVES, "up") == 3
    assert encode(MOVES, ["up", "down"]).tolist() == [3, -1]
    assert encode(MOVES, [["up"], ["down"]]).tolist() == [[3], [-1]]
    uneven = encode(MOVES, [["up"], ["down", "up"]])
    assert [x.tolist() for x in uneven] == [[3], [-1, 3]]
    assert encode(MOVES, []).shape == (0,)
    assert encode(MOVES, []).dtype == np.int32
    plain = Parameter("rule", "text", "", choices=("up",))
    assert encode(plain, "up") == "up"


def test_words_of_lists_are_checked():
    assert describe(MOVES) == 'a list of texts, each one of "up", "down"'
    assert normalise(MOVES, ("up", "up")) == ["up", "up"]
    with pytest.raises(SpecError) as caught:
        resolve_spec(document(orders=["buy", "selll"]), source="F")
    rule = 'must be a list of texts, each one of "sell", "pass", "buy"'
    (line,) = caught.value.problems
    assert line == f"F: problem.orders: {rule}; got \"selll\", did you mean 'sell'?"
    for bad in ("buy", [1, 1], [["buy"]]):
        with pytest.raises(SpecError, match="problem.orders: must be"):
            resolve_spec(document(orders=bad))
    with pytest.raises(SpecError) as caught:
        resolve_spec(document({"problem.orders": [["buy"], ["hold"]]}), source="F")
    assert "value 1 must be a list of texts" in caught.value.problems[0]


def test_paths_of_one_length_share_a_group():
    grid = make_grid({"problem.orders": PATHS, "problem.informed_fraction": [0.1, 0.2]})
    (group,) = grid.groups
    assert group.label == {}
    problem, _ = grid.numbers(group, group.points)
    assert problem["orders"].dtype == np.int32
    assert problem["orders"][::2].tolist() == [[1, 1], [-1, 0], [0, 1]]
    assert grid.values("problem.orders", np.array([4])) == [["pass", "buy"]]
    grid.validate()


def test_paths_of_other_lengths_do_not():
    grid = make_grid({"problem.orders": [["buy"], ["sell", "buy"], ["sell"], []]})
    assert [group.points.tolist() for group in grid.groups] == [[0, 2], [1], [3]]
    assert grid.groups[0].label == {"problem.orders": ["buy"]}
    shapes = [grid.numbers(g, g.points)[0]["orders"].shape for g in grid.groups]
    assert shapes == [(2, 1), (1, 2), (1, 0)]
    grid.validate()


def test_single_places_are_swept():
    grid = make_grid(
        {"problem.orders.1": ["buy", "sell", "pass"]}, orders=["buy", "buy"]
    )
    (group,) = grid.groups
    problem, _ = grid.numbers(group, group.points)
    assert problem["orders"].tolist() == [[1, 1], [1, -1], [1, 0]]
    with pytest.raises(SpecError, match='one of "sell", "pass", "buy"; got "x"'):
        make_grid({"problem.orders.1": ["x"]}, orders=["buy", "buy"])


def test_paths_move_together_with_other_keys():
    grid = make_grid(
        {"zip": {"problem.orders": PATHS, "problem.prior_high": [0.1, 0.2, 0.3]}}
    )
    (group,) = grid.groups
    problem, _ = grid.numbers(group, np.array([2, 0]))
    assert problem["orders"].tolist() == [[0, 1], [1, 1]]
    assert problem["prior_high"].tolist() == [0.3, 0.1]


def test_paths_from_a_table(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"problem.orders": PATHS}), tmp_path / "points.parquet")
    cells = "\n".join('"' + json.dumps(x).replace('"', '""') + '"' for x in PATHS)
    (tmp_path / "points.csv").write_text(f'"problem.orders"\n{cells}\n')
    for name in ("points.parquet", "points.csv"):
        spec = resolve_spec(document({"table": {"path": name}}), folder=tmp_path)
        (group,) = Grid(spec).groups
        found = Grid(spec).numbers(group, group.points)[0]["orders"]
        assert found.tolist() == [[1, 1], [-1, 0], [0, 1]]


def test_the_key_of_one_place_keeps_its_codes():
    element = SweptKey("problem.moves.0", "problem", MOVES, (0,)).element
    assert element.ndim == 0
    assert encode(element, ["down", "up"]).tolist() == [-1, 3]


def test_a_run_over_paths_compiles_once_and_keeps_the_words(tmp_path, monkeypatch):
    from gtrade import solving

    made = []
    start = solving.LaneProgram.__init__

    def count(self, *args, **kwargs):
        made.append(self)
        start(self, *args, **kwargs)

    monkeypatch.setattr(solving.LaneProgram, "__init__", count)
    (tmp_path / "spec.toml").write_text(
        'model = "glosten-milgrom"\n[problem]\nlow = 90\nhigh = 110\nprior_high = 0.5\n'
        'informed_fraction = 0.3\n[solver]\nname = "closed-form"\n[sweep]\n'
        '"problem.orders" = [["buy", "buy"], ["sell", "sell"], ["buy", "sell"]]\n'
    )
    table = run_spec(load_spec(tmp_path / "spec.toml"), tmp_path / "out")
    assert [program.num_compilations for program in made] == [1, 1]  # solve, verify
    assert table["problem.orders"].tolist() == [
        ["buy", "buy"],
        ["sell", "sell"],
        ["buy", "sell"],
    ]
    assert table["beliefs"].shape == (3, 3)
    np.testing.assert_allclose(table["beliefs"][:, 2], [0.775229358, 0.224770642, 0.5])
    np.testing.assert_allclose(table["asks"][:, 0], 103)

"""`--set-from DIR`: draws of a calibration as an axis of a sweep."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gtrade.sweeps.complaints import SpecError
from gtrade.sweeps.manifest import differences
from gtrade.sweeps.spec import load_spec

BASE = """
model = "roots"
[problem]
levels = [2.0, 3.5]
[solver]
name = "newton"
"""
FIRMS = """
model = "position-building"
[problem]
prior = [[0.4, 0.6]]
[[problem.firms]]
types = [{permanent_impact = 1, target = 3}]
[[problem.firms]]
types = [{permanent_impact = 2, target = 7}, {permanent_impact = 15, target = 5}]
[solver]
name = "spectral"
"""
PLACES = [
    f"problem.firms.{place}.permanent_impact"
    for place in ("0.types.0", "1.types.0", "1.types.1")
]


@pytest.fixture
def make(tmp_path):
    """Write a spec and a calibration's folder; return a loader of the spec."""

    def make(text, columns=None, name="calibration"):
        (tmp_path / "spec.toml").write_text(text)
        folder = tmp_path / name
        if columns is not None:
            folder.mkdir(exist_ok=True)
            count = len(next(iter(columns.values())))
            table = pa.table({"draw": np.arange(count), **columns})
            pq.write_table(table, folder / "draws.parquet")
        return lambda *settings: load_spec(tmp_path / "spec.toml", settings, folder)

    return make


def problems(load, *settings):
    with pytest.raises(SpecError) as caught:
        load(*settings)
    return [line.partition("spec.toml: ")[2] for line in caught.value.problems]


def test_a_key_of_the_same_name(make):
    load = make(BASE, {"scale": [1.0, 2.0, 4.0], "volatility": [1.0, 1.0, 1.0]})
    spec = load()
    (axis,) = spec.axes
    assert (axis.form, [key.key for key in axis.keys]) == ("draws", ["problem.scale"])
    np.testing.assert_array_equal(axis.columns[0], [1.0, 2.0, 4.0])
    assert "scale" not in spec.problem
    assert spec.resolved()["calibration"] == {
        "columns": {"problem.scale": "scale"},
        "num_dropped": 0,
    }


def test_kappa_is_the_relative_impact_of_every_type(make):
    load = make(FIRMS, {"kappa": [1.0, 2.0], "permanent_impact": [1e-7, 2e-7]})
    (axis,) = load().axes
    assert [key.key for key in axis.keys] == PLACES
    for column in axis.columns:
        np.testing.assert_array_equal(column, [1.0, 2.0])


def test_names_by_model(make):
    columns = {
        "kappa": [1.0],
        "permanent_impact": [1e-7],
        "temporary_impact": [1e-6],
        "volatility": [0.9],
    }
    execution = """
model = "almgren-chriss"
[problem]
shares = 1e6
horizon = 5
num_periods = 5
[solver]
name = "closed-form"
"""
    spec = make(execution, columns)()
    assert spec.draws is not None
    assert spec.draws["columns"] == {
        f"problem.{name}": name for name in columns if name != "kappa"
    }
    # The trading game's weight is another number than kappa.
    trading = """
model = "trading-game"
[problem]
horizon = 5
targets = [10, 10]
min_trade = -5
max_trade = 5
[solver]
name = "ftpl"
"""
    (line, *_) = problems(make(trading, columns))
    assert "the keys take discrete_kappa" in line
    spec = make(trading, {"discrete_kappa": [0.5, 1.0]})()
    assert spec.swept[0].key == "problem.permanent_impact"


def test_an_explicit_mapping_wins(make):
    text = FIRMS + f'[calibration]\n"{PLACES[1]}" = "kappa_1"\n'
    columns = {"kappa": [1.0, 2.0], "kappa_1": [3.0, 4.0]}
    spec = make(text, columns)()
    (axis,) = spec.axes
    assert [key.key for key in axis.keys] == [PLACES[1]]
    np.testing.assert_array_equal(axis.columns[0], [3.0, 4.0])
    spec = make(text, columns)(f"calibration.{PLACES[0]}=kappa")
    assert [key.key for key in spec.swept] == [PLACES[1], PLACES[0]]


def test_a_product_with_the_specs_axes(make):
    text = BASE + '[sweep]\n"problem.num_things" = [1, 2]\n'
    spec = make(text, {"scale": [1.0, 2.0, 4.0]})()
    assert [len(axis) for axis in spec.axes] == [2, 3]
    assert spec.num_points == 6
    assert [axis.form for axis in spec.axes] == ["list", "draws"]


def test_draws_with_missing_numbers_are_left_out(make):
    scale = pa.array([1.0, None, np.nan, np.inf, 5.0])
    other = [np.nan] * 5  # nothing is set by it
    spec = make(BASE, {"scale": scale, "other": other})()
    np.testing.assert_array_equal(spec.axes[0].columns[0], [1.0, 5.0])
    assert spec.draws is not None
    assert spec.draws["num_dropped"] == 3
    (line,) = problems(make(BASE, {"scale": [np.nan, np.nan]}))
    assert line.startswith("--set-from: has no draw without missing numbers in scale")


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        (BASE, None, "--set-from: must be the folder of a calibration, with draws"),
        (BASE, {"sigma": [1.0]}, "--set-from: has no column for a key of [problem]; "),
        (
            BASE + '[sweep]\n"problem.scale" = [1.0]\n',
            {"scale": [1.0]},
            "--set-from: sets problem.scale, which the spec sweeps by 'problem.scale'",
        ),
        (
            FIRMS + f'[sweep]\n"{PLACES[2]}" = [1.0]\n',
            {"kappa": [1.0]},
            f"--set-from: sets {PLACES[2]}, which the spec sweeps by '{PLACES[2]}'",
        ),
        (
            BASE + '[calibration]\n"problem.scale" = "sclae"\n',
            {"scale": [1.0]},
            'calibration."problem.scale": must name a column of the draws (scale);'
            " got \"sclae\", did you mean 'scale'?",
        ),
        (
            BASE + '[calibration]\nproblem.scale = "scale"\n',
            {"scale": [1.0]},
            'calibration."problem": must name a column of the draws (write dotted',
        ),
        (
            BASE + '[calibration]\n"problem.scael" = "scale"\n',
            {"scale": [1.0]},
            '--set-from: column "scale" for problem.scael: must name a key of',
        ),
        (
            FIRMS + '[calibration]\n"problem.firms.5.types.0.target" = "x"\n',
            {"x": [1.0]},
            "problem.firms.5.types.0.target: problem.firms has positions 0 to 1; got 5",
        ),
        (
            BASE + '[calibration]\n"problem.num_things" = "scale"\n',
            {"scale": [1.5]},
            '--set-from: column "scale" for problem.num_things: row 0 must be a whole',
        ),
        (BASE + "[calibration]\n", {"scale": [1.0]}, "calibration: must be a table of"),
    ],
)
def test_what_is_refused(make, text, columns, expected):
    (line,) = problems(make(text, columns))
    assert line.startswith(expected)


def test_both_sides_are_listed_where_nothing_matches(make):
    (line,) = problems(make(FIRMS, {"gamma": [1.0], "eta": [1.0]}))
    assert "has gamma, eta, the keys take kappa, target, non_strategic" in line


def test_settings_that_draws_would_undo(make):
    load = make(BASE, {"scale": [1.0]})
    lines = problems(load, "problem.scale=3")
    assert lines == [
        "--set problem.scale: is set by --set-from; leave one of the two out"
    ]


def test_a_damaged_file(make, tmp_path):
    load = make(BASE, {"scale": [1.0]})
    (tmp_path / "calibration" / "draws.parquet").write_bytes(b"PAR1 nonsense")
    (line,) = problems(load)
    assert line.startswith("--set-from: cannot be read (")


def test_a_mapping_needs_a_calibration(make, tmp_path):
    make(BASE + '[calibration]\n"problem.scale" = "scale"\n')
    with pytest.raises(SpecError, match="calibration: needs the folder of a cali"):
        load_spec(tmp_path / "spec.toml")


@pytest.mark.parametrize("count", [3, 2000])
def test_other_draws_are_another_spec(make, count):
    scale = np.linspace(1.0, 2.0, count)
    one = make(BASE, {"scale": scale})()
    moved = make(BASE, {"scale": scale + 1e-12})()
    elsewhere = make(BASE, {"scale": scale}, name="elsewhere")()
    assert one.hash == elsewhere.hash
    assert one.hash != moved.hash
    facts = {"versions": {}, "device": {}, "format": 1}
    (line,) = differences(
        {**facts, "spec": one.resolved()}, {**facts, "spec": moved.resolved()}
    )
    assert line.startswith("sweep.0.values.problem.scale")


def test_reading_draws_imports_no_jax(make, tmp_path):
    make(FIRMS, {"kappa": [1.0]})
    code = (
        "import sys; from gtrade.sweeps.spec import load_spec\n"
        f"spec = load_spec({str(tmp_path / 'spec.toml')!r}, (),"
        f" {str(tmp_path / 'calibration')!r})\n"
        "assert spec.num_points == 1\n"
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gtrade.sweeps.complaints import SpecError
from gtrade.sweeps.spec import load_spec, resolve_spec, spec_hash

BASE = """
model = "roots"
[problem]
levels = [2, 3.5]
[solver]
name = "newton"
"""


def write(tmp_path, text, name="spec.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def problems(tmp_path, text, overrides=()):
    path = write(tmp_path, text)
    with pytest.raises(SpecError) as caught:
        load_spec(path, overrides)
    prefix = f"{path}: "
    assert all(line.startswith(prefix) for line in caught.value.problems)
    return [line.removeprefix(prefix) for line in caught.value.problems]


def test_defaults_are_filled_in(tmp_path):
    spec = load_spec(write(tmp_path, BASE))
    assert spec.resolved() == {
        "model": "roots",
        "problem": {
            "levels": [2.0, 3.5],
            "scale": 1.0,
            "num_things": 2,
            "rule": "one",
        },
        "solver": {"name": "newton", "tol": 1e-4, "noise": 0.5, "max_steps": 50},
        "verification": {"enabled": True},
        "run": {
            "seed": 0,
            "replications": 1,
            "precision": "f32",
            "arrays": [],
            "common_keys": False,
        },
        "sweep": [],
    }
    assert spec.num_points == 1


def test_precision_defaults_to_the_solvers(tmp_path):
    spec = load_spec(write(tmp_path, BASE), ["solver.name=exact"])
    assert spec.run.precision == "f64"
    spec = load_spec(write(tmp_path, BASE), ["solver.name=exact", "run.precision=f32"])
    assert spec.run.precision == "f32"


def test_hash_ignores_how_numbers_are_written(tmp_path):
    one = load_spec(write(tmp_path, BASE))
    other = load_spec(write(tmp_path, BASE.replace("[2, 3.5]", "[2.0, 3.50]")))
    assert one.hash == other.hash == spec_hash(one.resolved())
    assert load_spec(write(tmp_path, BASE), ["run.seed=1"]).hash != one.hash


def test_hash_ignores_a_base_value_that_is_swept(tmp_path):
    axis = '[sweep]\n"problem.scale" = [1.0, 2.0]\n'
    given = BASE.replace("[solver]", "scale = 7.0\n[solver]")
    one, other = (load_spec(write(tmp_path, text + axis)) for text in (BASE, given))
    assert one.hash == other.hash


def test_a_swept_key_need_not_be_given(tmp_path):
    text = BASE.replace("levels = [2, 3.5]", "")
    assert problems(tmp_path, text) == [
        "problem.levels: is required (numbers; at least 0)"
    ]
    spec = load_spec(
        write(tmp_path, text + '[sweep]\n"problem.levels" = [[1], [2, 3]]')
    )
    assert "levels" not in spec.problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("levels = 3", "problem.levels: must be a list of numbers; got 3"),
        ("levels = [true]", "problem.levels: must be a list of numbers; got [true]"),
        ("levels = [1, [2]]", "problem.levels: must be a list of numbers"),
        ('levels = ["a"]', 'problem.levels: must be a list of numbers; got ["a"]'),
        ("scale = true", "problem.scale: must be a number; got true"),
        ('scale = "2"', 'problem.scale: must be a number; got "2"'),
        ("num_things = 2.0", "problem.num_things: must be a whole number; got 2.0"),
        ("num_things = true", "problem.num_things: must be a whole number; got true"),
        (
            'rule = "tow"',
            'problem.rule: must be one of "one", "two", "never"; got "tow",'
            " did you mean 'two'?",
        ),
        ("sacle = 2", "problem.sacle: is not a known key, did you mean 'scale'?"),
        ("zzz = 2", "problem.zzz: is not a known key (known: levels, scale"),
    ],
)
def test_wrong_problem_values(tmp_path, text, expected):
    levels = "" if text.startswith("levels") else "levels = [1.0]\n"
    document = f'model = "roots"\n[problem]\n{levels}{text}\n[solver]\nname = "newton"'
    (line,) = problems(tmp_path, document)
    assert line.startswith(expected)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model=rots"], "model: must be one of trading-game, bimatrix, "),
        (
            ["solver.name=newtn"],
            "solver.name: must be a solver of roots (newton, exact, host)",
        ),
        (["solver.noise=thery"], 'solver.noise: must be a number or "theory"; got'),
        (["run.seed=-1"], "run.seed: must lie in [0, 2^32); got -1"),
        (["run.seed=4294967296"], "run.seed: must lie in [0, 2^32); got 4294967296"),
        (["run.replications=0"], "run.replications: must be at least 1"),
        (["run.precision=f16"], 'run.precision: must be one of "f32", "f64"'),
        (["run.arrays=['pth']"], "run.arrays: must name arrays of roots (path)"),
        (["run.arrays=['path', 'path']"], "run.arrays: must name each array once"),
        (
            ["run.arrays=['path']", "verification.enabled=false"],
            "run.arrays: must be empty when verification.enabled = false",
        ),
        (["verification.enabled=1"], "verification.enabled: must be true or false"),
        (["run.sede=1"], "run.sede: is not a known key, did you mean 'seed'?"),
        (["problm.scale=1"], "problm: is not a known key, did you mean 'problem'?"),
        (["problem=3"], "problem: must be a table, [problem]; got 3"),
        (["scale"], '--set: must have the form key=value; got "scale"'),
        (["problem.scale=1 2"], "--set problem.scale: must be a TOML value or"),
        (
            ["problem.levels.2=1"],
            "--set problem.levels.2: problem.levels has positions",
        ),
        (["model.x=1"], "--set model.x: model is a single value"),
    ],
)
def test_wrong_settings(tmp_path, overrides, expected):
    lines = problems(tmp_path, BASE, overrides)
    assert lines[0].startswith(expected)


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        ('"problem.scale" = []', "must have at least one value"),
        ('"problem.scale" = 3', "must be a list of values or one of { linspace"),
        ('"problem.scale" = { linspac = [0, 1, 3] }', "must be a list of values or"),
        ('"problem.scale" = { linspace = [0, 1] }', "linspace must be [first, last"),
        ('"problem.scale" = { linspace = [0, 1, 0] }', "with a whole count"),
        ('"problem.scale" = { linspace = [0, 1, 2.5] }', "with a whole count"),
        ('"problem.scale" = { linspace = [0, inf, 2] }', "three finite numbers"),
        ('"problem.scale" = { logspace = [0, 400, 2] }', "within the range of a float"),
        ('"problem.scale" = { range = [0, 1, 0] }', "with a step that leads"),
        ('"problem.scale" = { range = [0, 1e300, 1e-300] }', "fewer than"),
        (f'"problem.scale" = {{ range = [0, 1{"0" * 400}, 1] }}', "three finite"),
        (f'"problem.scale" = [1{"0" * 400}]', "within the range of a float"),
        ('"problem.scale" = { range = [0, 1, -1] }', "with a step that leads"),
        ('"problem.scale" = { uniform = [2, 1, 3] }', "with low <= high"),
        ('"problem.scale" = { loguniform = [0, 1, 3] }', "with low greater than 0"),
        ('"problem.scale" = [1, "a"]', "value 1 must be a number"),
        ('"problem.levels" = [1.0, 2.0]', "value 0 must be a list of numbers"),
        ('"problem.levels" = { linspace = [0, 1, 3] }', "takes a list of values"),
        ('"problem.num_things" = { linspace = [1, 2, 3] }', "must give whole numbers"),
        ('"problem.rule" = { linspace = [1, 2, 3] }', "takes a list of values"),
        ('"problem.scales" = [1]', "must name a key of [problem] or [solver], did you"),
        ('"scale" = [1]', "must name a key of [problem] or [solver]"),
        ('"solver.name" = ["newton"]', "cannot be swept"),
        ('"run.seed" = [1]', "must name a key of"),
        ('"problem.levels.5" = [1]', "problem.levels has positions 0 to 1; got 5"),
        ('"problem.levels.0.0" = [1]', "has 1 levels of list positions"),
        ('"problem.levels.x" = [1]', "has 1 levels of list positions"),
        ('"problem.scale" = [1]\nzip = {"problem.scale" = [1]}', "is swept already by"),
        (
            '"problem.levels" = [[1, 2]]\n"problem.levels.0" = [1]',
            "is swept already by 'problem.levels'",
        ),
        (
            'zip = {"problem.scale" = [1], "solver.tol" = [1, 2]}',
            "must have lists of one length",
        ),
        ("zip = {}", "must be a table of axes that move together"),
        ("table = {file = 1}", "must be a table with one key, path"),
        ('table = {path = "a.txt"}', "cannot be read (no such file)"),
    ],
)
def test_wrong_axes(tmp_path, axis, expected):
    lines = problems(tmp_path, f"{BASE}[sweep]\n{axis}\n")
    assert any(expected in line for line in lines), lines


def test_all_problems_are_reported_together(tmp_path):
    text = BASE.replace("levels = [2, 3.5]", 'levels = 1\nscale = "a"\nx = 1')
    text += '[run]\nseed = 1.5\n[sweep]\n"problem.scale" = []\n'
    assert len(problems(tmp_path, text, ["solver.tol=true"])) == 6


def test_unreadable_files(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path / "none.toml")
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path)
    with pytest.raises(SpecError, match="is not valid TOML: .*line 2"):
        load_spec(write(tmp_path, "\nmodel = x\n"))
    path = tmp_path / "latin.toml"
    path.write_bytes(b'model = "\xe9"')
    with pytest.raises(SpecError, match="must be UTF-8"):
        load_spec(path)


def axis_of(value, key="problem.scale", seed=0):
    document = {
        "model": "roots",
        "problem": {"levels": [1.0, 2.0]},
        "solver": {"name": "newton"},
        "run": {"seed": seed},
        "sweep": {key: value},
    }
    return resolve_spec(document).axes[0].columns[0]


def test_spaced_axes():
    assert axis_of({"linspace": [0, 1, 5]}).tolist() == [0, 0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(axis_of({"logspace": [1, 3, 3]}), [10, 100, 1000])
    np.testing.assert_allclose(
        axis_of({"range": [0, 0.3, 0.1]}), [0, 0.1, 0.2, 0.3], atol=1e-15
    )
    assert axis_of({"range": [5, 1, -2]}).tolist() == [5, 3, 1]
    assert axis_of({"range": [0, 1, 0.4]}).tolist() == [0, 0.4, 0.8]
    whole = axis_of({"range": [1, 4, 1]}, "problem.num_things")
    assert whole.tolist() == [1, 2, 3, 4]
    assert whole.dtype == np.int64


def test_draws_depend_on_seed_and_key_alone():
    draws = axis_of({"uniform": [2, 3, 1000]})
    assert draws.min() >= 2
    assert draws.max() <= 3
    np.testing.assert_array_equal(draws, axis_of({"uniform": [2, 3, 1000]}))
    assert (draws != axis_of({"uniform": [2, 3, 1000]}, seed=1)).all()
    assert (draws != axis_of({"uniform": [2, 3, 1000]}, "solver.tol")).all()
    logs = np.log10(axis_of({"loguniform": [0.01, 100, 1000]}))
    assert -2 <= logs.min() < -1.9
    assert 1.9 < logs.max() <= 2


def test_long_axes_enter_the_hash_by_digest(tmp_path):
    def spec(last):
        setting = f"sweep.problem.scale={{linspace=[0, {last}, 5000]}}"
        return load_spec(write(tmp_path, BASE), [setting])

    (axis,) = spec(1).resolved()["sweep"]
    assert len(axis["values"]["problem.scale"]["sha256"]) == 64
    assert spec(1).hash == spec(1).hash != spec(2).hash


def test_overrides(tmp_path):
    text = BASE + '[sweep]\n"problem.scale" = [1]\n'
    overrides = [
        "problem.levels.1=9",
        "solver.tol=1e-3",
        "solver.noise=theory",
        "run.replications=4",
        "sweep.problem.scale=[1, 2]",
        'sweep."solver.max_steps"=[3, 4]',
        "sweep.zip.problem.num_things=[1, 2]",
    ]
    spec = load_spec(write(tmp_path, text), overrides)
    assert spec.problem["levels"] == [2.0, 9.0]
    assert spec.solver_values["tol"] == 1e-3
    assert spec.solver_values["noise"] == "theory"
    assert spec.run.replications == 4
    assert [len(axis) for axis in spec.axes] == [2, 2, 2]


def test_an_override_that_would_do_nothing_is_refused(tmp_path):
    text = BASE + '[sweep]\n"problem.scale" = [1]\n'
    (line,) = problems(tmp_path, text, ["problem.scale=3"])
    assert line == (
        "--set problem.scale: is swept by this spec; set sweep.problem.scale (a list)"
        " instead"
    )


def test_an_override_cannot_smuggle_in_keys(tmp_path):
    (line,) = problems(tmp_path, BASE, ["problem.scale=1\nmodel='x'"])
    assert line.startswith("--set problem.scale: must be a TOML value")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_table_of_points(tmp_path, suffix):
    if suffix == "parquet":
        table = pa.table(
            {
                "problem.levels": [[1.0, 2.0], [3.0, 4.0]],
                "problem.num_things": [2, 3],
                "solver.noise": ["theory", "theory"],
            }
        )
        pq.write_table(table, tmp_path / "points.parquet")
    else:
        (tmp_path / "points.csv").write_text(
            "problem.levels,problem.num_things,solver.noise\n"
            '"[1, 2]",2,theory\n"[3, 4.0]",3,0.5\n'
        )
    text = BASE + f'[sweep.table]\npath = "points.{suffix}"\n'
    (axis,) = load_spec(write(tmp_path, text)).axes
    levels, things, noise = axis.columns
    np.testing.assert_array_equal(levels, [[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(things, [2, 3])
    assert noise == (["theory", "theory"] if suffix == "parquet" else ["theory", 0.5])


def test_wrong_tables_of_points(tmp_path):
    table = pa.table(
        {
            "problem.scale": [1.0, None],
            "problem.num_things": [1.0, 2.0],
            "problem.scal": [1, 2],
            "problem.levels": [["b"], ["a"]],
        }
    )
    pq.write_table(table, tmp_path / "points.parquet")
    text = BASE + '[sweep.table]\npath = "points.parquet"\n'
    lines = problems(tmp_path, text)
    start = 'sweep.table: column "problem.'
    assert lines == [
        start + 'scale" of points.parquet: must have no empty cells (row 1)',
        start + 'num_things" of points.parquet: row 0 must be a whole number; got 1.0',
        start + 'scal" of points.parquet: must name a key of [problem] or [solver],'
        " did you mean 'problem.scale'?",
        start + 'levels" of points.parquet: row 0 must be a list of numbers; got ["b"]',
    ]
    (tmp_path / "points.parquet").write_bytes(b"nonsense")
    (line,) = problems(tmp_path, text)
    assert line.startswith("sweep.table.path: cannot be read (")


def test_reading_a_spec_imports_no_jax(tmp_path):
    path = write(tmp_path, BASE.replace("roots", "trading-game"))
    code = (
        "import sys; from gtrade.sweeps.spec import load_spec\n"
        f"try: load_spec({str(path)!r})\nexcept ValueError: pass\n"
        "sys.exit('jax' in sys.modules or 'pyarrow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0

import json

import fake_model
import jax
import numpy as np
import pyarrow.parquet as pq
import pytest

from gtrade.sweeps import chunks, programs, run
from gtrade.sweeps.complaints import SpecError
from gtrade.sweeps.run import run_spec
from gtrade.sweeps.spec import resolve_spec
from gtrade.sweeps.store import StoreError, load
from gtrade.sweeps.table import row_ids

DOCUMENT = {
    "model": "roots",
    "problem": {"levels": [2.0, 3.0]},
    "solver": {"name": "newton", "noise": 2.0},
    "run": {"replications": 3, "arrays": ["path"]},
    "sweep": {
        "problem.levels.1": [1.0, 13.0, 5000.0, 7.0],
        "problem.num_things": [2, 3],
    },
}


def make_spec(*overrides, **tables):
    return resolve_spec({**DOCUMENT, **tables}, overrides=overrides)


def same_rows(one, other):
    """Whether two tables agree bit for bit (NaN equals NaN)."""
    return repr(one.to_records()) == repr(other.to_records()) and one.columns() == (
        other.columns()
    )


@pytest.fixture(scope="module")
def undisturbed():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            __import__("gtrade.catalog").catalog.MODELS, "roots", "fake_model"
        )
        return run_spec(make_spec())


ONE_GROUP = "sweep.problem.num_things=[2]"


def test_rows_and_columns(undisturbed):
    table = undisturbed
    assert table.columns() == [
        "point",
        "replication",
        "status",
        "residual",
        "num_steps",
        "precision",
        "problem.levels.1",
        "problem.num_things",
        "gap",
        "roots",
        "table",
        "is_small",
    ]
    assert table["point"].tolist() == np.repeat(np.arange(8), 3).tolist()
    assert table["replication"].tolist() == [0, 1, 2] * 8
    assert table["problem.levels.1"].tolist() == np.repeat([1, 13, 5000, 7], 6).tolist()
    assert set(table["precision"]) == {"f32"}
    assert table.status_counts() == {
        "converged": 12,
        "invalid_input": 6,
        "nonfinite": 6,
    }
    assert [x.shape for x in table["table"][:6]] == [(2, 2)] * 3 + [(2, 3)] * 3
    assert [len(x) for x in table["path"][:6]] == [2] * 3 + [3] * 3


def test_rows_without_an_answer_have_no_numbers(undisturbed):
    is_bad = np.isin(undisturbed["status"], ["nonfinite", "invalid_input"])
    assert np.isnan(undisturbed["roots"][is_bad]).all()
    assert np.isfinite(undisturbed["gap"][~is_bad]).all()
    records = undisturbed.to_records()
    json.dumps(records, allow_nan=False)
    assert records[6]["gap"] is None


def test_verification_sees_the_solution_in_float64(undisturbed):
    good = undisturbed["status"] == "converged"
    roots = undisturbed["roots"][good]
    np.testing.assert_array_equal(roots, roots.astype(np.float32))
    levels = np.stack([np.full(24, 2.0), undisturbed["problem.levels.1"]], 1)[good]
    expected = np.abs(roots * roots - levels).max(axis=1)
    np.testing.assert_array_equal(undisturbed["gap"][good], expected)
    exact = run_spec(make_spec("run.precision=f64"))
    assert exact["gap"][exact["status"] == "converged"].max() < 1e-8


def test_the_callers_x64_setting_decides_nothing(undisturbed):
    with jax.enable_x64(True):
        assert same_rows(run_spec(make_spec()), undisturbed)
        assert jax.config.jax_enable_x64


def test_keys_follow_point_and_replication():
    base = jax.random.fold_in(jax.random.key(7), 5)
    expected = [jax.random.fold_in(base, r) for r in (0, 3)]
    points, replications = np.array([5, 5], np.uint32), np.array([0, 3], np.uint32)
    found = programs.lane_keys(np.uint32(7), points, replications)
    for one, other in zip(found, expected, strict=True):
        assert (jax.random.key_data(one) == jax.random.key_data(other)).all()


def test_replications_and_points_differ_unless_keys_are_common():
    document = {"problem": {"levels": [2.0]}, "sweep": {"solver.tol": [10.0, 10.0]}}
    table = run_spec(make_spec(**document))
    assert len(np.unique(table["roots"])) == 6
    table = run_spec(make_spec("run.common_keys=true", **document))
    roots = table["roots"][:, 0]
    assert len(np.unique(roots)) == 3
    np.testing.assert_array_equal(roots[:3], roots[3:])


def test_the_chunk_size_changes_no_row(tmp_path, monkeypatch):
    monkeypatch.setitem(programs._MOST_LANES, "cpu", 6)
    plain = run_spec(make_spec(ONE_GROUP))
    num_devices = min(jax.local_device_count(), 12)
    for chunk in (1, 5, 1000):
        folder = tmp_path / str(chunk)
        table = run_spec(make_spec(ONE_GROUP), folder, chunk=chunk)
        assert same_rows(table, plain), chunk
        assert table.manifest["lane_widths"] == {"0": max(6 // num_devices, 1)}
        assert same_rows(load(folder), table), chunk
        assert pq.read_table(folder / "rows").num_rows == 12


def narrow(monkeypatch):
    monkeypatch.setitem(programs._MOST_LANES, "cpu", 4)


def test_a_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    narrow(monkeypatch)
    plain = run_spec(make_spec(ONE_GROUP))
    execute, calls = run.Worker.execute, []

    def stop(worker, chunk):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(chunk)
        return execute(worker, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(run.Worker, "execute", stop)
        with pytest.raises(KeyboardInterrupt):
            run_spec(make_spec(ONE_GROUP), tmp_path, chunk=1)
    done = load(tmp_path)
    assert 0 < len(done) < 12
    seen = []

    def count(worker, chunk):
        seen.append(len(chunk.rows))
        return execute(worker, chunk)

    monkeypatch.setattr(run.Worker, "execute", count)
    assert same_rows(run_spec(make_spec(ONE_GROUP), tmp_path, chunk=7), plain)
    assert sum(seen) == 12 - len(done)
    seen.clear()
    assert same_rows(run_spec(make_spec(ONE_GROUP), tmp_path), plain)
    assert seen == []


def test_more_replications_extend_a_run(tmp_path, monkeypatch, capsys):
    narrow(monkeypatch)
    first = run_spec(make_spec(ONE_GROUP), tmp_path)
    table = run_spec(
        make_spec(ONE_GROUP, "run.replications=5"), tmp_path, is_shown=True
    )
    assert len(table) == 20
    assert "20/20 rows: 8 done, 12 reused, 4 failed" in capsys.readouterr().err
    kept = [row for row in table.to_records() if row["replication"] < 3]
    assert repr(kept) == repr(first.to_records())


def test_a_truncated_file_is_computed_again_and_reported(tmp_path, monkeypatch, capsys):
    narrow(monkeypatch)
    plain = run_spec(make_spec(ONE_GROUP), tmp_path, chunk=1)
    path = sorted((tmp_path / "rows").iterdir())[1]
    path.write_bytes(path.read_bytes()[:-100])
    assert same_rows(run_spec(make_spec(ONE_GROUP), tmp_path, is_shown=True), plain)
    message = capsys.readouterr().err
    assert f"rows/{path.name} cannot be read; its rows are computed again" in message
    assert "12/12 rows: 4 done, 8 reused" in message


def test_a_changed_spec_is_refused(tmp_path):
    run_spec(make_spec(ONE_GROUP), tmp_path)
    with pytest.raises(StoreError, match="problem.rule: one -> two"):
        run_spec(make_spec(ONE_GROUP, "problem.rule=two"), tmp_path)
    run_spec(make_spec(ONE_GROUP, "problem.rule=two"), tmp_path, force_resume=True)


def test_inadmissible_numbers_leave_no_folder(tmp_path):
    spec = make_spec("sweep.problem.levels.1=[-1.0, -2.0, -3.0, 1.0]")
    with pytest.raises(SpecError, match="points 0, 1, 2, 3, 4, ...: 6 of 8"):
        run_spec(spec, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_without_verification(tmp_path):
    spec = make_spec("verification.enabled=false", "run.arrays=[]", ONE_GROUP)
    table = run_spec(spec)
    assert table.columns()[-1] == "problem.num_things"
    assert table.manifest["columns"] == []


def test_widths_are_halved_when_memory_runs_out(tmp_path, monkeypatch):
    plain = run_spec(make_spec(ONE_GROUP))
    compute = programs.GroupProgram.run

    def limited(program, rows, replications, width):
        if width * program.num_devices > 6:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return compute(program, rows, replications, width)

    monkeypatch.setattr(programs.GroupProgram, "run", limited)
    table = run_spec(make_spec(ONE_GROUP), tmp_path)
    assert table["status"].tolist() == plain["status"].tolist()
    np.testing.assert_allclose(table["gap"], plain["gap"], atol=1e-6)
    widths = json.loads((tmp_path / "manifest.json").read_text())["lane_widths"]
    assert all(
        width * min(jax.local_device_count(), 12) <= 6 or width == 1
        for width in widths.values()
    )
    assert '"out of memory"' in (tmp_path / "log.jsonl").read_text()


def test_other_errors_of_the_device_are_raised(monkeypatch):
    def fail(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: broken")

    monkeypatch.setattr(programs.GroupProgram, "run", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        run_spec(make_spec(ONE_GROUP))


def test_the_width_is_balanced_over_calls(monkeypatch):
    monkeypatch.setitem(programs._MOST_LANES, "cpu", 100)
    grid = run.Grid(make_spec(ONE_GROUP))
    program = programs.GroupProgram(grid, grid.groups[0], num_devices=1)
    assert program.choose_width(90) == 90
    assert program.choose_width(101) == 51
    assert program.choose_width(1) == 1
    per_lane = programs._num_bytes(program._abstract(90)) / 90 * programs._MEMORY_FACTOR
    monkeypatch.setattr(programs, "memory_budget", lambda *_: 10.01 * per_lane)
    assert program.choose_width(90) == 10
    monkeypatch.setattr(programs, "memory_budget", lambda *_: 1)
    with pytest.raises(ValueError, match="one solve on each of 1 devices needs"):
        program.choose_width(90)


@pytest.fixture
def made_programs(monkeypatch):
    """Collect the programs that a run makes."""
    made = []
    init = programs.GroupProgram.__init__

    def note(program, *args, **kwargs):
        init(program, *args, **kwargs)
        made.append(program)

    monkeypatch.setattr(programs.GroupProgram, "__init__", note)
    return made


def test_a_group_is_traced_once_per_program(made_programs):
    run_spec(make_spec("sweep.solver.tol=[1e-3, 1e-4]"), chunk=1)
    for program in made_programs:
        assert program._solve.num_compilations == 1
        assert program._verify.num_compilations == 1
        assert program._verify._jitted._cache_size() == 1
    assert len(made_programs) == 2


def test_lanes_are_cut_without_losing_any():
    grid = run.Grid(make_spec())
    finished = np.sort(row_ids(np.array([0, 2, 1]), np.array([1, 0, 0])))
    lanes = chunks.Lanes(grid.groups[0], 3, finished)
    assert (lanes.total, lanes.num_missing) == (12, 10)
    parts = []
    while len((part := lanes.take(4))[0]):
        parts.append(part)
    rows, replications = (np.concatenate(x) for x in zip(*parts, strict=True))
    assert [len(part[0]) for part in parts] == [4, 4, 2]
    pairs = set(zip(rows.tolist(), replications.tolist(), strict=True))
    everything = {(row, r) for row in range(4) for r in range(3)}
    assert pairs == everything - {(0, 1), (1, 0)}


HOST = {"solver": {"name": "host", "error": 1e-3}}


@pytest.fixture
def solved(monkeypatch):
    """What the solver on the host solves, in order."""
    levels = []
    monkeypatch.setattr(fake_model.HostRoots, "solved", levels)
    return levels


def test_solvers_on_the_host_run_like_others(solved, undisturbed):
    table = run_spec(make_spec(**HOST))
    assert table.columns() == undisturbed.columns()
    assert table.status_counts() == {
        "completed": 12,
        "invalid_input": 6,
        "nonfinite": 6,
    }
    assert len(solved) == 24  # padding is not solved
    good = table["status"] == "completed"
    assert np.isnan(table["gap"][~good]).all()
    roots = table["roots"][good]
    levels = np.stack([np.full(24, 2.0), table["problem.levels.1"]], 1)[good]
    np.testing.assert_allclose(roots, np.sqrt(levels), atol=1e-3)
    assert len(np.unique(roots)) == roots.size  # every lane has a key of its own
    np.testing.assert_array_equal(roots, roots.astype(np.float32))
    expected = np.abs(roots * roots - levels).max(axis=1)
    np.testing.assert_array_equal(table["gap"][good], expected)
    assert [len(x) for x in table["path"][:6]] == [2] * 3 + [3] * 3


def test_runs_on_the_host_resume(tmp_path, solved, monkeypatch):
    monkeypatch.setattr(programs, "_MOST_LANES_ON_HOST", 4)
    plain = run_spec(make_spec(ONE_GROUP, **HOST))
    run_spec(make_spec(ONE_GROUP, "run.replications=2", **HOST), tmp_path, chunk=1)
    solved.clear()
    assert same_rows(run_spec(make_spec(ONE_GROUP, **HOST), tmp_path), plain)
    assert len(solved) == 4
    widths = json.loads((tmp_path / "manifest.json").read_text())["lane_widths"]
    assert widths == {"0": 4 // jax.local_device_count()}
    solved.clear()
    run_spec(make_spec(ONE_GROUP, **HOST), tmp_path)
    assert solved == []


def test_widths_on_the_host_fit_memory(monkeypatch):
    grid = run.Grid(make_spec(ONE_GROUP, "run.arrays=[]", **HOST))
    program = programs.GroupProgram(grid, grid.groups[0], num_devices=1)
    assert program.choose_width(1000) == programs._MOST_LANES_ON_HOST
    assert program.choose_width(3) == 3
    size = 3 * (2 * 4 + 4 + 4 + 4)  # roots, status, residual, steps
    assert program._solve.memory_bytes(*program._abstract(3)[0]) == size
    assert program.bytes_per_result(3) == (1 + 2 + 4) * 8 + 1
    monkeypatch.setattr(programs, "memory_budget", lambda *_: 1)
    with pytest.raises(ValueError, match="one solve on each of 1 devices needs"):
        program.choose_width(3)


def test_verification_of_host_solutions_is_compiled_once(solved, made_programs):
    run_spec(make_spec(ONE_GROUP, **HOST), chunk=1)
    (program,) = made_programs
    assert program._verify.num_compilations == 1
    assert program._verify._jitted._cache_size() == 1


def test_a_chunk_that_cannot_be_computed_loses_nothing_else(tmp_path):
    levels = [1.0, 2.0, 667.0, 3.0, *range(4, 20)]
    document = {**HOST, "run": {}, "sweep": {"problem.levels.1": levels}}
    with pytest.warns(RuntimeWarning, match="8 rows .* 1 of .*a level of 667.*again"):
        table = run_spec(make_spec(**document), tmp_path, chunk=1)
    assert len(table) == 12
    log = (tmp_path / "log.jsonl").read_text().splitlines()
    failed = [json.loads(line) for line in log if '"failed"' in line]
    assert [event["num_rows"] for event in failed] == [8]
    assert failed[0]["error"] == "RuntimeError: a level of 667"
    # The next run tries these rows again, and only these.
    with pytest.warns(RuntimeWarning, match="8 rows"):
        assert len(run_spec(make_spec(**document), tmp_path, chunk=1)) == 12


def test_a_run_of_which_nothing_can_be_computed_is_an_error(tmp_path):
    document = {**HOST, "run": {}, "sweep": {"problem.levels.1": [667.0]}}
    with pytest.raises(RuntimeError, match="a level of 667"):
        run_spec(make_spec(**document), tmp_path)


def test_a_run_that_only_fails_is_given_up(tmp_path):
    document = {**HOST, "run": {}, "sweep": {"problem.levels.1": [667.0] * 200}}
    with pytest.raises(RuntimeError, match="a level of 667"):
        run_spec(make_spec(**document), tmp_path, chunk=1)
    log = (tmp_path / "log.jsonl").read_text()
    assert log.count('"failed"') == 10


def test_clock_jumps_change_nothing(tmp_path, monkeypatch, undisturbed):
    clock = iter(np.cumsum(np.tile([1e9, -2e9, 3.0], 10_000)))
    monkeypatch.setattr("time.time", lambda: next(clock))
    monkeypatch.setattr("gtrade.sweeps.store._now", lambda: str(next(clock)))
    table = run_spec(make_spec(), tmp_path)
    assert same_rows(table, undisturbed)
    assert same_rows(run_spec(make_spec(), tmp_path), undisturbed)


def test_a_shape_that_cannot_be_planned_loses_no_other(tmp_path, monkeypatch):
    calls = run.Worker.calls

    def refuse(worker, group, width):
        if group == 0:
            raise ValueError("one solve needs 99 GiB")
        return calls(worker, group, width)

    monkeypatch.setattr(run.Worker, "calls", refuse)
    with pytest.warns(RuntimeWarning, match="12 rows .*one solve needs 99 GiB"):
        table = run_spec(make_spec(), tmp_path)
    assert set(table["problem.num_things"].tolist()) == {3}

import pyarrow.parquet as pq
import pytest

from gtrade.cli import main
from gtrade.sweeps import compaction, programs
from gtrade.sweeps.compaction import compact
from gtrade.sweeps.run import run_spec
from gtrade.sweeps.spec import resolve_spec
from gtrade.sweeps.store import Store, StoreError, load

DOCUMENT = {
    "model": "roots",
    "problem": {"levels": [2.0, 3.0]},
    "solver": {"name": "newton", "noise": 2.0},
    "run": {"replications": 3, "arrays": ["path"]},
    "sweep": {
        "problem.levels.1": [1.0, 13.0, 5000.0, 7.0, 8.0],
        "problem.num_things": [2, 3],  # rows of different lengths
    },
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Make a run of many small files; return its folder and its rows."""
    monkeypatch.setitem(programs._MOST_LANES, "cpu", 2)

    def make(*overrides):
        spec = resolve_spec(DOCUMENT, overrides=overrides)
        return run_spec(spec, tmp_path / "run", chunk=1)

    table = make()
    return make, tmp_path / "run", table.to_records()


def num_files(folder, part="rows"):
    return len(list((folder / part).glob("*.parquet")))


def test_rows_and_arrays_stay(run):
    make, folder, records = run
    before = num_files(folder)
    assert before >= 15
    assert compact(folder) == before - 1
    assert num_files(folder) == num_files(folder, "arrays") == 1
    assert repr(load(folder).to_records()) == repr(records)
    # A resume finds everything, and goes on beside the large file.
    assert repr(make().to_records()) == repr(records)
    assert num_files(folder) == 1
    assert len(make("run.replications=4")) == 40
    assert num_files(folder) == 7
    assert compact(folder) == 6
    assert len(load(folder)) == 40
    assert pq.read_table(folder / "rows").num_rows == 40


def test_files_of_the_wanted_size_are_left_alone(run):
    _, folder, records = run
    before = num_files(folder)
    assert compact(folder, bytes_per_file=1) == 0
    size = sum(path.stat().st_size for path in folder.glob("*/*.parquet"))
    assert 0 < compact(folder, bytes_per_file=size // 3) < before - 1
    assert repr(load(folder).to_records()) == repr(records)


class Killed(BaseException):
    pass


def test_a_kill_at_any_moment_loses_and_doubles_nothing(run, monkeypatch):
    make, folder, records = run
    write, unlink = compaction.write_file, compaction.Path.unlink

    def count_down(function):
        def stop_or(*args, **kwargs):
            if not left:
                raise Killed
            left.pop()
            return function(*args, **kwargs)

        return stop_or

    for moment in range(100):
        left = [None] * moment
        with monkeypatch.context() as patch:
            patch.setattr(compaction, "write_file", count_down(write))
            patch.setattr(compaction.Path, "unlink", count_down(unlink))
            try:
                compact(folder)
                is_over = True
            except Killed:
                is_over = False
        assert repr(load(folder).to_records()) == repr(records)
        if is_over:
            break
        if moment % 3 == 0:
            assert repr(make().to_records()) == repr(records)
            assert pq.read_table(folder / "rows").num_rows == 30
    assert moment > 3
    assert num_files(folder) == num_files(folder, "arrays") == 1


def test_what_cannot_be_read_is_computed_again(run):
    make, folder, records = run
    one = sorted((folder / "rows").glob("*.parquet"))[3]
    one.write_bytes(one.read_bytes()[:-20])
    compact(folder)
    assert num_files(folder) == 1
    assert repr(make().to_records()) == repr(records)


def test_a_folder_in_use_or_without_a_run_is_refused(run, tmp_path, capsys):
    _, folder, records = run
    with Store.reopen(folder), pytest.raises(StoreError, match="another run is writ"):
        compact(folder)
    with pytest.raises(StoreError, match="holds no run"):
        compact(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    assert main(["compact", str(folder)]) == 0
    assert "files fewer" in capsys.readouterr().out
    assert repr(load(folder).to_records()) == repr(records)

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gtrade.sweeps.manifest import make_manifest
from gtrade.sweeps.spec import resolve_spec
from gtrade.sweeps.store import ChunkWriter, Store, StoreError, load
from gtrade.sweeps.table import row_ids

DEVICE = {"platform": "cpu", "kind": "cpu", "count": 4}


def make(arrays=(), device=DEVICE, **problem):
    document = {
        "model": "roots",
        "problem": {"levels": [1.0, 2.0], **problem},
        "solver": {"name": "newton"},
        "run": {"replications": 2, "arrays": list(arrays)},
        "sweep": {"problem.scale": [1.0, 2.0, 3.0]},
    }
    return make_manifest(resolve_spec(document), device, [])


def rows(points, replications=None, **columns):
    replications = [0] * len(points) if replications is None else replications
    return pa.table(
        {
            "point": points,
            "replication": replications,
            "status": ["converged"] * len(points),
            **columns,
        }
    )


def log_lines(folder):
    return (folder / "log.jsonl").read_text().splitlines()


def ids(points, replications):
    return row_ids(np.array(points), np.array(replications)).tolist()


def test_rows_come_back_sorted(tmp_path):
    with Store(tmp_path / "a" / "b", make()) as store:
        store.commit(rows([2, 0], [1, 1], gap=[3.0, np.nan]), None)
        store.commit(rows([0], [0], gap=[1.0]), None)
        assert store.finished().tolist() == ids([0, 0, 2], [0, 1, 1])
    table = load(tmp_path / "a" / "b")
    assert table["point"].tolist() == [0, 0, 2]
    assert table["replication"].tolist() == [0, 1, 1]
    np.testing.assert_array_equal(table["gap"], [1.0, np.nan, 3.0])
    assert len(table) == 3
    assert table.manifest["spec"]["model"] == "roots"


def test_files_have_the_documented_names(tmp_path):
    with Store(tmp_path, make(["path"])) as store:
        name = store.commit(rows([0]), rows([0], path=[[1.0]]))
        assert store.commit(rows([1]), rows([1], path=[[1.0]])) != name
    assert name.startswith("chunk-00000-")
    assert (tmp_path / "arrays" / name).is_file()
    assert not list(tmp_path.glob("**/*.tmp"))
    events = [json.loads(x)["event"] for x in log_lines(tmp_path)]
    assert events == ["opened"]


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_damaged_rows_are_set_aside(tmp_path, damage):
    with Store(tmp_path, make()) as store:
        name = store.commit(rows([0], gap=[1.0]), None)
        store.commit(rows([1], gap=[1.0]), None)
    path = tmp_path / "rows" / name
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[30] ^= 255
    path.write_bytes(content[: {"truncate": -20, "empty": 0}.get(damage, None)])
    assert load(tmp_path)["point"].tolist() == [1]
    with Store(tmp_path, make()) as store:
        assert store.finished().tolist() == ids([1], [0])
        assert store.damaged == [f"rows/{name}"]
        store.commit(rows([0], gap=[1.0]), None)
    assert load(tmp_path)["point"].tolist() == [0, 1]
    assert pq.read_table(tmp_path / "rows").num_rows == 2


@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_rows_without_their_arrays_are_set_aside(tmp_path, damage):
    with Store(tmp_path, make(["path"])) as store:
        name = store.commit(rows([0]), rows([0], path=[[1.0]]))
        store.commit(rows([1]), rows([1], path=[[2.0]]))
    path = tmp_path / "arrays" / name
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:50])
    with Store(tmp_path, make(["path"])) as store:
        assert store.finished().tolist() == ids([1], [0])
        assert store.damaged == [f"arrays/{name}"]
    table = load(tmp_path)
    assert table.array("path").tolist() == [[2.0]]
    for path in (tmp_path / "arrays").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"arrays/.*\.parquet: cannot be read \("):
        table.array("path")


def test_leftovers_of_a_kill_are_removed(tmp_path):
    with Store(tmp_path, make(["path"])) as store:
        store.commit(rows([0]), rows([0], path=[[1.0]]))
    (tmp_path / "rows" / ".chunk-00001-ab.parquet.7.tmp").write_bytes(b"half")
    orphan = tmp_path / "arrays" / "chunk-00001-ab.parquet"
    pq.write_table(rows([1], path=[[1.0]]), orphan)
    with open(tmp_path / "log.jsonl", "a") as log:
        log.write('{"time": "cut')
    with Store(tmp_path, make(["path"])) as store:
        assert len(store.finished()) == 1
    assert not orphan.exists()
    assert not list(tmp_path.glob("**/.*.tmp"))
    assert log_lines(tmp_path)[-2] == '{"time": "cut'
    assert load(tmp_path)["path"].tolist() == [[1.0]]


def test_leftovers_of_a_killed_worker_go_with_the_end_of_the_run(tmp_path):
    with Store(tmp_path, make()) as store:
        store.commit(rows([0]), None, name="chunk-00001-ab.parquet")
        (tmp_path / "rows" / ".chunk-00001-ab.parquet.7-cd.tmp").write_bytes(b"half")
    assert [path.name for path in (tmp_path / "rows").iterdir()] == [
        "chunk-00001-ab.parquet"
    ]


def test_only_files_of_a_run_are_removed(tmp_path):
    kept = tmp_path / "notes" / ".draft.tmp"
    kept.parent.mkdir()
    kept.write_text("mine")
    with Store(tmp_path, make()) as store:
        store.finished()
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("text", ['{"name": "a web page"}', "[1]"])
def test_a_manifest_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(StoreError, match="is not the manifest of a run"):
        Store(tmp_path, make())
    with pytest.raises(StoreError, match="is not the manifest of a run"):
        load(tmp_path)


def test_a_changed_spec_is_refused_with_the_difference(tmp_path):
    Store(tmp_path, make()).close()
    with pytest.raises(StoreError) as caught:
        Store(tmp_path, make(rule="two", num_things=3))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: holds a different run; choose another")
    assert "\n  problem.num_things: 2 -> 3\n  problem.rule: one -> two" in message
    with Store(tmp_path, make(rule="two"), force_resume=True) as store:
        assert store.manifest["history"][-1]["forced"] == ["problem.rule: one -> two"]
    Store(tmp_path, make(rule="two")).close()


def test_a_changed_sweep_is_refused(tmp_path):
    old, new = make(), make()
    new["spec"]["sweep"][0]["values"]["problem.scale"][1] = 9.0
    Store(tmp_path, old).close()
    with pytest.raises(StoreError, match=r"sweep.0.values.problem.scale: \[1.0, 2.0"):
        Store(tmp_path, new)


def test_other_versions_and_devices_are_refused(tmp_path):
    Store(tmp_path, make()).close()
    other = make(device={**DEVICE, "kind": "H100"})
    other["versions"]["jax"] = "9.9"
    with pytest.raises(
        StoreError, match=r"(?s)version of jax: .* -> 9.9\n.*cpu -> H100"
    ):
        Store(tmp_path, other)
    Store(tmp_path, make(device={**DEVICE, "count": 1})).close()


def test_replications_may_grow_only(tmp_path):
    def with_replications(count):
        manifest = make()
        manifest["spec"]["run"]["replications"] = count
        return manifest

    with Store(tmp_path, with_replications(2)) as store:
        store.set_lane_width(0, 17)
    with Store(tmp_path, with_replications(5)) as store:
        assert store.manifest["lane_widths"] == {"0": 17}
    assert json.loads((tmp_path / "manifest.json").read_text())["spec"]["run"][
        "replications"
    ] == (5)
    with pytest.raises(StoreError, match="run.replications: 5 -> 3"):
        Store(tmp_path, with_replications(3))


def test_one_process_writes(tmp_path):
    with Store(tmp_path, make()):
        with pytest.raises(StoreError, match="another run is writing here .process"):
            Store(tmp_path, make())
    Store(tmp_path, make()).close()


def test_a_dead_process_leaves_no_lock(tmp_path):
    code = (
        "import fcntl, os, signal, sys\n"
        f"file = open({str(tmp_path / 'lock')!r}, 'a+')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == -9
    Store(tmp_path, make()).close()


def test_unusable_folders(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/x: cannot be written"):
        Store(tmp_path / "file" / "x", make())
    with pytest.raises(StoreError, match="holds no run"):
        load(tmp_path)
    Store(tmp_path / "new", make()).close()
    with pytest.raises(StoreError, match="holds no rows yet"):
        load(tmp_path / "new")
    (tmp_path / "new" / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match="manifest.json: cannot be read"):
        Store(tmp_path / "new", make())


def test_rows_without_a_manifest_are_not_overwritten(tmp_path):
    with Store(tmp_path, make()) as store:
        store.commit(rows([0]), None)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(StoreError, match="holds rows but no manifest"):
        Store(tmp_path, make())


def test_the_store_imports_no_jax():
    code = (
        "import sys, gtrade.sweeps.store, gtrade.sweeps.rows, gtrade.reporting\n"
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_workers_of_a_driver_that_is_gone_write_nothing(tmp_path):
    with Store(tmp_path, make()) as store:
        orphan = ChunkWriter(tmp_path, store.writer)
        orphan.commit(rows([0]), None, name="chunk-00000-ab.parquet")
    with Store(tmp_path, make()) as store:
        with pytest.raises(StoreError, match="another process has gone on here"):
            orphan.commit(rows([1]), None, name="chunk-00001-cd.parquet")
        ChunkWriter(tmp_path, store.writer).commit(
            rows([2]), None, name="chunk-00001-ef.parquet"
        )
        assert store.finished().tolist() == ids([0, 2], [0, 0])


def test_a_full_disk_keeps_what_is_finished(tmp_path, monkeypatch):
    with Store(tmp_path, make(["path"])) as store:
        store.commit(rows([0]), rows([0], path=[[1.0]]))
        sync, left = os.fsync, [1, 2]

        def full(file):
            if not left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            left.pop()
            sync(file)

        with monkeypatch.context() as patch:
            patch.setattr("gtrade.sweeps.store.os.fsync", full)
            message = (
                "cannot be written any more .no space left on device.; finished rows"
            )
            with pytest.raises(StoreError, match=message):  # arrays fit, rows do not
                store.commit(rows([1]), rows([1], path=[[2.0]]))
            with pytest.raises(StoreError, match=message):
                store.set_lane_width(0, 4)
            assert not list(tmp_path.glob("**/.*.tmp"))  # the room is given back
    assert len(load(tmp_path)) == 1
    with Store(tmp_path, make(["path"])) as store:
        assert store.finished().tolist() == ids([0], [0])
        assert len(list((tmp_path / "arrays").iterdir())) == 1

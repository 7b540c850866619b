"""Sweeps on Ray workers: kills, errors, what is left behind."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gtrade.cli import main
from gtrade.sweeps import ray_executor
from gtrade.sweeps.run import run_spec
from gtrade.sweeps.spec import resolve_spec
from gtrade.sweeps.store import load
from gtrade.sweeps.table import row_ids

NUM_WORKERS, NUM_CHUNKS, CHUNK = 3, 40, 1000
SWEEP = {
    "model": "position-building",
    "problem": {
        "firms": [
            {"types": [{"permanent_impact": 1.0, "target": 1.0}]},
            {"types": [{"permanent_impact": 4.0, "target": 3.0}]},
        ]
    },
    "solver": {"name": "spectral", "num_points": 9},
    "sweep": {
        "problem.firms.0.types.0.permanent_impact": {"linspace": [0.1, 9, 200]},
        "problem.firms.1.types.0.target": {"linspace": [-5, 5, 200]},
    },
}
DRIVER = """
import json, sys
from gtrade.sweeps.run import run_spec
from gtrade.sweeps.spec import resolve_spec
spec = resolve_spec(json.loads(sys.argv[1]))
run_spec(spec, sys.argv[2], executor="ray", chunk={chunk}, num_devices={workers})
"""


def start(folder, home):
    script = DRIVER.format(chunk=CHUNK, workers=NUM_WORKERS)
    arguments = [sys.executable, "-c", script, json.dumps(SWEEP), str(folder)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "HOME": str(home)}
    return subprocess.Popen(arguments, env=environment)


def workers_seen(folder):
    """Return the workers of committed chunks, by process, and the chunks."""
    with contextlib.suppress(FileNotFoundError):
        lines = (folder / "log.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines if line.endswith("}")]
        reports = [event for event in events if event["event"] == "chunk"]
        return {int(r["worker"].split()[1]) for r in reports}, len(reports)
    return set(), 0


def is_alive(process):
    with contextlib.suppress(FileNotFoundError):
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    return False


@pytest.mark.ray
def test_killed_workers_and_a_killed_driver_lose_nothing(tmp_path):
    pytest.importorskip("ray")
    plain = run_spec(
        resolve_spec(SWEEP), tmp_path / "plain", num_devices=1, chunk=CHUNK
    )
    folder, home = tmp_path / "killed", tmp_path / "home"
    home.mkdir()
    killed = set()
    process = start(folder, home)
    deadline = time.monotonic() + 120
    while len(killed) < NUM_WORKERS:
        assert time.monotonic() < deadline
        assert process.poll() is None, "too few chunks to kill every worker"
        for worker in workers_seen(folder)[0] - killed:
            if len(killed) < NUM_WORKERS:
                os.kill(worker, signal.SIGKILL)
                killed.add(worker)
        time.sleep(0.002)
    after = workers_seen(folder)[1]
    while workers_seen(folder)[1] < after + 3 and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    kept = len(list((folder / "rows").glob("*.parquet")))
    assert 3 < kept < NUM_CHUNKS, "the driver was killed too early or too late"
    process = start(folder, home)
    assert process.wait(180) == 0
    assert len(plain) == NUM_CHUNKS * CHUNK
    assert load(folder).to_arrow().equals(plain.to_arrow())
    stored = pq.read_table(folder / "rows")
    ids = row_ids(*(stored.column(k).to_numpy() for k in ("point", "replication")))
    assert len(ids) == len(np.unique(ids)) == len(plain)
    assert not list(folder.glob("**/.*.tmp"))
    # Nobody goes on working, and nothing is left in the home.
    for worker in workers_seen(folder)[0]:
        deadline = time.monotonic() + 60
        while is_alive(worker) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not is_alive(worker)
    assert not (home / ".ray").exists()


@pytest.fixture
def _roots_everywhere(tmp_path, monkeypatch):
    """Let workers know the fake model too: those of a cluster that is started here."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_executor, "_is_cluster_likely", lambda: False)
    (tmp_path / "sitecustomize.py").write_text(
        "from gtrade import catalog\ncatalog.MODELS['roots'] = 'fake_model'\n"
    )
    places = [str(tmp_path), str(Path(__file__).parent), os.environ.get("PYTHONPATH")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))


def roots_of(levels):
    return resolve_spec(
        {
            "model": "roots",
            "problem": {"levels": [2.0, 3.0]},
            "solver": {"name": "host"},
            "sweep": {"problem.levels.1": levels},
        }
    )


@pytest.mark.ray
@pytest.mark.usefixtures("_roots_everywhere")
def test_a_chunk_that_cannot_be_computed_loses_nothing_else(tmp_path):
    pytest.importorskip("ray")
    spec, out = roots_of([1, 667, *range(2, 18), 666, 20, 21]), tmp_path / "out"
    with pytest.warns(RuntimeWarning, match="2 of the chunks failed"):
        table = run_spec(spec, out, executor="ray", chunk=1, num_devices=2)
    log = [json.loads(x) for x in (out / "log.jsonl").read_text().splitlines()]
    failed = [event for event in log if event["event"] == "failed"]
    missing = sum(event["num_rows"] for event in failed)
    assert len(table) == 21 - missing
    assert any("a level of 667" in event["error"] for event in failed)
    assert any("4 workers were lost" in event["error"] for event in failed)
    assert not {666.0, 667.0} & set(table["problem.levels.1"].tolist())


@pytest.mark.ray
@pytest.mark.usefixtures("_roots_everywhere")
def test_a_worker_keeps_its_gpu_and_its_process(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    # Ray hands out GPUs that are only declared, and jax is told to use the CPU.
    environment = ray_executor.worker_environment(is_gpu=False, calls_lapack=True)
    monkeypatch.setattr(ray_executor, "worker_environment", lambda **_: environment)
    monkeypatch.setattr(ray, "init", functools.partial(ray.init, num_gpus=2))
    spec, out = roots_of([*range(14, 174)]), tmp_path / "out"
    run_spec(spec, out, executor="ray", chunk=1, num_devices=3)
    workers, num_chunks = workers_seen(out)
    assert num_chunks == 20
    assert len(workers) <= 2


def test_ray_absent_is_said_and_never_imported(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("gtrade.cli.run.prepare_environment", lambda **_: None)
    spec = Path(__file__).parents[2] / "experiments" / "quickstart.toml"
    arguments = ["run", str(spec), "--executor", "ray", "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "pip install 'gtrade[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    before = dict(os.environ)
    with pytest.raises(ImportError, match="pip install 'gtrade"):
        run_spec(resolve_spec(SWEEP), tmp_path / "out", executor="ray")
    assert dict(os.environ) == before
    code = "import sys; sys.modules['ray'] = None\nimport gtrade.sweeps.run"
    subprocess.run([sys.executable, "-c", code], check=True)

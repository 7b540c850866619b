"""A run that is killed again and again ends with the rows of an undisturbed one."""

import multiprocessing
import os
import random
import signal
import time

import pyarrow.parquet as pq
import pytest

from gtrade import catalog
from gtrade.sweeps import programs, run
from gtrade.sweeps.spec import resolve_spec
from gtrade.sweeps.store import load


def work(folder, chunk, connection):
    """Run the sweep in `folder`, or go on with it: what every process does."""
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    catalog.MODELS["roots"] = "fake_model"
    programs._MOST_LANES["cpu"] = 16
    spec = resolve_spec(
        {
            "model": "roots",
            "problem": {"levels": [2.0, 3.0]},
            "solver": {"name": "newton", "noise": 2.0},
            "run": {"replications": 60, "arrays": ["path"]},
            "sweep": {
                "problem.levels.1": {"linspace": [1, 20, 100]},
                "problem.num_things": [2, 3],
            },
        }
    )
    connection.send("started")
    run.run_spec(spec, folder, chunk=chunk)


@pytest.mark.slow
def test_twenty_kills(tmp_path, monkeypatch):
    # The undisturbed run compiles, the others read what it has kept.
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")
    # Processes fork from one that has imported everything and started nothing.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", run.__name__])

    def start(folder, chunk):
        here, there = context.Pipe(duplex=False)
        arguments = folder, chunk, there
        process = context.Process(target=work, args=arguments, daemon=True)
        process.start()
        there.close()
        assert here.poll(60)
        assert here.recv() == "started"
        return process

    def finish(process, code, seconds):
        process.join(seconds)
        assert process.exitcode == code
        process.close()

    finish(start(tmp_path / "plain", 1600), 0, 120)
    generator, sizes = random.Random(0), []

    def count():
        return len(list((tmp_path / "killed" / "rows").glob("*.parquet")))

    while len(sizes) < 20:
        process = start(tmp_path / "killed", generator.choice([1, 1, 40]))
        if len(sizes) % 5 == 4:
            time.sleep(generator.uniform(0, 0.3))  # while it starts
        else:
            enough = count() + generator.randint(1, 8)
            while count() < enough and process.is_alive():
                time.sleep(generator.uniform(0, 0.004))
        process.kill()
        finish(process, -signal.SIGKILL, 60)
        sizes.append(count())
    assert len(set(sizes)) > 10, "too few kills came while rows were written"
    finish(start(tmp_path / "killed", 640), 0, 120)
    plain, killed = load(tmp_path / "plain"), load(tmp_path / "killed")
    assert len(plain) == 12000
    assert repr(killed.to_records()) == repr(plain.to_records())
    assert pq.read_table(tmp_path / "killed" / "rows").num_rows == 12000
    assert not list((tmp_path / "killed").glob("**/.*.tmp"))

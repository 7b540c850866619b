"""A run that is killed again and again ends with the rows of an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gtrade.sweeps.store import load

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from gtrade import catalog
catalog.MODELS["roots"] = "fake_model"
from gtrade.sweeps import programs, run
from gtrade.sweeps.spec import resolve_spec
programs._MOST_LANES["cpu"] = 16
spec = resolve_spec({{
    "model": "roots",
    "problem": {{"levels": [2.0, 3.0]}},
    "solver": {{"name": "newton", "noise": 2.0}},
    "run": {{"replications": 60, "arrays": ["path"]}},
    "sweep": {{
        "problem.levels.1": {{"linspace": [1, 20, 100]}},
        "problem.num_things": [2, 3],
    }},
}})
print("started", flush=True)
run.run_spec(spec, sys.argv[1], chunk=int(sys.argv[2]))
"""


@pytest.mark.slow
def test_twenty_kills(tmp_path):
    script = tmp_path / "script.py"
    tests = str(Path(__file__).parent)
    script.write_text(textwrap.dedent(SCRIPT.format(tests=tests)))
    flag = "--xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flag}

    def start(folder, chunk):
        return subprocess.Popen(
            [sys.executable, str(script), str(folder), str(chunk)],
            stdout=subprocess.PIPE,
            env=environment,
        )

    with start(tmp_path / "plain", 16) as process:
        assert process.wait(120) == 0
    generator, sizes = random.Random(0), []

    def count():
        return len(list((tmp_path / "killed" / "rows").glob("*.parquet")))

    while len(sizes) < 20:
        with start(tmp_path / "killed", generator.choice([1, 1, 40])) as process:
            process.stdout.readline()
            if len(sizes) % 5 == 4:
                time.sleep(generator.uniform(0, 0.5))  # while it starts and compiles
            else:
                enough = count() + generator.randint(1, 8)
                while count() < enough and process.poll() is None:
                    time.sleep(generator.uniform(0, 0.004))
            process.send_signal(signal.SIGKILL)
            assert process.wait(60) == -signal.SIGKILL
        sizes.append(count())
    assert len(set(sizes)) > 10, "too few kills came while rows were written"
    with start(tmp_path / "killed", 64) as process:
        assert process.wait(120) == 0
    plain, killed = load(tmp_path / "plain"), load(tmp_path / "killed")
    assert len(plain) == 12000
    assert repr(killed.to_records()) == repr(plain.to_records())
    assert pq.read_table(tmp_path / "killed" / "rows").num_rows == 12000
    assert not list((tmp_path / "killed").glob("**/.*.tmp"))

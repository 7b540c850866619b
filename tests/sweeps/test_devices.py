"""Any number of local devices gives the same rows, bit for bit on a CPU."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import shutil, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import jax
from gtrade import catalog
from gtrade.sweeps import programs
from gtrade.sweeps.run import run_spec
from gtrade.sweeps.spec import resolve_spec
catalog.MODELS["roots"] = "fake_model"
programs._MOST_LANES["cpu"] = 5
spec = resolve_spec({{
    "model": "roots",
    "problem": {{"levels": [2.0, 3.0]}},
    "solver": {{"name": "newton", "noise": 2.0}},
    "run": {{"replications": 3, "arrays": ["path"]}},
    "sweep": {{
        "problem.levels.1": [1.0, 13.0, 5000.0, 7.0, 2.0, 11.0, 0.5],
        "problem.num_things": [2, 3],
    }},
}})
assert jax.local_device_count() == 4
one, four = Path(sys.argv[1], "one"), Path(sys.argv[1], "four")
expected = run_spec(spec, one, num_devices=1)
widths = expected.manifest["lane_widths"]
four.mkdir()
shutil.copy(one / "manifest.json", four)  # the same lane widths
found = run_spec(spec, four, num_devices=4)
assert found.manifest["lane_widths"] == widths
assert 21 % (4 * widths["0"]), "every batch is whole"
assert repr(found.to_records()) == repr(expected.to_records())
"""


def test_four_devices_give_the_rows_of_one(tmp_path):
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    flags = "--xla_force_host_platform_device_count=4"
    environment = {**os.environ, "XLA_FLAGS": flags, "PJRT_NPROC": "16"}
    command = [sys.executable, "-c", script, str(tmp_path)]
    subprocess.run(command, env=environment, check=True)

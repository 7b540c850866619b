"""A file system that is full, or read-only: a small one of a mount namespace."""

import subprocess
import sys
from pathlib import Path

import pytest

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
SCRIPT = """
import subprocess, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from gtrade import catalog
from gtrade.sweeps.run import run_spec
from gtrade.sweeps.spec import resolve_spec
from gtrade.sweeps.store import StoreError
catalog.MODELS["roots"] = "fake_model"
spec = resolve_spec({{
    "model": "roots",
    "problem": {{"levels": [2.0, 3.0]}},
    "solver": {{"name": "host"}},
    "run": {{"arrays": ["path"]}},
    "sweep": {{"problem.levels.1": list(range(14, 174))}},
}})
plain = run_spec(spec, Path(sys.argv[1], "plain"), chunk=1)
disk = Path(sys.argv[1], "disk")
out = disk / "out"

def mount(*options):
    subprocess.run(["mount", *options, disk], check=True)

def fails():
    try:
        run_spec(spec, out, chunk=1)
    except StoreError as error:
        assert not list(out.glob("**/.*.tmp"))
        return str(error), len(list(out.glob("rows/*.parquet")))

mount("-t", "tmpfs", "-o", "size=192k", "none")
full, kept = fails()
assert full.startswith(f"{{out}}: cannot be written any more (no space left on device)")
assert 0 < kept < 20, kept
mount("-o", "remount,ro,size=64m")
assert fails() == (f"{{out}}: cannot be written (read-only file system)", kept)
mount("-o", "remount,rw")
table = run_spec(spec, out, chunk=1)
assert len(list(out.glob("rows/*.parquet"))) == 20
assert repr(table.to_records()) == repr(plain.to_records())
assert repr(table.array("path")) == repr(plain.array("path"))
"""


def test_a_sweep_goes_on_once_there_is_room(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    trial = [*NAMESPACE, "mount", "-t", "tmpfs", "none", str(disk)]
    try:
        subprocess.run(trial, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no mount namespaces here ({error})")
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    command = [*NAMESPACE, sys.executable, "-c", script, str(tmp_path)]
    subprocess.run(command, check=True, timeout=120)

"""Kill a sweep at random moments until it is done, again and again.

Run by hand: `python experiments/faults.py --minutes 5 --workers 3 --seed 0`. A sweep of
2000 games in 250 chunks runs on Ray workers, or in one process with `--executor local`.
Workers, drivers and Ray's own processes are killed with SIGKILL, and a driver that ends
before the sweep is done is started again. What it leaves has to hold every row once,
equal to those of an undisturbed run, and nothing else. Needs Linux: processes are found
in /proc.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from gtrade.sweeps.store import load
from gtrade.sweeps.table import row_ids

SWEEP = {
    "model": "bimatrix",
    "problem": {
        "payoffs_row": [[3.0, 0.0, 1.0], [5.0, 1.0, 0.5], [2.0, 4.0, 0.0]],
        "payoffs_col": [[3.0, 5.0, 0.0], [0.0, 1.0, 2.0], [1.0, 0.5, 4.0]],
    },
    "solver": {"name": "correlated-lp"},
    "run": {"arrays": ["joint_best"]},
    "sweep": {
        "problem.payoffs_row.0.1": {"linspace": [-1, 4, 50]},
        "problem.payoffs_col.1.0": {"linspace": [-1, 4, 40]},
    },
}
NUM_ROWS, CHUNK = 2000, 8
DRIVER = """
import json, sys
from gtrade.sweeps.run import run_spec
from gtrade.sweeps.spec import resolve_spec
sweep, folder, executor, chunk, workers = sys.argv[1:]
spec = resolve_spec(json.loads(sweep))
options = {"executor": executor, "chunk": int(chunk), "num_devices": int(workers)}
table = run_spec(spec, folder, **options)
# As `gtrade run`: a chunk that lost four workers is left to the next driver.
sys.exit(0 if len(table) == spec.num_points else 3)
"""
SECONDS_BETWEEN_KILLS = {"ray": 3.0, "local": 4.0}  # on average
# Which process is killed how often, by the beginning of its title.
VICTIMS = {
    "ray": {"driver": 3, "ray::RayWorker": 12, "raylet": 0.5, "gcs_server": 0.25},
    "local": {"driver": 1},
}
SECONDS_WITHOUT_A_CHUNK = 150.0  # after which a driver hangs
FILES = {"manifest.json", "log.jsonl", "lock", "writer", "rows", "arrays"}


def read_arguments(argv):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--executor", choices=tuple(VICTIMS), default="ray")
    return parser.parse_args(argv)


# --- Processes ------------------------------------------------------------------------


def start(folder, executor, num_workers, home):
    """Start a driver, which has the sweep computed or goes on with it."""
    options = [json.dumps(SWEEP), str(folder), executor, str(CHUNK), str(num_workers)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "HOME": str(home)}
    with open(home / "errors.txt", "ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, *options],
            env=environment,
            stdout=errors,
            stderr=errors,
        )


def processes():
    """Return parent and title of every process that lives."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            facts = (place / "stat").read_text().rpartition(")")[2]
            state, parent, _ = facts.split(maxsplit=2)
            title = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if state != "Z":
                found[int(place.name)] = int(parent), title
    return found


def descendants(driver):
    """Return the titles of the processes that a driver has started, by process."""
    found = processes()
    family, is_growing = {driver}, True
    while is_growing:
        children = {p for p, (parent, _) in found.items() if parent in family}
        is_growing = not children <= family
        family |= children
    return {p: found[p][1] for p in family if p in found and p != driver}


def choose_victim(driver, executor, generator):
    """Return what to kill, and its process; None if there is none of that kind now."""
    kinds = VICTIMS[executor]
    kind = generator.choices(list(kinds), list(kinds.values()))[0]
    if kind == "driver":
        return kind, driver
    found = sorted(
        process
        for process, title in descendants(driver).items()
        if kind in title.partition(" ")[0]
    )
    return (kind, generator.choice(found)) if found else (kind, None)


# --- One sweep ------------------------------------------------------------------------


def num_files(folder):
    """Return how many chunks are committed."""
    return len(list((folder / "rows").glob("*.parquet")))


def disturb(folder, arguments, generator, counts, seen):
    """Run the sweep in a folder until it is done, killing what takes part in it."""
    home = folder.with_name(folder.name + "-home")
    home.mkdir()
    while True:
        process = start(folder, arguments.executor, arguments.workers, home)
        have, changed = num_files(folder), time.monotonic()
        pause = generator.expovariate(1 / SECONDS_BETWEEN_KILLS[arguments.executor])
        due = time.monotonic() + pause
        while process.poll() is None:
            time.sleep(0.01)
            if (now := time.monotonic()) < due:
                continue
            seen |= set(descendants(process.pid))
            kind, victim = choose_victim(process.pid, arguments.executor, generator)
            if victim is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    counts[kind] += 1
            pause = generator.expovariate(1 / SECONDS_BETWEEN_KILLS[arguments.executor])
            due = now + pause
            if (count := num_files(folder)) != have:
                have, changed = count, now
            elif now - changed > SECONDS_WITHOUT_A_CHUNK:
                process.kill()
                process.wait()
                raise AssertionError(f"{folder}: the driver hung")
        if process.returncode == 0:
            return
        if process.returncode != -signal.SIGKILL:
            counts[f"exit {process.returncode}"] += 1
        counts["restarts"] += 1


def check(folder, plain):
    """Raise AssertionError unless the folder holds what an undisturbed run leaves."""
    table = load(folder)
    assert table.to_arrow().equals(plain.to_arrow()), "rows differ"
    for name in SWEEP["run"]["arrays"]:
        np.testing.assert_array_equal(table.array(name), plain.array(name))
    stored = pq.read_table(folder / "rows", columns=["point", "replication"])
    ids = row_ids(*(column.to_numpy() for column in stored.columns))
    assert len(ids) == len(np.unique(ids)) == NUM_ROWS, "rows are missing or twice"
    assert {path.name for path in folder.iterdir()} == FILES, "other files"
    rows, arrays = (
        sorted(path.name for path in (folder / part).iterdir())
        for part in ("rows", "arrays")
    )
    assert rows == arrays, "other files in rows or arrays"
    subprocess.run(
        [sys.executable, "-m", "gtrade", "report", str(folder)],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def main(argv=None):
    """Disturb sweeps until the time is over; return 1 if one of them went wrong."""
    arguments = read_arguments(argv)
    generator = random.Random(arguments.seed)
    counts, seen, num_sweeps = Counter(), set(), 0
    top = Path(tempfile.mkdtemp(prefix="gtrade-faults-"))
    (top / "home").mkdir()
    if start(top / "plain", "local", 1, top / "home").wait():
        raise SystemExit((top / "home" / "errors.txt").read_text())
    plain = load(top / "plain")
    started = time.monotonic()
    result = "every row once, equal to the undisturbed run"
    try:
        while time.monotonic() - started < 60 * arguments.minutes:
            folder = top / f"sweep-{num_sweeps}"
            disturb(folder, arguments, generator, counts, seen)
            check(folder, plain)
            num_sweeps += 1
        deadline = time.monotonic() + 60
        while (left := seen & set(processes())) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not left, f"processes {sorted(left)} go on"
    except AssertionError as error:
        result = f"FAILED in sweep {num_sweeps}: {error} ({top} is kept)"
    else:
        shutil.rmtree(top)
    kills = {kind: counts[kind] for kind in VICTIMS[arguments.executor]}
    others = {name: n for name, n in counts.items() if name not in kills}
    print(
        f"{arguments.executor}, seed {arguments.seed},"
        f" {(time.monotonic() - started) / 60:.1f} minutes: {num_sweeps} sweeps of"
        f" {NUM_ROWS} rows; kills {kills}, {others}; {result}"
    )
    return int(result.startswith("FAILED"))


if __name__ == "__main__":
    sys.exit(main())

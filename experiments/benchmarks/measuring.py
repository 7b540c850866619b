"""What the benchmarks share: the clock, the machine's name, the bound, the record."""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from gtrade.solving import LaneProgram
from gtrade.sweeps.cores import num_threads


def read_arguments(
    description, parts=(), *, one_thread=False, calls_lapack=True, add_more=None
):
    """Read the command line and set this process up; call before jax is used.

    Args:
        description: shown by `--help`.
        parts: names that `--parts` can choose from; all by default.
        one_thread: whether NumPy's products use one thread, which a loop over small
            matrices needs; the process starts again for that if it has to.
        calls_lapack: see `gtrade.sweeps.cores.num_threads`.
        add_more: adds further arguments to the parser.

    Returns:
        The arguments, with `cores` and the `load` average found at the start.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes")
    parser.add_argument("--cores", type=int, help="CPU cores to use; all if left out")
    parser.add_argument("--repeats", type=int, default=5, help="calls after the first")
    if parts:
        parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    if add_more is not None:
        add_more(parser)
    arguments = parser.parse_args()
    threads = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    if one_thread and any(os.environ.get(name) != "1" for name in threads):
        environment = os.environ | dict.fromkeys(threads, "1")
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    available = sorted(os.sched_getaffinity(0))[: arguments.cores]
    os.sched_setaffinity(0, available)
    arguments.cores, arguments.load = len(available), os.getloadavg()[0]
    # As the command line does: one host device a core, where jax runs on a CPU.
    flag = f"--xla_force_host_platform_device_count={arguments.cores}"
    os.environ.setdefault("XLA_FLAGS", flag)
    threads = num_threads(arguments.cores, calls_lapack=calls_lapack)
    os.environ.setdefault("PJRT_NPROC", str(threads))
    os.environ.setdefault("NUMBA_NUM_THREADS", str(arguments.cores))
    if arguments.smoke:
        arguments.repeats = 1
    return arguments


def timed(function, repeats):
    """Return the last result, the seconds of the first call and of the later ones."""
    start = time.perf_counter()
    result = jax.block_until_ready(function())
    first = time.perf_counter() - start
    later = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = jax.block_until_ready(function())
        later.append(time.perf_counter() - start)
    return result, first, later


def once(function):
    """Return what `timed` does for a single call."""
    start = time.perf_counter()
    result = function()
    seconds = time.perf_counter() - start
    return result, seconds, [seconds]


def row(what, dtype, batch, devices, first, later, **more):
    """Return a result: the median and what was measured besides."""
    seconds = float(np.median(later))
    return {
        "what": what,
        "dtype": dtype,
        "batch": batch,
        "devices": devices,
        "compile_s": max(first - seconds, 0.0),
        "run_s": seconds,
        "fastest_s": min(later),
        "slowest_s": max(later),
        "repeats": len(later),
        **more,
    }


def peak_operations(num_devices, dtype):
    """Measure multiply-adds per second and device in a matrix product.

    The fastest of several calls, with all devices at work. It is the densest work and
    stands for what the arithmetic units could do at best.
    """
    size, count = (512 if _is_cpu() else 8192), 20

    def multiply(x, y):
        return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST) * 1e-3

    program = LaneProgram(
        lambda x: jax.lax.fori_loop(0, count, lambda _, y: multiply(x, y), x),
        num_devices=num_devices,
    )
    x = jnp.ones((program.num_devices, size, size), dtype)
    _, _, later = timed(lambda: program(x), repeats=5)
    return count * size**3 / min(later)


def bounds(num_devices, dtype):
    """Measure what this machine can do at best, all devices together.

    Returns:
        By name: operations a second (two for a multiply-add of a matrix product);
        exponentials a second; bytes a second between memory and processor; seconds of
        a step of a loop that does next to nothing.
    """

    def fastest(body, num_steps, *shape, devices=num_devices):
        """Return the seconds of a loop of so many steps over an array a device."""
        program = LaneProgram(
            lambda x: jax.lax.fori_loop(0, num_steps, lambda _, y: body(y), x),
            num_devices=devices,
        )
        x = jnp.ones((devices, *shape), dtype)
        return min(timed(lambda: program(x), repeats=9)[2])

    def step_of(body, few, many, *shape, **more):
        """Return what a step costs: what many take beyond few."""
        return _positive(
            lambda: (
                fastest(body, many, *shape, **more) - fastest(body, few, *shape, **more)
            )
        ) / (many - few)

    size, large = (2**12, 2**24) if _is_cpu() else (2**24, 2**27)
    many = 1_000_000 if _is_cpu() else 11_000
    copied = step_of(lambda x: x * 0.5, 2, 22, large)
    return {
        "operations_per_s": 2 * num_devices * peak_operations(num_devices, dtype),
        "exponentials_per_s": num_devices
        * size
        / step_of(lambda x: jnp.exp(-x), 20, 2020, size),
        "bytes_per_s": 2 * num_devices * large * np.dtype(dtype).itemsize / copied,
        # A CPU runs loops over less than a kilobyte as one kernel, a GPU does not.
        "step_s": step_of(lambda x: x * 0.5 + 1, 1000, many, 8, devices=1),
    }


def _is_cpu():
    return jax.devices()[0].platform == "cpu"


def _positive(difference):
    """Measure a difference of times again until it is positive."""
    for _ in range(5):
        seconds = difference()
        if seconds > 0:
            return seconds
    raise RuntimeError("times differ too much from call to call; is the machine busy?")


def call_seconds(num_devices):
    """Measure the seconds of a call that does next to nothing."""
    program = LaneProgram(lambda x: x + 1, num_devices=num_devices)
    x = jnp.ones(num_devices)
    return min(timed(lambda: program(x), repeats=50)[2])


def device_name():
    """Return the processor's or accelerator's own name."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return device.device_kind
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [x.split(":")[1].strip() for x in lines if x.startswith("model name")]
    name = names[0] if names else platform.processor()
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def versions():
    """Return the versions of the packages that the numbers depend on."""
    found = {}
    for name in ("jax", "jaxlib", "numpy", "quantecon", "numba"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def write_record(arguments, rows, **more):
    """Write rows, and what has to be known to read them, to the file asked for."""
    if not arguments.out:
        return
    command = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    record = {
        "device": device_name(),
        "jax": jax.__version__,
        "versions": versions(),
        "commit": commit,
        "date": datetime.date.today().isoformat(),
        "load_average": {"start": arguments.load, "end": os.getloadavg()[0]},
        "warm_up": "first call, its compilation included, is timed apart",
        **more,
        "rows": rows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n")

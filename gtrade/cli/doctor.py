"""`gtrade doctor`: the state of the installation, what is wrong and what mends it."""

import importlib.metadata
import importlib.util
import os
import platform
from pathlib import Path
from typing import Any

from gtrade.cli.environment import prepare_environment
from gtrade.sweeps.cores import num_cores

_PACKAGES = ("gtrade", "jax", "jaxlib", "equinox", "numpy", "pyarrow", "matplotlib")
_EXTRAS = {"ray": "ray", "pandas": "arrays", "xarray": "arrays", "zarr": "arrays"}


def doctor_command() -> int:
    """Print facts and advice; 0 if a run would work, 2 if not."""
    prepare_environment()
    facts: list[tuple[str, str]] = []
    advice: list[str] = []
    _versions(facts)
    works = _devices(facts, advice)
    _memory(facts, advice)
    _cache(facts, advice)
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        print(f"{name:<{width}}  {value}")
    print()
    for line in advice or ["Nothing is wrong."]:
        print(f"- {line}" if advice else line)
    return 0 if works else 2


def _versions(facts: list[tuple[str, str]]) -> None:
    facts.append(("python", platform.python_version()))
    for package in _PACKAGES:
        try:
            facts.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            facts.append((package, "not installed as a package"))
    for package, extra in _EXTRAS.items():
        is_there = importlib.util.find_spec(package) is not None
        absent = f"absent (optional: pip install gtrade[{extra}])"
        facts.append((package, "present" if is_there else absent))


def _devices(facts: list[tuple[str, str]], advice: list[str]) -> bool:
    """Note devices and check that both float widths compute."""
    try:
        import jax

        devices = jax.local_devices()
    except Exception as error:
        facts.append(("devices", "none"))
        advice.append(
            f"jax cannot start ({type(error).__name__}: {error}); reinstall it with"
            " `pip install --upgrade jax jaxlib`, and check JAX_PLATFORMS"
        )
        return False
    kinds = sorted({device.device_kind for device in devices})
    facts.append(("devices", f"{len(devices)} x {', '.join(kinds)}"))
    is_cpu = devices[0].platform == "cpu"
    if is_cpu and any(Path("/dev").glob("nvidia[0-9]*")):
        advice.append(
            "this machine has an NVIDIA GPU that jax does not use; install"
            " `pip install gtrade[cuda12]` (or cuda13), and check JAX_PLATFORMS"
        )
    if is_cpu and len(devices) < num_cores():
        advice.append(
            f"XLA_FLAGS gives jax {len(devices)} host devices for {num_cores()} cores;"
            " unset it to use all cores"
        )
    works = True
    for name, is_wide in (("f32", False), ("f64", True)):
        try:
            _compute(jax, is_wide)
            facts.append((f"precision {name}", "works"))
        except Exception as error:
            works = False
            facts.append((f"precision {name}", "fails"))
            advice.append(f"{name} does not compute ({type(error).__name__}: {error})")
    if jax.config.read("jax_enable_x64"):
        facts.append(("JAX_ENABLE_X64", "on (runs choose their own precision)"))
    return works


def _compute(jax: Any, is_wide: bool) -> None:
    import numpy as np

    with jax.enable_x64(is_wide):
        dtype = np.float64 if is_wide else np.float32
        result = jax.jit(lambda x: (x * x).sum())(np.arange(4, dtype=dtype))
        if result.dtype != dtype or float(result) != 14.0:
            raise ArithmeticError(f"got {result!r}")


def _memory(facts: list[tuple[str, str]], advice: list[str]) -> None:
    from gtrade.sweeps.memory import available_memory

    available = available_memory()
    shown = "unknown" if available is None else f"{available / 2**30:.1f} GiB available"
    facts.append(("host memory", f"{shown}, {num_cores()} cores"))
    if available is not None and available < 2**30:
        advice.append("less than 1 GiB of memory is left; runs will use narrow calls")
    try:
        import jax

        for device in jax.local_devices():
            limit = (device.memory_stats() or {}).get("bytes_limit")
            if limit:
                facts.append((f"{device}", f"{limit / 2**30:.1f} GiB"))
    except Exception:  # said already
        return


def _cache(facts: list[tuple[str, str]], advice: list[str]) -> None:
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if not folder:
        facts.append(("compile cache", "off"))
        advice.append(
            "compiled programs are not kept: the cache folder cannot be written; set"
            " JAX_COMPILATION_CACHE_DIR to one that can"
        )
        return
    sizes = [path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()]
    shown = f"{folder} ({len(sizes)} files, {sum(sizes) / 2**20:.0f} MiB)"
    facts.append(("compile cache", shown))

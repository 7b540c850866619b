"""What the command sets before jax is imported; the library itself sets nothing.

Every setting gives way to what the user has set.
"""

import os
import sys
from pathlib import Path

from gtrade.sweeps.cores import num_cores, num_threads

_HOST_DEVICES = "--xla_force_host_platform_device_count"


def prepare_environment(*, calls_lapack: bool = True) -> None:
    """Give jax one host device per core and a persistent compilation cache.

    A scan of small steps leaves cores idle on a single CPU device, so lanes are spread
    over one device per core. Has no effect once jax is imported.

    Args:
        calls_lapack: whether programs to come may call LAPACK on batches.
    """
    if "jax" in sys.modules:
        return
    flags = os.environ.get("XLA_FLAGS", "")
    if _HOST_DEVICES not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_HOST_DEVICES}={num_cores()}".strip()
    # Also where the user has chosen the devices.
    threads = num_threads(num_cores(), calls_lapack=calls_lapack)
    os.environ.setdefault("PJRT_NPROC", str(threads))
    # Lanes are spread over the cores already: threads within one would only wait.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    folder = cache_folder()
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and _is_usable(folder):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    # Worth a file: whatever takes longer to compile than to read.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")


def cache_folder() -> Path:
    """Return where compiled programs are kept."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "gtrade" / "jax"


def _is_usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)

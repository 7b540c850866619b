"""Strict arithmetic for every test: no silent dtype or rank promotion."""

import os
from pathlib import Path

# Two devices where the machine has one CPU: sharding is always on trial. Has to be set
# before jax starts its backend.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
# As on the command line (gtrade/cli/environment.py).
os.environ.setdefault("PJRT_NPROC", "8")
# Tests run side by side: threads of small matrix products would only wait.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory():
    """Let go of compiled programs once they have grown to two gigabytes."""
    yield
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not on Linux
        return
    if pages * os.sysconf("SC_PAGE_SIZE") > 2 * 2**30:
        jax.clear_caches()


@pytest.fixture(autouse=True)
def _unchanged_settings():
    """Notice who changes the float width for everybody."""
    yield
    assert not jax.config.jax_enable_x64, "left jax in float64"


@pytest.fixture(params=[False, True], ids=["f32", "f64"])
def x64(request):
    """Run a test in both float widths."""
    with jax.enable_x64(request.param):
        yield request.param


@pytest.fixture
def in_float64():
    """Run a test in float64."""
    with jax.enable_x64(True):
        yield

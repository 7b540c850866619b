"""The import order of STYLE: each layer imports only from layers before it."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent / "gtrade"
LAYERS = (
    ("_arrays", "_checks", "_files"),
    ("solution",),
    ("numerics",),
    ("problems",),
    ("mechanisms",),
    ("responses",),
    ("simulation",),
    ("verification",),
    ("solvers",),
    ("solving", "estimating"),
    ("calibration",),
    ("plotting",),
    ("catalog",),
    ("sweeps",),
    ("reporting",),
    ("cli",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
HOST_TABLES = """
bars cells data lobster parsing readers records requirements rules signing spellings
tables writers
"""
WITHOUT_JAX = (
    *("sweeps/store.py", "sweeps/files.py", "reporting", "plotting"),
    *(f"calibration/{name}.py" for name in HOST_TABLES.split()),
)
FILES = sorted(p for p in ROOT.rglob("*.py") if p.parent != ROOT or p.stem in RANK)


def imported_modules(path):
    """Yield every absolute module name that a file imports, at any depth of nesting."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_left(path):
    layer = RANK[path.relative_to(ROOT).parts[0].removesuffix(".py")]
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] == "gtrade" and len(parts) > 1 and parts[1] in RANK:
            assert RANK[parts[1]] <= layer, f"{path} imports {module}"


@pytest.mark.parametrize("place", WITHOUT_JAX)
def test_host_code_names_no_jax(place):
    path = ROOT / place
    for file in [path] if path.is_file() else path.rglob("*.py"):
        for module in imported_modules(file):
            assert module.split(".")[0] not in ("jax", "equinox"), f"{file}: {module}"


def test_layers_are_complete():
    found = {p.relative_to(ROOT).parts[0].removesuffix(".py") for p in FILES}
    assert found <= set(RANK)


def test_every_module_states_its_purpose():
    for path in ROOT.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_no_global_settings_are_changed():
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        assert "jax.config.update" not in text, path


def test_importing_gtrade_imports_no_jax():
    code = "import gtrade, sys; dir(gtrade); assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_importing_every_module_starts_no_backend():
    names = [
        ".".join(("gtrade", *p.relative_to(ROOT).with_suffix("").parts))
        for p in ROOT.rglob("*.py")
        if p.stem not in ("__main__", "__init__")
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "import jax\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge._backends, xla_bridge._backends\n"
        "assert not jax.config.jax_enable_x64\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_resolve():
    import gtrade

    for name in gtrade.__all__:
        assert getattr(gtrade, name) is not None
    assert callable(gtrade.solve)
    assert callable(gtrade.load)
    with pytest.raises(AttributeError, match="no_such_name"):
        gtrade.no_such_name  # noqa: B018

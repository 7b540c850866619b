import csv
import importlib
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(autouse=True)
def _own_modules():
    """Forget the modules of other folders: some have the same names."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and EXPERIMENTS in Path(file).parents:
            del sys.modules[name]


@pytest.fixture
def run_here(request, monkeypatch, tmp_path):
    """Run an experiment of the module's FOLDER, tiny; return its result files."""
    monkeypatch.syspath_prepend(str(request.module.FOLDER))

    def run(name):
        importlib.import_module(name).main(["--out", str(tmp_path), "--smoke"])
        return {path.stem: read(path) for path in tmp_path.glob("*.csv")}

    return run


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))

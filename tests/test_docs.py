"""The examples that people copy run as they stand."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [
    "README.md",
    *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md")),
]


def python_blocks(page):
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    return [b for b in blocks if "gtrade.load(" not in b]  # these need a finished run


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if python_blocks(p)])
def test_python_examples_run(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in python_blocks(page):
        exec(compile(block, page, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES)
def test_links_and_figures_exist(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.S)
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
        assert ((ROOT / page).parent / target).exists(), target


def test_toml_examples_are_valid_specs():
    import tomllib

    from gtrade.sweeps.spec import resolve_spec

    found = 0
    for page in PAGES:
        text = (ROOT / page).read_text()
        for block in re.findall(r"^```toml\n(.*?)^```", text, re.S | re.M):
            table = tomllib.loads(block)
            if "model" in table:
                resolve_spec(table)
                found += 1
    assert found > 0

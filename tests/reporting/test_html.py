import html
import html.parser
import re
import subprocess
import sys
import tomllib

import pytest

from gtrade.reporting import html as report
from gtrade.reporting.export import export
from gtrade.sweeps.packages import MissingPackageError
from gtrade.sweeps.run import run_spec
from gtrade.sweeps.spec import resolve_spec

DOCUMENT = {
    "model": "roots",
    "problem": {"levels": [2.0, 13.0]},
    "solver": {"name": "newton", "noise": "theory"},
    "run": {"replications": 2},
    "sweep": {"zip": {"problem.levels.1": [3.0, 13.0], "problem.scale": [1.0, 2.0]}},
}


@pytest.fixture(scope="module")
def table():
    from gtrade import catalog

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalog.MODELS, "roots", "fake_model")
        return run_spec(resolve_spec(DOCUMENT))


class Checker(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v]


def test_the_report_is_one_self_contained_file(table, tmp_path):
    path = report.write_report(table, tmp_path / "report")
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "gap.png",
        "gap.svg",
        "report.html",
    ]
    text = path.read_text()
    checker = Checker()
    checker.feed(text)
    assert {"svg", "table", "pre", "figure"} <= checker.tags
    assert not {"script", "img", "link"} & checker.tags
    assert all(link.startswith("#") for link in checker.links)
    assert "4 of 4 rows are finished" in text
    assert "nonfinite" in text
    assert "Heron &amp; others &lt;60&gt;" in text
    assert table.manifest["spec_hash"] in text
    assert f'<td>jax</td><td class="number">{table.manifest["versions"]["jax"]}' in text


def test_the_report_shows_the_resolved_spec(table):
    text = report.page(table, {})
    (spec,) = re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)
    document = tomllib.loads(html.unescape(spec))
    assert document["solver"]["noise"] == "theory"
    assert document["sweep"]["zip"]["problem.scale"] == [1.0, 2.0]


def test_a_failing_figure_loses_nothing_else(table, tmp_path, monkeypatch):
    import fake_model

    def fail(table):
        raise RuntimeError("no <axes>")

    monkeypatch.setattr(fake_model, "figures", fail)
    text = report.write_report(table, tmp_path).read_text()
    assert "could not be drawn (RuntimeError: no &lt;axes&gt;)" in text
    assert "2 of" not in text
    assert "<h2>Results</h2>" in text


def test_equal_tables_make_equal_reports(table, tmp_path):
    one = report.write_report(table, tmp_path / "one").read_text()
    assert one == report.write_report(table, tmp_path / "two").read_text()


def test_csv_holds_lists_as_json(table, tmp_path):
    import csv
    import json

    export(table, tmp_path / "rows.csv", "csv")
    with open(tmp_path / "rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert json.loads(rows[0]["roots"]) == table["roots"][0].tolist()
    assert json.loads(rows[3]["roots"]) == [None, None]
    assert rows[0]["problem.levels.1"] == "3"


def test_parquet(table, tmp_path):
    import pyarrow.parquet as pq

    export(table, tmp_path / "rows.parquet", "parquet")
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 4


def test_zarr(table, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingPackageError, match=r"pip install gtrade\[arrays\]"):
        export(table, tmp_path / "rows.zarr", "zarr")


def test_zarr_round_trip(table, tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("zarr")
    export(table, tmp_path / "rows.zarr", "zarr")
    with xarray.open_zarr(tmp_path / "rows.zarr") as data:
        assert dict(data.sizes)["point"] == 2
        assert data["status"].sel(point=1, replication=0) == "nonfinite"


def test_reporting_imports_no_jax():
    code = "import sys, gtrade.reporting; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0

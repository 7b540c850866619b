import io
import math

import numpy as np
import pyarrow as pa
import pytest

from gtrade.reporting.tables import (
    print_summary,
    show_number,
    summarise,
    summary_html,
)
from gtrade.sweeps.manifest import make_manifest
from gtrade.sweeps.spec import resolve_spec
from gtrade.sweeps.table import Table


def make_table(rows, *, headline=None, **document):
    document = {
        "model": "roots",
        "problem": {"levels": [1.0, 2.0]},
        "solver": {"name": "newton"},
        "sweep": {"problem.rule": ["one", "two"]},
        **document,
    }
    manifest = make_manifest(resolve_spec(document), {}, [])
    if headline is not None:
        manifest["headline"] = headline
    return Table(pa.table(rows), manifest)


ROWS = {
    "point": [0, 0, 0, 1, 1],
    "replication": [0, 1, 2, 0, 1],
    "status": ["converged", "converged", "cycled", "nonfinite", "nonfinite"],
    "residual": [0.1] * 5,
    "num_steps": [1, 2, 3, 4, 5],
    "problem.rule": ["one", "one", "one", "<two>", "<two>"],
    "gap": [1.0, 2.0, 3.0, math.nan, math.nan],
    "roots": [[1.0, 10.0], [3.0, 20.0], [5.0, 30.0], [math.nan, 1.0], [1.0, 1.0]],
}


def test_mean_and_standard_error_over_replications():
    summary = summarise(make_table(ROWS, headline=["gap", "roots"]))
    assert summary.headers == (
        "point",
        "problem.rule",
        "rows",
        "status",
        "gap [m]",
        "roots [m]",
    )
    # Standard deviation 1 over three replications: 1 / sqrt(3).
    assert summary.rows == (
        ("0", "one", "3", "2 converged, 1 cycled", "2 ± 0.577", "[3, 20]"),
        ("1", "<two>", "2", "nonfinite", "-", "[1, 1]"),
    )
    assert summary.is_number == (True, False, True, False, True, True)
    assert summary.title == "roots: 5 rows"


def test_standard_errors_agree_with_numpy():
    generator = np.random.default_rng(0)
    gaps = generator.normal(1e6, 1, 20)
    rows = {
        "point": [0] * 20,
        "replication": list(range(20)),
        "status": ["converged"] * 20,
        "problem.rule": ["one"] * 20,
        "gap": gaps,
    }
    ((*_, cell),) = summarise(make_table(rows)).rows
    assert cell.split(" ± ")[1] == f"{gaps.std(ddof=1) / np.sqrt(20):.3g}"


def test_one_replication_has_no_standard_error():
    rows = {key: [value[0]] for key, value in ROWS.items()}
    ((*_, cell),) = summarise(make_table(rows)).rows
    assert cell == "1"


def test_runs_without_verification_show_how_they_stopped():
    table = make_table(ROWS, verification={"enabled": False})
    assert summarise(table).headers[-2:] == ("residual", "num_steps")


def test_long_tables_are_cut_with_a_note():
    summary = summarise(make_table(ROWS), most_points=1)
    assert len(summary.rows) == 1
    assert summary.note == "1 more points are not listed"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.23456, "1.23"),
        (-12.345, "-12.3"),
        (99.96, "100"),
        (1234.5, "1234"),
        (123456.0, "123456"),
        (1.5e6, "1.5e+06"),
        (0.000123456, "0.000123"),
        (math.nan, "nan"),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert show_number(value) == text


def test_printing_cuts_no_number():
    from rich.console import Console

    file = io.StringIO()
    print_summary(summarise(make_table(ROWS)), Console(file=file, width=60))
    assert "2 ± 0.577" in file.getvalue()
    assert "<two>" in file.getvalue()


def test_html_is_escaped():
    text = summary_html(summarise(make_table(ROWS)))
    assert "&lt;two&gt;" in text
    assert "<two>" not in text
    assert '<td class="number">2 ± 0.577</td>' in text

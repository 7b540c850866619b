import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gtrade import cli
from gtrade.catalog import get_model
from gtrade.cli import arguments, environment

SPEC = """
model = "roots"
[problem]
levels = [2.0, 3.0]
[solver]
name = "newton"
[run]
arrays = ["path"]
[sweep]
"problem.scale" = [1.0, 2.0]
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    # jax is imported here already, so that the command leaves the environment alone.
    import jax  # noqa: F401

    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text(SPEC)


def fails(capsys, *argv, code=2):
    assert cli.main(argv) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.out == ""
    return captured.err.strip()


def test_a_run_prints_a_table(capsys):
    assert cli.main(["run", "spec.toml"]) == 0
    output = capsys.readouterr().out
    assert "roots: 2 rows" in output
    assert "gap [m]" in output
    assert not Path("report").exists()


def test_a_run_with_a_folder_ends_with_a_report(capsys):
    assert cli.main(["run", "spec.toml", "--out", "results", "--chunk", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "report: results/report/report.html"
    )
    assert Path("results/report/report.html").is_file()
    assert cli.main(["run", "spec.toml", "--out", "results"]) == 0
    assert "2/2 rows: 0 done, 2 reused, 0 failed" in capsys.readouterr().err
    assert cli.main(["report", "results"]) == 0
    assert "report: results/report/report.html" in capsys.readouterr().out
    assert cli.main(["export", "results", "--to", "csv"]) == 0
    assert capsys.readouterr().out == "results/results.csv\n"
    assert len(Path("results/results.csv").read_text().splitlines()) == 3
    assert cli.main(["export", "results", "--to", "parquet", "--out", "a.parquet"]) == 0
    assert Path("a.parquet").is_file()
    shutil.rmtree("results/report")
    Path("results/report").write_text("mine")
    capsys.readouterr()
    message = fails(capsys, "report", "results")
    assert message == "results/report: cannot be written (file exists)"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_what_is_full_is_named(capsys):
    message = fails(capsys, "run", "spec.toml", "--json", "/dev/full")
    assert message.splitlines()[-1] == (
        "/dev/full: cannot be written (no space left on device)"
    )


def test_the_json_document(capsys):
    assert cli.main(["run", "spec.toml", "--json", "-"]) == 0
    output = capsys.readouterr().out
    document = json.loads(output, parse_constant=pytest.fail)
    assert output.count("\n") == 1
    assert list(document) == ["model", "problem", "solver", "rows", "meta"]
    assert document["model"] == "roots"
    assert document["problem"] == {"levels": [2.0, 3.0], "num_things": 2, "rule": "one"}
    assert document["solver"]["name"] == "newton"
    assert list(document["meta"]) == ["version", "device", "precision", "seconds"]
    row = document["rows"][1]
    assert list(row)[:7] == [
        "point",
        "replication",
        "status",
        "residual",
        "num_steps",
        "precision",
        "problem.scale",
    ]
    assert (row["point"], row["problem.scale"], row["status"]) == (1, 2.0, "converged")
    assert len(row["path"]) == 2
    assert not any("second" in key for key in row)


def test_json_to_a_file_and_non_finite_numbers(capsys):
    argv = ["run", "spec.toml", "--set", "problem.levels.0=13", "--json", "a.json"]
    assert cli.main(argv) == cli.run.SOME_WITHOUT_ANSWER == 3
    assert "roots: 2 rows" in capsys.readouterr().out
    row = json.loads(Path("a.json").read_text(), parse_constant=pytest.fail)["rows"][0]
    assert row["status"] == "nonfinite"
    assert row["gap"] is None
    assert row["roots"] == [None, None]


def test_bad_input(capsys, monkeypatch):
    assert fails(capsys, "run", "none.toml") == (
        "none.toml: cannot be read (no such file or directory)"
    )
    Path("broken.toml").write_text("model = \n")
    assert fails(capsys, "run", "broken.toml").startswith(
        "broken.toml: is not valid TOML: "
    )
    lines = fails(capsys, "run", "spec.toml", "--set", "problem.x=1", "run.y=2")
    assert len(lines.splitlines()) == 2
    message = fails(capsys, "run", "spec.toml", "--out", "spec.toml")
    assert message == "spec.toml: cannot be written (not a directory)"
    message = fails(capsys, "run", "spec.toml", "--json", "no/where.json")
    assert message == "no/where.json: cannot be written (no such file or directory)"
    message = fails(capsys, "run", "spec.toml", "--chunk", "0")
    assert message == "--chunk: must be at least 1; got 0"
    monkeypatch.setitem(sys.modules, "ray", None)
    message = fails(capsys, "run", "spec.toml", "--executor", "ray")
    assert "gtrade[ray]" in message
    assert fails(capsys, "report", "none") == "none: holds no run (no manifest.json)"
    assert "did you mean 'roots'?" in fails(capsys, "models", "rots")
    message = fails(capsys, "run", "spec.toml", "--set", "problem.scale=1")
    assert "is swept by this spec" in message
    message = fails(
        capsys, "run", "spec.toml", "--set", "sweep.problem.scale=[1, -1, -2]"
    )
    assert message == (
        "spec.toml: problem.scale: must be at least 0; got -1.0 (points 1, 2 of 3)"
    )


def test_a_changed_spec_is_refused_unless_forced(capsys):
    argv = ["run", "spec.toml", "--out", "results"]
    assert cli.main(argv) == 0
    capsys.readouterr()
    changed = [*argv, "--set", "problem.rule=two"]
    assert "problem.rule: one -> two" in fails(capsys, *changed)
    assert cli.main([*changed, "--force-resume"]) == 0


def test_wrong_command_lines(capsys):
    for argv in ([], ["run"], ["walk"], ["export", "x"], ["run", "a", "--chunk", "x"]):
        assert cli.main(argv) == 2
    capsys.readouterr()


def test_internal_errors_are_one_line_unless_debugged(capsys, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("broken")

    monkeypatch.setattr("gtrade.sweeps.run.run_spec", fail)
    message = fails(capsys, "run", "spec.toml", code=1)
    assert message == "gtrade: RuntimeError: broken (--debug shows where)"
    with pytest.raises(RuntimeError, match="broken"):
        cli.main(["run", "spec.toml", "--debug"])


def test_an_interrupt_is_130(capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gtrade.sweeps.run.run_spec", stop)
    message = fails(capsys, "run", "spec.toml", "--out", "x", code=130)
    assert message == "gtrade: interrupted; the same command goes on where it stopped"


def test_a_failing_report_does_not_fail_the_run(capsys, monkeypatch):
    def fail(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr("gtrade.reporting.html.write_report", fail)
    assert cli.main(["run", "spec.toml", "--out", "results"]) == 0
    assert "try `gtrade report results`" in capsys.readouterr().err


def test_settings_may_be_listed_or_repeated():
    argv = ["run", "--set", "a=1", "b=-2", "spec.toml", "--set", "c=[1, 2]"]
    command = arguments.parse(argv)
    assert command.set == ("a=1", "b=-2", "c=[1, 2]")
    assert command.spec == Path("spec.toml")
    assert arguments.parse(["run", "s", "--set", "scale"]).set == ("scale",)


def test_models(capsys):
    assert cli.main(["models"]) == 0
    assert "trading-game" in capsys.readouterr().out
    assert cli.main(["models", "trading-game"]) == 0
    output = capsys.readouterr().out
    for word in (
        "permanent_impact",
        "ftpl",
        "distance_to_cce",
        "regret_curve",
        "shares",
    ):
        assert word in output


def test_doctor(capsys):
    assert cli.main(["doctor"]) == 0
    output = capsys.readouterr().out
    for word in ("devices", "precision f64", "host memory", "compile cache", "jaxlib"):
        assert word in output


def run_python(code, **variables):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("XLA", "JAX"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_environment_is_set_before_jax(tmp_path):
    code = (
        "from gtrade.cli.environment import prepare_environment\n"
        "from gtrade.sweeps.cores import num_cores\n"
        "prepare_environment()\nimport jax\n"
        "assert jax.local_device_count() == num_cores(), jax.local_devices()\n"
        "print(jax.config.jax_compilation_cache_dir)"
    )
    done = run_python(code, XDG_CACHE_HOME=str(tmp_path), JAX_PLATFORMS="cpu")
    assert done.stdout.strip() == str(tmp_path / "gtrade" / "jax"), done.stderr


def test_the_users_environment_wins(monkeypatch):
    flag = "--xla_force_host_platform_device_count=3"
    monkeypatch.setenv("XLA_FLAGS", flag)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/mine")
    monkeypatch.delitem(sys.modules, "jax")
    environment.prepare_environment()
    assert os.environ["XLA_FLAGS"] == flag
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "/mine"


@pytest.mark.parametrize(("solver", "per_core"), [("ftpl", 1), ("double-oracle", 4)])
def test_programs_that_call_lapack_get_more_threads(monkeypatch, solver, per_core):
    entry = get_model("trading-game").solver(solver)
    names = ("PJRT_NPROC", "XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR")
    for name in (*names, "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "jax")
    environment.prepare_environment(calls_lapack=entry.calls_lapack)
    assert os.environ["PJRT_NPROC"] == str(per_core * environment.num_cores())
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"


@pytest.mark.parametrize("argv", [["--help"], ["run", "--help"], ["models", "--help"]])
def test_help_is_instant(argv):
    command = [sys.executable, "-X", "importtime", "-m", "gtrade", *argv]
    seconds = []
    for _ in range(3):  # the least of three: the machine may be busy with other tests
        started = time.monotonic()
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False
        )
        seconds.append(time.monotonic() - started)
    assert done.returncode == 0
    assert "usage: gtrade" in done.stdout
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not {"jax", "equinox", "matplotlib", "pyarrow", "numpy"} & imported
    assert min(seconds) < 1.0


def test_listing_models_imports_no_jax():
    code = (
        "import sys; from gtrade.cli import main\n"
        "assert main(['models', 'trading-game']) == 0\n"
        "sys.exit('jax' in sys.modules)"
    )
    assert run_python(code).returncode == 0


def test_version():
    done = subprocess.run(
        [sys.executable, "-m", "gtrade", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("gtrade ")


def test_an_interrupted_process_leaves_a_resumable_store(tmp_path):
    tests = str(Path(__file__).parents[1] / "sweeps")
    code = (
        f"import sys; sys.path.insert(0, {tests!r})\n"
        "from gtrade import catalog, cli\n"
        "catalog.MODELS['roots'] = 'fake_model'\n"
        "import gtrade.sweeps.programs as programs\n"
        "programs._MOST_LANES['cpu'] = 16\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    setting = "sweep.problem.scale={linspace=[1, 2, 20000]}"
    command = [sys.executable, "-c", code, "run", "spec.toml", "--out", "results"]
    command += ["--chunk", "1", "--set", setting]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("results/rows/*.parquet")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        message = process.stderr.read()
        assert process.wait(60) == cli.INTERRUPTED
    assert message.strip().splitlines()[-1].startswith("gtrade: interrupted")
    assert "Traceback" not in message

import pytest

from gtrade.sweeps import memory


@pytest.fixture
def groups(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(memory, "_meminfo", lambda: 10_000)
    return tmp_path


def limit(group, most, used):
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text(f"{most}\n")
    (group / "memory.current").write_text(f"{used}\n")


def test_without_limits_the_host_decides(groups):
    limit(groups, "max", 500)
    assert memory.available_memory() == 10_000


def test_the_tightest_group_above_a_process_decides(groups):
    limit(groups, "max", 0)
    limit(groups / "jobs", 4000, 1500)
    limit(groups / "jobs" / "mine", 9000, 100)
    (groups / "membership").write_text("0::/jobs/mine\n")
    assert memory.available_memory() == 2500
    limit(groups / "jobs" / "mine", 600, 700)
    assert memory.available_memory() == 0


def test_the_older_layout(groups):
    (groups / "memory").mkdir()
    (groups / "memory" / "memory.limit_in_bytes").write_text("3000\n")
    (groups / "memory" / "memory.usage_in_bytes").write_text("1000\n")
    assert memory.available_memory() == 2000


def test_this_machine_says_something_or_nothing():
    available = memory.available_memory()
    assert available is None or available > 0

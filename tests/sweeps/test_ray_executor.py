"""What becomes of requests whose workers are lost, told without Ray."""

import collections
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from gtrade.sweeps import ray_executor
from gtrade.sweeps.chunks import Chunk
from gtrade.sweeps.spec import load_spec
from gtrade.sweeps.store import StoreError

QUICKSTART = Path(__file__).parents[2] / "experiments" / "quickstart.toml"
CHUNK = Chunk("chunk", 0, np.arange(3), np.zeros(3, int), 3)


class Ray:
    """Stands in for Ray. Workers finish a chunk when there is nothing else to do.

    Attributes:
        lost: methods over which a worker is lost.
        broken: errors of methods.
        workers: all there ever were.
        calls: how often a method was called.
    """

    class exceptions:  # noqa: N801
        RayError = type("RayError", (Exception,), {})
        RayTaskError = type("RayTaskError", (RayError,), {"cause": None})

    def __init__(self, num_cpus):
        self.num_cpus, self.lost, self.broken = num_cpus, set(), {}
        self.workers, self.calls = [], collections.Counter()

    def is_initialized(self):
        return True

    def cluster_resources(self):
        return {"CPU": self.num_cpus}

    def remote(self, num_cpus):
        return lambda _: types.SimpleNamespace(remote=lambda: Actor(self))

    def wait(self, tasks, num_returns):
        assert tasks, "nobody would ever answer"
        assert self.calls["start"] < 100, "workers are started without end"
        return sorted(tasks, key=lambda task: task.method == "execute")[:1], []

    def get(self, task):
        if not task.worker.is_alive or task.method in self.lost:
            raise self.exceptions.RayError("the actor died\nwith much to say")
        if task.method in self.broken:
            error = self.exceptions.RayTaskError()
            error.cause = self.broken[task.method]
            raise error
        return f"answer to {task.method}"

    def kill(self, worker):
        worker.is_alive = False


class Actor:
    def __init__(self, ray):
        self.ray, self.is_alive = ray, True
        ray.workers.append(self)

    def __getattr__(self, method):
        def remote(*arguments):
            self.ray.calls[method] += 1
            return Task(self, method)

        return types.SimpleNamespace(remote=remote)


class Task:
    def __init__(self, worker, method):
        self.worker, self.method = worker, method


@pytest.fixture
def cluster(monkeypatch):
    """Return Ray and an executor that has joined a cluster of six cores."""
    ray = Ray(6)
    monkeypatch.setitem(sys.modules, "ray", ray)
    with ray_executor.RayExecutor(load_spec(QUICKSTART)) as executor:
        executor._job = None
        yield ray, executor


def compute(executor, num_chunks):
    """Have chunks computed and return what came of them."""
    for _ in range(num_chunks):
        executor.submit(CHUNK)
    outcomes = []
    while found := executor.collect():
        outcomes += found
    return outcomes


def test_workers_lost_while_idle_cost_a_request_one_attempt(cluster):
    ray, executor = cluster
    assert compute(executor, 6) == ["answer to execute"] * 6
    assert len(executor._idle) == 6
    gone, kept = executor._idle[1:], executor._idle[0]
    for worker in gone:
        worker.is_alive = False
    assert executor.calls(0, None) == "answer to calls"
    assert ray.calls["calls"] == 2
    assert executor._idle == [kept]
    assert executor._num_lost_starting == 0


def test_questions_are_asked_more_often_than_chunks_are_tried(cluster):
    ray, executor = cluster
    ray.lost = {"execute", "calls"}
    (failure,) = compute(executor, 1)
    assert str(failure.error) == "4 workers were lost, at last: the actor died"
    with pytest.raises(ray_executor.WorkerLostError, match="^10 workers were lost"):
        executor.calls(0, None)
    assert ray.calls == {"start": 14, "execute": 4, "calls": 10}


def test_a_machine_on_which_no_worker_starts_holds_up_nothing(cluster, monkeypatch):
    ray, executor = cluster
    now = 1000.0
    monkeypatch.setattr(ray_executor.time, "monotonic", lambda: now)
    executor.calls(0, None)
    ray.lost = {"start"}
    assert compute(executor, 12) == ["answer to execute"] * 12
    assert ray.calls["start"] < 1 + 10 + 6, "others start although there is a pause"
    executor.calls(0, None)  # this worker is busy when the pause is over
    before, now = ray.calls["start"], now + 100
    assert compute(executor, 12) == ["answer to execute"] * 12
    assert before < ray.calls["start"] < before + 10 + 6


def test_a_pause_ends_with_the_last_worker(cluster):
    ray, executor = cluster
    executor.calls(0, None)
    ray.lost = {"start"}
    compute(executor, 3)
    executor._idle[0].is_alive = False
    with pytest.raises(StoreError, match="no worker starts .the actor died"):
        executor.calls(0, None)


def test_an_error_of_a_worker_that_starts_is_not_that_of_a_group(cluster):
    ray, executor = cluster
    ray.broken = {"start": ImportError("no gtrade")}
    with pytest.raises(StoreError, match="no worker starts .no gtrade"):
        executor.calls(0, None)
    assert ray.calls == {"start": 10}

"""Ray workers, in this process: what they raise, and for whom they write."""

import pickle
import threading

import numpy as np
import pytest

from gtrade._checks import InadmissibleError, check
from gtrade.sweeps.ray_worker import Job, RayWorker, checked_versions
from gtrade.sweeps.spec import resolve_spec
from gtrade.sweeps.store import StoreError
from gtrade.sweeps.worker import device_facts


def test_errors_travel_with_their_text():
    rule = InadmissibleError("x", "be y", np.arange(2))
    with pytest.raises(InadmissibleError) as column:
        check("be 1", lambda x: x == 1, x=[1, 2, 3])
    for error in (rule, column.value):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is InadmissibleError
        assert (str(copy), copy.bad_rows) == (str(error), error.bad_rows)


class TwoParts(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class Locked(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (TwoParts(1, 2), RuntimeError, "TwoParts: 1 and 2"),
        (Locked("text"), RuntimeError, "Locked: text"),
        (StoreError("a disk is full"), StoreError, "a disk is full"),
    ],
)
def test_errors_that_no_driver_could_read_become_their_text(error, kind, text):
    worker = RayWorker()

    def fails(*_):
        raise error

    worker._worker_of = fails
    for ask in (lambda: worker.execute(None, None), lambda: worker.calls(None, 0, 1)):
        with pytest.raises(kind) as found:
            ask()
        assert type(found.value) is kind
        assert str(found.value) == text


def test_a_worker_writes_for_the_driver_that_asks():
    document = {
        "model": "roots",
        "problem": {"levels": [2.0, 3.0]},
        "solver": {"name": "host"},
    }
    worker, facts = RayWorker(), device_facts()

    def job(name):
        spec, versions = resolve_spec(document), checked_versions()
        return Job(spec, f"folder of {name}", name, facts, versions, num_sharing=1)

    first = worker._worker_of(job("first"))
    assert worker._worker_of(job("first")) is first
    second = worker._worker_of(job("second"))
    assert (second.store.writer, str(second.store.folder)) == (
        "second",
        "folder of second",
    )

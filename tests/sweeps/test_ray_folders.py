"""Folders of Ray clusters: who may remove which."""

import os

from gtrade.sweeps.ray_folders import make_folder


def test_folders_of_killed_drivers_are_removed(tmp_path):
    kept, lock = make_folder(tmp_path)
    left, lock_of_the_dead = make_folder(tmp_path)
    (left / "session").mkdir()
    os.close(lock_of_the_dead)
    other = tmp_path / "gtrade-cluster-file"
    other.write_text("mine")
    young, old = (tmp_path / f".gtrade-cluster-{age}" for age in ("young", "old"))
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (0, 0))
    new, last = make_folder(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([kept, other, young, new])
    for held in (lock, last):
        os.close(held)

"""The manifest: everything that decides the results of a run, and what may differ."""

import dataclasses
import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

from gtrade.sweeps.spec import Spec, spec_hash

FORMAT = 1
_LONGEST_DIFFERENCE = 100


def package_versions() -> dict[str, str]:
    """Return the versions of gtrade and of what its results depend on."""
    versions = {}
    for package in ("gtrade", "jax", "jaxlib", "equinox", "numpy"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "unknown"
    versions["python"] = platform.python_version()
    return versions


def make_manifest(
    spec: Spec, device: Mapping[str, Any], groups: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the manifest of a new run.

    Args:
        spec: resolved.
        device: `platform`, `kind` and `count` of the devices.
        groups: number of points and label of every group.
    """
    resolved = spec.resolved()
    evidence = spec.evidence
    return {
        "format": FORMAT,
        "spec_hash": spec_hash(resolved),
        "spec": resolved,
        "num_points": spec.num_points,
        "versions": package_versions(),
        "device": dict(device),
        "groups": groups,
        "lane_widths": {},
        "columns": [dataclasses.asdict(column) for column in evidence.columns]
        if spec.is_verified
        else [],
        "arrays": [dataclasses.asdict(array) for array in evidence.arrays],
        "headline": [name for name in evidence.headline if spec.is_verified],
        "history": [],
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return why a run may not go on where another stopped, one line each.

    More replications only extend a run, and the number of devices decides nothing: a
    lane width is counted per device.
    """
    old_spec, new_spec = old["spec"], _with_replications(old["spec"], new["spec"])
    lines = _compare(old_spec, new_spec, "")
    for package in ("gtrade", "jax", "jaxlib"):
        before, now = old["versions"].get(package), new["versions"].get(package)
        if before != now:
            lines.append(f"version of {package}: {before} -> {now}")
    for name in ("platform", "kind"):
        before, now = old["device"].get(name), new["device"].get(name)
        if before != now:
            lines.append(f"device {name}: {before} -> {now}")
    if old["format"] != new["format"]:
        lines.append(f"store format: {old['format']} -> {new['format']}")
    return lines


def _with_replications(old: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    count = old["run"]["replications"]
    if new["run"]["replications"] <= count:
        return new
    return {**new, "run": {**new["run"], "replications": count}}


def _compare(old: Any, new: Any, path: str) -> list[str]:
    if old == new:
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        lines = []
        for key in [*old, *(key for key in new if key not in old)]:
            inner = f"{path}.{key}" if path else str(key)
            before, now = old.get(key, _ABSENT), new.get(key, _ABSENT)
            lines += _compare(before, now, inner)
        return lines
    is_sweep = path == "sweep" and isinstance(old, list) and isinstance(new, list)
    if is_sweep and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [x for i, (a, b) in pairs for x in _compare(a, b, f"sweep.{i}")]
    return [f"{path}: {_short(old)} -> {_short(new)}"]


def _short(value: Any) -> str:
    text = str(value)
    is_long = len(text) > _LONGEST_DIFFERENCE
    return text[: _LONGEST_DIFFERENCE - 3] + "..." if is_long else text


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


_ABSENT = _Absent()


def continued(
    old: Mapping[str, Any], new: Mapping[str, Any], forced: list[str], time: str
) -> dict[str, Any]:
    """Return the manifest of a run that goes on: lane widths stay as they were."""
    history = list(old.get("history", []))
    event: dict[str, Any] = {"time": time, "versions": new["versions"]}
    event["device"] = new["device"]
    if forced:
        event["forced"] = forced
    before = old["spec"]["run"]["replications"]
    if new["spec"]["run"]["replications"] != before:
        event["replications_before"] = before
    widths = dict(old["lane_widths"])
    return {**new, "lane_widths": widths, "history": [*history, event]}

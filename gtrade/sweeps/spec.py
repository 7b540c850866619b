"""The spec: a TOML file in, one resolved and immutable description of a run out.

Resolving fills in defaults, expands the axes and checks every key and type against
the catalog; all problems of a file are reported together. Nothing here imports jax.
"""

import dataclasses
import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gtrade import catalog
from gtrade.catalog.base import Evidence, ModelEntry, Parameter, SolverEntry
from gtrade.sweeps.axes import Axis, AxisBuilder
from gtrade.sweeps.complaints import Complaints, RuleError, SpecError, did_you_mean
from gtrade.sweeps.draws import FLAG, Draws, read_draws
from gtrade.sweeps.overrides import apply_overrides
from gtrade.sweeps.tables import normalise_tables
from gtrade.sweeps.values import SweptKey, normalise

TABLES = ("model", "problem", "solver", "verification", "run", "sweep", "calibration")

_VERIFICATION = (
    Parameter("enabled", "boolean", "whether answers are verified", default=True),
)
_RUN = (
    Parameter("seed", "integer", "of every random number", default=0),
    Parameter("replications", "integer", "keys per grid point", default=1),
    Parameter(
        "precision", "text", "of the solve", default=None, choices=("f32", "f64")
    ),
    Parameter("arrays", "text", "array results to keep", default=(), ndim=1),
    Parameter("common_keys", "boolean", "same keys at every point", default=False),
)


@dataclasses.dataclass(frozen=True)
class Run:
    """How a spec is run.

    Attributes:
        seed: of every random number, in [0, 2^32).
        replications: independent keys per grid point.
        precision: float width of the solve, "f32" or "f64".
        arrays: array results to keep besides the model's columns.
        common_keys: whether every grid point gets the same keys.
    """

    seed: int = 0
    replications: int = 1
    precision: str = "f32"
    arrays: tuple[str, ...] = ()
    common_keys: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Spec:
    """A resolved spec: every default filled in, every axis expanded.

    Attributes:
        model: name in the catalog.
        problem: values of `[problem]` that no axis sweeps as a whole.
        solver: name of the solver.
        solver_values: values of `[solver]` that no axis sweeps as a whole.
        is_verified: whether answers are verified.
        run: how it is run.
        axes: the sweep, the last axis fastest.
        draws: which columns of a calibration set which keys, and how many draws were
            left out; None without `--set-from`. The values are an axis.
        source: the file it came from, for messages; decides nothing.
    """

    model: str
    problem: Mapping[str, Any]
    solver: str
    solver_values: Mapping[str, Any]
    is_verified: bool
    run: Run
    axes: tuple[Axis, ...] = ()
    draws: Mapping[str, Any] | None = None
    source: str = "spec"

    @property
    def entry(self) -> ModelEntry:
        """The model's catalog entry."""
        return catalog.get_model(self.model)

    @property
    def solver_entry(self) -> SolverEntry:
        """The solver's catalog entry."""
        return self.entry.solver(self.solver)

    @property
    def evidence(self) -> Evidence:
        """What verification says about the solver's answers."""
        return self.entry.evidence_of(self.solver)

    @property
    def swept(self) -> tuple[SweptKey, ...]:
        """All swept keys, in order."""
        return tuple(key for axis in self.axes for key in axis.keys)

    @property
    def num_points(self) -> int:
        """Number of grid points; one without a sweep."""
        return math.prod(len(axis) for axis in self.axes)

    def resolved(self) -> dict[str, Any]:
        """Return the spec as JSON-ready data; it decides the results of a run."""
        calibration = {} if self.draws is None else {"calibration": dict(self.draws)}
        return {
            "model": self.model,
            "problem": jsonable(self.problem),
            "solver": {"name": self.solver, **jsonable(self.solver_values)},
            "verification": {"enabled": self.is_verified},
            "run": jsonable(dataclasses.asdict(self.run)),
            "sweep": [jsonable(axis.summary()) for axis in self.axes],
            **calibration,
        }

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON of the resolved spec."""
        return spec_hash(self.resolved())


def spec_hash(resolved: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of a resolved spec."""
    text = json.dumps(resolved, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def jsonable(value: Any) -> Any:
    """Return plain data for JSON; non-finite numbers become texts."""
    if isinstance(value, Mapping):
        return {key: jsonable(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(x) for x in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def load_spec(
    path: str | Path,
    overrides: Iterable[str] = (),
    set_from: str | Path | None = None,
) -> Spec:
    """Read and resolve a spec file.

    Args:
        path: a TOML file.
        overrides: "key=value" settings that replace values of the file.
        set_from: folder of a calibration, whose draws set keys (`gtrade.sweeps.draws`).

    Raises:
        SpecError: with one line for every problem found.
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise SpecError([f"{path}: cannot be read ({reason})"]) from None
    except UnicodeDecodeError:
        raise SpecError([f"{path}: must be UTF-8 text"]) from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError([f"{path}: is not valid TOML: {error}"]) from None
    return resolve_spec(
        document,
        source=str(path),
        folder=path.parent,
        overrides=overrides,
        set_from=set_from,
    )


def resolve_spec(
    document: Mapping[str, Any],
    *,
    source: str = "spec",
    folder: str | Path = ".",
    overrides: Iterable[str] = (),
    set_from: str | Path | None = None,
) -> Spec:
    """Resolve a spec that is already parsed.

    Args:
        document: the tables of a spec as nested dicts.
        source: what messages call it.
        folder: where relative paths of `[sweep.table]` start.
        overrides: "key=value" settings.
        set_from: folder of a calibration; a relative path starts where the program was
            started.

    Raises:
        SpecError: with one line for every problem found.
    """
    complaints = Complaints(source)
    overrides = tuple(overrides)
    document = apply_overrides(dict(document), overrides, complaints)
    calibration = None if set_from is None else Path(set_from)
    resolver = _Resolver(document, complaints, Path(folder), calibration, overrides)
    return resolver.resolve()


class _Resolver:
    """Walks a document once, collecting everything that is wrong with it."""

    def __init__(
        self,
        document: dict[str, Any],
        complaints: Complaints,
        folder: Path,
        calibration: Path | None,
        overrides: Sequence[str],
    ) -> None:
        self.document, self.complaints, self.folder = document, complaints, folder
        self.calibration, self.overrides = calibration, overrides
        self.draws: Draws | None = None

    def resolve(self) -> Spec:
        for key in self.document:
            if key not in TABLES:
                self.complaints.add_unknown(key, TABLES)
        model = self._model()
        solver = self._solver(model)
        verification = self._values("verification", _VERIFICATION)
        run = self._run(model, solver, verification.get("enabled", True))
        axes = self._axes(model, solver, run.seed)
        whole = {k.key for axis in axes for k in axis.keys if not k.index}
        problem: dict[str, Any] = {}
        solver_values: dict[str, Any] = {}
        if model:
            problem = self._values("problem", model.parameters, swept=whole)
        if solver:
            solver_values = self._values(
                "solver", solver.parameters, swept=whole, besides=("name",)
            )
        self._check_positions(axes, {"problem": problem, "solver": solver_values})
        if math.prod(map(len, axes)) * run.replications >= 2**48:
            self.complaints.add("sweep", "must have fewer than 2^48 points in all")
        elif math.prod(map(len, axes)) > 2**32:
            self.complaints.add("sweep", "must have at most 2^32 grid points")
        self.complaints.raise_any()
        assert model is not None
        assert solver is not None
        return Spec(
            model=model.name,
            problem=problem,
            solver=solver.name,
            solver_values=solver_values,
            is_verified=verification["enabled"],
            run=run,
            axes=tuple(axes),
            draws=self.draws.summary() if self.draws else None,
            source=self.complaints.source,
        )

    def _table(self, name: str) -> dict[str, Any]:
        table = self.document.get(name, {})
        if isinstance(table, dict):
            return table
        self.complaints.add(name, f"must be a table, [{name}]", table)
        return {}

    def _model(self) -> ModelEntry | None:
        known = tuple(catalog.MODELS)
        name = self.document.get("model")
        if name is None:
            rule = f"is required (one of {', '.join(known)})"
            self.complaints.add("model", rule)
        elif name not in known:
            hint = did_you_mean(str(name), known)
            rule = f"must be one of {', '.join(known)}"
            self.complaints.add("model", rule, name, hint)
        else:
            return catalog.get_model(name)
        return None

    def _solver(self, model: ModelEntry | None) -> SolverEntry | None:
        name = self._table("solver").get("name")
        if model is None:
            return None
        known = tuple(entry.name for entry in model.solvers)
        if name is None:
            rule = f"is required (one of {', '.join(known)})"
            self.complaints.add("solver.name", rule)
        elif name not in known:
            hint = did_you_mean(str(name), known)
            rule = f"must be a solver of {model.name} ({', '.join(known)})"
            self.complaints.add("solver.name", rule, name, hint)
        else:
            return model.solver(name)
        return None

    def _values(
        self,
        table: str,
        parameters: Sequence[Parameter],
        *,
        swept: Iterable[str] = (),
        besides: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Return the values of a table: given or default, without swept keys."""
        given = self._table(table)
        names = [parameter.name for parameter in parameters]
        for key in given:
            if key not in names and key not in besides:
                self.complaints.add_unknown(key, names, prefix=f"{table}.")
        values = {}
        for parameter in parameters:
            key = f"{table}.{parameter.name}"
            value = given.get(parameter.name, parameter.default)
            if parameter.fields and parameter.name in given:
                values[parameter.name] = normalise_tables(
                    parameter, value, key, self.complaints
                )
                continue
            try:
                if parameter.name in given:
                    value = normalise(parameter, value)
                elif not parameter.is_required and value is not None:
                    value = normalise(parameter, value)
                elif parameter.is_required and key not in swept:
                    raise RuleError(f"is required ({parameter.doc})")
            except RuleError as error:
                self.complaints.add_rule(key, error)
                value = parameter.default
            if key not in swept:
                values[parameter.name] = value
        return values

    def _run(
        self, model: ModelEntry | None, solver: SolverEntry | None, is_verified: bool
    ) -> Run:
        values = self._values("run", _RUN)
        if not 0 <= values["seed"] < 2**32:
            # Wider seeds depend on the x64 setting of whoever makes the key.
            self.complaints.add("run.seed", "must lie in [0, 2^32)", values["seed"])
            values["seed"] = 0
        if not 1 <= values["replications"] < 2**32:
            rule = "must be at least 1 and less than 2^32"
            self.complaints.add("run.replications", rule, values["replications"])
            values["replications"] = 1
        if not values["precision"]:
            values["precision"] = solver.precision if solver else "f32"
        values["arrays"] = tuple(values["arrays"])
        arrays = model.evidence_of(solver.name).arrays if model and solver else ()
        known = tuple(array.name for array in arrays)
        for name in values["arrays"]:
            if model and solver and name not in known:
                offered = f" ({', '.join(known)})" if known else ", which has none"
                rule = f"must name arrays of {model.name}{offered}"
                hint = did_you_mean(name, known)
                self.complaints.add("run.arrays", rule, name, hint)
        if len(set(values["arrays"])) < len(values["arrays"]):
            rule = "must name each array once"
            self.complaints.add("run.arrays", rule, list(values["arrays"]))
        if values["arrays"] and not is_verified:
            rule = "must be empty when verification.enabled = false"
            self.complaints.add("run.arrays", rule, list(values["arrays"]))
        return Run(**values)

    def _axes(
        self, model: ModelEntry | None, solver: SolverEntry | None, seed: int
    ) -> list[Axis]:
        if model is None or solver is None:
            return []
        builder = AxisBuilder(model, solver, seed, self.complaints, self.folder)
        for key, value in self._table("sweep").items():
            builder.add(key, value)
        self._add_draws(model, builder)
        builder.check_overlaps()
        return builder.axes

    def _add_draws(self, model: ModelEntry, builder: AxisBuilder) -> None:
        explicit = self.document.get("calibration")
        if self.calibration is None:
            if explicit is not None:
                rule = f"needs the folder of a calibration, {FLAG} DIR"
                self.complaints.add("calibration", rule)
            return
        self.draws = read_draws(
            self.calibration,
            explicit,
            model.parameters,
            self._table("problem"),
            self.complaints,
        )
        if self.draws is None:
            return
        builder.add_draws(self.draws)
        for setting in self.overrides:
            key = setting.partition("=")[0].strip()
            if key in self.draws.columns:
                rule = f"is set by {FLAG}; leave one of the two out"
                self.complaints.add(f"--set {key}", rule)

    def _check_positions(
        self, axes: Iterable[Axis], tables: Mapping[str, Mapping[str, Any]]
    ) -> None:
        for swept in (key for axis in axes for key in axis.keys if key.index):
            node = tables[swept.table].get(swept.parameter.name)
            at = f"{swept.table}.{swept.parameter.name}"
            for position in swept.index:
                if isinstance(position, str) and isinstance(node, dict):
                    node, at = node.get(position), f"{at}.{position}"
                    continue
                if not isinstance(node, list) or isinstance(position, str):
                    rule = f"needs {at} as a list to put the swept values in"
                    self.complaints.add(swept.key, rule)
                    break
                if position >= len(node):
                    rule = f"{at} has positions 0 to {len(node) - 1}"
                    self.complaints.add(swept.key, rule, position)
                    break
                node, at = node[position], f"{at}.{position}"

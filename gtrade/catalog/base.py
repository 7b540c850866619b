"""What the pipeline has to know about a model. Plain data: importing it is instant."""

import dataclasses
import importlib
from typing import Any, Literal

REQUIRED: Any = object()
"""Marks a parameter without a default."""

MOST_AXES = 32
"""Levels of lists that are read where any depth will do."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One key of a spec's `[problem]` or `[solver]` table.

    Attributes:
        name: the key, and the argument of the class that is built.
        type: what a single value is; a "table" has `fields`, and the key holds a list
            of such tables.
        doc: meaning and rule, one line.
        unit: physical unit, empty for a pure number.
        default: the value when the key is absent, or `REQUIRED`.
        ndim: 0 for a scalar, 1 for a list, 2 for a list of lists; None for lists
            nested to any depth, of equal lengths at each.
        is_static: decides shapes or code, so a sweep over it compiles once per value.
        choices: texts allowed beside (or, for type "text", as) the value; a text is
            static, unless it has codes.
        codes: for type "text" whole numbers that stand for the choices, one each: the
            class is given an array of them, so that a sweep compiles once.
        allows_list: whether a scalar may also be given as a list of such values, which
            has to be static outside of tables.
        fields: keys of a table.
        estimate: under which name a calibration estimates it, if not its own.
    """

    name: str
    type: Literal["integer", "number", "text", "boolean", "table"]
    doc: str
    unit: str = ""
    default: Any = REQUIRED
    ndim: int | None = 0
    is_static: bool = False
    choices: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    allows_list: bool = False
    fields: tuple["Parameter", ...] = ()
    estimate: str | None = None

    @property
    def is_required(self) -> bool:
        """Whether a spec must give the key."""
        return self.default is REQUIRED

    @property
    def most_levels(self) -> int:
        """Levels of lists that a value can have."""
        if self.ndim is None:
            return MOST_AXES
        return 1 if self.allows_list else self.ndim

    def field(self, name: str) -> "Parameter | None":
        """Return a table's field of that name, if there is one."""
        return next((field for field in self.fields if field.name == name), None)


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of the result rows (or one array kept on request)."""

    name: str
    doc: str
    unit: str = ""
    axes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What verification says about one kind of answer, and how it is shown.

    Attributes:
        columns: row columns that the model's `verify` returns, in the order shown.
        arrays: arrays that it returns when asked for by name.
        headline: columns of the table on the terminal.
        figures: "module:function" of `figures(table) -> dict[str, Figure]`.
    """

    columns: tuple[Column, ...]
    arrays: tuple[Column, ...]
    headline: tuple[str, ...]
    figures: str

    def with_simulation(
        self, *names: str, headline: tuple[str, ...] = ()
    ) -> "Evidence":
        """Return this with columns `<name>_mc` and `<name>_se` for simulated columns.

        Args:
            names: of columns that a Monte Carlo solver estimates.
            headline: those of them that the terminal shows, with their errors.
        """
        known = {column.name: column for column in self.columns}
        added = []
        for name in names:
            column = known[name]
            mean = f"{name} as simulated: {column.doc}"
            error = f"standard error of {name}_mc"
            for ending, doc in (("mc", mean), ("se", error)):
                renamed = dataclasses.replace(column, name=f"{name}_{ending}", doc=doc)
                added.append(renamed)
        shown = [f"{name}_{ending}" for name in headline for ending in ("mc", "se")]
        return dataclasses.replace(
            self,
            columns=(*self.columns, *added),
            headline=(*self.headline, *shown),
        )


@dataclasses.dataclass(frozen=True)
class SolverEntry:
    """A solver that fits a model, under the name used in specs.

    `evidence` describes its kind of answer where that is not the model's usual one;
    `calls_lapack` says whether its solve or evidence may call LAPACK on a batch.
    """

    name: str
    target: str  # "module:Class"
    summary: str
    source: str
    parameters: tuple[Parameter, ...]
    precision: Literal["f32", "f64"] = "f32"
    evidence: Evidence | None = None
    calls_lapack: bool = True


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """Everything the pipeline knows about a model.

    Attributes:
        name: name in specs.
        summary: one line.
        source: paper and section.
        problem: "module:Class" of the problem.
        parameters: keys of `[problem]`.
        solvers: the solvers that fit it.
        verify: "module:function" of `verify(problem, solver, solution, arrays)`, which
            returns a dict of row columns and requested arrays for one instance; it is
            traced under `vmap`, in float64, and imports no solver's update rule.
        evidence: what it says about the usual kind of answer.
        tables: "module" of a model whose `[problem]` holds tables: its `arguments`
            turns them into the class's arguments, and its `spec_key` names the key
            that an argument came from.
    """

    name: str
    summary: str
    source: str
    problem: str
    parameters: tuple[Parameter, ...]
    solvers: tuple[SolverEntry, ...]
    verify: str
    evidence: Evidence
    tables: str | None = None

    def evidence_of(self, solver: str) -> Evidence:
        """Return what verification says about the answers of a solver."""
        return self.solver(solver).evidence or self.evidence

    def solver(self, name: str) -> SolverEntry:
        """Return the solver entry of that name, or raise ValueError naming all."""
        for entry in self.solvers:
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in self.solvers)
        raise ValueError(
            f"solver.name must be a solver of {self.name} ({known}); got {name!r}"
        )


def resolve(target: str) -> Any:
    """Import what a "module:attribute" string names."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)

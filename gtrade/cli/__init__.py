"""The command line: `gtrade run`, `report`, `export`, `calibrate`, `models`, `doctor`.

jax, matplotlib and pyarrow are imported inside the commands, so that `--help` is
instant.
"""

import sys
from collections.abc import Sequence

INTERRUPTED = 130
BAD_INPUT = 2
INTERNAL_ERROR = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; those of the process if None.

    Returns:
        The exit code: 0 done; 2 bad input; 3 some rows ended without an answer; 130
        interrupted; 1 for an error of the program itself.
    """
    from gtrade.cli.arguments import parse

    argv = list(sys.argv[1:] if argv is None else argv)
    if argv == ["--version"]:
        from gtrade.sweeps.manifest import package_versions

        print(f"gtrade {package_versions()['gtrade']}")
        return 0
    try:
        command = parse(argv)
    except SystemExit as stop:  # help (0) or a wrong command line (2)
        return stop.code if isinstance(stop.code, int) else BAD_INPUT
    try:
        return command()
    except KeyboardInterrupt:
        if command.debug:
            raise
        has_chunks = hasattr(command, "executor")
        is_kept = has_chunks and getattr(command, "out", None) is not None
        remedy = "; the same command goes on where it stopped" if is_kept else ""
        print(f"gtrade: interrupted{remedy}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if command.debug:
            raise
        return _explain(error)


def _explain(error: Exception) -> int:
    """Print one clear message for an error and return its exit code."""
    from gtrade.sweeps.packages import MissingPackageError

    is_input = isinstance(error, ValueError | OSError | MissingPackageError)
    if is_input and type(error) is not ValueError:
        print(error, file=sys.stderr)
    else:
        name = "" if is_input else f"{type(error).__name__}: "
        print(f"gtrade: {name}{error} (--debug shows where)", file=sys.stderr)
    return BAD_INPUT if is_input else INTERNAL_ERROR

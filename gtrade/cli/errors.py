"""Errors of the command line itself."""

from pathlib import Path


class CommandError(ValueError):
    """An argument cannot be used; the message says which, why and what helps."""


def unwritable(place: str | Path, error: OSError) -> CommandError:
    """Return what to say when a file or folder cannot be written."""
    reason = (error.strerror or str(error)).lower()
    return CommandError(f"{place}: cannot be written ({reason})")


def check_writable(target: str | None) -> None:
    """Find out before the run, not after it, that its results cannot be written."""
    if target is None or target == "-":
        return
    try:
        is_new = not Path(target).exists()
        with open(target, "a", encoding="utf-8"):
            pass
        if is_new:
            Path(target).unlink()
    except OSError as error:
        raise unwritable(target, error) from None

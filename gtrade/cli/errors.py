"""Errors of the command line itself."""

from pathlib import Path


class CommandError(ValueError):
    """An argument cannot be used; the message says which, why and what helps."""


def unwritable(place: str | Path, error: OSError) -> CommandError:
    """Return what to say when a file or folder cannot be written."""
    reason = (error.strerror or str(error)).lower()
    return CommandError(f"{place}: cannot be written ({reason})")

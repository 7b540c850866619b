"""JSON documents of commands: in a file, or alone on standard output."""

import json
import sys
from pathlib import Path
from typing import Any

from gtrade.cli.errors import unwritable


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


def write_json(content: dict[str, Any], target: str) -> None:
    """Write one document to a file, or to standard output for a target of -."""
    text = json.dumps(content, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(target, error) from None

"""Optional packages, imported when they are asked for."""

import importlib
from typing import Any


class MissingPackageError(ImportError):
    """An optional package is absent; the message says how to install it."""


def require(package: str, install: str | None = None) -> Any:
    """Import a package.

    Args:
        package: its name.
        install: what `pip install` is told, if not the name.

    Raises:
        MissingPackageError: if it is absent.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        command = f"pip install {install or package}"
        message = f"this needs {package}, which is absent; `{command}` installs it"
        raise MissingPackageError(message) from None

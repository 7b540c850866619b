"""Errors of the command line itself."""


class CommandError(ValueError):
    """An argument cannot be used; the message says which, why and what helps."""

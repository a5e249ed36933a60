"""The error that a command line shows as one line."""


class LaunchError(Exception):
    """A mistake of the user's that needs no stack trace.

    The message is one line: what was found, what was expected, what to do.
    """

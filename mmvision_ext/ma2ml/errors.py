"""What ends a search, or keeps it from starting."""
from ..engine.errors import LaunchError


class SearchError(LaunchError):
    """The search cannot start or go on, and the message says what to do.

    Nothing that was recorded is lost: a later run with ``--resume`` goes on.
    """

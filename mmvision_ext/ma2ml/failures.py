"""Why a trial failed, and what is done about it.

The rule, which a search may change with ``retries``:

========== ============================================== ===============
class      what happened                                  tried again
========== ============================================== ===============
crash      the training ended with an error               once
killed     a worker, a node or the machine went away      twice
oom        memory ran out, on the GPU or above the limit  no
nan        the loss or the metric was not finite          no
timeout    the trial took longer than it may              no
infeasible no config can be made of the candidate         no
========== ============================================== ===============

A trial that is tried again keeps its number and its seed. One that has
failed for good is recorded as failed, with its reason, and its candidate is
not proposed again: to the learner it is a trial as bad as the worst, other
samplers leave it out. A full disk is nobody's fault but ends the search: it
would fail every trial that follows.
"""
import errno
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

CLASSES = ('oom', 'crash', 'nan', 'timeout', 'killed', 'infeasible')
#: How often a trial is tried again after each class of failure.
RETRIES = dict(oom=0, crash=1, nan=0, timeout=0, killed=2, infeasible=0)

_OOM = re.compile(r'out of memory|can.t allocate memory|cannot allocate '
                  r'memory|CUBLAS_STATUS_ALLOC_FAILED|bad_alloc', re.I)
_NAN = re.compile(r'\bnan\b|non-?finite|not finite|infinite', re.I)


@dataclass(frozen=True)
class Failure:
    """Why a trial failed.

    Args:
        kind (str): One of :data:`CLASSES`.
        message (str): One line.
        full_disk (bool): The disk was full. Defaults to False.
    """

    kind: str
    message: str
    full_disk: bool = False

    def record(self) -> dict[str, str]:
        """What the study keeps: ``class`` and ``message``."""
        return {'class': self.kind, 'message': self.message}

    def to_json(self) -> dict[str, Any]:
        """All of it, as plain data."""
        return asdict(self)


def classify_error(error: BaseException) -> Failure:
    """Name the failure that an exception in a trial stands for.

    Args:
        error (BaseException): What the training raised.

    Returns:
        Failure: Its class and first line.
    """
    name = type(error).__name__
    text = str(error).strip().partition('\n')[0]
    message = f'{name}: {text}' if text else name
    full_disk = (isinstance(error, OSError)
                 and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
                 # torch's writer of checkpoints has errors of its own
                 or 'No space left on device' in str(error))
    if full_disk:
        return Failure('crash', message, full_disk=True)
    if isinstance(error, MemoryError) or name == 'OutOfMemoryError' or (
            isinstance(error, (RuntimeError, OSError))
            and _OOM.search(str(error))):
        return Failure('oom', message)
    if isinstance(error, (FloatingPointError, AssertionError)) and \
            _NAN.search(str(error)):
        return Failure('nan', message)
    return Failure('crash', message)


def classify_exit(returncode: Optional[int], tail: str) -> Failure:
    """Name the failure of a trial that left no word of its own.

    Args:
        returncode (int, optional): Exit status, negative for a signal.
            None if it is not known.
        tail (str): The end of its log.

    Returns:
        Failure: Its class and why.
    """
    lines = [line for line in tail.splitlines() if line.strip()]
    last = lines[-1].strip()[:300] if lines else 'the log is empty'
    if returncode is None:
        return Failure('killed', 'the worker is gone')
    if returncode == -9:
        return Failure('killed', 'ended by signal 9, which nobody here sent '
                       '(the kernel does so when the machine runs out of '
                       'memory)')
    if returncode in (-15, -2, -1):
        return Failure('killed', f'ended by signal {-returncode}')
    if 'No space left on device' in tail:
        return Failure('crash', last, full_disk=True)
    if _OOM.search(tail):
        return Failure('oom', last)
    if returncode < 0:
        return Failure('crash', f'ended by signal {-returncode}: {last}')
    return Failure('crash', f'exit status {returncode}: {last}')


def read_retries(given: Optional[Mapping[str, int]]) -> dict[str, int]:
    """The rule with a search's own numbers in it.

    Args:
        given (Mapping[str, int], optional): Class to number of retries.

    Returns:
        dict[str, int]: For every class.

    Raises:
        ValueError: If a class is unknown or a number is none.
    """
    rule = dict(RETRIES)
    for kind, number in (given or {}).items():
        if kind not in RETRIES:
            raise ValueError(f'retries has {kind!r}; choose from '
                             f'{", ".join(CLASSES)}')
        if not isinstance(number, int) or number < 0:
            raise ValueError(f'retries has {kind}={number!r}; expected a '
                             'whole number from 0')
        rule[kind] = number
    return rule

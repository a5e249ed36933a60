"""What a tool says on stderr, alone or as one of several processes."""
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

#: Variable that names the file where a rank leaves its line for the process
#: that started it. That one outlives the ranks: the first of them to fail
#: gets the others stopped before they could print theirs.
MESSAGE_FILE = 'MMVISION_MESSAGE_FILE'

_LOCAL_RANKS = ('SLURM_LOCALID', 'OMPI_COMM_WORLD_LOCAL_RANK', 'LOCAL_RANK')


def is_local_main() -> bool:
    """Whether this is the first process of this machine.

    Returns:
        bool: True too for a process that no launcher started.
    """
    ranks = (os.environ.get(name) for name in _LOCAL_RANKS)
    return next((rank for rank in ranks if rank is not None), '0') == '0'


def report(line: str) -> None:
    """Say one line on stderr, once for all processes of this machine.

    Args:
        line (str): The line, without a newline.
    """
    path = os.environ.get(MESSAGE_FILE)
    if path:
        with contextlib.suppress(OSError):
            Path(path).write_text(line)
    elif is_local_main():
        # Not print(): a signal may have come in the middle of one.
        os.write(2, f'{line}\n'.encode())


def _silence() -> None:
    """Send stderr of this process and its children to nowhere.

    Loader workers and helper threads that lose their other end on the way
    down print stack traces of no use to anyone.
    """
    with open(os.devnull, 'w') as nowhere:
        os.dup2(nowhere.fileno(), 2)


@dataclass
class Interrupt:
    """Whether Ctrl-C (or SIGINT) has come.

    Args:
        seen (bool): Default: False.
    """
    seen: bool = False


@contextlib.contextmanager
def catch_interrupt(line: str) -> Iterator[Interrupt]:
    """On SIGINT, say one line and nothing more, raise ``KeyboardInterrupt``.

    A process that waits for another in C++ code may raise the other's loss
    before, or instead of, its own interrupt, hence the record. After the
    first signal others are ignored, so that they do not disturb the way
    down.

    Args:
        line (str): The line, without a newline.

    Yields:
        Interrupt: Tells whether the signal has come.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        # Forked loader workers inherit this; the owner ends them.
        if os.getpid() != owner:
            return
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interrupt.seen = True
        report(line)
        _silence()
        raise KeyboardInterrupt

    hook = sys.excepthook

    def drop_lost_connections(kind: type[BaseException], *rest: Any) -> None:
        # A loader worker that ends before its last tensor is taken takes the
        # connection along, in a helper thread. The loader tells of workers
        # lost for another reason.
        in_main = threading.current_thread() is threading.main_thread()
        if in_main or not issubclass(kind, (ConnectionError, EOFError)):
            hook(kind, *rest)

    sys.excepthook = drop_lost_connections
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupt
    finally:
        # What was put over the hook meanwhile, as torch.distributed does,
        # stays.
        if sys.excepthook is drop_lost_connections:
            sys.excepthook = hook
        if not interrupt.seen:
            signal.signal(signal.SIGINT, before)

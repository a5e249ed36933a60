"""Moments of a training at which its process is killed."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from .children import kill_group

#: Kind -> what has just happened when the process dies.
KINDS = {
    'step': 'gradients are there, weights not yet changed',
    'load': 'a batch was loaded',
    'validation': 'in the middle of a validation',
    'draft': 'half of a checkpoint is written',
    'rename': 'a checkpoint is written, and does not have its name yet',
    'pointer': 'a checkpoint is there, last_checkpoint is not written',
}


@dataclass(frozen=True)
class Moment:
    """When to die.

    Args:
        kind (str): One of :data:`KINDS`.
        count (int): At the how manieth time, from 1.
    """
    kind: str
    count: int

    def arm(self) -> None:
        """Make this process die at the moment."""
        _ARM[self.kind](_Countdown(self.count))


class _Countdown:

    def __init__(self, count: int) -> None:
        self._left = count

    def __call__(self) -> None:
        self._left -= 1
        if not self._left:
            kill_group()

    @property
    def is_next(self) -> bool:
        """Whether the next call is the last."""
        return self._left == 1


def _before(owner: type, name: str, countdown: _Countdown) -> None:
    stock = getattr(owner, name)

    @functools.wraps(stock)
    def deadly(*args: Any, **kwargs: Any) -> Any:
        countdown()
        return stock(*args, **kwargs)

    setattr(owner, name, deadly)


def _arm_step(countdown: _Countdown) -> None:
    from mmengine.optim import OptimWrapper
    _before(OptimWrapper, 'step', countdown)


def _arm_load(countdown: _Countdown) -> None:
    from mmengine.runner import IterBasedTrainLoop
    from mmengine.runner.loops import EpochBasedTrainLoop
    for loop in (IterBasedTrainLoop, EpochBasedTrainLoop):
        _before(loop, 'run_iter', countdown)


def _arm_validation(countdown: _Countdown) -> None:
    from mmengine.runner import ValLoop
    _before(ValLoop, 'run_iter', countdown)


def _arm_writing(when: str) -> Callable[[_Countdown], None]:

    def arm(countdown: _Countdown) -> None:
        from ..compat import saving
        stock = saving.write_atomically

        def deadly(path: Any, write: Callable[[BinaryIO], object]) -> None:
            if when == 'pointer':
                stock(path, write)
                countdown()
            elif countdown.is_next:
                stock(path, functools.partial(_die_writing, write, when))
            else:
                countdown()
                stock(path, write)

        saving.write_atomically = deadly

    return arm


def _die_writing(write: Callable[[BinaryIO], object], when: str,
                 file: BinaryIO) -> None:
    write(file)
    file.flush()
    if when == 'draft':
        file.truncate(file.tell() // 2)
    kill_group()


_ARM: dict[str, Callable[[_Countdown], None]] = {
    'step': _arm_step,
    'load': _arm_load,
    'validation': _arm_validation,
    'draft': _arm_writing('draft'),
    'rename': _arm_writing('rename'),
    'pointer': _arm_writing('pointer'),
}

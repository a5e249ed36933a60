"""Checkpoints of mmengine that a crash cannot spoil.

:func:`install` makes mmengine write checkpoints in one step, remove the old
ones after the new one is there, and resume from the newest that is whole.
mmengine itself removes first, then writes into the final name: with
``max_keep_ckpts=1``, a crash in between leaves nothing.
"""

import functools
import io
import logging
import sys
from collections.abc import Callable
from typing import Any

import torch

from .files import write_atomically
from .recovery import newest_checkpoint

_HOLDERS = ('mmengine.runner', 'mmengine.runner.checkpoint',
            'mmengine.runner.runner', 'mmengine._strategy.deepspeed',
            'mmengine._strategy.colossalai')


def _is_local(filename: str, backend_args: dict | None) -> bool:
    from mmengine.fileio import LocalBackend, get_file_backend
    if '://' in filename and not filename.startswith('file://'):
        return False
    backend = get_file_backend(filename, backend_args=backend_args)
    return isinstance(backend, LocalBackend)


def _saving(stock: Callable) -> Callable:
    """mmengine's ``save_checkpoint``, whole or not at all on local disks."""

    @functools.wraps(stock)
    def save_checkpoint(checkpoint: Any, filename: str,
                        file_client_args: dict | None = None,
                        backend_args: dict | None = None) -> None:
        if file_client_args is not None or not _is_local(
                str(filename), backend_args):
            stock(checkpoint, filename, file_client_args, backend_args)
            return
        # Through memory, as mmengine does: torch's writer would turn a full
        # disk into an error that says nothing of it.
        with io.BytesIO() as buffer:
            torch.save(checkpoint, buffer)
            write_atomically(
                filename, lambda file: file.write(buffer.getbuffer()))

    save_checkpoint.is_atomic = True
    return save_checkpoint


class _RemovesLater:
    """A file backend that keeps in mind what it is asked to remove."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._doomed: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._doomed.append(('remove', path))

    def rmtree(self, path: str) -> None:
        self._doomed.append(('rmtree', path))

    def remove_now(self, needed: set[str]) -> None:
        """Remove all but what has been written since."""
        for method, path in self._doomed:
            if str(path) not in needed:
                getattr(self._backend, method)(path)


def _removing_later(method: Callable) -> Callable:
    """A method of ``CheckpointHook`` that removes files after it has saved.
    """

    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        backend = self.file_backend
        self.file_backend = later = _RemovesLater(backend)
        try:
            result = method(self, *args, **kwargs)
        finally:
            self.file_backend = backend
        several = getattr(self, 'best_ckpt_path_dict', None) or {}
        later.remove_now({
            str(path) for path in (
                self.last_ckpt, getattr(self, 'best_ckpt_path', None),
                *several.values())
        })
        return result

    wrapped.removes_later = True
    return wrapped


def find_latest_checkpoint(path: str) -> str | None:
    """Stands in for mmengine's: the newest checkpoint that is whole.

    Args:
        path (str): The work directory.

    Returns:
        str | None: Its path; None if there is none.

    Raises:
        CheckpointError: If there are some, none of them whole.
    """
    from mmengine.logging import print_log
    found = newest_checkpoint(path)
    for line in found.notes:
        print_log(line, logger='current', level=logging.WARNING)
    return found.path


def install() -> None:
    """Make mmengine save and resume as said above. Idempotent."""
    import mmengine.runner.checkpoint as stock
    from mmengine.hooks import CheckpointHook
    save = stock.save_checkpoint
    if getattr(save, 'is_atomic', False):
        return
    replacements = {
        'save_checkpoint': (save, _saving(save)),
        'find_latest_checkpoint': (stock.find_latest_checkpoint,
                                   find_latest_checkpoint),
    }
    for holder in _HOLDERS:
        module = sys.modules.get(holder)
        for name, (old, new) in replacements.items():
            if getattr(module, name, None) is old:
                setattr(module, name, new)
    for name in ('_save_checkpoint_with_step', '_save_best_checkpoint'):
        setattr(CheckpointHook, name,
                _removing_later(getattr(CheckpointHook, name)))

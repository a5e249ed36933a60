"""Loading checkpoints without running code from them.

A pickle can run anything when it is loaded. :func:`safe_load` reads files of
``torch.save`` with ``weights_only=True`` and a short list of allowed types,
and safetensors files. :mod:`mmvision_ext.compat.loaders` makes every loader
of mmengine end in it.
"""

import contextlib
import functools
import io
import os
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import (
    Any,
    BinaryIO,
)

import torch

from . import pickle_names

UNSAFE_VARIABLE = 'MMVISION_UNSAFE_LOAD'
MAX_NAMES = 5  # of refused globals, in a message
GETATTR = 'builtins.getattr'
HISTORY = 'mmengine.logging.history_buffer.HistoryBuffer'
ONE_CYCLE = 'mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler'

# as torch.serialization.safe_globals takes them: a class or function, or one
# with the name by which a pickle asks for it
_Entry = Callable | tuple[Any, str]
Source = str | os.PathLike | BinaryIO


class CheckpointError(ValueError):
    """A checkpoint that cannot or must not be loaded."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """A checkpoint that is not there."""


def safe_load(path: Source, map_location: Any = 'cpu') -> Any:
    """Load a checkpoint without running code from it.

    Besides tensors and plain containers only what mmengine itself writes
    into a checkpoint is allowed: its history buffers and the numpy arrays
    and scalars in them, by their names in numpy 1 and 2; and what the caller
    allowed with :func:`torch.serialization.add_safe_globals`.

    Setting the environment variable ``MMVISION_UNSAFE_LOAD=1`` loads without
    that restriction, with a warning.

    Args:
        path (str | PathLike | BinaryIO): A file of ``torch.save`` or a
            safetensors file, recognised by its content; or an open one.
        map_location (Any): As in :func:`torch.load`. For safetensors a
            device, anything else means the CPU. Defaults to ``'cpu'``.

    Returns:
        Any: What was saved; for safetensors, a dict of tensors.

    Raises:
        CheckpointNotFoundError: If there is no such file. It is also a
            :class:`FileNotFoundError`.
        CheckpointError: If the file is a folder, empty, truncated, not a
            checkpoint, or refused because it names other types. The message
            names the file, what was found and what to do.
    """
    name = _name(path)
    head, size = _peek(path, name)
    if _is_safetensors(name, head, size):
        return _load_safetensors(path, name, map_location)
    _check_head(path, name, head)
    if os.environ.get(UNSAFE_VARIABLE) == '1':
        warnings.warn(
            f'{UNSAFE_VARIABLE}=1: loading {name} without protection; code '
            'in it will run', UserWarning, 2)
        return _torch_load(path, name, map_location, weights_only=False)
    with _allowance():
        return _torch_load(path, name, map_location, weights_only=True)


@contextlib.contextmanager
def _allowance() -> Iterator[None]:
    """Allow our types besides the caller's, whose list is put back after.

    A plain ``getattr`` on that list would reach every function of our types.
    """
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([
        *(entry for entry in before
          if entry is not getattr and _full_name(entry) != GETATTR),
        *_allowed_globals()
    ])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _torch_load(path: Source, name: str, map_location: Any,
                weights_only: bool) -> Any:
    start = path.tell() if hasattr(path, 'tell') else 0
    try:
        return torch.load(
            path, map_location=map_location, weights_only=weights_only)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        # A damaged file can fail in any way inside the unpickler.
        if hasattr(path, 'seek'):
            path.seek(start)
        raise CheckpointError(_explain(path, name, error)) from error


def _explain(path: Source, name: str, error: Exception) -> str:
    """Say why ``torch.load`` failed, and what to do."""
    text = str(error)
    if 'TorchScript' in text:
        return (f'{name}: this is a TorchScript archive, which contains code; '
                'save the state dict of the module instead')
    if 'deserialize' in text and 'device' in text:
        return (f'{name}: its tensors are on a device that is not here; give '
                f"map_location='cpu' ({_last_line(text)})")
    if isinstance(error, pickle.UnpicklingError):
        refused = _refused_globals(path)
        if refused:
            return _refusal(name, refused)
        if GETATTR in text:
            return _refusal(name, [GETATTR])
        if 'Unsupported' in text or 'Can only' in text:
            return _refusal(name, [_last_line(text)])
    return (f'{name}: truncated, damaged or not a checkpoint '
            f'({type(error).__name__}: {_last_line(text)}); download or copy '
            'it again and compare its size')


def _refused_globals(path: Source) -> list[str]:
    """Globals that the file names and that are not allowed."""
    names = pickle_names.named_globals(path)
    known = {_full_name(entry) for entry in _allowed_globals()}

    def is_allowed(entry: str) -> bool:
        if entry == GETATTR:  # of use with these two only
            return not {HISTORY, ONE_CYCLE}.isdisjoint(names)
        return entry in known or pickle_names.is_allowed_by_torch(entry)

    return [entry for entry in names if not is_allowed(entry)]


def _refusal(name: str, found: list[str]) -> str:
    shown = ', '.join(f'`{entry}`' for entry in found[:MAX_NAMES])
    if len(found) > MAX_NAMES:
        shown += f' and {len(found) - MAX_NAMES} more'
    return (f'{name}: refused, because loading it could run code. Found '
            f'{shown}; only tensors, plain containers and what mmengine '
            'itself saves are loaded. Official weights of a known network: '
            'python tools/convert_weights.py SRC DST reads them safely. Else '
            'ask for the file as a plain state dict or as safetensors. Only '
            'if you trust whoever made it, set '
            f'{UNSAFE_VARIABLE}=1 and load it again')


def _last_line(text: str) -> str:
    """The core of torch's several paragraphs."""
    lines = [
        line.strip() for line in text.splitlines()
        if line.strip() and 'Check the documentation' not in line
    ]
    return lines[-1][:200].rstrip('.') if lines else 'no message'


def _name(path: Source) -> str:
    if isinstance(path, (str, os.PathLike)):
        return os.fspath(path)
    return str(getattr(path, 'name', 'checkpoint read from memory'))


def _peek(path: Source, name: str) -> tuple[bytes, int]:
    """First bytes of the file, and its size in bytes."""
    if not isinstance(path, (str, os.PathLike)):
        start = path.tell()
        head = path.read(64)
        size = path.seek(0, io.SEEK_END) - start
        path.seek(start)
        return head, size
    if os.path.isdir(path):
        raise CheckpointError(
            f'{name}: this is a folder, not a checkpoint file; give the path '
            'of a .pth or .safetensors file in it')
    try:
        with open(path, 'rb') as file:
            return file.read(64), os.path.getsize(path)
    except FileNotFoundError as error:
        raise CheckpointNotFoundError(
            f'{name}: no such checkpoint file; check the path') from error
    except OSError as error:
        raise CheckpointError(
            f'{name}: cannot be read: {error.strerror}') from error


def _check_head(path: Source, name: str, head: bytes) -> None:
    """Refuse what cannot be a file of ``torch.save`` by its first bytes."""
    if not head:
        raise CheckpointError(
            f'{name}: the file is empty (0 bytes); download or copy it again')
    if head.startswith(b'version https://git-lfs'):
        raise CheckpointError(
            f'{name}: this is a Git LFS pointer, not the weights; run '
            '`git lfs pull` where it came from')
    if head.lstrip()[:1] == b'<':
        raise CheckpointError(
            f'{name}: this is an HTML or XML page, not a checkpoint; the '
            'download was answered by a web page, fetch it again')
    # torch.save writes a zip archive; before torch 1.6, pickles of which the
    # first is a magic number
    magic = torch.serialization.MAGIC_NUMBER.to_bytes(10, 'little')
    if not head.startswith(b'PK') and magic not in head:
        refused = _refused_globals(path)
        raise CheckpointError(
            _refusal(name, refused) if refused else
            f'{name}: not a checkpoint, it starts with {head[:16]!r}; '
            'expected a file of torch.save or a safetensors file')


def _is_safetensors(name: str, head: bytes, size: int) -> bool:
    # eight bytes of length, then the header, a JSON object of that length
    length = int.from_bytes(head[:8], 'little')
    return (name.endswith('.safetensors') and size > 0) or (
        head[8:9] == b'{' and 8 + length <= size)


def _load_safetensors(path: Source, name: str,
                      map_location: Any) -> dict[str, torch.Tensor]:
    try:
        import safetensors
        from safetensors.torch import load, load_file
    except ImportError as error:
        raise CheckpointError(f'{name}: reading safetensors files needs '
                              '`pip install safetensors`') from error
    device = torch.device(map_location) if isinstance(
        map_location, (str, int, torch.device)) else torch.device('cpu')
    try:
        weights = load_file(path) if isinstance(
            path, (str, os.PathLike)) else load(path.read())
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            f'{name}: truncated, damaged or not a safetensors file ({error}); '
            'download or copy it again and compare its size') from error
    return {key: value.to(device) for key, value in weights.items()}


def _known_attribute(owner: Any, name: Any) -> Callable:
    """What stands for ``getattr`` in a checkpoint.

    Pickle writes a function of a class as ``getattr(HistoryBuffer, 'mean')``.
    A history buffer holds four such functions, and the state of a one-cycle
    schedule one; nothing else is granted.
    """
    from mmengine.logging import HistoryBuffer
    from mmengine.optim import OneCycleParamScheduler
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(HistoryBuffer, name)
    if owner is _ONE_CYCLE and name in ('_annealing_cos',
                                        '_annealing_linear'):
        return getattr(OneCycleParamScheduler, name)
    raise pickle.UnpicklingError(f'Unsupported use of {GETATTR}')


_ONE_CYCLE = object()  # in the place of the class, which stays out of reach


def _full_name(entry: _Entry) -> str:
    return entry[1] if isinstance(
        entry, tuple) else f'{entry.__module__}.{entry.__qualname__}'


@functools.lru_cache(maxsize=1)
def _allowed_globals() -> tuple[_Entry, ...]:
    """What mmengine writes into a checkpoint besides tensors.

    ``getattr`` is not there (a pickle would reach any function of an allowed
    class with it), but a function that grants the uses mmengine makes of it.
    Nor is numpy's object type, whose arrays hold anything.
    """
    import numpy as np
    core = np.core if np.__version__.startswith('1.') else np._core
    allowed: list[_Entry] = [slice]
    # numpy 2 renamed numpy.core; a file keeps the name of its day
    for package in ('numpy.core', 'numpy._core'):
        allowed += [
            (core.multiarray._reconstruct,
             f'{package}.multiarray._reconstruct'),
            (core.multiarray.scalar, f'{package}.multiarray.scalar'),
            (core.numeric._frombuffer, f'{package}.numeric._frombuffer'),
        ]
    allowed += [(np.ndarray, 'numpy.ndarray'), (np.dtype, 'numpy.dtype')]
    kinds = {type(np.dtype(code)) for code in '?bhilqBHILQefdgFDGSU'}
    # before numpy 1.25 these classes print as numpy.dtype[float64]
    allowed += sorted(kinds, key=lambda kind: kind.__name__)
    try:
        from mmengine.logging import HistoryBuffer
    except ImportError:
        return tuple(allowed)
    return (*allowed, HistoryBuffer, (_known_attribute, GETATTR),
            (_ONE_CYCLE, ONE_CYCLE))

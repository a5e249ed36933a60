"""Reading of checkpoints that pickle objects of other projects.

Official classification weights hold, beside tensors, a config object of a
package that nobody needs in order to use them. :func:`read_foreign` returns
what such a file holds and runs none of its code: tensors and plain containers
come back as themselves, every object of another project as an empty-handed
:class:`ForeignObject`, and a file that asks for anything else is refused.
"""

import pickle
import struct
import sys
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from .checkpoint import CheckpointError

_LEGACY_MAGIC = 0x1950a86a20f9469cfc6c
_LEGACY_PROTOCOL = 1001

_STORAGE_DTYPES: dict[str, torch.dtype] = {
    'DoubleStorage': torch.float64,
    'FloatStorage': torch.float32,
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'LongStorage': torch.int64,
    'IntStorage': torch.int32,
    'ShortStorage': torch.int16,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'BoolStorage': torch.bool,
}

# Modules of Python itself whose objects weights carry along. They are not
# imported for it: their objects, too, become inert.
_HARMLESS_STDLIB = ('_codecs', 'argparse', 'collections', 'copyreg',
                    'datetime', 'pathlib')


class ForeignObject(dict):
    """Stands for an object of a class that is not imported.

    Arguments and state that the file holds for it are thrown away; items, if
    its class is a dict, are kept.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Throw the arguments away."""
        super().__init__()

    def __setstate__(self, state: object = None) -> None:
        """Ignore the state."""

    __hash__ = object.__hash__  # type: ignore[assignment]


class _Rebuild:
    """A call that the file may make.

    Not a plain function: the file could set attributes on that, and they
    would outlive the reading.
    """

    __slots__ = ('_function', )

    def __init__(self, function: Callable) -> None:
        object.__setattr__(self, '_function', function)

    def __setattr__(self, name: str, value: object) -> None:
        raise pickle.UnpicklingError('it changes what rebuilds its tensors')

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


def _rebuild_tensor(storage: Tensor, offset: int, size: tuple[int, ...],
                    stride: tuple[int, ...], *_: object) -> Tensor:
    if not isinstance(storage, Tensor):
        raise pickle.UnpicklingError('a tensor has no storage')
    # as_strided itself refuses what lies outside the storage
    return torch.as_strided(storage, tuple(size), tuple(stride), offset)


def _rebuild_parameter(data: Tensor, *_: object) -> Tensor:
    return data


class _RestrictedUnpickler(pickle.Unpickler):
    """Unpickler that imports nothing.

    Args:
        file (BinaryIO): Where to read.
        storage_of (Callable): Gives the storage, a 1-D tensor, for the
            persistent id of torch's formats.
    """

    def __init__(self, file: BinaryIO, storage_of: Callable) -> None:
        super().__init__(file, encoding='utf-8')
        self._storage_of = storage_of

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ('collections', 'OrderedDict'):
            return OrderedDict
        if module == 'torch._utils' and name in ('_rebuild_tensor',
                                                 '_rebuild_tensor_v2'):
            return _Rebuild(_rebuild_tensor)
        if (module, name) == ('torch._utils', '_rebuild_parameter'):
            return _Rebuild(_rebuild_parameter)
        if module in ('torch', 'torch.cuda') and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        if module == 'torch' and (name in ('Size', 'device') or isinstance(
                getattr(torch, name, None), torch.dtype)):
            return ForeignObject
        # __builtin__: protocol 2 keeps the names of Python 2
        builtin = module in ('builtins', '__builtin__')
        if builtin and name in ('set', 'frozenset'):
            return set if name == 'set' else frozenset
        top = module.split('.')[0]
        known = builtin or top == 'torch' or top in sys.stdlib_module_names
        if known and top not in _HARMLESS_STDLIB:
            raise pickle.UnpicklingError(
                f'it asks for {module}.{name}, which no weights need')
        return ForeignObject

    def persistent_load(self, pid: Any) -> Tensor:
        if not (isinstance(pid, tuple) and len(pid) >= 5
                and pid[0] == 'storage'
                and isinstance(pid[1], torch.dtype)):
            raise pickle.UnpicklingError(
                'a tensor is stored in a way that only torch.load reads')
        return self._storage_of(*pid[1:])


def _tensor_of(data: bytes, dtype: torch.dtype) -> Tensor:
    if not data:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=dtype)


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        roots = [n[:-len('data.pkl')] for n in names if n.endswith('data.pkl')]
        if len(roots) != 1 or f'{roots[0]}constants.pkl' in names:
            raise CheckpointError(
                f'{path} is a zip archive, but no checkpoint of torch.save')
        root = roots[0]
        order = f'{root}byteorder'
        if order in names and \
                archive.read(order).decode() != sys.byteorder:
            raise CheckpointError(f'{path} was written on a machine of the '
                                  'other byte order; save it again here')
        storages: dict[str, Tensor] = {}

        def storage_of(dtype: torch.dtype, key: str, *_: object) -> Tensor:
            if key not in storages:
                storages[key] = _tensor_of(
                    archive.read(f'{root}data/{key}'), dtype)
            return storages[key]

        with archive.open(f'{root}data.pkl') as file:
            return _RestrictedUnpickler(file, storage_of).load()


def _read_legacy(path: Path) -> Any:
    size = path.stat().st_size
    storages: dict[str, Tensor] = {}

    def storage_of(dtype: torch.dtype, key: str, location: str, numel: int,
                   view: object = None) -> Tensor:
        if view is not None or not isinstance(numel, int):
            raise pickle.UnpicklingError('its tensors share memory in a way '
                                         'that only torch.load reads')
        if numel < 0 or numel * dtype.itemsize > size:
            raise pickle.UnpicklingError('a tensor is larger than the file')
        return storages.setdefault(key, torch.empty(numel, dtype=dtype))

    with path.open('rb') as file:

        def load() -> Any:
            return _RestrictedUnpickler(file, storage_of).load()

        if load() != _LEGACY_MAGIC or load() != _LEGACY_PROTOCOL:
            raise CheckpointError(f'{path} is no checkpoint of torch.save')
        load()  # facts on the machine that wrote it
        content = load()
        for key in load():
            _fill(storages[key], file)
    return content


def _fill(storage: Tensor, file: BinaryIO) -> None:
    numel, = struct.unpack('<q', file.read(8))
    data = file.read(storage.numel() * storage.element_size())
    if numel != storage.numel() or \
            len(data) != numel * storage.element_size():
        raise EOFError('it ends inside a tensor')
    storage.copy_(_tensor_of(data, storage.dtype))


def read_foreign(path: str | Path) -> Any:
    """Read a checkpoint that pickles objects of other projects.

    Only for files that :func:`safe_load` refuses: this reader knows the
    ordinary dense tensors of torch's zip and plain formats, on the CPU, and
    nothing more.

    Args:
        path (str | Path): The file.

    Returns:
        Any: Its content, foreign objects as :class:`ForeignObject`.

    Raises:
        CheckpointError: If the file is cut short or corrupt, is of a format
            of its own (TorchScript, tar), or asks for a class or function
            that weights do not need.
    """
    path = Path(path)
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        if tarfile.is_tarfile(path):
            raise CheckpointError(f'{path} is in the tar format of the first '
                                  'torch releases, which is not read here')
        with path.open('rb') as file:
            zipped = file.read(4) == b'PK\x03\x04'
        if zipped:
            raise CheckpointError(f'{path} is cut short or corrupt: a zip '
                                  'archive without its end')
        return _read_legacy(path)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f'cannot read {path}: {error}') from error
    except Exception as error:
        # A hostile or broken pickle can fail in any way.
        reason = str(error) or type(error).__name__
        raise CheckpointError(f'cannot read {path}: {reason}') from error

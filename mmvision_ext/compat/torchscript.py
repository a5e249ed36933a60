"""Reading the weights in a TorchScript archive without running it.

Such an archive is a program: ``torch.jit.load`` compiles what lies in it.
Its tensors, however, are stored as in a checkpoint, in the states of its
modules, and are all that is read here.
"""

import zipfile
from pathlib import Path
from typing import Any

from torch import Tensor

from .checkpoint import CheckpointError
from .foreign import _RestrictedUnpickler, _tensor_of


class _ScriptModule:
    """Stands for an object of a class that the archive defines."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        # classes with a __getstate__ of their own hold anything
        self.state = state if isinstance(state, dict) else {}

    def collect(self, prefix: str, found: dict[str, Tensor]) -> None:
        """Add the tensors of this module and those in it."""
        for name, value in self.state.items():
            if isinstance(value, Tensor):
                found[f'{prefix}{name}'] = value
            elif isinstance(value, _ScriptModule):
                value.collect(f'{prefix}{name}.', found)


def _plain_list(items: list, *_: object) -> list:
    return items


class _ScriptUnpickler(_RestrictedUnpickler):

    def find_class(self, module: str, name: str) -> Any:
        if module.split('.')[0] == '__torch__':
            return _ScriptModule
        if module == 'torch.jit._pickle':
            return _plain_list
        return super().find_class(module, name)


def is_torchscript(path: str | Path) -> bool:
    """Whether a file is a TorchScript archive, complete or not."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(
                name.endswith('/constants.pkl')
                for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def read_torchscript(path: str | Path) -> dict[str, Tensor]:
    """Read parameters and buffers of the module in a TorchScript archive.

    Nothing in the archive is compiled or run.

    Args:
        path (str | Path): The file, one for which :func:`is_torchscript` is
            true.

    Returns:
        dict[str, Tensor]: By dotted name, on the CPU, in the precision of
        the file. Tensors inside lists and tuples are left out.

    Raises:
        CheckpointError: If the file is corrupt, or asks for a class or
            function that weights do not need.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root, = (
                name[:-len('data.pkl')] for name in archive.namelist()
                if name.endswith('/data.pkl'))
            storages: dict[str, Tensor] = {}

            def storage_of(dtype: Any, key: str, *_: object) -> Tensor:
                if key not in storages:
                    storages[key] = _tensor_of(
                        archive.read(f'{root}data/{key}'), dtype)
                return storages[key]

            with archive.open(f'{root}data.pkl') as file:
                module = _ScriptUnpickler(file, storage_of).load()
    except Exception as error:
        # A hostile or broken archive can fail in any way.
        reason = str(error) or type(error).__name__
        raise CheckpointError(f'cannot read {path}: {reason}') from error
    if not isinstance(module, _ScriptModule):
        raise CheckpointError(f'cannot read {path}: a TorchScript archive '
                              'that holds no module')
    found: dict[str, Tensor] = {}
    module.collect('', found)
    return found

"""Names of the classes and functions that a pickle would load.

Reading them runs nothing: the stream is disassembled, not executed. Only
messages are made from it; what may be loaded is decided while loading.
"""

import os
import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import Any, BinaryIO, Union

import torch


def named_globals(path: Union[str, 'os.PathLike[str]', BinaryIO]
                  ) -> list[str]:
    """List the globals that a file of ``torch.save`` or pickle names.

    Args:
        path (str | PathLike | BinaryIO): The file. May be damaged: what was
            read before the damage is listed.

    Returns:
        list[str]: Such as ``'posix.system'``, in order, each once.
    """
    names: list[str] = []
    for data in _pickles(path):
        _scan(data, names)
    return list(dict.fromkeys(names))


def is_allowed_by_torch(name: str) -> bool:
    """Whether torch's restricted unpickler has ``name``, or was told to."""
    unpickler = torch._weights_only_unpickler
    module = name.rpartition('.')[0]
    return module not in unpickler._blocklisted_modules and (
        name in unpickler._get_allowed_globals()
        or name in unpickler._get_user_allowed_globals())


def _pickles(path: Any) -> list[bytes]:
    """The pickle streams of a file."""
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                return [
                    archive.read(name) for name in archive.namelist()
                    if name.endswith('.pkl')
                ]
        except (zipfile.BadZipFile, OSError):
            return []
    if isinstance(path, (str, os.PathLike)):
        with open(path, 'rb') as file:
            return [file.read()]
    start = path.tell()
    data = path.read()
    path.seek(start)
    return [data]


def _modern(argument: str) -> str:
    """Dotted name of a 'module name' pair, as Python 3 calls it."""
    module, _, name = argument.partition(' ')
    module, name = NAME_MAPPING.get(
        (module, name), (IMPORT_MAPPING.get(module, module), name))
    return f'{module}.{name}'


def _scan(data: bytes, names: list[str]) -> None:
    """Append the globals of the streams that follow one another in data."""
    start = 0
    while start < len(data):
        strings: list[str] = []
        end = start
        try:
            for opcode, argument, position in pickletools.genops(
                    data[start:]):
                end = start + (position or 0) + 1
                if opcode.name in ('GLOBAL', 'INST'):
                    names.append(_modern(argument))
                elif opcode.name == 'STACK_GLOBAL':
                    # the two strings pushed last
                    names.append('.'.join(strings[-2:]))
                elif isinstance(argument, str):
                    strings.append(argument)
        except Exception:
            # Not a pickle from here on, or a damaged one.
            return
        start = end

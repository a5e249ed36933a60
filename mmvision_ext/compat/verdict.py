"""The state of the environment as text for a bug report."""

import contextlib
import importlib
import io
import os
import platform
import sys
import warnings
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

from . import mmcv_ops
from .stack import (
    DISTRIBUTIONS,
    Stack,
    detect_stack,
    installing,
    mending,
    mix_message,
)

# What has to be imported to know that a package works: the top module alone
# of mmdet, mmseg or mmpretrain checks versions and no more.
_PROBES = {
    'mmengine': 'mmengine.runner',
    'mmcv': 'mmcv.transforms',
    'mmdet': 'mmdet.models',
    'mmseg': 'mmseg.models',
    'mmpretrain': 'mmpretrain.models',
    'mim': 'mim',
}


@dataclass(frozen=True)
class Verdict:
    """Text to paste, and whether everything in it works.

    Attributes:
        text (str): Several lines; the last starts with OK or FAIL.
        ok (bool): Whether the stack can be used.
    """
    text: str
    ok: bool


def _try_import(module: str) -> str:
    """Import a module; returns what went wrong, or an empty string."""
    sink = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(
                sink), contextlib.redirect_stderr(sink):
            warnings.simplefilter('ignore')
            importlib.import_module(module)
    except Exception as error:
        # whatever a broken package raises belongs into the report
        first = (str(error).strip().splitlines() or ['no message'])[0]
        return f'{type(error).__name__}: {first}'
    return ''


def _library_lines() -> tuple[list[str], list[str]]:
    """Lines on torch and its company, and what is wrong with them."""
    lines, wrong = [], []
    for name in ('torch', 'torchvision', 'numpy', 'safetensors'):
        if find_spec(name) is None:
            lines.append(f'{name:<12} missing')
            if name == 'torch':
                wrong.append('torch is missing: pip install torch')
            continue
        error = _try_import(name)
        lines.append(f'{name:<12} {_version(name)}'
                     f'{f"  cannot be imported: {error}" if error else ""}')
        if error:
            wrong.append(f'{name} cannot be imported: {error}')
    if find_spec('torch') is not None and not wrong:
        import torch
        built = torch.version.cuda or 'none'
        device = torch.cuda.get_device_name(
            0) if torch.cuda.is_available() else 'not available'
        lines.append(f'{"cuda":<12} built for {built}, device: {device}')
    return lines, wrong


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return 'unknown version'


def _stack_lines(stack: Stack) -> tuple[list[str], list[str]]:
    """Lines on the OpenMMLab packages, and what is wrong with them."""
    lines, wrong = [], []
    for module in DISTRIBUTIONS['onedl']:
        parts = [part for part in stack.parts if part.module == module]
        if not parts and find_spec(module) is None:
            lines.append(f'{module:<12} missing')
            continue
        error = _try_import(_PROBES[module])
        found = ', '.join(map(str, parts)) or 'without distribution metadata'
        lines.append(f'{module:<12} {found}  '
                     f'{f"cannot be imported: {error}" if error else "ok"}')
        if error:
            wrong.append(f'{module} cannot be imported: {error}')
    if stack.name == 'none' and find_spec('mmengine') is None:
        wrong.append('no OpenMMLab packages are installed: '
                     f'{installing("onedl")}')
    if stack.name == 'mixed':
        wrong.append(mix_message(stack))
    elif stack.clashes:
        wrong.append(f'several distributions provide {stack.clashes}; remove '
                     f'them and install one stack:\n{mending(stack)}')
    return lines, wrong


def _ops_lines() -> tuple[list[str], list[str]]:
    """Lines on mmcv's operators, and what is wrong with them."""
    which = mmcv_ops.mmcv_ops_in_use()
    if find_spec('mmcv') is None:
        return [f'{"mmcv ops":<12} none (no mmcv)'], []
    if which == 'none':
        return [f'{"mmcv ops":<12} none'], [
            'mmcv has no compiled extension, and the stand-in needs '
            'torchvision: pip install torchvision'
        ]
    where = mmcv_ops.compiled_extension() or 'torchvision'
    error = _try_import('mmcv.ops')
    line = f'{"mmcv ops":<12} {which} ({where})'
    if error:
        return [f'{line}  cannot be imported: {error}'
                ], [f'the mmcv operators cannot be imported: {error}. A '
                    'compiled extension has to be built for the torch in '
                    f'use:\n    {mmcv_ops.how_to_compile()}']
    return [line], []


def environment_verdict() -> Verdict:
    """Describe the environment and judge it.

    Every package is imported, so this takes some seconds.

    Returns:
        Verdict: The text for a bug report and whether all is well. Parts of
        a stack that are not installed are named, but are no failure.
    """
    mmcv_ops.install()
    stack = detect_stack()
    lines = [
        f'{"mmvision_ext":<12} {_own_version()}',
        f'{"python":<12} {platform.python_version()} ({sys.executable})',
        f'{"platform":<12} {platform.platform()}, {os.cpu_count()} CPU cores',
    ]
    wrong: list[str] = []
    for part in (_library_lines, lambda: _stack_lines(stack), _ops_lines):
        more, bad = part()
        lines += more
        wrong += bad
    lines.insert(3, f'{"stack":<12} {stack.name}')
    if wrong:
        lines += [f'FAIL: {problem}' for problem in wrong]
    else:
        missing = ', '.join(stack.missing)
        lines.append(f'OK: the {stack.name} stack is usable'
                     f'{f", without {missing}" if missing else ""}')
    return Verdict('\n'.join(lines), not wrong)


def _own_version() -> str:
    from ..version import __version__
    return __version__

"""Which of the two OpenMMLab stacks is installed, and whether it is whole.

The maintained forks (``onedl-*``) and the original packages have the same
import names, so both write into the same folders: a mix of the two is broken
whatever its versions say. The names of the installed distributions tell.
"""

import re
from dataclasses import dataclass
from importlib import metadata

# import name -> distributions that provide it, for each of the two stacks
DISTRIBUTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    'onedl': {
        'mmengine': ('onedl-mmengine', ),
        'mmcv': ('onedl-mmcv', ),
        'mmdet': ('onedl-mmdetection', ),
        'mmseg': ('onedl-mmsegmentation', ),
        'mmpretrain': ('onedl-mmpretrain', ),
        'mim': ('onedl-mim', ),
    },
    'openmmlab': {
        'mmengine': ('mmengine', 'mmengine-lite'),
        'mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full'),
        'mmdet': ('mmdet', ),
        'mmseg': ('mmsegmentation', ),
        'mmpretrain': ('mmpretrain', ),
        'mim': ('openmim', ),
    },
}


class StackError(RuntimeError):
    """The installed OpenMMLab packages cannot work together."""


@dataclass(frozen=True)
class Part:
    """One installed distribution of a stack.

    Attributes:
        module (str): Import name, such as ``'mmdet'``.
        distribution (str): Name that pip knows, such as ``'mmdet'``.
        version (str): Version that pip knows.
        stack (str): ``'onedl'`` or ``'openmmlab'``.
    """
    module: str
    distribution: str
    version: str
    stack: str

    def __str__(self) -> str:
        """Name and version, as in a report."""
        return f'{self.distribution} {self.version}'


@dataclass(frozen=True)
class Stack:
    """What :func:`detect_stack` found.

    Attributes:
        name (str): ``'onedl'``, ``'openmmlab'``, ``'mixed'`` or ``'none'``.
        parts (tuple[Part]): Installed distributions, in stack order.
        missing (tuple[str]): Import names that no distribution provides.
        clashes (tuple[str]): Import names that several distributions of one
            stack provide (such as mmcv and mmcv-lite), which overwrite each
            other as well.
    """
    name: str
    parts: tuple[Part, ...]
    missing: tuple[str, ...]
    clashes: tuple[str, ...]

    def of(self, stack: str) -> tuple[Part, ...]:
        """Parts that belong to ``stack``."""
        return tuple(part for part in self.parts if part.stack == stack)

    def version(self, module: str) -> str | None:
        """Version of the first distribution of ``module``, or None."""
        for part in self.parts:
            if part.module == module:
                return part.version
        return None


def _installed() -> dict[str, str]:
    """Versions of every installed distribution, by normalised name."""
    found: dict[str, str] = {}
    for dist in metadata.distributions():
        # a half-removed package leaves a folder without a name
        name = dist.metadata['Name'] if dist.metadata else None
        if name:
            # the first on sys.path is the one that imports
            found.setdefault(
                re.sub(r'[-_.]+', '-', name).lower(), dist.version)
    return found


def detect_stack() -> Stack:
    """Find the stack from the names of the installed distributions.

    Nothing is imported.

    Returns:
        Stack: Name, parts, missing parts and clashes.
    """
    installed = _installed()
    parts: list[Part] = []
    for stack, modules in DISTRIBUTIONS.items():
        for module, names in modules.items():
            parts += [
                Part(module, name, installed[name], stack) for name in names
                if name in installed
            ]
    stacks = sorted({part.stack for part in parts})
    name = 'none' if not stacks else stacks[0]
    provided = [part.module for part in parts]
    clashes = tuple(module for module in DISTRIBUTIONS['onedl']
                    if provided.count(module) > 1)
    if len(stacks) > 1:
        name = 'mixed'
    return Stack(
        name=name,
        parts=tuple(parts),
        missing=tuple(m for m in DISTRIBUTIONS['onedl'] if m not in provided),
        clashes=clashes)


def mending(stack: Stack) -> str:
    """Commands that mend a mixed or clashing stack.

    Args:
        stack (Stack): What was found.

    Returns:
        str: Lines to run, one a line, indented.
    """
    # All go: each has overwritten files of another.
    names = ' '.join(part.distribution for part in stack.parts)
    lines = [f'pip uninstall -y {names}']
    if stack.name == 'mixed':
        lines += [
            f'{installing("onedl")}  # the maintained forks, or',
            f'{installing("openmmlab")}  # the original packages'
        ]
    else:
        lines.append(installing(stack.name))
    return '\n'.join(f'    {line}' for line in lines)


def installing(stack: str) -> str:
    """Command that installs a stack, in the root of the repository."""
    return f"pip install -c requirements/{stack}.txt -e '.[{stack}]'"


def check_stack() -> Stack:
    """Detect the stack and refuse a mix of the two.

    Returns:
        Stack: What was found; its name is not ``'mixed'``.

    Raises:
        StackError: If packages of both stacks are installed. The message
            names them and the commands that mend it.
    """
    stack = detect_stack()
    if stack.name == 'mixed':
        raise StackError(mix_message(stack))
    return stack


def mix_message(stack: Stack) -> str:
    """Explain a mixed stack: what was found, why it fails, how to mend it."""
    lists = '\n'.join(f'    {name}: ' + ', '.join(map(str, stack.of(name)))
                      for name in DISTRIBUTIONS)
    return ('the packages of two OpenMMLab stacks are mixed:\n'
            f'{lists}\n'
            'Both have the same import names, and overwrite the files of '
            'each other. Remove all of them, then install one stack:\n'
            f'{mending(stack)}')

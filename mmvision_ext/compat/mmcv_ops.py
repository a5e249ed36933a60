"""Torchvision stand-in for a missing ``mmcv._ext``.

mmcv without its compiled extension still carries the Python side of every
operator, and mmdet imports all of it. A finder at the end of
``sys.meta_path`` answers for ``mmcv._ext`` when, and only when, no other one
does; the module that it makes computes what torchvision can (non-maximum
suppression and average RoIAlign, CPU and CUDA), soft-NMS in numpy (mmcv
calls it with CPU tensors only), and refuses the rest by name.

The results equal those of the compiled CPU operators bit by bit.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

EXTENSION = 'mmcv._ext'
SERVED = ('nms', 'softnms', 'roi_align_forward', 'roi_align_backward')

_announced = False


class _StandIn(ModuleType):
    """The module: what it cannot compute exists, and raises when called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith('_'):
            raise AttributeError(
                f'module {self.__name__!r} has no attribute {name!r}')

        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError(refusal(name))

        refuse.__name__ = refuse.__qualname__ = name
        setattr(self, name, refuse)
        return refuse


class _Loader(importlib.abc.Loader):

    def create_module(self, spec: importlib.machinery.ModuleSpec
                      ) -> ModuleType:
        return _StandIn(spec.name, 'Torchvision stand-in of mmvision_ext.')

    def exec_module(self, module: ModuleType) -> None:
        from . import mmcv_kernels
        for name in SERVED:
            setattr(module, name, getattr(mmcv_kernels, name))
        # mmcv.utils.collect_env calls these two for its report.
        for name in ('get_compiler_version', 'get_compiling_cuda_version'):
            setattr(module, name, lambda: 'not compiled (stand-in)')
        announce('stand-in')


class StandInFinder(importlib.abc.MetaPathFinder):
    """Answers for ``mmcv._ext``, from the end of ``sys.meta_path``."""

    def find_spec(self,
                  fullname: str,
                  path: Sequence[str] | None = None,
                  target: ModuleType | None = None
                  ) -> importlib.machinery.ModuleSpec | None:
        """Make the spec of the stand-in, which every probe accepts.

        Args:
            fullname (str): Only ``'mmcv._ext'`` is answered.
            path (Sequence[str], optional): Unused.
            target (ModuleType, optional): Unused.

        Returns:
            ModuleSpec, optional: None without torchvision too.
        """
        if fullname != EXTENSION or not _has_torchvision():
            return None
        return importlib.machinery.ModuleSpec(
            fullname, _Loader(), origin='mmvision_ext.compat.mmcv_ops')


class _Observer(importlib.abc.MetaPathFinder):
    """Sees the compiled extension being imported, and answers nothing."""

    def find_spec(self,
                  fullname: str,
                  path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> None:
        if fullname == EXTENSION and mmcv_ops_in_use() == 'compiled':
            sys.meta_path.remove(self)
            announce('compiled')


def _has_torchvision() -> bool:
    return importlib.util.find_spec('torchvision') is not None


def compiled_extension() -> str | None:
    """File of the compiled ``mmcv._ext``, without importing mmcv.

    Returns:
        str, optional: Its path, or None where there is none.
    """
    package = importlib.util.find_spec('mmcv')
    if package is None or package.submodule_search_locations is None:
        return None
    spec = importlib.machinery.PathFinder.find_spec(
        EXTENSION, package.submodule_search_locations)
    return None if spec is None else str(spec.origin)


def mmcv_ops_in_use() -> str:
    """What answers for mmcv's operators in this environment.

    Returns:
        str: ``'compiled'`` (mmcv's own extension), ``'stand-in'`` (from
        torchvision) or ``'none'`` (no mmcv, or neither of the two).
    """
    if importlib.util.find_spec('mmcv') is None:
        return 'none'
    if compiled_extension() is not None:
        return 'compiled'
    installed = any(isinstance(f, StandInFinder) for f in sys.meta_path)
    return 'stand-in' if installed and _has_torchvision() else 'none'


def how_to_compile() -> str:
    """The command that installs mmcv with compiled operators."""
    from .stack import detect_stack
    stack = detect_stack()
    # In an isolated build pip hides torch, and mmcv leaves the ops out.
    build = ('MMCV_WITH_OPS=1 pip install --no-build-isolation '
             '--no-binary mmcv,onedl-mmcv --force-reinstall --no-deps ')
    if stack.name == 'onedl':
        return f'{build}onedl-mmcv=={stack.version("mmcv")}'
    return ('pip uninstall -y mmcv-lite && '
            f'{build}mmcv=={stack.version("mmcv") or "2.1.0"}')


def refusal(name: str) -> str:
    """Message for an operator that the stand-in does not have."""
    return (f'the mmcv operator `{name}` is not available: mmcv is installed '
            'without its compiled extension, and the torchvision stand-in '
            f'has only {", ".join(SERVED)}. Install mmcv with its operators '
            f'(compiles for many minutes):\n    {how_to_compile()}')


def announce(which: str) -> None:
    """Log, once a process, which implementation of the ops is in use."""
    global _announced
    if _announced:
        return
    _announced = True
    from mmengine.logging import print_log
    print_log(
        'mmcv operators: the compiled extension is in use' if which
        == 'compiled' else 'mmcv operators: no compiled extension, the '
        f'torchvision stand-in is in use ({", ".join(SERVED)})',
        logger='current')


def install() -> None:
    """Offer the stand-in to the import system. Idempotent.

    It stays silent and unused where a compiled extension exists. mmcv is not
    imported.
    """
    if not any(isinstance(f, StandInFinder) for f in sys.meta_path):
        sys.meta_path.append(StandInFinder())
        if mmcv_ops_in_use() == 'compiled' and EXTENSION not in sys.modules:
            sys.meta_path.insert(0, _Observer())

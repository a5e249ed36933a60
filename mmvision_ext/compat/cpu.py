"""Training where there is no CUDA device, with configs written for one.

mmengine's ``pytorch`` launcher, mixed precision wrappers and distributed
wrapper all expect a GPU. :func:`install` changes the three places in mmengine
that do, so that stock tools work too; each looks for a device only when it is
called. :func:`adapt_config_for_cpu` does the same on a config, where the
change shows in the dumped file.
"""

import functools
import inspect
import logging
import os
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

AMP_WRAPPERS = ('AmpOptimWrapper', 'ApexOptimWrapper')
SYNC_NORMS = ('SyncBN', 'MMSyncBN', 'SyncBatchNorm')


def has_accelerator() -> bool:
    """Whether there is a device that mmengine trains on other than the CPU.

    Returns:
        bool: True with a CUDA, NPU, MLU or MUSA device.
    """
    if torch.cuda.is_available():
        return True
    from mmengine.device import (
        is_mlu_available,
        is_musa_available,
        is_npu_available,
    )
    return is_npu_available() or is_mlu_available() or is_musa_available()


def _log(message: str) -> None:
    # before the launcher has run, every process looks like the first
    if os.environ.get('RANK', '0') != '0':
        return
    from mmengine.logging import print_log
    print_log(
        f'no CUDA device: {message}', logger='current', level=logging.WARNING)


def adapt_config_for_cpu(cfg: Any) -> Any:
    """Replace what needs a GPU in a config, where there is none.

    - mixed precision optimizer wrappers become plain ones;
    - synchronised batch normalisation becomes the plain one, and the
      ``sync_bn`` option is dropped;
    - the ``nccl`` backend becomes ``gloo``.

    Each kind of change logs one line.

    Args:
        cfg (Config | dict): Changed in place. Any part of a config will do.

    Returns:
        Config | dict: ``cfg``; unchanged where there is a GPU.
    """
    if has_accelerator():
        return cfg
    changes: dict[str, None] = {}
    root = getattr(cfg, '_cfg_dict', cfg)
    if isinstance(root, dict) and root.pop('sync_bn', None) is not None:
        changes['option sync_bn dropped'] = None
    _adapt(root, changes)
    for change in changes:
        _log(change)
    return cfg


def _adapt(node: Any, changes: dict[str, None]) -> Any:
    """Adapt a node of a config; returns it, or what replaces a tuple."""
    if isinstance(node, (list, tuple)):
        items = [_adapt(item, changes) for item in node]
        if isinstance(node, list):
            node[:] = items
            return node
        return tuple(items) if type(node) is tuple else node
    if not isinstance(node, dict):
        return node
    _adapt_type(node, changes)
    if node.get('backend') == 'nccl':
        node['backend'] = 'gloo'
        changes['distributed backend nccl replaced by gloo'] = None
    for key, value in list(node.items()):
        replaced = _adapt(value, changes)
        if replaced is not value:
            node[key] = replaced
    return node


def _adapt_type(node: dict[str, Any], changes: dict[str, None]) -> None:
    """Replace the type of one config dict where it needs a GPU."""
    kind = node.get('type')
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', '')
    scope, dot, bare = name.rpartition('.')
    if bare in AMP_WRAPPERS:
        for key in _amp_options():
            node.pop(key, None)
        node['type'] = _plain_wrapper(kind)
        changes[f'{bare} replaced by OptimWrapper (no mixed precision)'] = None
    elif bare in SYNC_NORMS:
        if isinstance(kind, str):
            # a full module path is not a scope
            node['type'] = f'{scope}{dot}BN' if scope.isidentifier() else 'BN'
        else:
            node['type'] = nn.BatchNorm2d
        changes[f'{bare} reverted to BN'] = None


def _plain_wrapper(kind: Any) -> Any:
    if isinstance(kind, str):
        return 'OptimWrapper'
    from mmengine.optim import OptimWrapper
    return OptimWrapper


@functools.lru_cache(maxsize=1)
def _amp_options() -> tuple[str, ...]:
    """Options that only the mixed precision wrappers take."""
    from mmengine import optim
    names = {
        name
        for wrapper in AMP_WRAPPERS
        for name in inspect.signature(getattr(optim, wrapper)).parameters
    }
    return tuple(names -
                 set(inspect.signature(optim.OptimWrapper).parameters))


def install() -> None:
    """Make mmengine's launcher and runner work without CUDA. Idempotent."""
    import mmengine.dist.utils as launcher
    from mmengine.runner import Runner
    _replace(launcher, '_init_dist_pytorch', _init_dist_pytorch)
    _replace(Runner, 'build_optim_wrapper', _build_optim_wrapper)
    _replace(Runner, 'wrap_model', _wrap_model)


def _replace(owner: Any, name: str, replacement: Any) -> None:
    """Put ``replacement(original, ...)`` in the place of a function."""
    original = getattr(owner, name)
    if getattr(original, '_mmvision_ext', False):
        return

    @functools.wraps(original)
    def adapted(*args: Any, **kwargs: Any) -> Any:
        if has_accelerator():
            return original(*args, **kwargs)
        return replacement(original, *args, **kwargs)

    adapted._mmvision_ext = True  # type: ignore[attr-defined]
    setattr(owner, name, adapted)


def _init_dist_pytorch(original: Any,
                       backend: str,
                       init_backend: str = 'torch',
                       **kwargs: Any) -> None:
    if init_backend != 'torch':
        original(backend, init_backend=init_backend, **kwargs)
        return
    if backend == 'nccl':
        _log('distributed backend nccl replaced by gloo')
        backend = 'gloo'
    dist.init_process_group(backend=backend, **kwargs)


def _build_optim_wrapper(original: Any, runner: Any,
                         optim_wrapper: Any) -> Any:
    return original(runner, adapt_config_for_cpu(optim_wrapper))


def _wrap_model(original: Any, runner: Any, model_wrapper_cfg: dict | None,
                model: nn.Module) -> nn.Module:
    from mmengine.model import is_model_wrapper, revert_sync_batchnorm
    if not runner.distributed or is_model_wrapper(model):
        return original(runner, model_wrapper_cfg, model)
    if runner.cfg.get('sync_bn') is not None:
        _log('option sync_bn dropped')
        runner.cfg.sync_bn = None
    # mmcv's own layer has the same class name as torch's
    if any(type(m).__name__ == 'SyncBatchNorm' for m in model.modules()):
        _log('SyncBatchNorm layers reverted to BatchNorm')
        model = revert_sync_batchnorm(model)
    if model_wrapper_cfg is None:
        # what mmengine does without one, but for the device
        model_wrapper_cfg = dict(
            broadcast_buffers=False,
            find_unused_parameters=runner.cfg.get('find_unused_parameters',
                                                  False))
    if _is_ddp(model_wrapper_cfg.get('type', 'MMDistributedDataParallel')):
        # it takes no device ids for a module on the CPU
        model_wrapper_cfg = dict(model_wrapper_cfg, device_ids=None)
    return original(runner, model_wrapper_cfg, model)


def _is_ddp(kind: Any) -> bool:
    from mmengine.registry import MODEL_WRAPPERS
    wrapper = MODEL_WRAPPERS.get(kind) if isinstance(kind, str) else kind
    return inspect.isclass(wrapper) and issubclass(
        wrapper, nn.parallel.DistributedDataParallel)

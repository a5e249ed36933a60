"""Checks before a run: data, weights, packages.

Each ends in a :class:`LaunchError` that names what is missing, minutes before
the loader or the runner would fail on it with a stack trace.
"""
import importlib
import inspect
import os
import os.path as osp
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from .data_root import iter_datasets
from .errors import LaunchError

_INSTALL = ("install the packages with bash tools/setup_env.sh or pip install "
            "'mmvision_ext[onedl]'")
_DATA_HELP = ('give the place of the data with --data-root DIR, or write '
              'generated data with tools/make_toy_data.py')

_LAUNCHER_VARIABLES = dict(
    pytorch=('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE',
         'OMPI_COMM_WORLD_LOCAL_RANK', 'MASTER_ADDR'))
_LAUNCHER_HELP = dict(
    pytorch='start it with tools/dist_train.sh or tools/dist_test.sh',
    slurm='start it with tools/slurm_train.sh',
    mpi='start it with mpirun and set MASTER_ADDR')


def check_mmengine() -> None:
    """Check that mmengine is installed.

    Raises:
        LaunchError: If it is not.
    """
    if find_spec('mmengine') is None:
        raise LaunchError(f'mmengine is not installed: {_INSTALL}')


def check_launcher(launcher: str) -> None:
    """Check that the environment is the one the launcher makes.

    Raises:
        LaunchError: If a variable is missing.
    """
    for name in _LAUNCHER_VARIABLES.get(launcher, ()):
        if name not in os.environ:
            raise LaunchError(f'--launcher {launcher}: the environment '
                              f'variable {name} is not set: '
                              f'{_LAUNCHER_HELP[launcher]}')


def register_scope(scope: str | None) -> None:
    """Import the package that a config's ``default_scope`` names.

    Args:
        scope (str, optional): ``mmdet``, ``mmseg``, ``mmpretrain`` or
            another package with ``utils.register_all_modules``; None,
            ``mmengine`` and ``mmvision_ext`` need nothing.

    Raises:
        LaunchError: If the package is missing or cannot be imported.
    """
    if scope in (None, 'mmengine', 'mmvision_ext'):
        return
    if find_spec(scope) is None:
        raise LaunchError(f'the config has default_scope={scope!r}, but the '
                          f'package {scope} is not installed: {_INSTALL}')
    try:
        utils = importlib.import_module(f'{scope}.utils')
        utils.register_all_modules(init_default_scope=False)
    except (ImportError, AssertionError) as error:
        reason = str(error).strip().partition('\n')[0]
        raise LaunchError(
            f'{scope} is installed but cannot be imported: {reason}; '
            'python -m mmvision_ext.compat shows the state of the '
            'installation') from error


def check_data(cfg: Any, splits: tuple[str, ...]) -> None:
    """Check that the files of the datasets and evaluators exist.

    Looked at are ``data_root``, ``data_prefix`` and ``ann_file`` of each
    dataset, within wrappers too, and ``ann_file`` of each evaluator. Passed
    over are data on a remote backend and datasets that download themselves.

    Args:
        cfg (mmengine.Config): The config.
        splits (tuple[str, ...]): Which of ``train``, ``val``, ``test`` the
            run uses.

    Raises:
        LaunchError: If a file or folder is missing, or a folder is empty.
    """
    scope = cfg.get('default_scope')
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        for leaf in iter_datasets(loader.get('dataset')):
            if not _is_remote(leaf) and not _downloads(leaf, scope):
                for kind, path in _dataset_paths(leaf):
                    _check_path(f'{split}_dataloader', kind, path)
        for metric in _as_list(cfg.get(f'{split}_evaluator')):
            path = metric.get('ann_file') if isinstance(metric, dict) else None
            if isinstance(path, str) and not _is_remote(metric):
                _check_path(f'{split}_evaluator', 'annotation file', path)


def _dataset_paths(leaf: dict) -> Iterator[tuple[str, str]]:
    """Kind and path of everything that a dataset will read."""
    root = osp.expanduser(leaf.get('data_root') or '')
    if root:
        yield 'data root', root
    prefixes = leaf.get('data_prefix') or {}
    if isinstance(prefixes, str):
        prefixes = dict(img_path=prefixes)
    ann_file = leaf.get('ann_file')
    if isinstance(ann_file, str) and ann_file:
        yield 'annotation file', osp.join(root, osp.expanduser(ann_file))
    for prefix in prefixes.values():
        if isinstance(prefix, str) and prefix:
            yield 'data folder', osp.join(root, osp.expanduser(prefix))
    if not prefixes and str(leaf.get('type')).endswith('ImageNet'):
        yield 'data folder', osp.join(root, leaf.get('split') or '')


def _check_path(where: str, kind: str, path: str) -> None:
    if '://' in path:
        return
    if not osp.exists(path):
        base = '' if osp.isabs(path) else f' (looked in {os.getcwd()})'
        raise LaunchError(f'{where}: {kind} {path} does not exist{base}: '
                          f'{_DATA_HELP}')
    if kind == 'annotation file' and not osp.isfile(path):
        raise LaunchError(f'{where}: {kind} {path} is a folder, expected a '
                          'file')
    if kind == 'data folder' and osp.isdir(path) and not os.listdir(path):
        raise LaunchError(f'{where}: {kind} {path} is empty: {_DATA_HELP}')


def _is_remote(settings: dict) -> bool:
    args = settings.get('backend_args') or {}
    return args.get('backend', 'local') not in ('local', 'disk')


def _downloads(leaf: dict, scope: str | None) -> bool:
    if 'download' in leaf:
        return bool(leaf['download'])
    from mmengine.registry import DATASETS
    cls = leaf.get('type')
    if isinstance(cls, str):
        scoped = '.' in cls or scope is None
        cls = DATASETS.get(cls if scoped else f'{scope}.{cls}')
    if cls is None:
        return False
    parameter = inspect.signature(cls).parameters.get('download')
    return parameter is not None and parameter.default is True


def check_weights(cfg: Any) -> None:
    """Check that ``load_from`` and every ``Pretrained`` file exist.

    Raises:
        LaunchError: If a local file is missing.
    """
    if cfg.get('load_from'):
        check_checkpoint('load_from', cfg.load_from)
    for path in _pretrained(cfg.get('model')):
        check_checkpoint('init_cfg of the model', path)


def check_checkpoint(where: str, path: str) -> None:
    """Check that a checkpoint is a file; a URL is taken as it is.

    Args:
        where (str): Option or setting that names it, for the message.
        path (str): The path.

    Raises:
        LaunchError: If there is no such file.
    """
    if '://' in path:
        return
    if osp.isdir(path):
        raise LaunchError(f'{where}: checkpoint {path} is a folder, expected '
                          'a file such as epoch_12.pth in it')
    if not osp.isfile(path):
        raise LaunchError(f'{where}: checkpoint {path} does not exist: give '
                          'a file that training wrote, e.g. '
                          'work_dirs/NAME/epoch_12.pth')


def _pretrained(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if (node.get('type') == 'Pretrained'
                and isinstance(node.get('checkpoint'), str)):
            yield node['checkpoint']
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from _pretrained(item)


def _as_list(value: Any) -> list:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]

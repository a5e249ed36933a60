"""Moving a config to another data root.

A config writes its ``data_root`` into datasets and evaluators when it is
parsed, so changing the variable afterwards changes nothing. This module
replaces it wherever it went.
"""
import os.path as osp
from collections.abc import Iterator
from typing import Any

from .errors import LaunchError

_SECTIONS = ('_dataloader', '_evaluator')


def iter_datasets(dataset: Any) -> Iterator[dict]:
    """The datasets inside wrappers such as ``RepeatDataset``.

    Args:
        dataset (Any): Config of a dataset; anything but a dict is passed
            over.

    Yields:
        dict: Config of a dataset that wraps no other.
    """
    if not isinstance(dataset, dict):
        return
    inner = dataset.get('dataset') or dataset.get('datasets')
    if inner is None:
        yield dataset
    for item in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from iter_datasets(item)


def replace_data_root(cfg: Any, new: str) -> int:
    """Replace the data root of a config in its datasets and evaluators.

    Every string in a ``*_dataloader`` or ``*_evaluator`` that is the
    configured ``data_root`` or a path below it moves to ``new``; so do
    annotation files and those within wrappers. Without a variable
    ``data_root`` in the config, the one root its datasets share counts.

    Args:
        cfg (mmengine.Config): The config, changed in place.
        new (str): The new root; ``~`` is expanded.

    Returns:
        int: Number of strings replaced.

    Raises:
        LaunchError: If the config has no data root, or several and no
            variable that names one.
    """
    old = _configured_root(cfg)
    new = osp.expanduser(new)
    count = 0
    for key in list(cfg.keys()):
        if key.endswith(_SECTIONS):
            cfg[key], replaced = _replace(cfg[key], old, new)
            count += replaced
    if count == 0:
        raise LaunchError(
            f'--data-root {new}: no dataset of the config uses its '
            f'data_root={old!r}; set the paths with --cfg-options, e.g. '
            f'train_dataloader.dataset.data_root={new}')
    cfg.data_root = new
    return count


def _configured_root(cfg: Any) -> str:
    root = cfg.get('data_root')
    if root:
        return root
    roots = sorted({
        leaf['data_root']
        for key in cfg.keys() if key.endswith('_dataloader') and cfg[key]
        for leaf in iter_datasets(cfg[key].get('dataset'))
        if leaf.get('data_root')
    })
    if len(roots) == 1:
        return roots[0]
    found = f'several: {", ".join(roots)}' if roots else 'none'
    raise LaunchError(
        'the config has no variable data_root and its datasets have '
        f'{found}; set the paths with --cfg-options, e.g. '
        'train_dataloader.dataset.data_root=DIR')


def _replace(value: Any, old: str, new: str) -> tuple[Any, int]:
    """Copy of a nested value with the root replaced, and how often."""
    if isinstance(value, str):
        moved = _move(value, old, new)
        return (value, 0) if moved is None else (moved, 1)
    if isinstance(value, dict):
        pairs = {k: _replace(v, old, new) for k, v in value.items()}
        copy = type(value)({k: v for k, (v, _) in pairs.items()})
        return copy, sum(n for _, n in pairs.values())
    if type(value) in (list, tuple):
        items = [_replace(v, old, new) for v in value]
        return type(value)(v for v, _ in items), sum(n for _, n in items)
    return value, 0


def _move(path: str, old: str, new: str) -> str | None:
    """``path`` below ``new`` instead of ``old``; None if it is elsewhere."""
    stem = old.rstrip('/')
    if path == stem:
        return new
    if path.startswith(f'{stem}/'):
        return f'{new.rstrip("/")}/{path[len(stem) + 1:]}'
    return None

"""Entries of the zoo, made from the configs."""

import re
from pathlib import Path
from typing import Any

from .count import build_on_meta, count_image, count_params, image_size
from .entries import Entry
from .header import read_header

FAMILIES = ('vheat', 'itpn', 'ma2ml')
#: Part of a config's name -> data set; the first that is found counts.
_DATASETS = {
    'in1k': 'ImageNet-1k',
    'imagenet': 'ImageNet-1k',
    'coco': 'COCO 2017',
    'ade20k': 'ADE20K',
    'cifar100': 'CIFAR-100',
    'cifar10': 'CIFAR-10',
    'nuclei': 'Cell nuclei',
    'camvid': 'CamVid',
    'toy': 'Generated shapes',
    'pretrain': 'Folder of images',
}
_TASKS = {'mmdet': 'Object Detection', 'mmseg': 'Semantic Segmentation'}
_Counts = tuple[int, int | None, tuple[int, int] | None]


def paper_configs(root: Path, family: str) -> list[Path]:
    """The configs of a family that have an entry.

    Args:
        root (Path): Folder that has ``configs``.
        family (str): One of :data:`FAMILIES`.

    Returns:
        list[Path]: Sorted.
    """
    return sorted((root / 'configs' / family).glob('*.py'))


def collect_entries(root: Path) -> list[Entry]:
    """Make the entries of all families.

    Networks are built and counted without memory for their weights, each
    form once.

    Args:
        root (Path): Folder that has ``configs``.

    Returns:
        list[Entry]: By family, and by name in it.

    Raises:
        LaunchError: If the header of a config lacks a field.
    """
    counted: dict[str, _Counts] = {}
    return [_make_entry(root, path, counted) for family in FAMILIES
            for path in paper_configs(root, family)]


def _make_entry(root: Path, path: Path, counted: dict[str, _Counts]) -> Entry:
    header, family, name = read_header(path), path.parent.name, path.stem
    params = macs = size = alias = None
    if family == 'ma2ml':
        # Stems such as 'cifar10' say nothing outside their folder.
        name, collection, task = f'ma2ml_{name}', 'MA2ML', 'Pipeline Search'
    else:
        from mmengine.config import Config
        config = Config.fromfile(path)
        task = _task_of(config)
        collection = ('vHeat' if family == 'vheat' else
                      'Fast-iTPN' if name.startswith('fast-') else 'iTPN')
        params, macs, size = _count(config, task, counted)
        if task == 'Image Classification':
            short = re.sub(r'_\d+xb\d+(-ft-\d+e)?', '', name)
            alias = short if short != name else None
    dataset = next(full for part, full in _DATASETS.items()
                   if part in path.stem)
    return Entry(
        name=name, family=family, collection=collection, task=task,
        dataset=dataset, config=path.relative_to(root).as_posix(),
        figure=header.figure, source=header.source, status=header.status,
        alias=alias, params=params, macs=macs, image_size=size,
        metrics=header.metrics())


def _task_of(config: Any) -> str:
    if config.default_scope != 'mmpretrain':
        return _TASKS[config.default_scope]
    return 'Image Classification' if config.model.type.endswith(
        'ImageClassifier') else 'Self-Supervised Learning'


def _count(config: Any, task: str, counted: dict[str, _Counts]) -> _Counts:
    # Of pre-training the cost depends on how much is hidden.
    size = None if task == 'Self-Supervised Learning' else image_size(config)
    key = f'{config.model} {size}'
    if key not in counted:
        model = build_on_meta(config)
        macs = None if size is None else count_image(model, size)
        counted[key] = count_params(model), macs, size
    return counted[key]

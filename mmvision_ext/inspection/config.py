"""A config for a data set, from one of the package's."""
import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from pprint import pformat
from typing import Any

from ..engine.errors import LaunchError
from ..engine.launch import read_config
from .crops import crop_lines, crop_remarks
from .record import DataSet, Split


def check_base(data: DataSet, base: str) -> Any:
    """Read a config that has to suit a data set.

    Args:
        data (DataSet): The data set.
        base (str): The config.

    Returns:
        mmengine.Config: The config.

    Raises:
        LaunchError: If it is for another task, wraps its data set, or needs
            masks that a part of the objects lacks.
    """
    cfg = read_config(base)
    scope = cfg.get('default_scope')
    if scope != data.scope:
        raise LaunchError(f'{base}: a config of {scope}, but the data is for '
                          f'{data.scope}; choose another with --base')
    for part in ('train', 'val'):
        dataset = cfg[f'{part}_dataloader'].dataset
        if 'pipeline' not in dataset:
            raise LaunchError(
                f'{base}: {part}_dataloader wraps its data set in '
                f'{dataset.type}; choose one that does not, with --base')
    objects, masks = (data.facts.get(key, 0) for key in ('objects', 'masks'))
    if 0 < masks < objects and _has_masks(cfg):
        raise LaunchError(
            f'{base}: trains on masks, but {objects - masks} of {objects} '
            f'objects of {data.root} have none; give them a segmentation, or '
            'choose a detector without mask_head, with --base')
    return cfg


def _has_masks(cfg: Any) -> bool:
    return cfg.model.get('roi_head', {}).get('mask_head') is not None


def _drops_masks(data: DataSet, cfg: Any) -> bool:
    """Whether a base learns masks and the data has boxes alone."""
    return data.facts.get('masks') == 0 and _has_masks(cfg)


def write_config(data: DataSet, base: str, target: str) -> str:
    """Write a config that trains on a data set.

    Args:
        data (DataSet): What :func:`inspect_data` found.
        base (str): Config whose model and recipe it takes.
        target (str): File to write; must not exist.

    Returns:
        str: Content of the file.

    Raises:
        LaunchError: If the base does not suit (:func:`check_base`) or the
            target exists.
    """
    cfg = check_base(data, base)
    text = _text(data, cfg, base, target)
    try:
        with open(target, 'x', encoding='utf-8') as file:
            file.write(text)
    except FileExistsError:
        raise LaunchError(f'{target}: exists already; remove it or choose '
                          'another name') from None
    return text


def config_lines(data: DataSet, cfg: Any) -> list[str]:
    """Lines that fit a config to a data set.

    Args:
        data (DataSet): The data set.
        cfg (mmengine.Config): The config they are for.

    Returns:
        list[str]: Python statements below ``_base_``.
    """
    train, val = data.splits[0], data.splits[-1]
    lines = [f'data_root = {os.path.abspath(data.root)!r}',
             f'classes = {pformat(tuple(data.classes), width=72)}',
             'model = _base_.model']
    lines += [f'model{place} = {value}'
              for place, value in _settings(cfg.model, len(data.classes))]
    if 'data_preprocessor' in cfg and data.layout == 'folders':
        lines.append(
            f'data_preprocessor = dict(num_classes={len(data.classes)})')
    if _drops_masks(data, cfg):
        lines += ["model['roi_head']['mask_roi_extractor'] = None",
                  "model['roi_head']['mask_head'] = None"]
    for part, split in (('train', train), ('val', val)):
        lines += _loader_lines(part, split, data, cfg)
    lines += ['test_dataloader = val_dataloader', *crop_lines(data, cfg)]
    if data.layout == 'coco':
        metric = ", metric='bbox'" if _drops_masks(data, cfg) else ''
        lines += ['val_evaluator = dict(ann_file=f"{data_root}/'
                  f'{val.annotations}"{metric})',
                  'test_evaluator = val_evaluator']
    elif data.layout == 'voc':
        lines += ["val_evaluator = dict(_delete_=True, type='VOCMetric', "
                  "metric='mAP', eval_mode='area')",
                  'test_evaluator = val_evaluator']
    elif data.layout == 'folders' and len(data.classes) < 5:
        lines += ["val_evaluator = dict(_delete_=True, type='Accuracy', "
                  'topk=(1, ))', 'test_evaluator = val_evaluator']
    return lines


def advise(data: DataSet, cfg: Any) -> list[str]:
    """What a reader should weigh before training.

    Args:
        data (DataSet): The data set.
        cfg (mmengine.Config): The config to train with.

    Returns:
        list[str]: Remarks, a line each.
    """
    train = data.splits[0]
    if not train.sizes:
        return ['no image to train on']
    batch = min(cfg.train_dataloader.batch_size, len(train.sizes))
    remarks = [f'{len(train.sizes)} images in batches of {batch}: '
               f'{ceil(len(train.sizes) / batch)} iterations an epoch']
    if _drops_masks(data, cfg):
        remarks.append('the objects have boxes and no masks: the mask head '
                       'of the base is left out')
    return remarks + crop_remarks(data, cfg)


def _text(data: DataSet, cfg: Any, base: str, target: str) -> str:
    folder = Path(target).resolve().parent
    relative = os.path.relpath(Path(base).resolve(), folder)
    return '\n'.join(['"""Written by inspect-data: look it over."""',
                      f'_base_ = {Path(relative).as_posix()!r}', '',
                      *config_lines(data, cfg), ''])


def _settings(value: Any, classes: int,
              place: str = '') -> Iterator[tuple[str, Any]]:
    """What of a model depends on the classes: place and value."""
    if isinstance(value, dict):
        for key, item in value.items():
            here = f'{place}[{key!r}]'
            if key == 'num_classes' and item is not None:
                yield here, classes
            elif key == 'class_weight' and item is not None:
                yield here, None
            elif key == 'topk' and classes < 5:
                yield here, (1, )
            elif key != 'rpn_head':
                yield from _settings(item, classes, here)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _settings(item, classes, f'{place}[{i}]')


def _loader_lines(part: str, split: Split, data: DataSet,
                  cfg: Any) -> list[str]:
    loader = f'{part}_dataloader'
    pipeline = f'{part}_pipeline'
    lines = [f'{pipeline} = _base_.{loader}.dataset.pipeline']
    if _drops_masks(data, cfg):
        lines += [f"{pipeline}[{i}]['with_mask'] = False"
                  for i, step in enumerate(cfg[loader].dataset.pipeline)
                  if step.get('with_mask')]
    if data.layout == 'folders':
        words = ["type='CustomDataset'", 'data_root=data_root',
                 f'data_prefix={split.images!r}',
                 'metainfo=dict(classes=classes)']
    elif data.layout in ('coco', 'voc'):
        kind, prefix = (('CocoDataset', f'img={split.images!r}')
                        if data.layout == 'coco' else
                        ('XMLDataset', "sub_data_root=''"))
        words = [f'type={kind!r}', 'data_root=data_root',
                 f'ann_file={split.annotations!r}',
                 f'data_prefix=dict({prefix})',
                 'metainfo=dict(classes=classes)']
        words.append('filter_cfg=dict(filter_empty_gt=True)'
                     if part == 'train' else 'test_mode=True')
    else:
        reduce = data.facts['reduce_zero_label']
        lines += [
            f"{pipeline}[{i}]['reduce_zero_label'] = {reduce}"
            for i, step in enumerate(cfg[loader].dataset.pipeline)
            if step['type'] == 'LoadAnnotations']
        words = ["type='BaseSegDataset'", 'data_root=data_root',
                 f'data_prefix=dict(img_path={split.images!r}, '
                 f'seg_map_path={split.annotations!r})',
                 'metainfo=dict(classes=classes)',
                 f'reduce_zero_label={reduce}',
                 f'img_suffix={data.facts["img_suffix"]!r}',
                 "seg_map_suffix='.png'"]
    words.append(f'pipeline={pipeline}')
    batch = min(cfg[loader].batch_size, max(1, len(split.sizes)))
    body = ',\n        '.join(['_delete_=True', *words])
    lines += [f'{loader} = dict(', f'    batch_size={batch},',
              f'    dataset=dict(\n        {body}))']
    return lines

"""Finding and changing the data pipelines of any mm config."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import ConfigDict

#: Steps that an augmentation policy takes the place of.
POLICIES = ('AutoAugment', 'RandAugment', 'TrivialAugmentWide', 'AugMix')
#: Steps before which a policy is put: what follows works on floats, erases,
#: or packs.
LATE_STEPS = ('PhotoMetricDistortion', 'YOLOXHSVRandomAug', 'RandomErasing',
              'Lighting', 'Normalize', 'ToTensor', 'ImageToTensor')
_CROPS = ('RandomResizedCrop', 'EfficientNetRandomCrop', 'CenterCrop',
          'EfficientNetCenterCrop')


def short_name(step: Mapping[str, Any]) -> str:
    """The type of a step without scope or library.

    Args:
        step (Mapping): A step of a pipeline.

    Returns:
        str: Such as 'RandAugment' of 'torchvision/RandAugment'.
    """
    name = step['type']
    name = name if isinstance(name, str) else name.__name__
    return name.replace('/', '.').rpartition('.')[2]


def pipelines_of(node: Any, names: Sequence[str] = ('pipeline', )
                 ) -> Iterator[list]:
    """Pipelines below a node of a config, the lists themselves.

    Args:
        node (Any): Such as a dataloader.
        names (Sequence[str]): Keys that hold them. Defaults to
            'pipeline'.

    Yields:
        list: Of steps.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in names and isinstance(value, list):
                yield value
            else:
                yield from pipelines_of(value, names)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from pipelines_of(item, names)


def train_pipelines(cfg: Mapping[str, Any]) -> list[list]:
    """The pipelines of training, the lists themselves.

    Those of datasets within wrappers count, and those that a hook puts in
    later in the training.

    Args:
        cfg (Config): Any mm config.

    Returns:
        list[list]: At least one.

    Raises:
        ValueError: If there is none.
    """
    found = list(pipelines_of(cfg.get('train_dataloader')))
    found += pipelines_of(cfg.get('custom_hooks'),
                          ('train_pipeline', 'switch_pipeline'))
    if not found:
        raise ValueError('the base config has no train_dataloader with a '
                         'pipeline; an augmentation has nowhere to go')
    return found


def place_policy(pipeline: list, steps: Sequence[Mapping[str, Any]]) -> None:
    """Put steps in the place of the pipeline's augmentation policy.

    Where there is no policy they come before the first step that works on
    floats, erases or packs. A policy between NumpyToPIL and PILToNumpy is
    taken out, with the two where nothing is left between them, and the steps
    come behind.

    Args:
        pipeline (list): Changed in place.
        steps (Sequence[Mapping]): What comes in; may be empty.

    Raises:
        ValueError: If the pipeline has no end to put them before.
    """
    names = [short_name(step) for step in pipeline]
    old = [i for i, name in enumerate(names) if name in POLICIES]
    if old:
        place = old[0]
        for i in reversed(old):
            del pipeline[i], names[i]
        if 'NumpyToPIL' in names[:place] and 'PILToNumpy' in names[place:]:
            place = names.index('PILToNumpy', place) + 1
            if names[place - 2] == 'NumpyToPIL':
                del pipeline[place - 2:place]
                place -= 2
    else:
        late = [i for i, name in enumerate(names)
                if name in LATE_STEPS or name.startswith('Pack')]
        if not late:
            raise ValueError(f'a pipeline of the steps {names} has none that '
                             'packs its results; an augmentation policy goes '
                             'before it')
        place = late[0]
    pipeline[place:place] = [ConfigDict(step) for step in steps]


def set_image_size(cfg: Mapping[str, Any], size: int) -> None:
    """Bring all pipelines of a classifier to an image size.

    Crops get the size; a resized edge keeps its ratio to the crop behind it.
    A ``Resize`` counts where no crop follows it.

    Args:
        cfg (Config): Changed in place.
        size (int): Side in pixels.

    Raises:
        ValueError: If the config is none of a classifier, or a pipeline has
            no step that decides the size.
    """
    if cfg.get('default_scope') != 'mmpretrain':
        raise ValueError(
            f'default_scope is {cfg.get("default_scope")!r}: an image size '
            'can be searched for classifiers (mmpretrain); leave '
            'resolutions out for others')
    pipelines = train_pipelines(cfg)
    for name in ('val_dataloader', 'test_dataloader'):
        pipelines += pipelines_of(cfg.get(name))
    for pipeline in pipelines:
        _resize(pipeline, size)
    backbone = cfg['model'].get('backbone', {})
    if 'img_size' in backbone:
        backbone['img_size'] = size


def _resize(pipeline: list, size: int) -> None:
    done = False
    old = None
    for step in reversed(pipeline):
        name = short_name(step)
        if name in _CROPS:
            key = 'crop_size' if 'crop_size' in step else 'scale'
            old = step[key] if isinstance(step[key], int) else step[key][0]
            step[key], done = size, True
        elif name == 'ResizeEdge' and old is not None:
            step['scale'] = round(step['scale'] * size / old)
        elif name == 'Resize' and old is None:
            step['scale'], old, done = size, size, True
    if not done:
        raise ValueError(
            'a pipeline with the steps '
            f'{[short_name(step) for step in pipeline]} has none that decides '
            f'the image size ({", ".join(_CROPS)} or Resize)')


def set_channels(cfg: Mapping[str, Any], channels: Sequence[int]) -> None:
    """Tell what follows a backbone how many channels it returns.

    Args:
        cfg (Config): A classifier, detector or segmenter; changed in place.
        channels (Sequence[int]): Of each returned map, fine to coarse.

    Raises:
        ValueError: If nothing behind the backbone takes channels.
    """
    model, channels = cfg['model'], list(channels)
    neck = model.get('neck')
    if isinstance(neck, Mapping) and 'in_channels' in neck:
        many = not isinstance(neck['in_channels'], int)
        neck['in_channels'] = channels if many else channels[-1]
        return
    done = False
    for name in ('head', 'decode_head', 'auxiliary_head'):
        heads = model.get(name)
        for head in heads if isinstance(heads, list) else [heads]:
            if not isinstance(head, Mapping) or 'in_channels' not in head:
                continue
            done = True
            if not isinstance(head['in_channels'], int):
                head['in_channels'] = channels
            else:
                head['in_channels'] = channels[head.get('in_index', -1)]
    if not done:
        raise ValueError('the base config has neither a neck nor a head with '
                         'in_channels behind its backbone, so its widths '
                         'cannot be searched')

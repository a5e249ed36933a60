"""Crops of a recipe that are far too small for the images."""
from collections.abc import Iterator
from statistics import median
from typing import Any

from .record import DataSet

_CROP = 'torchvision/RandomCrop'


def crop_lines(data: DataSet, cfg: Any) -> list[str]:
    """Lines that crop a part of the image in place of a few pixels.

    The parts have a quarter of the image or more, and are resized to what
    the network is trained on.

    Args:
        data (DataSet): The data set.
        cfg (mmengine.Config): The config whose crops these are.

    Returns:
        list[str]: Python statements, below that which defines
        ``train_pipeline``.
    """
    found = list(_find(data, cfg))
    lines = ['custom_hooks = _base_.custom_hooks'
             ] if any('hooks' in place for place, _, _ in found) else []
    return lines + [
        f"{place} = dict(\n    type='torchvision/RandomResizedCrop', "
        f'size={size}, scale=(0.25, 1.0))' for place, _, size in found]


def crop_remarks(data: DataSet, cfg: Any) -> list[str]:
    """What a reader should know of these lines.

    Args:
        data (DataSet): The data set.
        cfg (mmengine.Config): The config whose crops these are.

    Returns:
        list[str]: A remark, or none.
    """
    found = list(_find(data, cfg))
    if not found:
        return []
    return [f'the recipe crops {found[0][1]} pixels out of images whose short '
            f'side is {_side(data):g}: a quarter of the image or more is '
            'cropped instead and resized to '
            f'{max(size for _, _, size in found)}; a base for larger images '
            'shows the network more']


def _side(data: DataSet) -> float:
    return median(min(size) for size in data.splits[0].sizes)


def _find(data: DataSet, cfg: Any) -> Iterator[tuple[str, int, int]]:
    """Place of each such crop, its pixels and those it is resized to."""
    if data.layout != 'folders' or not data.splits[0].sizes:
        return
    pipelines = {'train_pipeline': cfg.train_dataloader.dataset.pipeline}
    # A recipe may go on with another pipeline later in the training.
    for i, hook in enumerate(cfg.get('custom_hooks') or ()):
        for j, stage in enumerate(hook.get('schedule') or ()):
            if stage.get('train_pipeline'):
                pipelines[f"custom_hooks[{i}]['schedule'][{j}]"
                          "['train_pipeline']"] = stage.train_pipeline
    for place, pipeline in pipelines.items():
        for i, step in enumerate(pipeline):
            crop = step.get('size')
            if (step['type'] == _CROP and isinstance(crop, int)
                    and crop * 2 <= _side(data)):
                scales = [later.get('scale') for later in pipeline[i:]
                          if later['type'] == 'Resize']
                size = next((scale for scale in scales
                             if isinstance(scale, int)), crop)
                yield f'{place}[{i}]', crop, size

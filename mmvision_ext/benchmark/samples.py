"""Synthetic images and annotations."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .case import Case

#: Objects of an image.
_OBJECTS = 8


def make_images(case: Case) -> Tensor:
    """Normal noise, (B, 3, H, W).

    Args:
        case (Case): Size, batch and device.

    Returns:
        Tensor: The images.
    """
    return torch.randn(case.batch, 3, *case.size, device=case.device)


def make_maps(channels: tuple[int, ...], case: Case) -> tuple[list[Tensor]]:
    """What a neck is called with: maps of strides 4, 8, 16 and so on.

    Args:
        channels (tuple[int, ...]): Of each map.
        case (Case): Size of the image, batch and device.

    Returns:
        tuple[list[Tensor]]: The only argument, shapes (B, C_i, ceil(H/s),
        ceil(W/s)).
    """
    return ([
        torch.randn(case.batch, number,
                    *(-(-side // (4 << i)) for side in case.size),
                    device=case.device)
        for i, number in enumerate(channels)
    ], )


def find_task(model: nn.Module) -> str:
    """What a whole model of an mm library does.

    Args:
        model (nn.Module): The model.

    Returns:
        str: 'segment', 'detect' or 'classify'.

    Raises:
        ValueError: If it does none of these.
    """
    if getattr(model, 'decode_head', None) is not None:
        return 'segment'
    if any(getattr(model, name, None) is not None
           for name in ('roi_head', 'bbox_head', 'rpn_head')):
        return 'detect'
    if getattr(model, 'head', None) is not None:
        return 'classify'
    raise ValueError(f'{type(model).__name__} is no classifier, detector or '
                     'segmentor; name its backbone as a registry type')


def make_samples(model: nn.Module, case: Case) -> list[Any]:
    """Annotations that a whole model can be trained with.

    Args:
        model (nn.Module): A classifier, detector or segmentor.
        case (Case): Size, batch and device.

    Returns:
        list: A data sample an image: a class; eight objects with box, class
        and mask; or the class of each pixel.

    Raises:
        ValueError: If the model is none of these.
    """
    make = dict(segment=_segmentation, detect=_detection,
                classify=_classification)[find_task(model)]
    rng = np.random.default_rng(0)
    return [make(model, case, rng) for _ in range(case.batch)]


def _classes(*heads: Any) -> int:
    for head in heads:
        head = head[-1] if isinstance(head, nn.ModuleList) else head
        if isinstance(getattr(head, 'num_classes', None), int):
            return head.num_classes
    return 1


def _classification(model: nn.Module, case: Case,
                    rng: np.random.Generator) -> Any:
    from mmpretrain.structures import DataSample
    number = _classes(model.head)
    return DataSample().set_gt_label(int(rng.integers(number))).to(
        case.device)


def _segmentation(model: nn.Module, case: Case,
                  rng: np.random.Generator) -> Any:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample
    labels = rng.integers(_classes(model.decode_head), size=(1, *case.size))
    sample = SegDataSample(metainfo=_metainfo(case))
    sample.gt_sem_seg = PixelData(data=torch.from_numpy(labels))
    return sample.to(case.device)


def _detection(model: nn.Module, case: Case,
               rng: np.random.Generator) -> Any:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData
    height, width = case.size
    scale = np.array([width, height, width, height])
    corners = rng.uniform(0, 0.6, (_OBJECTS, 2))
    boxes = np.concatenate(
        (corners, corners + rng.uniform(0.1, 0.4, (_OBJECTS, 2))), 1) * scale
    masks = np.zeros((_OBJECTS, height, width), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int)):
        mask[top:bottom + 1, left:right + 1] = 1
    number = _classes(
        getattr(getattr(model, 'roi_head', None), 'bbox_head', None),
        getattr(model, 'bbox_head', None))
    sample = DetDataSample(metainfo=_metainfo(case))
    sample.gt_instances = InstanceData(
        bboxes=torch.from_numpy(boxes).float(),
        labels=torch.from_numpy(rng.integers(number, size=_OBJECTS)),
        masks=BitmapMasks(masks, height, width))
    sample.ignored_instances = InstanceData(
        bboxes=torch.empty(0, 4), labels=torch.empty(0, dtype=torch.long))
    return sample.to(case.device)


def _metainfo(case: Case) -> dict[str, Any]:
    return dict(
        img_shape=case.size, ori_shape=case.size, pad_shape=case.size,
        batch_input_shape=case.size, scale_factor=(1., 1.))

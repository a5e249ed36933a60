"""The cost of a candidate, read off its config without building it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ..networks.cell_arch import resolve_cell_arch
from ..networks.mobile_arch import resolve_mobile_arch
from .pipelines import short_name


def analytic_flops(cfg: Mapping[str, Any],
                   shape: Sequence[int]) -> Optional[int]:
    """Multiply-adds of a classifier, backbone and head, by arithmetic.

    Args:
        cfg (Config): Of a classifier with a searchable backbone.
        shape (Sequence[int]): Of the image, (channels, height, width).

    Returns:
        int | None: What the counter of the suite counts for the whole
        network; None if the network is another one and has to be counted.
    """
    model = cfg['model']
    neck = model.get('neck') or {}
    if model.get('type') not in (
            'ImageClassifier', 'mmpretrain.ImageClassifier') or \
            not str(neck.get('type')).endswith('GlobalAveragePooling'):
        return None
    backbone = _backbone_flops(model['backbone'], shape)
    head = _head_flops(model.get('head') or {})
    return None if None in (backbone, head) else backbone + head


def _backbone_flops(backbone: Mapping[str, Any],
                    shape: Sequence[int]) -> Optional[int]:
    name = short_name(backbone)
    arch = backbone.get('arch')
    outs = backbone.get('out_indices')
    if name == 'SearchableMobileNet':
        mobile = resolve_mobile_arch('fbnetv3-a' if arch is None else arch)
        return mobile.flops(shape, outs[-1] if outs else None)
    if name == 'SearchableCellNet':
        cells = resolve_cell_arch('darts' if arch is None else arch)
        return cells.flops(shape, outs[-1] if outs else 2)
    return None


def _head_flops(head: Mapping[str, Any]) -> Optional[int]:
    widths = [head.get('in_channels'), head.get('num_classes')]
    if short_name(head) == 'StackedLinearClsHead':
        widths[1:1] = head['mid_channels']
    elif short_name(head) != 'LinearClsHead':
        return None
    return sum(a * b for a, b in zip(widths, widths[1:]))

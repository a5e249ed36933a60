"""Configs of the networks that official files are for."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..engine.convert import ConversionError
from ..engine.stock_models import (
    HALF_RANGE,
    ModelConfig,
    cascade_mask_rcnn,
    conv_box_head,
    fc_box_head,
    image_classifier,
    mask_rcnn,
    upernet,
)
from .official import OfficialNetwork, count_blocks, default_heads, size_of

#: What the pyramid gives in the two dense tasks.
LAYOUTS = {
    'detection': 'five maps, the coarse ones by average pooling',
    'segmentation': 'four maps with the raw stages appended, the last by '
                    'maximum pooling',
}

# Test-time tiles of the released segmentors.
_SLIDE = dict(mode='slide', crop_size=(512, 512), stride=(341, 341))


def model_config(form: str, network: OfficialNetwork,
                 state_dict: Mapping[str, Tensor],
                 ln_eps: float) -> ModelConfig:
    """The config of the network that weights are for.

    Args:
        form (str): 'backbone', 'classification', 'detection',
            'segmentation', 'pixel pre-training' or 'CLIP pre-training'.
        network (OfficialNetwork): Backbone and pyramid.
        state_dict (Mapping[str, Tensor]): The weights under our names.
        ln_eps (float): Epsilon of the norms of both.

    Returns:
        dict: Config for ``MODELS``.

    Raises:
        ConversionError: If a part that the form needs is missing.
    """
    backbone = network.backbone_config(ln_eps)
    if form == 'backbone':
        return backbone
    if form == 'classification':
        return _classifier(backbone, network, state_dict)
    if network.pyramid is None:
        raise ConversionError(f'the pyramid is missing from this {form} '
                              'file; --backbone-only converts the backbone')
    neck = network.neck_config(ln_eps)
    if form == 'detection':
        return _detector(backbone, dict(neck, num_outs=5), network,
                         state_dict)
    if form == 'segmentation':
        neck.update(num_outs=4, pool='max', concat=True)
        return _segmentor(backbone, neck, network, state_dict)
    neck['num_outs'] = 3
    if form == 'pixel pre-training':
        dims = size_of(state_dict, 'head.mask_token', 3)[2]
        decoder = dict(
            embed_dims=dims,
            depth=count_blocks(state_dict, 'head.decoder_blocks'),
            num_heads=default_heads(dims, 32))
        return dict(
            type='mmvision_ext.ITPNPixelPretrain',
            backbone=backbone,
            neck=neck,
            decoder=decoder)
    return dict(
        type='mmvision_ext.ITPNCLIPPretrain',
        backbone=backbone,
        neck=neck,
        teacher_dims=size_of(state_dict, 'head.lm_head.weight', 2)[0],
        aux='head.lm_cls_head.weight' in state_dict)


def _classifier(backbone: ModelConfig, network: OfficialNetwork,
                state_dict: Mapping[str, Tensor]) -> ModelConfig:
    classes, width = size_of(state_dict, 'head.fc.weight', 2)
    dims = network.arch.embed_dims
    if width != dims:
        raise ConversionError(f'head.weight takes {width} channels; the '
                              f'network gives {dims}')
    # Those with layer scale learnt from CLIP, on images in [-1, 1]; of
    # Fast-iTPN all have it, and all are fine-tuned on ImageNet's values.
    clip = network.layer_scale and not network.fast
    return image_classifier(
        dict(backbone, out_type='avg_featmap'),
        dims,
        classes,
        pooled=True,
        normalization=HALF_RANGE if clip else None)


def _extractor(backbone: ModelConfig, neck: ModelConfig) -> ModelConfig:
    return dict(
        type='mmvision_ext.FeatureExtractor', backbone=backbone, neck=neck)


def _detector(backbone: ModelConfig, neck: ModelConfig,
              network: OfficialNetwork,
              state_dict: Mapping[str, Tensor]) -> ModelConfig:
    if not any(name.startswith('roi_head.') for name in state_dict):
        return _extractor(backbone, neck)
    prefix = 'roi_head.bbox_head.'
    cascade = f'{prefix}0.fc_cls.weight' in state_dict
    if cascade:
        prefix += '0.'
    classes = size_of(state_dict, f'{prefix}fc_cls.weight', 2)[0] - 1
    convs = any(name.startswith(f'{prefix}shared_convs.')
                for name in state_dict)
    head: dict[str, Any] = (conv_box_head if convs else fc_box_head)(classes)
    regressed = size_of(state_dict, f'{prefix}fc_reg.weight', 2)[0]
    head['reg_class_agnostic'] = regressed != 4 * classes
    build = cascade_mask_rcnn if cascade else mask_rcnn
    return build(backbone, network.arch.stage_dims, classes, neck, head)


def _segmentor(backbone: ModelConfig, neck: ModelConfig,
               network: OfficialNetwork,
               state_dict: Mapping[str, Tensor]) -> ModelConfig:
    scores = 'decode_head.conv_seg.weight'
    if scores not in state_dict:
        return _extractor(backbone, neck)
    classes, width = size_of(state_dict, scores, 4)[:2]
    extra = 'auxiliary_head.conv_seg.weight'
    aux = size_of(state_dict, extra, 4)[1] if extra in state_dict else 0
    dims = [d + neck['out_channels'] for d in network.arch.stage_dims]
    return upernet(backbone, [*dims, dims[-1]], classes, width, aux, _SLIDE,
                   neck)

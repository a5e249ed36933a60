"""Official vHeat weights under the names of this package.

Needs torch alone. The networks are told by names and shapes. One thing
neither shows is whether the norms stand before or behind the branches: the
released networks with layer scale have them behind, those without before,
and that rule is applied.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..engine.convert import (
    Conversion,
    ConversionError,
    SourceWeights,
    shorten,
)
from ..engine.stock_models import image_classifier, mask_rcnn, upernet
from ..ops import resize_table
from .arch import ARCH_ZOO, VHeatArch
from .network import VHeatNetwork

_CLASSIFIER = {'head.fc.weight': 'classifier.3.weight',
               'head.fc.bias': 'classifier.3.bias'}

# First parts of names that belong to a vHeat network and nothing else.
_OWN_PARTS = re.compile(r'(patch_embed|layers|freq_embed|classifier|'
                        r'outnorm\d+)\.')

# What the released layer scale starts from. Trained values do not tell.
_LAYER_SCALE = 1e-5

# Test-time tiles of the released segmentors.
_SLIDE = dict(mode='slide', crop_size=(512, 512), stride=(341, 341))


def recognise(source: SourceWeights) -> bool:
    """Whether a file holds a vHeat network, of any form.

    Args:
        source (SourceWeights): Its tensors.

    Returns:
        bool: True if a stage holds a heat conduction operator.
    """
    return any(
        re.fullmatch(r'layers\.\d+\.\d+\.op\.(dwconv\.weight|k_exp)', name)
        for name in source.backbone)


def original_name(name: str, depths: tuple[int, ...],
                  classifier: bool = False) -> str:
    """The official name of a tensor of the backbone.

    Args:
        name (str): Our name.
        depths (tuple[int, ...]): Blocks in each stage: the official names of
            downsamplings continue the count of blocks.
        classifier (bool): Whether the last norm is that of a classifier.
            Defaults to False.

    Returns:
        str: The name in official files.
    """
    name = re.sub(r'^(patch_embed\.norm\d)\.', r'\1.1.', name)
    name = re.sub(r'\.op\.to_k\.', '.op.to_k.0.', name)
    name = re.sub(r'^stages\.(\d)\.blocks\.', r'layers.\1.', name)
    name = re.sub(r'^stages\.(\d)\.downsample\.(conv|norm)\.',
                  lambda m: f'layers.{m[1]}.{depths[int(m[1])]}.'
                  f'{int(m[2] == "norm")}.', name)
    last = 'classifier.0.' if classifier else r'outnorm\1.'
    return re.sub(r'^norm(\d)\.', last, name)


def convert(source: SourceWeights,
            backbone_only: bool = False) -> Conversion:
    """Convert the tensors of an official file.

    Args:
        source (SourceWeights): The tensors, recognised before.
        backbone_only (bool): Leave out classifier, neck and heads. Defaults
            to False.

    Returns:
        Conversion: The weights and the config of their network.

    Raises:
        ConversionError: If the file is re-parameterised for inference, or a
            tensor is missing, of an unexpected shape, or one too many.
    """
    folded = [name for name in source.backbone if name.endswith('.op.k_exp')]
    if folded:
        raise ConversionError(
            'this is the re-parameterised form for inference: '
            f'{shorten(folded, 1)} replaced the frequency tables, which '
            'cannot be recovered from it; use the training form of the file')
    form = _find_form(source)
    arch = _find_arch(source.backbone)
    settings = _backbone_config(source.backbone, arch, form)
    moved, reshaped, resized = _move_backbone(source.backbone, arch, settings,
                                              form)
    others: dict[str, str] = {}
    if not backbone_only and form == 'classification':
        others = dict(_CLASSIFIER)
    elif not backbone_only:
        others = {name: name for name in source.rest}
    pool = {**source.backbone, **source.rest}
    missing = [old for old in others.values() if old not in pool]
    if missing:
        raise ConversionError(f'{shorten(missing)} missing from the file')
    state_dict = {f'backbone.{new}': t for new, (_, t) in moved.items()}
    sources = {f'backbone.{new}': old for new, (old, _) in moved.items()}
    state_dict.update({new: pool[old] for new, old in others.items()})
    sources.update(others)
    dropped = [name for name in pool if name not in set(sources.values())]
    _check_dropped(dropped, backbone_only)
    model = settings if backbone_only else _whole_config(
        form, settings, arch, state_dict)
    return Conversion(
        family='vHeat',
        form='backbone' if backbone_only else form,
        arch=_describe(arch, settings),
        model=model,
        state_dict=state_dict,
        sources=sources,
        reshaped=tuple(f'backbone.{name}' for name in reshaped),
        resized=tuple(f'backbone.{name}' for name in resized),
        dropped=tuple(dropped))


def _find_form(source: SourceWeights) -> str:
    if any(name.startswith('classifier.') for name in source.backbone):
        return 'classification'
    if any(name.startswith('roi_head.') for name in source.rest):
        return 'detection'
    if any(name.startswith('decode_head.') for name in source.rest):
        return 'segmentation'
    return 'backbone'


def _size(tensors: Mapping[str, Tensor], name: str, ndim: int
          ) -> tuple[int, ...]:
    if name not in tensors:
        raise ConversionError(f'{name} is missing from the file')
    shape = tuple(tensors[name].shape)
    if len(shape) != ndim or 0 in shape:
        raise ConversionError(f'{name} has shape {shape}; expected {ndim} '
                              'axes, none of them empty')
    return shape


def _find_arch(tensors: Mapping[str, Tensor]) -> VHeatArch:
    embed_dims = _size(tensors, 'patch_embed.conv2.weight', 4)[0]
    depths = [0, 0, 0, 0]
    for name in tensors:
        found = re.match(r'layers\.(\d+)\.(\d+)\.(op|mlp|norm\d|gamma\d)\b',
                         name)
        if found and int(found[1]) < len(depths):
            stage = int(found[1])
            depths[stage] = max(depths[stage], int(found[2]) + 1)
    if min(depths) < 1:
        raise ConversionError(
            f'stage {depths.index(0)} has no blocks in the file')
    hidden = _size(tensors, 'layers.0.0.mlp.fc1.weight', 4)[0]
    scaled = any(name.endswith('.gamma1') for name in tensors)
    try:
        arch = VHeatArch(
            embed_dims=embed_dims,
            depths=tuple(depths),
            mlp_ratio=hidden / embed_dims,
            post_norm=scaled,
            layer_scale=_LAYER_SCALE if scaled else None)
    except ValueError as error:
        raise ConversionError(f'not a vHeat network: {error}') from error
    return arch


def _arch_name(arch: VHeatArch) -> str | None:
    return next((n for n, known in ARCH_ZOO.items() if known == arch), None)


def _describe(arch: VHeatArch, settings: Mapping[str, Any]) -> str:
    scaled = arch.layer_scale is not None
    norm = 'post-norm and layer scale' if scaled else \
        'pre-norm without layer scale'
    return (f'{_arch_name(arch) or "custom"}: embed_dims {arch.embed_dims}, '
            f'depths {arch.depths}, mlp_ratio {arch.mlp_ratio:g}, {norm}, '
            f'img_size {settings["img_size"]}')


def _backbone_config(tensors: Mapping[str, Tensor], arch: VHeatArch,
                     form: str) -> dict[str, Any]:
    rows, columns, _ = _size(tensors, 'freq_embed.0', 3)
    norms = sorted({
        int(found[1])
        for found in (re.match(r'outnorm(\d)\.', name) for name in tensors)
        if found
    })
    out_indices = (3, ) if form == 'classification' else tuple(
        norms or range(4))
    config = dict(
        type='mmvision_ext.VHeat',
        arch=_arch_name(arch) or dict(vars(arch)),
        img_size=4 * rows if rows == columns else (4 * rows, 4 * columns),
        in_channels=_size(tensors, 'patch_embed.conv1.weight', 4)[1],
        out_indices=out_indices)
    if form != 'classification' and not norms:
        config['out_norm'] = False
    return config


def _move_backbone(
    tensors: Mapping[str, Tensor], arch: VHeatArch, settings: dict[str, Any],
    form: str
) -> tuple[dict[str, tuple[str, Tensor]], list[str], list[str]]:
    """New name to (old name, tensor), and what was reshaped and resized."""
    options = {k: v for k, v in settings.items() if k != 'type'}
    with torch.device('meta'):
        expected = VHeatNetwork(**options).state_dict()
    moved: dict[str, tuple[str, Tensor]] = {}
    missing, wrong, reshaped, resized = [], [], [], []
    for name, own in expected.items():
        old = original_name(name, arch.depths, form == 'classification')
        if old not in tensors:
            missing.append(old)
            continue
        tensor = tensors[old]
        if tensor.shape == (*own.shape, 1, 1) and own.ndim == 2:
            # a 1x1 convolution is a linear layer
            tensor = tensor.flatten(1)
            reshaped.append(name)
        elif name.startswith('freq_embed.') and tensor.ndim == 3 and \
                tensor.shape[2] == own.shape[2] and tensor.shape != own.shape:
            # what the original does with such a table on each forward
            tensor = resize_table(tensor, own.shape[:2], 'bicubic')
            resized.append(name)
        if tensor.shape != own.shape:
            wrong.append(f'{old} {tuple(tensor.shape)}')
        moved[name] = (old, tensor)
    if missing:
        raise ConversionError(f'{len(missing)} tensors are missing from the '
                              f'file: {shorten(missing)}')
    if wrong:
        raise ConversionError(
            f'{len(wrong)} tensors have unexpected shapes for embed_dims '
            f'{arch.embed_dims}, mlp_ratio {arch.mlp_ratio:g}: '
            f'{shorten(wrong)}')
    return moved, reshaped, resized


def _check_dropped(dropped: list[str], backbone_only: bool) -> None:
    # A tensor of a block that has no place here computes something which
    # this network does not.
    strange = [name for name in dropped if _OWN_PARTS.match(name) and not (
        backbone_only and name in _CLASSIFIER.values())]
    if strange:
        raise ConversionError(f'{len(strange)} tensors of the file have no '
                              f'place in vHeat: {shorten(strange)}')


def _whole_config(form: str, backbone: dict[str, Any], arch: VHeatArch,
                  state_dict: Mapping[str, Tensor]) -> dict[str, Any]:
    channels = [arch.embed_dims << stage for stage in range(4)]
    if form == 'classification':
        classes, width = _size(state_dict, 'head.fc.weight', 2)
        if width != channels[-1]:
            raise ConversionError(
                f'classifier.3.weight takes {width} channels; the network '
                f'gives {channels[-1]}')
        return image_classifier(backbone, channels[-1], classes)
    if form == 'detection':
        scores = 'roi_head.bbox_head.fc_cls.weight'
        return mask_rcnn(backbone, channels,
                         _size(state_dict, scores, 2)[0] - 1)
    if form == 'segmentation':
        scores = 'decode_head.conv_seg.weight'
        classes, width = _size(state_dict, scores, 4)[:2]
        extra = 'auxiliary_head.conv_seg.weight'
        aux = _size(state_dict, extra, 4)[1] if extra in state_dict else 0
        return upernet(backbone, channels, classes, width, aux, _SLIDE)
    return backbone

"""Official iTPN and Fast-iTPN weights under the names of this package.

Needs torch alone. The networks are told by names and shapes. Most names stay
as they are: behind ``backbone.``, ``neck.`` (the pyramid, which the original
keeps inside the backbone) or ``head.``.
"""

import re
from collections.abc import Mapping
from typing import Any, Optional

import torch
from torch import Tensor, nn

from ..engine.convert import (
    Conversion,
    ConversionError,
    SourceWeights,
    shorten,
)
from .fast import FastITPNNetwork, FastITPNPyramidNetwork
from .network import ITPNNetwork
from .official import PYRAMID, OfficialNetwork, read_network
from .official_models import LAYOUTS, model_config
from .pyramid import ITPNPyramidNetwork

#: What :func:`convert` takes besides ``backbone_only``.
OPTIONS = ('form', 'num_heads')

_BACKBONE = ('patch_embed', 'blocks', 'absolute_pos_embed', 'pos_embed')

# What is the classifier's or pre-training's alone.
_HEADS = {
    'classification': ('head', ),
    'pixel pre-training': ('mask_token', 'decoder_pos_embed',
                           'decoder_embed', 'decoder_blocks', 'decoder_norm',
                           'decoder_pred'),
    'CLIP pre-training': ('mask_token', 'decoder_embed', 'norm', 'lm_head',
                          'cls_pt_layers', 'norm_cls', 'lm_cls_head'),
}


def recognise(source: SourceWeights) -> bool:
    """Whether a file holds an iTPN of any form, or its relative HiViT.

    Args:
        source (SourceWeights): Its tensors.

    Returns:
        bool: True if a stem of 4x4 patches and a flat list of blocks with
        steps between resolutions are there.
    """
    return 'patch_embed.proj.weight' in source.backbone and any(
        re.fullmatch(r'blocks\.\d+\.reduction\.weight', name)
        for name in source.backbone)


def convert(source: SourceWeights,
            backbone_only: bool = False,
            form: Optional[str] = None,
            num_heads: Optional[int] = None) -> Conversion:
    """Convert the tensors of an official file.

    Args:
        source (SourceWeights): The tensors, recognised before.
        backbone_only (bool): Leave out pyramid, decoders and heads. Defaults
            to False.
        form (str, optional): 'detection' or 'segmentation', for a file of
            backbone and pyramid alone. By default told by the relative
            positions and the depth of the pyramid.
        num_heads (int, optional): Heads of the attention, for a file without
            relative positions. By default 64 channels each.

    Returns:
        Conversion: The weights and the config of their network.

    Raises:
        ConversionError: If the file is mmpretrain's or converted already,
            or a tensor is missing, of an unexpected shape, or one too many.
    """
    _refuse_relatives(source)
    network = read_network(source.backbone, num_heads)
    found, notes = _find_form(source, network, form)
    # The original's networks for dense tasks have torch's default; of
    # Fast-iTPN no others but those of pre-training and classifiers exist.
    eps = 1e-5 if found in LAYOUTS and not network.fast else 1e-6
    if backbone_only:
        found, notes = 'backbone', []
    elif source.rest and not form and not _has_stock_heads(source):
        raise ConversionError(
            f'{shorten(list(source.rest))} belong to heads other than the '
            'released ones; --form detection converts backbone and pyramid '
            'alone, --backbone-only the backbone')
    sources = _place(source, network, found)
    pool = {**source.backbone, **source.rest}
    state_dict = {new: pool[old] for new, old in sources.items()}
    model = model_config(found, network, state_dict, eps)
    _check_parts(model, network, state_dict)
    placed = set(sources.values())
    left = [name for name in pool if name not in placed]
    ignored = [n for n in left if n.endswith('relative_position_index')]
    dropped = [n for n in left if n not in ignored]
    if not network.heads_read and network.arch_name is None and \
            num_heads is None:
        heads = network.arch.num_heads
        notes.append(
            f'note: nothing in the file tells the heads of the attention; '
            f'{heads} of {network.arch.embed_dims // heads} channels are '
            'assumed (choose with --num-heads)')
    return Conversion(
        family='Fast-iTPN' if network.fast else 'iTPN',
        form=found,
        arch=network.describe(),
        model=model,
        state_dict=state_dict,
        sources=sources,
        dropped=tuple(dropped),
        ignored=tuple(ignored),
        notes=tuple(notes))


def _refuse_relatives(source: SourceWeights) -> None:
    if any(name.startswith('neck.') and name.split('.')[1] in PYRAMID
           for name in source.rest):
        raise ConversionError(
            'the pyramid is under neck.: this is a file of this package, '
            'converted already, or of iTPN in mmpretrain, another network')
    joint = next((name for name in source.backbone if re.fullmatch(
        r'blocks\.\d+\.attn\.qkv\.weight', name)), None)
    if joint and 'pos_embed' in source.backbone:
        raise ConversionError(
            "these are weights of mmpretrain's HiViT or iTPN (pos_embed with "
            f'{joint}). Its networks have twice the blocks in the first two '
            'stages and cannot take official weights, nor iTPN theirs; use '
            'the file with mmpretrain')


def _has_stock_heads(source: SourceWeights) -> bool:
    return any(name.startswith(('roi_head.', 'decode_head.'))
               for name in source.rest)


def _find_form(source: SourceWeights, network: OfficialNetwork,
               asked: Optional[str]) -> tuple[str, list[str]]:
    """The form, and what the user should know about how it was found."""
    names = source.backbone
    found = None
    if 'head.weight' in names:
        found = 'classification'
    elif 'decoder_pred.weight' in names:
        found = 'pixel pre-training'
    elif 'lm_head.weight' in names and not network.fast:
        found = 'CLIP pre-training'
    elif any(name.startswith('roi_head.') for name in source.rest):
        found = 'detection'
    elif any(name.startswith('decode_head.') for name in source.rest):
        found = 'segmentation'
    elif network.pyramid is None:
        found = 'backbone'
    if asked not in (None, 'detection', 'segmentation'):
        raise ConversionError(f'form is {asked!r}; choose detection or '
                              'segmentation')
    if found or asked:
        if asked not in (None, found) and found is not None:
            raise ConversionError(f'form is {asked!r}, but the names in the '
                                  f'file are those of: {found}')
        return found or str(asked), []
    if network.fast:
        return 'detection', [
            'note: backbone and pyramid of Fast-iTPN, as a detector has them'
        ]
    dense = network.rpe == 'table' or (network.rpe == 'none'
                                       and network.pyramid.depth > 1)
    found = 'segmentation' if dense else 'detection'
    return found, [
        'note: backbone and pyramid without heads, taken for those of '
        f'{found} as released: {LAYOUTS[found]} (choose with --form)'
    ]


def _place(source: SourceWeights, network: OfficialNetwork,
           form: str) -> dict[str, str]:
    """Our name to the official one, for all that has a place."""
    sources: dict[str, str] = {}
    for name in source.backbone:
        first, _, rest = name.partition('.')
        if first in _BACKBONE:
            sources[f'backbone.{name}'] = name
        elif first == 'fc_norm' and form == 'classification':
            sources[f'backbone.{name}'] = name
        elif form in ('classification', 'backbone'):
            if first in _HEADS.get(form, ()):
                sources[f'head.fc.{rest}'] = name
        elif network.pyramid and (first in PYRAMID or
                                  (network.fast and first == 'norm')):
            sources[f'neck.{name}'] = name
        elif first in _HEADS.get(form, ()):
            sources[f'head.{name}'] = name
    if form != 'backbone' and _has_stock_heads(source):
        sources.update({name: name for name in source.rest})
    return sources


def _check_parts(model: Mapping[str, Any], network: OfficialNetwork,
                 state_dict: Mapping[str, Tensor]) -> None:
    """Compare backbone and pyramid with those of the config."""
    kinds = dict(backbone=FastITPNNetwork, neck=FastITPNPyramidNetwork
                 ) if network.fast else dict(
                     backbone=ITPNNetwork, neck=ITPNPyramidNetwork)
    for part, kind in kinds.items():
        config = model if part == 'backbone' and part not in model else \
            model.get(part)
        if not config:
            continue
        options = {k: v for k, v in config.items() if k != 'type'}
        with torch.device('meta'):
            own: nn.Module = kind(**options)
        expected = {f'{part}.{name}': tuple(value.shape)
                    for name, value in own.state_dict().items()}
        given = {name: tuple(value.shape)
                 for name, value in state_dict.items()
                 if name.startswith(f'{part}.')}
        missing = [n[len(part) + 1:] for n in expected if n not in given]
        strange = [n[len(part) + 1:] for n in given if n not in expected]
        wrong = [f'{n[len(part) + 1:]} {shape}' for n, shape in given.items()
                 if expected.get(n, shape) != shape]
        if missing:
            raise ConversionError(f'{len(missing)} tensors are missing from '
                                  f'the file: {shorten(missing)}')
        if strange:
            raise ConversionError(
                f'{len(strange)} tensors of the file have no place in '
                f'{"Fast-" * network.fast}iTPN: {shorten(strange)}')
        if wrong:
            raise ConversionError(
                f'{len(wrong)} tensors have unexpected shapes for '
                f'{network.describe()}: {shorten(wrong)}')

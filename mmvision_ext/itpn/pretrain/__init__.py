"""Pre-training of backbone and pyramid: pixels, CLIP, masked features."""

from importlib.util import find_spec

from .clip_head import CLIPHead
from .masking import block_mask, random_masking
from .mfm import MaskedFeatureModelling, MFMSettings, MomentumTeacher
from .pixel_head import PixelHead
from .teacher import CLIPTeacher, scale_for_clip

__all__ = [
    'CLIPHead', 'CLIPTeacher', 'MFMSettings', 'MaskedFeatureModelling',
    'MomentumTeacher', 'PixelHead', 'block_mask', 'random_masking',
    'scale_for_clip'
]

# The parts run on torch alone; only what is registered needs mmengine.
if find_spec('mmengine') is not None:
    from ...registry import MODELS
    from .clip_model import ITPNCLIPPretrain
    from .hooks import MomentumTeacherHook
    from .pixel_model import ITPNPixelPretrain
    from .transforms import BlockMaskGenerator, TwoViewRandomResizedCrop

    MODELS.register_module(module=CLIPTeacher)
    __all__ += [
        'BlockMaskGenerator', 'ITPNCLIPPretrain', 'ITPNPixelPretrain',
        'MomentumTeacherHook', 'TwoViewRandomResizedCrop'
    ]

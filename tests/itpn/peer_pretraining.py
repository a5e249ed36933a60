"""Pixel pre-training of ours and of mmpretrain, ready to be measured.

Each builder returns a module that maps images (B, 3, H, W) to the loss, with
the same patches hidden in every call and by every module. mmpretrain's base
has other depths than the released network, so that there are two of ours:
``ours`` as released, and ``ours_at_their_size``, which computes what
``mmpretrain_itpn`` does, from equal weights.
"""

import logging
import re

import torch
from torch import Tensor, nn

from mmvision_ext.itpn.arch import resolve_arch
from mmvision_ext.itpn.pretrain import ITPNPixelPretrain

#: Blocks of the three stages and of the decoder of mmpretrain's base.
THEIR_DEPTHS, THEIR_DECODER_DEPTH = (4, 4, 24), 6

#: Names of mmpretrain's, which start with what stands on the left.
_RENAMED = {
    r'backbone\.pos_embed': 'backbone.absolute_pos_embed',
    r'neck\.(mask_token|decoder_(pos_embed|embed|pred))': r'head.\1',
    r'neck\.ln1\.': 'head.decoder_norm.',
    r'neck\.decoder_blocks\.(\d+)\.ln(\d)\.':
    r'head.decoder_blocks.\1.norm\2.',
    r'neck\.decoder_blocks\.(\d+)\.ffn\.layers\.0\.0\.':
    r'head.decoder_blocks.\1.mlp.fc1.',
    r'neck\.decoder_blocks\.(\d+)\.ffn\.layers\.1\.':
    r'head.decoder_blocks.\1.mlp.fc2.',
    r'neck\.decoder_blocks\.(\d+)\.attn\.': r'head.decoder_blocks.\1.attn.',
}


class PixelLoss(nn.Module):
    """The loss of a model, with the same noise in every call.

    Args:
        model (nn.Module): Draws a number a patch, of a batch at once, before
            anything else.
        seed (int): Of that draw. Defaults to 0.
    """

    def __init__(self, model: nn.Module, seed: int = 0) -> None:
        super().__init__()
        self.model = model
        self.seed = seed

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) to a scalar."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            losses = self.model.loss(images, None)
        return sum(losses.values())


def ours(arch: str | dict = 'base', img_size: int = 224,
         decoder_depth: int = 8) -> PixelLoss:
    """Ours, by default as released.

    Args:
        arch (str | dict): Of the backbone. Defaults to 'base'.
        img_size (int): Side of the images. Defaults to 224.
        decoder_depth (int): Blocks of the decoder. Defaults to 8.

    Returns:
        PixelLoss: The model.
    """
    torch.manual_seed(0)
    return PixelLoss(
        ITPNPixelPretrain(
            dict(type='mmvision_ext.ITPN', arch=arch, img_size=img_size),
            dict(
                type='mmvision_ext.ITPNPyramid',
                in_channels=resolve_arch(arch).stage_dims,
                out_channels=256,
                depth=2,
                num_outs=3),
            decoder=dict(depth=decoder_depth)))


def mmpretrain_itpn(img_size: int = 224,
                    depths: tuple[int, int, int] = THEIR_DEPTHS,
                    decoder_depth: int = THEIR_DECODER_DEPTH) -> PixelLoss:
    """mmpretrain's, by default its base.

    Args:
        img_size (int): Side of the images. Defaults to 224.
        depths (tuple[int, int, int]): Blocks of the three stages, the first
            two even. Defaults to those of its base.
        decoder_depth (int): Blocks of the decoder. Defaults to its own.

    Returns:
        PixelLoss: The model.
    """
    from mmpretrain.registry import MODELS
    from mmpretrain.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    torch.manual_seed(0)
    arch = dict(
        embed_dims=512,
        # each of its first two stages has twice as many blocks
        depths=[depths[0] // 2, depths[1] // 2, depths[2]],
        num_heads=8)
    model = MODELS.build(
        dict(
            type='iTPN',
            _scope_='mmpretrain',  # whatever the default scope is
            # it writes into the list, which would be shared by default
            backbone=dict(type='iTPNHiViT', arch=arch, img_size=img_size,
                          out_indices=[0]),
            neck=dict(
                type='iTPNPretrainDecoder',
                num_patches=(img_size // 16)**2,
                decoder_depth=decoder_depth),
            head=dict(
                type='MAEPretrainHead',
                norm_pix=True,
                loss=dict(type='PixelReconstructionLoss', criterion='L2'))))
    logging.disable(logging.INFO)  # a line for each of its parameters
    try:
        model.init_weights()
    finally:
        logging.disable(logging.NOTSET)
    return PixelLoss(model)


def ours_at_their_size(
        img_size: int = 224,
        depths: tuple[int, int, int] = THEIR_DEPTHS,
        decoder_depth: int = THEIR_DECODER_DEPTH) -> PixelLoss:
    """Ours with the depths and the weights of :func:`mmpretrain_itpn`.

    Args:
        img_size (int): As there.
        depths (tuple[int, int, int]): As there.
        decoder_depth (int): As there.

    Returns:
        PixelLoss: The model.
    """
    theirs = mmpretrain_itpn(img_size, depths, decoder_depth).model
    arch = dict(embed_dims=512, depths=depths, num_heads=8)
    module = ours(arch, img_size, decoder_depth)
    module.model.load_state_dict({
        _own_name(name): value
        for name, value in theirs.state_dict().items()
    })
    # one that they do not train, and an epsilon that they leave as it is
    module.model.backbone.absolute_pos_embed.requires_grad_(False)
    for norm, _ in module.model.head.decoder_embed:
        norm.eps = 1e-5
    return module


def _own_name(name: str) -> str:
    for theirs, own in _RENAMED.items():
        if re.match(theirs, name):
            return re.sub(f'^{theirs}', own, name)
    return name

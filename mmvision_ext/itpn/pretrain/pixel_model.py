"""Pixel pre-training: hide most patches and predict their pixels."""

from typing import Any, Optional, Tuple

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from ...registry import MODELS
from .masking import RandomMask, random_masking
from .mfm import MaskedFeatureModelling
from .model import (
    Grid,
    ITPNPretrain,
    Part,
    mfm_settings,
    patch_grid,
    position_grid,
)
from .patches import (
    gather_patches,
    images_to_patches,
    map_to_cells,
    patches_to_images,
)
from .pixel_head import CELL_SIDES, PixelHead, patch_targets, pixel_loss


@MODELS.register_module()
class ITPNPixelPretrain(ITPNPretrain):
    """iTPN's pre-training on pixels, as released, for mmpretrain's runner.

    Three quarters of the patches are hidden at random; backbone and pyramid
    compute the others only; a decoder shared by the three levels predicts
    the normalised pixels of the hidden ones. Source: "Integrally Pre-Trained
    Transformer Pyramid Networks", CVPR 2023 (arXiv 2211.12735).

    Args:
        backbone (dict | nn.Module): See :class:`ITPNPretrain`; an ``ITPN``
            given as a dict starts with ``pos_init='sincos'``, as released,
            unless it says otherwise.
        neck (dict | nn.Module): See :class:`ITPNPretrain`.
        decoder (dict, optional): Other values for ``embed_dims`` (512),
            ``depth`` (8), ``num_heads`` (16) or ``ln_eps`` (1e-6) of
            :class:`PixelHead`. Defaults to None.
        mask_ratio (float): Share of hidden patches. Defaults to 0.75.
        mfm (dict, optional): Masked feature modelling, the arguments of
            :class:`MFMSettings`; needs :class:`MomentumTeacherHook`, and
            about three times the decoding. Defaults to None, without, as
            released.
        data_preprocessor (dict | nn.Module, optional): See
            :class:`ITPNPretrain`. Defaults to None.
        init_cfg (dict | list[dict], optional): Weights to start from.
            Defaults to None.

    Raises:
        ValueError: If parts do not fit or a value is unknown.
    """

    def __init__(self,
                 backbone: Part,
                 neck: Part,
                 decoder: Optional[dict] = None,
                 mask_ratio: float = 0.75,
                 mfm: Optional[dict] = None,
                 data_preprocessor: Optional[Part] = None,
                 init_cfg: Optional[dict] = None) -> None:
        if isinstance(backbone, dict) and \
                backbone['type'].split('.')[-1] == 'ITPN':
            backbone = {'pos_init': 'sincos', **backbone}
        super().__init__(backbone, neck, data_preprocessor, init_cfg)
        self.mask_ratio = mask_ratio
        self.head = PixelHead(
            self.neck.out_channels,
            grid=position_grid(self.backbone),
            image_channels=self.backbone.patch_embed.proj.in_channels,
            **(decoder or {}))
        if mfm is not None:
            self.mfm = MaskedFeatureModelling(
                mfm_settings(mfm, ('momentum', )),
                in_dims=self.head.embed_dims,
                out_dims=[
                    side**2 * channels for side, channels in zip(
                        CELL_SIDES, self.backbone.num_features)
                ],
                with_norm=False,  # the decoder ends with one
                backbone=self.backbone)

    def loss(self,
             images: Tensor,
             data_samples: Optional[list] = None,
             noise: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            images (Tensor): (B, C, H, W), H and W multiples of 16.
            data_samples (list, optional): Not used. Defaults to None.
            noise (Tensor, optional): One number a patch, (B, N); those of
                the lowest stay visible. Defaults to None, random.

        Returns:
            dict[str, Tensor]: ``loss_pixel``, and with masked feature
            modelling ``loss_mfm_s4``, ``loss_mfm_s8`` and ``loss_mfm_s16``.
        """
        grid, hidden = self._hide(images, noise)
        decoded = self._decode(images, hidden, grid)
        pred = self.head.predict(decoded[-1])
        losses = dict(
            loss_pixel=pixel_loss(pred, images, grid, hidden.ids_masked))
        if self.mfm is not None:
            losses.update(self._mfm_losses(images, decoded, hidden, grid))
        return losses

    def _hide(self, images: Tensor,
              noise: Optional[Tensor]) -> Tuple[Grid, RandomMask]:
        grid = patch_grid(images)
        if noise is None:
            noise = torch.rand(
                len(images), grid[0] * grid[1], device=images.device)
        return grid, random_masking(noise, self.mask_ratio)

    def _decode(self, images: Tensor, hidden: RandomMask,
                grid: Grid) -> Tuple[Tensor, ...]:
        """Hidden patches, decoded, (B, M, D); the last predict the pixels.

        With masked feature modelling there are those of the two finer
        levels before them.
        """
        ids = hidden.ids_keep
        stages = self.backbone.forward_visible(images, ids)
        levels = self.head.embed(self.neck.forward_tokens(*stages))
        inputs = [self.head.fill(sum(levels), ids, grid, len(levels))]
        if self.mfm is not None:
            inputs[:0] = [
                self.head.fill(level, ids, grid, 1) for level in levels[:-1]
            ]
        # (3B, N, D) to (3B, M, D) in one go, then 3 of (B, M, D)
        decoded = self.head.decode(
            torch.cat(inputs), hidden.ids_masked.repeat(len(inputs), 1))
        return decoded.chunk(len(inputs))

    def _mfm_losses(self, images: Tensor, decoded: Tuple[Tensor, ...],
                    hidden: RandomMask, grid: Grid) -> dict[str, Tensor]:
        teacher = self.mfm.teacher
        if self.training:
            teacher.count_step()
        # (B, C_i, h, w) -> (B, N, s, s, C_i) -> (B, M, s, s, C_i)
        targets = [
            gather_patches(map_to_cells(stage, grid), hidden.ids_masked)
            for stage in teacher(images)
        ]
        return self.mfm.losses(decoded, targets)

    @torch.no_grad()
    def predict(self,
                images: Tensor,
                data_samples: Optional[list] = None,
                noise: Optional[Tensor] = None) -> list:
        """Pictures of what is seen and what is made of it.

        Args:
            images (Tensor): (B, C, H, W), H and W multiples of 16.
            data_samples (list, optional): Where the pictures are put.
                Defaults to None, new ones.
            noise (Tensor, optional): As in :meth:`loss`. Defaults to None.

        Returns:
            list: One data sample an image, with ``masked_input`` and
            ``reconstruction``, (C, H, W), visible patches as they are and
            hidden ones grey or as predicted, brought to the mean and
            contrast of the true ones, which the decoder does not predict;
            and ``mask``, (Hp, Wp) bool. In 0 to 255 and the order of
            channels of the model if the preprocessor normalises, else as
            given.
        """
        grid, hidden = self._hide(images, noise)
        ids = hidden.ids_masked
        pred = self.head.predict(
            self._decode(images, hidden, grid)[-1]).float()
        _, mean, std = patch_targets(images, grid, ids)
        patches = images_to_patches(images.float())
        index = ids[..., None].expand_as(pred)  # (B, M) -> (B, M, 256 * C)
        pictures = dict(
            masked_input=patches.scatter(1, index, 0.),
            reconstruction=patches.scatter(1, index, pred * std + mean))
        pictures = {
            name: self._to_pixels(patches_to_images(value, grid))
            for name, value in pictures.items()
        }
        # (B, N) -> (B, Hp, Wp)
        pictures['mask'] = hidden.mask.unflatten(1, grid)
        samples = data_samples or [BaseDataElement() for _ in images]
        for i, sample in enumerate(samples):
            for name, values in pictures.items():
                sample.set_field(values[i], name)
        return samples

    def _to_pixels(self, images: Tensor) -> Tensor:
        preprocessor: Any = self.data_preprocessor
        if getattr(preprocessor, 'mean', None) is None:
            return images
        return (images * preprocessor.std + preprocessor.mean).clamp(0, 255)

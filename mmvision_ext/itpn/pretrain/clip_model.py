"""CLIP pre-training: replace blocks of patches and predict CLIP's features."""

from collections.abc import Sequence
from typing import List, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ...registry import MODELS
from .clip_head import AUX_LN_EPS, CLIPHead, smooth_l1
from .mfm import MaskedFeatureModelling
from .model import (
    Grid,
    ITPNPretrain,
    Part,
    mfm_settings,
    patch_grid,
    position_grid,
)
from .patches import map_to_cells
from .pixel_head import CELL_SIDES
from .teacher import TEACHER_SCALINGS, scale_for_clip

Images = Union[Tensor, Sequence[Tensor]]

MASK_STRIDES = (4, 16)


@MODELS.register_module()
class ITPNCLIPPretrain(ITPNPretrain):
    """iTPN's pre-training with CLIP, as released, for mmpretrain's runner.

    Blocks of patches are replaced by a learnt token; the pyramid, and a
    branch from within the last stage, predict the layer-normed features that
    CLIP has for all patches, by the smooth L1 loss. Source: "Integrally
    Pre-Trained Transformer Pyramid Networks", CVPR 2023 (arXiv 2211.12735).

    Args:
        backbone (dict | nn.Module): See :class:`ITPNPretrain`. Released with
            ``rpe='table'`` and ``layer_scale=0.1``.
        neck (dict | nn.Module): See :class:`ITPNPretrain`.
        teacher (dict | nn.Module, optional): Of type
            ``mmvision_ext.CLIPTeacher``. Defaults to None: targets are given
            to :meth:`loss`.
        teacher_dims (int): Channels T of the features: 512 for ViT-B/16, 768
            for ViT-L/14. Defaults to 512.
        teacher_scaling (str): How the second view, in [0, 1], is scaled for
            the teacher: 'correct', or 'released', which squeezes it into
            [0.5, 1] first, see :func:`scale_for_clip`. Defaults to
            'correct'.
        mask_stride (int): 16: patches are replaced before the last stage, as
            released, and the finer levels of the pyramid see what is hidden.
            4: behind the patch embedding, and nothing does. Defaults to 16.
        aux (bool): Whether there is the branch from within the last stage;
            what was released of Fast-iTPN has none. Defaults to True.
        masked_only (bool): Whether only replaced patches count, as in
            Fast-iTPN. Defaults to False, all patches, as released.
        mfm (dict, optional): Masked feature modelling, the arguments of
            :class:`MFMSettings`. With a momentum teacher it needs
            :class:`MomentumTeacherHook` and ``mask_stride=4``. Defaults to
            None, without, as released.
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
                 teacher: Optional[Part] = None,
                 teacher_dims: int = 512,
                 teacher_scaling: str = 'correct',
                 mask_stride: int = 16,
                 aux: bool = True,
                 masked_only: bool = False,
                 mfm: Optional[dict] = None,
                 data_preprocessor: Optional[Part] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(backbone, neck, data_preprocessor, init_cfg)
        if teacher_scaling not in TEACHER_SCALINGS:
            raise ValueError(f'teacher_scaling is {teacher_scaling!r}; choose '
                             f'one of {TEACHER_SCALINGS}')
        if mask_stride not in MASK_STRIDES:
            raise ValueError(f'mask_stride is {mask_stride}; choose one of '
                             f'{MASK_STRIDES}')
        self.teacher = MODELS.build(teacher) if isinstance(
            teacher, dict) else teacher
        if self.teacher is not None and \
                self.teacher.out_dims != teacher_dims:
            raise ValueError(
                f'the teacher has {self.teacher.out_dims} channels; set '
                f'teacher_dims to that, it is {teacher_dims}')
        self.teacher_dims = teacher_dims
        self.teacher_scaling = teacher_scaling
        self.mask_stride = mask_stride
        self.masked_only = masked_only
        arch = self.backbone.arch_settings
        self.aux_index = int(0.75 * arch.depths[2]) if aux else None
        self.head = CLIPHead(
            self.neck.out_channels,
            arch.embed_dims,
            teacher_dims,
            token_dims=arch.embed_dims * 16 // mask_stride,
            aux_blocks=aux_blocks(self.backbone, self.aux_index)
            if aux else ())
        if mfm is not None:
            self.mfm = self._build_mfm(mfm)
        self._range_checked = False

    def _build_mfm(self, mfm: dict) -> nn.Module:
        settings = mfm_settings(mfm, ('momentum', 'clip'))
        momentum = settings.teacher == 'momentum'
        if momentum and self.mask_stride == 16:
            raise ValueError(
                'mfm with a momentum teacher and mask_stride=16: the pyramid '
                'would see through its laterals what it is to predict; set '
                'mask_stride=4')
        return MaskedFeatureModelling(
            settings,
            in_dims=self.neck.out_channels,
            out_dims=self.backbone.num_features if momentum else
            [self.teacher_dims] * len(CELL_SIDES),
            with_norm=True,
            backbone=self.backbone)

    def loss(self,
             images: Images,
             data_samples: Optional[list] = None,
             mask: Optional[Tensor] = None,
             target: Optional[Tensor] = None) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            images (Tensor | Sequence[Tensor]): (B, C, H, W), H and W
                multiples of 16; or these and the view of the teacher, RGB in
                [0, 1].
            data_samples (list, optional): With ``mask`` each, (Hp, Wp).
                Defaults to None.
            mask (Tensor, optional): True for the patches to replace, (B, N)
                or (B, Hp, Wp). Defaults to None, that of the data samples.
            target (Tensor, optional): What is to be predicted, (B, N, T).
                Defaults to None, the layer-normed features of the view.

        Returns:
            dict[str, Tensor]: ``loss_main``, ``loss_aux`` if there is that
            branch, and with masked feature modelling ``loss_mfm_s4``,
            ``loss_mfm_s8`` and ``loss_mfm_s16``.

        Raises:
            ValueError: If a mask, or a target and a way to it, is missing
                or does not fit.
        """
        images, view = (images, None) if isinstance(
            images, Tensor) else images
        grid = patch_grid(images)
        mask = self._mask(images, grid, data_samples, mask)
        features = target
        if target is None:
            features = self._teach(view)
            target = F.layer_norm(features.float(), features.shape[-1:])
        if target.shape[1:] != (grid[0] * grid[1], self.teacher_dims):
            raise ValueError(
                f'target of shape {tuple(target.shape)}; expected '
                f'{self.teacher_dims} channels for each of {grid[0]} x '
                f'{grid[1]} patches: check teacher_dims and img_size of the '
                'teacher')
        counted = mask if self.masked_only else None
        pyramid, main, aux = self._run(images, mask, grid)
        losses = dict(loss_main=smooth_l1(main, target, counted))
        if aux is not None:
            losses['loss_aux'] = smooth_l1(aux, target, counted)
        if self.mfm is not None:
            losses.update(
                self._mfm_losses(images, pyramid, mask, features, grid))
        return losses

    def _mask(self, images: Tensor, grid: Grid, data_samples: Optional[list],
              mask: Optional[Tensor]) -> Tensor:
        if mask is None:
            if not data_samples or 'mask' not in data_samples[0]:
                raise ValueError(
                    'no patches are chosen to be replaced; add '
                    "dict(type='mmvision_ext.BlockMaskGenerator', ...) to "
                    'the pipeline, or give mask to loss()')
            mask = torch.stack([sample.mask for sample in data_samples])
        num_patches = grid[0] * grid[1]
        if mask.shape not in ((len(images), num_patches),
                              (len(images), *grid)):
            raise ValueError(
                f'masks of shape {tuple(mask.shape[1:])} for {grid[0]} x '
                f'{grid[1]} patches; give the generator input_size={grid}')
        return mask.to(images.device, torch.bool).flatten(1)

    def _teach(self, view: Optional[Tensor]) -> Tensor:
        if self.teacher is None or view is None:
            missing = 'teacher' if self.teacher is None else 'second view'
            raise ValueError(
                f'no {missing}, so no target; give the model a CLIPTeacher '
                'and the pipeline TwoViewRandomResizedCrop, or target to '
                'loss()')
        if not self._range_checked:
            low, high = float(view.min()), float(view.max())
            if low < -0.001 or high > 1.001:
                raise ValueError(
                    f'the view of the teacher ranges from {low:.2f} to '
                    f'{high:.2f}; expected 0 to 1: set second_mean=[0., 0., '
                    '0.], second_std=[255., 255., 255.] in '
                    'TwoNormDataPreprocessor, the model does the rest')
            self._range_checked = True
        return self.teacher(scale_for_clip(view, self.teacher_scaling))

    def _run(self, images: Tensor, mask: Tensor, grid: Grid
             ) -> Tuple[Tuple[Tensor, ...], Tensor, Optional[Tensor]]:
        """Pyramid, main and auxiliary prediction."""
        stages = self.backbone.forward_replaced(
            images,
            mask,
            self.head.mask_token,
            mask_stride=self.mask_stride,
            aux_index=self.aux_index)
        pyramid = self.neck.forward_tokens(*stages[:3])
        aux = None if self.aux_index is None else self.head.forward_aux(
            stages[3], grid)
        return pyramid, self.head(pyramid), aux

    def _mfm_losses(self, images: Tensor, pyramid: Tuple[Tensor, ...],
                    mask: Tensor, features: Tensor,
                    grid: Grid) -> dict[str, Tensor]:
        if self.mfm.teacher is None:
            stages = resize_features(features.float(), grid)
        else:
            if self.training:
                self.mfm.teacher.count_step()
            stages = self.mfm.teacher(images)
        # (B, C_i, h, w) -> (B, N, s, s, C_i) -> (M, s, s, C_i)
        targets = [map_to_cells(stage, grid)[mask] for stage in stages]
        # (B, N, s, s, F) -> (M, s, s, F)
        return self.mfm.losses([level[mask] for level in pyramid], targets)

    @torch.no_grad()
    def predict(self,
                images: Images,
                data_samples: Optional[list] = None,
                mask: Optional[Tensor] = None) -> list:
        """Predicted features.

        Args:
            images (Tensor | Sequence[Tensor]): As in :meth:`loss`.
            data_samples (list, optional): With ``mask`` each, and where the
                prediction is put. Defaults to None, new ones.
            mask (Tensor, optional): As in :meth:`loss`. Defaults to None.

        Returns:
            list: One data sample an image, with ``feature``, (T, Hp, Wp),
            and ``mask``, (Hp, Wp) bool.
        """
        images = images if isinstance(images, Tensor) else images[0]
        grid = patch_grid(images)
        mask = self._mask(images, grid, data_samples, mask)
        main = self._run(images, mask, grid)[1]
        # (B, N, T) -> (B, T, N) -> (B, T, Hp, Wp)
        features = main.transpose(1, 2).unflatten(2, grid)
        samples = data_samples or [BaseDataElement() for _ in images]
        for sample, feature, hidden in zip(samples, features,
                                           mask.unflatten(1, grid)):
            sample.set_field(feature, 'feature')
            sample.set_field(hidden, 'mask')
        return samples


def aux_blocks(backbone: nn.Module, index: int) -> List[nn.Module]:
    """The two blocks of the auxiliary branch, as released.

    They are as the blocks of the last stage after which they follow, in
    stochastic depth too, but for the epsilon of their norms, which is 1e-5.

    Args:
        backbone (nn.Module): The backbone.
        index (int): Block of the last stage where the branch starts, from 0.

    Returns:
        list[nn.Module]: New blocks.
    """
    arch = backbone.arch_settings
    stage = list(backbone.blocks)[-arch.depths[2]:]
    blocks = []
    for twin in (stage[index], stage[min(index + 1, len(stage) - 1)]):
        scaled = twin.gamma_1 is not None
        block = type(twin)(
            arch.embed_dims,
            arch.num_heads,
            arch.mlp_ratios[2],
            rpe=getattr(twin.attn, 'rpe', 'none'),
            rpe_size=position_grid(backbone)[0],
            layer_scale=1. if scaled else None,
            ln_eps=AUX_LN_EPS,
            drop_path_rate=twin.drop_path.drop_prob)
        if scaled:
            with torch.no_grad():
                block.gamma_1.copy_(twin.gamma_1)
                block.gamma_2.copy_(twin.gamma_2)
        blocks.append(block)
    return blocks


def resize_features(features: Tensor, grid: Grid) -> List[Tensor]:
    """Features of patches at the strides of the pyramid, bilinearly.

    Args:
        features (Tensor): (B, N, T).
        grid (tuple[int, int]): (Hp, Wp).

    Returns:
        list[Tensor]: Fine to coarse, (B, T, s * Hp, s * Wp) for s = 4, 2, 1.
    """
    # (B, N, T) -> (B, T, N) -> (B, T, Hp, Wp)
    square = features.transpose(1, 2).unflatten(2, grid)
    return [
        F.interpolate(
            square,
            size=(side * grid[0], side * grid[1]),
            mode='bilinear',
            align_corners=False) for side in CELL_SIDES
    ]

"""The iTPN backbone in plain torch: dense and masked paths."""

from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.dct import is_graph_capture
from ..ops.layers import crop_map
from .blocks import run_block
from .position import Size, resize_position
from .structure import PATCH, ITPNStructure


class ITPNNetwork(ITPNStructure):
    """iTPN without any framework around it.

    :class:`mmvision_ext.itpn.ITPN` documents the arguments, all of which
    are taken here but ``init_cfg``.
    """

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Maps of the stages in ``out_indices``, fine to coarse.

        Args:
            x (Tensor): Images of shape (B, in_channels, H, W), any H and W;
                zeros are added inside up to multiples of 16.

        Returns:
            tuple[Tensor]: Shapes (B, C_i, ceil(H/s), ceil(W/s)) for the
            strides s = 4, 8 and 16; or, with ``out_type='avg_featmap'``, one
            tensor of shape (B, C).

        Raises:
            ValueError: If ``x`` is not a batch of images.
        """
        size = self._image_size(x)
        x = self.patch_embed(_pad(x, size))  # (B, H/4, W/4, C/4)
        pooled = self.out_type == 'avg_featmap'
        last = self.num_stages - 1 if pooled else self.out_indices[-1]
        maps = self._run_mlps(x, last)
        if last == self.num_stages - 1:
            grid = (maps[last].shape[1], maps[last].shape[2])
            # (B, h, w, C) -> (B, N, C)
            x, _ = self._run_tokens(maps[last].flatten(1, 2), grid)
            if pooled:
                return (self.fc_norm(x.mean(1)), )
            maps[last] = x.unflatten(1, grid)  # (B, N, C) -> (B, h, w, C)
        return tuple(
            _to_nchw(maps[i], size, PATCH >> (2 - i))
            for i in self.out_indices)

    def forward_visible(self, images: Tensor,
                        ids_keep: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Features of some patches; the others are not computed.

        Args:
            images (Tensor): Shape (B, in_channels, H, W), multiples of 16.
            ids_keep (Tensor): Row-major numbers of the 16 x 16 patches to
                compute, shape (B, K), int64.

        Returns:
            tuple[Tensor, Tensor, Tensor]: Of the three stages:
            (B, K, 4, 4, C/4), (B, K, 2, 2, C/2) and (B, K, C). The position
            embedding is sampled as :func:`resize_position` says for K
            tokens, as in the released pre-training.

        Raises:
            ValueError: If a size is no multiple of 16 or there are windows.
        """
        grid = self._grid(images)
        if self.window_size is not None:
            raise ValueError(f'window_size is {self.window_size}; windows '
                             'are not defined for a part of the patches, '
                             'build the network without')
        x = take_patches(images, grid, ids_keep)  # (B, K, C, 16, 16)
        f1, f2, x = self._run_mlps(self.patch_embed(x))
        # (B, K, 1, 1, C) -> (B, K, C)
        x, _ = self._run_tokens(x.flatten(2), grid, ids_keep)
        return f1, f2, x

    def forward_replaced(self,
                         images: Tensor,
                         mask: Tensor,
                         mask_token: Tensor,
                         mask_stride: int = PATCH,
                         aux_index: Optional[int] = None
                         ) -> Tuple[Tensor, ...]:
        """Features of all patches, some of which were replaced.

        Args:
            images (Tensor): Shape (B, in_channels, H, W), multiples of 16.
            mask (Tensor): True for each patch to replace, shape (B, N),
                bool, row-major.
            mask_token (Tensor): What stands in for it: shape (1, 1, C) with
                a stride of 16, (1, 1, 4C) with a stride of 4.
            mask_stride (int): Where to replace. 16: tokens before the last
                stage, as released for CLIP targets; the first two stages
                see the whole image. 4: cells of 4 x 4 behind the patch
                embedding, ``mask_token`` being (C/4, 4, 4) flattened; no
                stage sees what is masked. Defaults to 16.
            aux_index (int, optional): Also return the tokens behind this
                block of the last stage, counted from 0. Defaults to None.

        Returns:
            tuple[Tensor, ...]: Of the three stages: (B, N, 4, 4, C/4),
            (B, N, 2, 2, C/2) and (B, N, C); then, with ``aux_index``, tokens
            (B, N, C).

        Raises:
            ValueError: If a size is no multiple of 16, the mask or its token
                does not fit, or the stride or ``aux_index`` is none of
                those there are.
        """
        grid = self._grid(images)
        self._check_mask(mask, (images.shape[0], grid[0] * grid[1]),
                         mask_token, mask_stride, aux_index)
        # (B, H/4, W/4, C/4) -> (B, h, 4, w, 4, C/4) -> (B, N, 4, 4, C/4)
        x = self.patch_embed(images)
        x = x.unflatten(2, (grid[1], 4)).unflatten(1, (grid[0], 4))
        x = x.transpose(2, 3).flatten(1, 2)
        if mask_stride == 4:
            # (1, 1, 4C) -> (1, 1, C/4, 4, 4) -> (1, 1, 4, 4, C/4)
            cell = mask_token.unflatten(-1, (-1, 4, 4)).movedim(2, -1)
            x = torch.where(mask[:, :, None, None, None], cell.to(x), x)
        f1, f2, x = self._run_mlps(x)
        x = x.flatten(2)  # (B, N, 1, 1, C) -> (B, N, C)
        if mask_stride == PATCH:
            x = torch.where(mask[..., None], mask_token.to(x), x)
        x, aux = self._run_tokens(x, grid, aux_index=aux_index)
        return (f1, f2, x) if aux is None else (f1, f2, x, aux)

    def _check_mask(self, mask: Tensor, shape: Size, mask_token: Tensor,
                    mask_stride: int, aux_index: Optional[int]) -> None:
        if mask.shape != shape:
            raise ValueError(
                f'mask of shape {tuple(mask.shape)}; expected {shape}, a '
                f'value for each {PATCH} x {PATCH} patch of each image')
        if mask_stride not in (4, PATCH):
            raise ValueError(f'mask_stride is {mask_stride}; choose 4 or 16')
        channels = self.num_features[2] * (4 if mask_stride == 4 else 1)
        if mask_token.shape != (1, 1, channels):
            raise ValueError(
                f'mask_token of shape {tuple(mask_token.shape)}; expected '
                f'(1, 1, {channels}) with a mask_stride of {mask_stride}')
        depth = self.arch_settings.depths[2]
        if aux_index is not None and aux_index not in range(depth):
            raise ValueError(f'aux_index is {aux_index}; expected a block of '
                             f'the last stage, 0 to {depth - 1}')

    def _run_mlps(self, x: Tensor, last: int = 2) -> List[Tensor]:
        """Stages 1 and 2, and what stage 3 begins with, up to ``last``.

        Takes maps (B, H, W, C/4) or cells (B, K, 4, 4, C/4).
        """
        outs = []
        for i in range(self.num_stages - 1):
            *blocks, merge = self._stage(i)
            for block in blocks:
                x = run_block(block, self.with_cp, x)
            outs.append(x)
            if i == last:
                return outs
            x = run_block(merge, self.with_cp, x)
        return [*outs, x]

    def _run_tokens(self,
                    x: Tensor,
                    grid: Size,
                    ids: Optional[Tensor] = None,
                    aux_index: Optional[int] = None
                    ) -> Tuple[Tensor, Optional[Tensor]]:
        """Position embedding and stage 3 on (B, N, C)."""
        position = resize_position(self.position, grid, x.shape[1],
                                   self.position_excess)
        if ids is not None:
            position = position[0][ids]  # (N, C) at (B, K) -> (B, K, C)
        x = x + position
        aux = None
        for i, block in enumerate(self._stage(2)):
            x = run_block(block, self.with_cp, x, grid, ids)
            if i == aux_index:
                aux = x
        return x, aux

    def _image_size(self, x: Tensor) -> Size:
        channels = self.patch_embed.proj.in_channels
        if x.ndim != 4 or x.shape[1] != channels:
            raise ValueError(f'input of shape {tuple(x.shape)}; expected '
                             f'images of shape (B, {channels}, H, W)')
        if torch.jit.is_tracing():  # sizes are tensors there
            return int(x.shape[2]), int(x.shape[3])
        return x.shape[2], x.shape[3]

    def _grid(self, images: Tensor) -> Size:
        """Patches along height and width, of images without padding."""
        height, width = self._image_size(images)
        if height % PATCH or width % PATCH:
            raise ValueError(f'masked images of {height} x {width} pixels; '
                             f'expected multiples of {PATCH}, crop or pad '
                             'them first')
        return height // PATCH, width // PATCH


def _pad(x: Tensor, size: Size) -> Tensor:
    """Zeros at the bottom and on the right, up to multiples of 16."""
    # in this form, a captured graph knows the sum to be a multiple (and not
    # by -(-side // PATCH): ONNX rounds quotients to zero, not down)
    bottom, right = ((side + PATCH - 1) // PATCH * PATCH - side
                     for side in size)
    if is_graph_capture() or bottom or right:
        return F.pad(x, (0, right, 0, bottom))
    return x


def _to_nchw(x: Tensor, size: Size, stride: int) -> Tensor:
    """(B, h, w, C) to (B, C, ceil(H / stride), ceil(W / stride))."""
    height, width = ((side + stride - 1) // stride for side in size)
    # Operators of detection read contiguous maps.
    return crop_map(x, height, width).permute(0, 3, 1, 2).contiguous()


def take_patches(images: Tensor, grid: Size, ids: Tensor) -> Tensor:
    """Cut some patches out of images.

    Args:
        images (Tensor): Shape (B, C, 16 * h, 16 * w).
        grid (tuple[int, int]): Patches along height and width, (h, w).
        ids (Tensor): Row-major numbers of patches, shape (B, K), int64.

    Returns:
        Tensor: Their pixels, (B, K, C, 16, 16).
    """
    # (B, C, H, W) -> (B, C, h, 16, w, 16)
    cells = images.unflatten(3, (grid[1], PATCH)).unflatten(
        2, (grid[0], PATCH))
    batch = torch.arange(images.shape[0], device=images.device)[:, None]
    return cells[batch, :, ids // grid[1], :, ids % grid[1]]

"""Parts of vHeat: stem, blocks, stages; channels-last throughout."""

from typing import List, Optional

import torch
import torch.nn.functional as F
import torch.utils.checkpoint as cp
from torch import Tensor, nn

from ..ops import DropPath, Mlp, resize_table
from ..ops.conv import can_fuse_conv, is_narrow, narrow_conv, strided_conv
from ..ops.fused import is_plain, norm_of, wants_grad
from ..ops.normed import norm_gelu
from .arch import VHeatArch
from .decay_cache import DecayCache
from .operator import HeatConduction2d


def _strided_conv(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A strided convolution of channels-last maps, (B, H, W, C)."""
    if can_fuse_conv(conv, x):
        return strided_conv(x, conv.weight, conv.bias)
    if is_narrow(x) and is_plain(conv, bias=False):
        return narrow_conv(conv, x)
    # (B, H, W, C) -> (B, C, H, W) -> (B, H', W', C'), views throughout
    return conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class PatchEmbed(nn.Module):
    """Two strided 3x3 convolutions, each with a LayerNorm, GELU between.

    Args:
        in_channels (int): Channels of the image.
        embed_dims (int): Channels after the stem, an even number.
    """

    def __init__(self, in_channels: int, embed_dims: int) -> None:
        super().__init__()
        middle = embed_dims // 2
        self.conv1 = nn.Conv2d(in_channels, middle, 3, stride=2, padding=1)
        self.norm1 = nn.LayerNorm(middle, eps=1e-6)
        self.conv2 = nn.Conv2d(middle, embed_dims, 3, stride=2, padding=1)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, ceil(H/4), ceil(W/4), embed_dims)."""
        # (B, C, H, W) -> (B, H, W, C)
        x = x.permute(0, 2, 3, 1).contiguous()
        x = _strided_conv(self.conv1, x)
        if is_plain(self.norm1):
            x = norm_gelu(x, norm_of(self.norm1))
        else:
            x = F.gelu(self.norm1(x))
        return self.norm2(_strided_conv(self.conv2, x))


class Downsample(nn.Module):
    """Strided 3x3 convolution to twice the channels, then LayerNorm.

    Args:
        in_channels (int): Channels before; there are twice as many after.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, 2 * in_channels, 3, stride=2, padding=1, bias=False)
        self.norm = nn.LayerNorm(2 * in_channels, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, ceil(H/2), ceil(W/2), 2C)."""
        return self.norm(_strided_conv(self.conv, x))


class HeatBlock(nn.Module):
    """Heat conduction and MLP, each a residual branch.

    ``x + P(g1 HCO(LN(x)))`` in the pre-norm form and ``x + P(g1 LN(HCO(x)))``
    in the post-norm form, then the same with the MLP.

    Args:
        arch (VHeatArch): Form, MLP ratio and layer scale.
        embed_dims (int): Channels C.
        drop_path_rate (float): Stochastic depth of both branches.
        table_resize (str): See :class:`HeatConduction2d`.
        decay_cache (DecayCache): Shared by the network.
    """

    def __init__(self, arch: VHeatArch, embed_dims: int,
                 drop_path_rate: float, table_resize: str,
                 decay_cache: DecayCache) -> None:
        super().__init__()
        self.post_norm = arch.post_norm
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-5)
        self.op = HeatConduction2d(
            embed_dims, table_resize=table_resize, decay_cache=decay_cache)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-5)
        # torch's initialisation is that of the original's 1x1 convolutions
        self.mlp = Mlp(embed_dims, int(embed_dims * arch.mlp_ratio))
        self.drop_path = DropPath(drop_path_rate)
        self.gamma1 = self.gamma2 = None
        if arch.layer_scale is not None:
            self.gamma1 = nn.Parameter(
                torch.full((embed_dims, ), arch.layer_scale))
            self.gamma2 = nn.Parameter(
                torch.full((embed_dims, ), arch.layer_scale))

    def forward(self, x: Tensor, freq_embed: Optional[Tensor]) -> Tensor:
        """(B, H, W, C) and a table (R_h, R_w, C), or none, to (B, H, W, C)."""
        if is_plain(self.norm1, self.norm2) and self.mlp.can_fuse() and \
                self.op.can_fuse():
            return self._fused(x, freq_embed)
        if self.post_norm:
            y = self.norm1(self.op.mix(x, freq_embed))
        else:
            y = self.op.mix(self.norm1(x), freq_embed)
        x = x + self._scale(y, self.gamma1)
        if self.post_norm:
            y = self.norm2(self.mlp(x))
        else:
            y = self.mlp(self.norm2(x))
        return x + self._scale(y, self.gamma2)

    def _fused(self, x: Tensor, freq_embed: Optional[Tensor]) -> Tensor:
        norms = norm_of(self.norm1), norm_of(self.norm2)
        drops = self.training and self.drop_path.drop_prob > 0.
        for i, gamma in enumerate((self.gamma1, self.gamma2)):
            pre, post = (None, norms[i]) if self.post_norm else (
                norms[i], None)
            added = None if drops else x
            if i == 0:
                y = self.op.fused(x, freq_embed, pre, post, gamma, added)
            else:
                y = self.mlp.fused(x, pre, post, gamma, added)
            x = x + self.drop_path(y) if drops else y
        return x

    def _scale(self, y: Tensor, gamma: Optional[Tensor]) -> Tensor:
        return self.drop_path(y if gamma is None else y * gamma)


class HeatStage(nn.Module):
    """The blocks of one resolution and the step to the next.

    Args:
        blocks (list[HeatBlock]): In order.
        downsample (Downsample, optional): None in the last stage.
        table_resize (str): See :class:`HeatConduction2d`.
        with_cp (bool): Recompute each block once in the backward pass.
    """

    def __init__(self, blocks: List[HeatBlock],
                 downsample: Optional[Downsample], table_resize: str,
                 with_cp: bool) -> None:
        super().__init__()
        self.table_resize = table_resize
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample
        self.with_cp = with_cp

    def forward(self, x: Tensor, freq_embed: Optional[Tensor]) -> Tensor:
        """The map before the downsampling, (B, H, W, C)."""
        if freq_embed is not None and wants_grad(freq_embed):
            # once for all blocks; without gradients they keep decay maps
            freq_embed = resize_table(freq_embed, x.shape[1:3],
                                      self.table_resize)
        for block in self.blocks:
            if self.with_cp and torch.is_grad_enabled():
                x = cp.checkpoint(block, x, freq_embed, use_reentrant=False)
            else:
                x = block(x, freq_embed)
        return x

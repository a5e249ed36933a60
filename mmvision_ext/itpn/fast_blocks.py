"""Parts of Fast-iTPN, where they differ from those of iTPN.

They keep the names and shapes of the released weights, which are those of
convolutions, but work on channels-last tensors like the rest.
"""

from typing import Any, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.attention import attend
from ..ops.gemm import fast_linear
from ..ops.layers import run_linear
from .blocks import AttentionBlock, MlpBlock, PatchEmbed, PatchSplit


class PointwiseConv(nn.Conv2d):
    """A 1 x 1 convolution of channels-last tensors of any layout.

    Args:
        in_channels (int): Channels before.
        out_channels (int): Channels after.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C_in) to (..., C_out)."""
        # (C_out, C_in, 1, 1) -> (C_out, C_in)
        return fast_linear(x, self.weight.flatten(1), self.bias)


class FastPatchEmbed(PatchEmbed):
    """A 4 x 4 convolution of stride 4 without a norm.

    Args:
        *args (Any): As :class:`PatchEmbed`.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.norm = nn.Identity()


class FastMerge(nn.Module):
    """Joins 2 x 2 tokens: LayerNorm of each, convolution with bias.

    Args:
        in_channels (int): Channels before; there are twice as many after.
        ln_eps (float): Epsilon of the norm.
    """

    def __init__(self, in_channels: int, ln_eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_channels, eps=ln_eps)
        self.reduction = nn.Conv2d(in_channels, 2 * in_channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(..., H, W, C) to (..., H / 2, W / 2, 2C)."""
        # (..., H, W, C) -> (..., H/2, 2, W/2, 2, C)
        x = self.norm(x).unflatten(-2, (-1, 2)).unflatten(-4, (-1, 2))
        # -> (..., H/2, W/2, 2 rows, 2 columns, C) -> (..., H/2, W/2, 4C)
        x = x.transpose(-4, -3).flatten(-3)
        # (2C, C, 2, 2) -> (2C, 2, 2, C) -> (2C, 4C)
        weight = self.reduction.weight.permute(0, 2, 3, 1).flatten(1)
        return fast_linear(x, weight, self.reduction.bias)


class FastSplit(PatchSplit):
    """Makes 2 x 2 tokens of each: LayerNorm, 1 x 1 convolution with bias.

    Args:
        in_channels (int): Channels before.
        out_channels (int): Channels after.
        ln_eps (float): Epsilon of the norm.
    """

    def __init__(self, in_channels: int, out_channels: int,
                 ln_eps: float) -> None:
        super().__init__(in_channels, out_channels, ln_eps)
        self.reduction = PointwiseConv(in_channels, 4 * out_channels)


class ConvMlp(nn.Module):
    """Two 1 x 1 convolutions with an exact GELU and perhaps a norm between.

    Args:
        embed_dims (int): Channels in and out.
        hidden_dims (int): Channels between.
        ln_eps (float, optional): Epsilon of the norm between ("sub-LN");
            None for no norm. Defaults to None.
    """

    def __init__(self,
                 embed_dims: int,
                 hidden_dims: int,
                 ln_eps: Optional[float] = None) -> None:
        super().__init__()
        self.fc1 = PointwiseConv(embed_dims, hidden_dims)
        self.ffn_ln = nn.Identity() if ln_eps is None else nn.LayerNorm(
            hidden_dims, eps=ln_eps)
        self.fc2 = PointwiseConv(hidden_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        return self.fc2(self.ffn_ln(F.gelu(self.fc1(x))))


class ConvMlpBlock(MlpBlock):
    """:class:`MlpBlock` of convolutions, as in the pyramid."""

    def make_mlp(self, embed_dims: int, hidden_dims: int,
                 ln_eps: float) -> nn.Module:
        """A :class:`ConvMlp` without a norm."""
        return ConvMlp(embed_dims, hidden_dims)


class SubNormBlock(MlpBlock):
    """:class:`MlpBlock` of convolutions with a norm between them.

    Args:
        embed_dims (int): Channels C.
        mlp_ratio (float): Hidden channels over channels.
        layer_scale (float, optional): Not used: only the blocks of attention
            are scaled.
        ln_eps (float): Epsilon of the norms.
        drop_path_rate (float): Stochastic depth.
    """

    def __init__(self, embed_dims: int, mlp_ratio: float,
                 layer_scale: Optional[float], ln_eps: float,
                 drop_path_rate: float) -> None:
        super().__init__(embed_dims, mlp_ratio, None, ln_eps, drop_path_rate)

    def make_mlp(self, embed_dims: int, hidden_dims: int,
                 ln_eps: float) -> nn.Module:
        """A :class:`ConvMlp` with a norm."""
        return ConvMlp(embed_dims, hidden_dims, ln_eps)


class SplitAttention(nn.Module):
    """Global attention whose three projections stand apart.

    The keys have no bias: it would add the same to all scores of a query.

    Args:
        embed_dims (int): Channels C.
        num_heads (int): Heads.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_proj, self.k_proj, self.v_proj = (
            nn.Linear(embed_dims, embed_dims, bias=False) for _ in range(3))
        self.q_bias, self.v_bias = (
            nn.Parameter(torch.zeros(embed_dims)) for _ in range(2))
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self,
                x: Tensor,
                size: Optional[Tuple[int, int]] = None,
                ids: Optional[Tensor] = None) -> Tensor:
        """Mix the tokens.

        Args:
            x (Tensor): Tokens, (B, N, C).
            size (tuple[int, int], optional): Not used: where the tokens
                stand in the map does not matter here.
            ids (Tensor, optional): Not used either.

        Returns:
            Tensor: Shape (B, N, C).
        """
        q, k, v = (
            # (B, N, C) -> (B, N, heads, D) -> (B, heads, N, D)
            fast_linear(x, proj.weight, bias).unflatten(
                2, (self.num_heads, -1)).transpose(1, 2)
            for proj, bias in ((self.q_proj, self.q_bias),
                               (self.k_proj, None),
                               (self.v_proj, self.v_bias)))
        # (B, heads, N, D) -> (B, N, heads, D) -> (B, N, C)
        x = attend(q, k, v).transpose(1, 2).flatten(2)
        return run_linear(self.proj, x)


class SwiGLU(nn.Module):
    """``w3(LN(SiLU(w1 x) * w2 x))``.

    Source: "GLU Variants Improve Transformer" (arXiv 2002.05202), with the
    norm of "Foundation Transformers" (arXiv 2210.06423).

    Args:
        embed_dims (int): Channels in and out.
        hidden_dims (int): Channels between.
        ln_eps (float): Epsilon of the norm.
    """

    def __init__(self, embed_dims: int, hidden_dims: int,
                 ln_eps: float) -> None:
        super().__init__()
        self.w1 = nn.Linear(embed_dims, hidden_dims)
        self.w2 = nn.Linear(embed_dims, hidden_dims)
        self.ffn_ln = nn.LayerNorm(hidden_dims, eps=ln_eps)
        self.w3 = nn.Linear(hidden_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        x = F.silu(run_linear(self.w1, x)) * run_linear(self.w2, x)
        return run_linear(self.w3, self.ffn_ln(x))


class FastAttentionBlock(AttentionBlock):
    """:class:`AttentionBlock` with split projections and a SwiGLU."""

    def make_attention(self, embed_dims: int, num_heads: int,
                       **_: Any) -> nn.Module:
        """A :class:`SplitAttention`."""
        return SplitAttention(embed_dims, num_heads)

    def make_mlp(self, embed_dims: int, hidden_dims: int,
                 ln_eps: float) -> nn.Module:
        """A :class:`SwiGLU`."""
        return SwiGLU(embed_dims, hidden_dims, ln_eps)

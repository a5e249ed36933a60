"""Parts of iTPN: patch embedding, blocks, steps between resolutions.

Everything works on channels-last tensors and, but for the attention, on any
number of dimensions in front: dense maps (B, H, W, C) and the cells of some
patches (B, K, s, s, C) alike.
"""

from typing import Any, Callable, Optional

import torch
import torch.utils.checkpoint as cp
from torch import Tensor, nn

from ..ops import DropPath, Mlp
from ..ops.fused import is_plain, norm_of
from ..ops.gemm import fast_linear
from ..ops.layers import run_linear
from .attention import Attention, Size


def init_linear(module: nn.Module) -> None:
    """Normal weights of std 0.02 and zero bias for a linear layer; in place.

    Args:
        module (nn.Module): Anything; other modules are left alone.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02, a=-2., b=2.)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def run_block(block: Callable[..., Tensor], with_cp: bool, *args: Any
              ) -> Tensor:
    """Call a block, and once more in the backward pass if asked.

    Args:
        block (Callable): The block.
        with_cp (bool): Recompute instead of keeping activations.
        *args (Any): What the block is called with.

    Returns:
        Tensor: Its result.
    """
    if with_cp and torch.is_grad_enabled():
        return cp.checkpoint(block, *args, use_reentrant=False)
    return block(*args)


class PatchEmbed(nn.Module):
    """A 4 x 4 convolution of stride 4 and a LayerNorm.

    Args:
        in_channels (int): Channels of the image.
        embed_dims (int): Channels after it.
        ln_eps (float): Epsilon of the norm. Defaults to 1e-6.
    """

    def __init__(self,
                 in_channels: int,
                 embed_dims: int,
                 ln_eps: float = 1e-6) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dims, 4, stride=4)
        self.norm = nn.LayerNorm(embed_dims, eps=ln_eps)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C, H, W) to (..., H / 4, W / 4, embed_dims)."""
        # Patches do not overlap, so the convolution is one linear layer.
        # (..., C, H, W) -> (..., C, H/4, 4, W/4, 4)
        x = x.unflatten(-1, (-1, 4)).unflatten(-3, (-1, 4))
        # -> (..., H/4, W/4, C, 4, 4) -> (..., H/4, W/4, C*16)
        x = x.movedim((-4, -2), (-5, -4)).flatten(-3)
        x = fast_linear(x, self.proj.weight.flatten(1), self.proj.bias)
        return self.norm(x)


class PatchMerge(nn.Module):
    """Joins 2 x 2 tokens: LayerNorm, then a linear layer without bias.

    Args:
        in_channels (int): Channels before; there are twice as many after.
        ln_eps (float): Epsilon of the norm. Defaults to 1e-6.
    """

    def __init__(self, in_channels: int, ln_eps: float = 1e-6) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * in_channels, eps=ln_eps)
        self.reduction = nn.Linear(
            4 * in_channels, 2 * in_channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., H, W, C) to (..., H / 2, W / 2, 2C)."""
        # (..., H, W, C) -> (..., H/2, 2, W/2, 2, C)
        x = x.unflatten(-2, (-1, 2)).unflatten(-4, (-1, 2))
        # rows alternate fastest: -> (..., H/2, W/2, 2 columns, 2 rows, C)
        x = x.movedim((-4, -2), (-2, -3)).flatten(-3)
        return run_linear(self.reduction, self.norm(x))


class PatchSplit(nn.Module):
    """Makes 2 x 2 tokens of each: LayerNorm, linear layer without bias.

    Args:
        in_channels (int): Channels before.
        out_channels (int): Channels after.
        ln_eps (float): Epsilon of the norm. Defaults to 1e-6.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 ln_eps: float = 1e-6) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_channels, eps=ln_eps)
        self.reduction = nn.Linear(in_channels, 4 * out_channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., H, W, C_in) to (..., 2H, 2W, C_out)."""
        x = run_linear(self.reduction, self.norm(x))
        # (..., H, W, 4C) -> (..., H, W, 2 rows, 2 columns, C)
        x = x.unflatten(-1, (2, 2, -1))
        # -> (..., H, 2, W, 2, C) -> (..., 2H, 2W, C)
        return x.transpose(-4, -3).flatten(-5, -4).flatten(-3, -2)


def _gamma(embed_dims: int,
           layer_scale: Optional[float]) -> Optional[nn.Parameter]:
    if layer_scale is None:
        return None
    return nn.Parameter(torch.full((embed_dims, ), layer_scale))


class MlpBlock(nn.Module):
    """``x + P(g MLP(LN(x)))``, P being stochastic depth.

    Args:
        embed_dims (int): Channels C.
        mlp_ratio (float): Hidden channels over channels.
        layer_scale (float, optional): First value of g; None for no scale.
            Defaults to None.
        ln_eps (float): Epsilon of the norm. Defaults to 1e-6.
        drop_path_rate (float): Probability of P. Defaults to 0.
    """

    def __init__(self,
                 embed_dims: int,
                 mlp_ratio: float,
                 layer_scale: Optional[float] = None,
                 ln_eps: float = 1e-6,
                 drop_path_rate: float = 0.) -> None:
        super().__init__()
        self.norm2 = nn.LayerNorm(embed_dims, eps=ln_eps)
        self.mlp = self.make_mlp(embed_dims, int(embed_dims * mlp_ratio),
                                 ln_eps)
        self.gamma_2 = _gamma(embed_dims, layer_scale)
        self.drop_path = DropPath(drop_path_rate)

    def make_mlp(self, embed_dims: int, hidden_dims: int,
                 ln_eps: float) -> nn.Module:
        """The MLP of the block, for subclasses to replace.

        Args:
            embed_dims (int): Channels in and out.
            hidden_dims (int): Channels between.
            ln_eps (float): Epsilon of a norm inside, if there is one.

        Returns:
            nn.Module: From (..., C) to (..., C).
        """
        return Mlp(embed_dims, hidden_dims)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ..., C) to (B, ..., C)."""
        if type(self.mlp) is Mlp and self.mlp.can_fuse() and \
                is_plain(self.norm2):
            drops = self.training and self.drop_path.drop_prob > 0.
            y = self.mlp.fused(x, norm_of(self.norm2), gamma=self.gamma_2,
                               residual=None if drops else x)
            return x + self.drop_path(y) if drops else y
        y = self.mlp(self.norm2(x))
        return x + self.drop_path(
            y if self.gamma_2 is None else y * self.gamma_2)


class AttentionBlock(MlpBlock):
    """``x + P(g1 Attention(LN(x)))``, then the same with the MLP.

    Args:
        embed_dims (int): Channels C.
        num_heads (int): Heads of the attention.
        mlp_ratio (float): Hidden channels over channels. Defaults to 4.
        rpe (str): Relative position, see :class:`Attention`. Defaults to
            'none'.
        rpe_size (int): See :class:`Attention`. Defaults to 14.
        window_size (int, optional): See :class:`Attention`. Defaults to
            None.
        layer_scale (float, optional): First value of both scales; None for
            no scale. Defaults to None.
        ln_eps (float): Epsilon of the norms. Defaults to 1e-6.
        drop_path_rate (float): Probability of P. Defaults to 0.
    """

    def __init__(self,
                 embed_dims: int,
                 num_heads: int,
                 mlp_ratio: float = 4.,
                 rpe: str = 'none',
                 rpe_size: int = 14,
                 window_size: Optional[int] = None,
                 layer_scale: Optional[float] = None,
                 ln_eps: float = 1e-6,
                 drop_path_rate: float = 0.) -> None:
        super().__init__(embed_dims, mlp_ratio, layer_scale, ln_eps,
                         drop_path_rate)
        self.norm1 = nn.LayerNorm(embed_dims, eps=ln_eps)
        self.attn = self.make_attention(
            embed_dims,
            num_heads,
            rpe=rpe,
            rpe_size=rpe_size,
            window_size=window_size)
        self.gamma_1 = _gamma(embed_dims, layer_scale)

    def make_attention(self, embed_dims: int, num_heads: int,
                       **kwargs: Any) -> nn.Module:
        """The attention of the block, for subclasses to replace.

        Args:
            embed_dims (int): Channels C.
            num_heads (int): Heads.
            **kwargs (Any): The further arguments of :class:`Attention`.

        Returns:
            nn.Module: Called with tokens (B, N, C), size and ids.
        """
        return Attention(embed_dims, num_heads, **kwargs)

    def forward(self,
                x: Tensor,
                size: Optional[Size] = None,
                ids: Optional[Tensor] = None) -> Tensor:
        """Mix the tokens of a map.

        Args:
            x (Tensor): Tokens, (B, N, C).
            size (tuple[int, int], optional): The map, (H, W) in tokens;
                needed with a relative position or windows.
            ids (Tensor, optional): Row-major numbers of the tokens, (B, N).
                Defaults to all H * W in order.

        Returns:
            Tensor: Shape (B, N, C).
        """
        y = self.attn(self.norm1(x), size, ids)
        x = x + self.drop_path(
            y if self.gamma_1 is None else y * self.gamma_1)
        return super().forward(x)

"""The heat conduction operator, a token mixer for maps of any size."""

from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import (
    TABLE_RULES,
    conduct_heat,
    decay_map,
    gemm,
    resize_table,
)
from ..ops.conv import is_narrow, narrow_conv
from ..ops.dct import can_keep, no_autocast
from ..ops.fused import (
    Norm,
    compute_dtype,
    is_plain,
    norm_of,
    wants_grad,
)
from ..ops.heat_branch import (
    Linear,
    depthwise,
    gated_projection,
    heat_and_gate,
    infer_gated,
)
from .decay_cache import DecayCache


def init_linear(linear: nn.Linear) -> None:
    """Truncated normal of std 0.02 cut at +-2, zero bias; in place."""
    nn.init.trunc_normal_(linear.weight, std=0.02, a=-2., b=2.)
    nn.init.zeros_(linear.bias)


class HeatConduction2d(nn.Module):
    """Heat conduction operator (HCO) of vHeat.

    A depthwise 3x3 convolution, a linear layer that splits into heat and
    gate, conduction of the heat in the cosine domain, and
    ``out_linear(LayerNorm(heat) * SiLU(gate))``. Works at any H x W. As a
    drop-in mixer of its own give it ``table_size``; in :class:`VHeat` the
    blocks of a stage share one table, handed to :meth:`forward`.

    Source: vHeat (arXiv 2405.16555), section 3.

    Args:
        embed_dims (int): Channels C.
        table_size (tuple[int, int], optional): Grid of a frequency table of
            its own, the size in tokens that it is mostly used at. Without
            one the table is handed to :meth:`forward`. Defaults to None.
        table_resize (str): Rule for maps of another size: 'bicubic', 'pad'
            or 'aligned' (:func:`mmvision_ext.ops.resize_table`). Defaults
            to 'bicubic'.
        decay_cache (DecayCache, optional): Where evaluation keeps decay
            maps; a new one by default.

    Raises:
        ValueError: If ``table_resize`` is unknown.
    """

    def __init__(self,
                 embed_dims: int,
                 table_size: Optional[Tuple[int, int]] = None,
                 table_resize: str = 'bicubic',
                 decay_cache: Optional[DecayCache] = None) -> None:
        super().__init__()
        if table_resize not in TABLE_RULES:
            raise ValueError(f'table_resize is {table_resize!r}; choose one '
                             f'of {TABLE_RULES}')
        self.embed_dims = embed_dims
        self.table_resize = table_resize
        self.decay_cache = DecayCache() if decay_cache is None \
            else decay_cache
        self.dwconv = nn.Conv2d(
            embed_dims, embed_dims, 3, padding=1, groups=embed_dims)
        self.linear = nn.Linear(embed_dims, 2 * embed_dims)
        self.to_k = nn.Linear(embed_dims, embed_dims)
        self.out_norm = nn.LayerNorm(embed_dims, eps=1e-5)
        self.out_linear = nn.Linear(embed_dims, embed_dims)
        for linear in (self.linear, self.to_k, self.out_linear):
            init_linear(linear)
        self.freq_embed: Optional[nn.Parameter] = None
        if table_size is not None:
            self.freq_embed = nn.Parameter(
                torch.empty(*table_size, embed_dims))
            nn.init.trunc_normal_(self.freq_embed, std=0.02, a=-2., b=2.)

    def decay(self, freq_embed: Optional[Tensor],
              size: Tuple[int, int]) -> Tensor:
        """The decay map for maps of ``size``, shape (H, W, C).

        Args:
            freq_embed (Tensor, optional): Frequency table (R_h, R_w, C);
                None in a deployed network.
            size (tuple[int, int]): (H, W) in tokens.

        Returns:
            Tensor: See :func:`decay_map`; kept between calls where no
            gradient is needed.
        """

        if self.to_k is None:  # by VHeatNetwork.switch_to_deploy
            return getattr(self, f'decay_{size[0]}x{size[1]}')

        def compute() -> Tensor:
            table = resize_table(freq_embed, size, self.table_resize)
            return decay_map(table, self.to_k.weight, self.to_k.bias)

        if not can_keep():
            return compute()
        return self.decay_cache.get(
            (id(self), *size),
            (freq_embed, self.to_k.weight, self.to_k.bias), compute)

    def mix(self, x: Tensor, freq_embed: Tensor) -> Tensor:
        """The operator on channels-last maps.

        Args:
            x (Tensor): Shape (B, H, W, C).
            freq_embed (Tensor): Frequency table (R_h, R_w, C) of any grid.

        Returns:
            Tensor: Shape (B, H, W, C).
        """
        if is_narrow(x) and is_plain(self.dwconv):
            y = narrow_conv(self.dwconv, x)
        else:
            # (B, H, W, C) -> (B, C, H, W) is a view in channels_last order,
            # as is what the convolution makes of it: no copy either way
            y = self.dwconv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        heat, gate = self.linear(y).chunk(2, dim=-1)
        size = (heat.shape[1], heat.shape[2])
        if torch.jit.is_tracing():  # sizes are tensors there
            size = (int(size[0]), int(size[1]))
        heat = conduct_heat(heat, self.decay(freq_embed, size))
        return self.out_linear(self.out_norm(heat) * F.silu(gate))

    def can_fuse(self) -> bool:
        """Whether :meth:`fused` may stand for :meth:`mix`."""
        modules = [self.dwconv, self.linear, self.out_norm, self.out_linear]
        if self.to_k is not None:
            modules.append(self.to_k)
        return is_plain(*modules)

    def fused(self, x: Tensor, freq_embed: Tensor, pre_norm: Optional[Norm],
              post_norm: Optional[Norm], gamma: Optional[Tensor],
              residual: Optional[Tensor]) -> Tensor:
        """``residual + gamma * LN(mix(LN(x)))`` with less memory and traffic.

        Args:
            x (Tensor): Shape (B, H, W, C).
            freq_embed (Tensor): Frequency table (R_h, R_w, C) of any grid.
            pre_norm (Norm, optional): Norm of ``x``.
            post_norm (Norm, optional): Norm of the result.
            gamma (Tensor, optional): Factor a channel of the result.
            residual (Tensor, optional): What is added.

        Returns:
            Tensor: Shape (B, H, W, C). Gradients of gradients are not
            available.
        """
        dtype = compute_dtype(x)
        linear, out = (
            Linear(m.weight.to(dtype), m.bias.to(dtype))
            for m in (self.linear, self.out_linear))
        conv = Linear(self.dwconv.weight.to(dtype),
                      self.dwconv.bias.to(dtype))
        heat, gate = (Linear(*pair) for pair in zip(
            linear.weight.chunk(2), linear.bias.chunk(2)))
        norm = norm_of(self.out_norm)
        if gamma is not None and post_norm is None:
            # (C, C) * (C, 1)
            out = Linear(out.weight * gamma[:, None].to(dtype),
                         out.bias * gamma.to(dtype))
        elif post_norm is not None:
            post_norm = post_norm.scaled(gamma)
        decay = self.decay(freq_embed, (x.shape[1], x.shape[2]))
        with no_autocast(x):
            if wants_grad(x, decay, *self.parameters()):
                u, z = heat_and_gate(x, pre_norm, conv, heat, gate)
                y = gated_projection(conduct_heat(u, decay), z, norm, out)
                if post_norm is not None:
                    y = post_norm(y)
                return y if residual is None else residual + y
            y = x if pre_norm is None else pre_norm(x)
            mixed = depthwise(y.to(dtype), *conv)
            # (B, H, W, C) -> (N, C) -> (B, H, W, C)
            u = gemm.linear(mixed.flatten(0, 2), *heat).view(x.shape)
            u = conduct_heat(u, decay)
            return infer_gated(u, mixed, gate, norm, out, post_norm, residual)

    def forward(self,
                x: Tensor,
                freq_embed: Optional[Tensor] = None) -> Tensor:
        """Mix the tokens of ``x``.

        Args:
            x (Tensor): Shape (B, C, H, W).
            freq_embed (Tensor, optional): Frequency table (R_h, R_w, C) of
                any grid; the operator's own by default.

        Returns:
            Tensor: Shape (B, C, H, W).

        Raises:
            ValueError: If there is no table or ``x`` has other channels.
        """
        freq_embed = self.freq_embed if freq_embed is None else freq_embed
        if freq_embed is None:
            raise ValueError('no frequency table: build the operator with '
                             'table_size=(H, W) or pass freq_embed')
        if x.ndim != 4 or x.shape[1] != self.embed_dims:
            raise ValueError(
                f'input of shape {tuple(x.shape)}; expected '
                f'(B, {self.embed_dims}, H, W)')
        # (B, C, H, W) -> (B, H, W, C) -> (B, C, H, W)
        x = self.mix(x.permute(0, 2, 3, 1).contiguous(), freq_embed)
        return x.permute(0, 3, 1, 2).contiguous()

    def train(self, mode: bool = True) -> 'HeatConduction2d':
        """Set the mode; decay maps are computed anew."""
        self.decay_cache.clear()
        return super().train(mode)

"""vHeat as its formulas read, the number to beat.

Maps are channels-first, norms permute there and back, linear layers of the
MLP are 1x1 convolutions, the cosine transforms are 1x1 convolutions in
float32 over rows and columns, and the decay is computed anew at every call.

    python tools/benchmark.py --models vheat-tiny \
        tests/vheat/plain_vheat.py:plain_vheat

Source: vHeat (arXiv 2405.16555), sections 3 and 4.
"""
import math
from typing import Any, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvision_ext.vheat.blocks import HeatBlock
from mmvision_ext.vheat.network import VHeatNetwork
from mmvision_ext.vheat.operator import HeatConduction2d


def plain_vheat(**kwargs: Any) -> 'PlainVHeat':
    """The plain form; arguments and parameters of :class:`VHeatNetwork`."""
    return PlainVHeat(**kwargs)


def cosines(length: int) -> Tensor:
    """The DCT-II basis, row = frequency, as a 1x1 convolution."""
    n = torch.linspace(0, length - 1, length)[:, None]
    x = (torch.linspace(0, length - 1, length)[None] + 0.5) / length
    basis = torch.cos(n * x * math.pi) * math.sqrt(2 / length)
    basis[0] /= math.sqrt(2)
    return basis[..., None]  # (N, N) -> (N, N, 1)


def norm_nchw(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    # (B, C, H, W) -> (B, H, W, C) -> (B, C, H, W)
    x = norm(x.permute(0, 2, 3, 1))
    return x.permute(0, 3, 1, 2).contiguous()


def conduct(u: Tensor, table: Tensor, to_k: nn.Linear) -> Tensor:
    b, h, w, c = u.shape
    rows, columns = cosines(h), cosines(w)
    # (B, H, W, C) -> (B, H, W*C) -> (B*H, W, C) -> (B, H, W, C)
    u = F.conv1d(u.contiguous().view(b, h, w * c), rows)
    u = F.conv1d(u.view(b * h, w, c), columns).view(b, h, w, c)
    w_n = torch.linspace(0, math.pi, h + 1)[:h, None]
    w_m = torch.linspace(0, math.pi, w + 1)[None, :w]
    base = torch.exp(-(w_n**2 + w_m**2))[..., None]  # (H, W, 1)
    u = u * torch.pow(base, F.relu(to_k(table)))
    # (B, H, W, C) -> (B, H, W*C) -> (B*H, W, C) -> (B, H, W, C)
    u = F.conv1d(u.view(b, h, w * c), rows.transpose(0, 1).contiguous())
    u = F.conv1d(
        u.view(b * h, w, c), columns.transpose(0, 1).contiguous())
    return u.view(b, h, w, c)


def resize(table: Tensor, size: Tuple[int, int]) -> Tensor:
    if table.shape[:2] == size:
        return table
    # (R, R, C) -> (1, C, R, R) -> (1, C, H, W) -> (H, W, C)
    table = F.interpolate(
        table.permute(2, 0, 1)[None], size=size, mode='bicubic')
    return table[0].permute(1, 2, 0).contiguous()


def heat_operator(op: HeatConduction2d, x: Tensor, table: Tensor) -> Tensor:
    # (B, C, H, W) -> (B, H, W, C)
    x = op.linear(op.dwconv(x).permute(0, 2, 3, 1).contiguous())
    u, z = x.chunk(2, dim=-1)
    u = conduct(u, table, op.to_k)
    x = op.out_linear(op.out_norm(u) * F.silu(z))
    return x.permute(0, 3, 1, 2).contiguous()  # back to (B, C, H, W)


def mlp(block: HeatBlock, x: Tensor) -> Tensor:
    fc1, fc2 = block.mlp.fc1, block.mlp.fc2
    x = F.gelu(F.conv2d(x, fc1.weight[..., None, None], fc1.bias))
    return F.conv2d(x, fc2.weight[..., None, None], fc2.bias)


def residual(block: HeatBlock, x: Tensor, y: Tensor, gamma: Any) -> Tensor:
    if gamma is not None:
        y = y * gamma[:, None, None]
    return x + block.drop_path(y)


def heat_block(block: HeatBlock, x: Tensor, table: Tensor) -> Tensor:
    if block.post_norm:
        y = norm_nchw(block.norm1, heat_operator(block.op, x, table))
        x = residual(block, x, y, block.gamma1)
        return residual(block, x, norm_nchw(block.norm2, mlp(block, x)),
                        block.gamma2)
    y = heat_operator(block.op, norm_nchw(block.norm1, x), table)
    x = residual(block, x, y, block.gamma1)
    return residual(block, x, mlp(block, norm_nchw(block.norm2, x)),
                    block.gamma2)


class PlainVHeat(VHeatNetwork):
    """:class:`VHeatNetwork` with its parameters, computed plainly."""

    def _forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        stem = self.patch_embed
        x = F.gelu(norm_nchw(stem.norm1, stem.conv1(x)))
        x = norm_nchw(stem.norm2, stem.conv2(x))
        outs = []
        for i, stage in enumerate(self.stages):
            table = resize(self.freq_embed[i], x.shape[2:])
            for block in stage.blocks:
                x = heat_block(block, x, table)
            if i in self.out_indices:
                outs.append(norm_nchw(getattr(self, f'norm{i}'), x))
            if stage.downsample is not None:
                x = norm_nchw(stage.downsample.norm,
                              stage.downsample.conv(x))
        return tuple(outs)

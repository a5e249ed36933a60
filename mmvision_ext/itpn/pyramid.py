"""The pyramid of iTPN in plain torch: pointwise, for maps and patches."""

from typing import List, Sequence, Tuple, Type

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.layers import crop_map, run_linear
from .blocks import MlpBlock, PatchSplit, init_linear, run_block

POOLS = ('avg', 'max')


class ITPNPyramidNetwork(nn.Module):
    """The pyramid without any framework around it.

    :class:`mmvision_ext.itpn.ITPNPyramid` documents the arguments, all of
    which are taken here but ``init_cfg``.
    """

    #: What the pyramid of another family replaces.
    split_type: Type[nn.Module] = PatchSplit
    block_type: Type[nn.Module] = MlpBlock

    def __init__(self,
                 in_channels: Sequence[int] = (128, 256, 512),
                 out_channels: int = 256,
                 depth: int = 1,
                 num_outs: int = 5,
                 pool: str = 'avg',
                 concat: bool = False,
                 mlp_ratio: float = 4.,
                 ln_eps: float = 1e-6,
                 with_cp: bool = False) -> None:
        super().__init__()
        if len(in_channels) != 3:
            raise ValueError(f'in_channels is {tuple(in_channels)}; expected '
                             'the channels of three stages, fine to coarse')
        if num_outs not in (3, 4, 5):
            raise ValueError(f'num_outs is {num_outs}; choose 3, 4 or 5')
        if depth < 1:
            raise ValueError(f'depth is {depth}; expected 1 block or more')
        if pool not in POOLS:
            raise ValueError(f'pool is {pool!r}; choose one of {POOLS}')
        self.in_channels = tuple(in_channels)
        self.out_channels = out_channels
        self.num_outs = num_outs
        self.pool = pool
        self.concat = concat
        self.with_cp = with_cp
        fine, middle, coarse = self.in_channels
        self.align_dim_16tofpn = nn.Identity() if coarse == out_channels \
            else self.make_align(coarse, out_channels, bias=True)
        self.align_dim_16to8 = self.make_align(
            middle, out_channels, bias=False)
        self.align_dim_8to4 = self.make_align(fine, out_channels, bias=False)
        self.split_16to8 = self.split_type(coarse, out_channels, ln_eps)
        self.split_8to4 = self.split_type(out_channels, out_channels, ln_eps)
        self.block_16to8, self.block_8to4, self.fpn_modules = (
            nn.ModuleList(
                self.block_type(out_channels, mlp_ratio, ln_eps=ln_eps)
                for _ in range(number)) for number in (depth, depth, 3))
        self.apply(init_linear)

    def make_align(self, in_channels: int, out_channels: int,
                   bias: bool) -> nn.Module:
        """A pointwise projection, for subclasses to replace.

        Args:
            in_channels (int): Channels before.
            out_channels (int): Channels after.
            bias (bool): Whether iTPN has a bias there.

        Returns:
            nn.Module: From (..., in_channels) to (..., out_channels).
        """
        return nn.Linear(in_channels, out_channels, bias=bias)

    def forward(self, inputs: Sequence[Tensor]) -> Tuple[Tensor, ...]:
        """The levels of the pyramid, fine to coarse.

        Args:
            inputs (Sequence[Tensor]): Maps of the three raw stages, strides
                4, 8 and 16, of shape (B, C_i, H_i, W_i); the sides of each
                are those of the one before over two, rounded up.

        Returns:
            tuple[Tensor]: Maps of shape (B, F, H_i, W_i), with ``concat``
            (B, F + C_i, H_i, W_i), then those pooled from the last by two,
            rounded down; a side of 1 is not pooled.

        Raises:
            ValueError: If there are not three maps of those channels.
        """
        channels = tuple(x.shape[1] for x in inputs)
        if channels != self.in_channels:
            raise ValueError(f'maps of {channels} channels; expected those '
                             f'of in_channels, {self.in_channels}')
        # (B, C, H, W) -> (B, H, W, C)
        levels = self._build(*(x.permute(0, 2, 3, 1) for x in inputs))
        outs = [x.permute(0, 3, 1, 2).contiguous() for x in levels]
        if self.concat:
            outs = [torch.cat(pair, 1) for pair in zip(outs, inputs)]
        while len(outs) < self.num_outs:
            outs.append(self._pool(outs[-1]))
        return tuple(outs)

    def forward_tokens(self, f1: Tensor, f2: Tensor,
                       x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """The three levels of some patches, fine to coarse.

        Args:
            f1 (Tensor): Stage 1, (B, K, 4, 4, C/4).
            f2 (Tensor): Stage 2, (B, K, 2, 2, C/2).
            x (Tensor): Stage 3, (B, K, C).

        Returns:
            tuple[Tensor, Tensor, Tensor]: Shapes (B, K, 4, 4, F),
            (B, K, 2, 2, F) and (B, K, 1, 1, F).
        """
        # (B, K, C) -> (B, K, 1, 1, C)
        fine, middle, coarse = self._build(f1, f2, x[:, :, None, None])
        return fine, middle, coarse

    def _build(self, f1: Tensor, f2: Tensor, x: Tensor) -> List[Tensor]:
        """Channels-last levels from channels-last stages, fine to coarse."""
        top = run_linear(self.align_dim_16tofpn, x)
        # No name for what goes into the blocks: the finest maps are large,
        # and a name would keep them.
        middle = self._run(
            self.block_16to8,
            _add(self.split_16to8(x), self.align_dim_16to8, f2))
        fine = self._run(
            self.block_8to4,
            _add(self.split_8to4(middle), self.align_dim_8to4, f1))
        levels = zip(self.fpn_modules, (top, middle, fine))
        return [self._run([block], x) for block, x in levels][::-1]

    def _run(self, blocks: Sequence[nn.Module], x: Tensor) -> Tensor:
        for block in blocks:
            x = run_block(block, self.with_cp, x)
        return x

    def _pool(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return _pool_pairs(x, self.pool)
        pool = F.avg_pool2d if self.pool == 'avg' else F.max_pool2d
        return pool(x, (min(2, x.shape[2]), min(2, x.shape[3])))


def _pool_pairs(x: Tensor, kind: str) -> Tensor:
    """Pooling by two as in torch, which binds a graph to odd or even sides.

    Sides of 1 are not for exported graphs.
    """
    for dim in (2, 3):
        place = 2 * torch.arange(x.shape[dim] // 2, device=x.device)
        first, second = (x.index_select(dim, place + i) for i in (0, 1))
        x = (first + second) / 2 if kind == 'avg' \
            else torch.maximum(first, second)
    return x


def _add(split: Tensor, align: nn.Module, lateral: Tensor) -> Tensor:
    # Of an odd map, the last row or column of what was split is padding.
    height, width = lateral.shape[-3:-1]
    split = crop_map(split, height, width)
    if torch.is_grad_enabled() or torch.compiler.is_exporting():
        return split + run_linear(align, lateral)
    # Nobody else has seen what was split, so it holds the sum; the other
    # term is there for some rows (of an image, or all of a patch) at a time.
    for term, source in zip(split.flatten(0, -4).split(32, 1),
                            lateral.flatten(0, -4).split(32, 1)):
        term += run_linear(align, source)
    return split

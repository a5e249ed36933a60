"""The searchable network of cells, for small images."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...ops import DropPath
from ...registry import MODELS
from .cell_arch import STEM_MULTIPLIER, Cell, resolve_cell_arch


def _conv_norm(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels)]


def _depthwise(width: int, kernel: int, stride: int,
               dilation: int) -> list[nn.Module]:
    """ReLU, depthwise and 1x1 convolution, batch norm."""
    return [
        nn.ReLU(),
        nn.Conv2d(width, width, kernel, stride, kernel // 2 * dilation,
                  dilation, groups=width, bias=False),
        *_conv_norm(width, width)
    ]


def _halve() -> nn.AvgPool2d:
    # ceil(size / 2), like the strided convolutions beside it
    return nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)


def build_operation(name: str, width: int, stride: int) -> nn.Module:
    """An operation of a cell.

    A strided identity is a mean over 2x2 pixels and a 1x1 convolution: of
    the size of DARTS's two shifted half convolutions, but for maps of any
    size.

    Args:
        name (str): One of the operations of the cell space.
        width (int): Channels.
        stride (int): 1 or 2.

    Returns:
        nn.Module: From (B, C, H, W) to (B, C, ceil(H/s), ceil(W/s)).
    """
    if name == 'identity':
        return nn.Identity() if stride == 1 else nn.Sequential(
            nn.ReLU(), _halve(), *_conv_norm(width, width))
    kernel = int(name[3:])
    if name.startswith('avg'):
        return nn.AvgPool2d(kernel, stride, kernel // 2,
                            count_include_pad=False)
    if name.startswith('max'):
        return nn.MaxPool2d(kernel, stride, kernel // 2)
    if name.startswith('sep'):
        return nn.Sequential(*_depthwise(width, kernel, stride, 1),
                             *_depthwise(width, kernel, 1, 1))
    return nn.Sequential(*_depthwise(width, kernel, stride, 2))


class SearchableCell(nn.Module):
    """A cell: nodes that add two operations, joined along the channels.

    Args:
        cell (Cell): Its nodes and sizes.
        drop_path_rate (float): Stochastic depth of each operation but the
            identity.
    """

    def __init__(self, cell: Cell, drop_path_rate: float) -> None:
        super().__init__()
        older, newer = cell.in_channels
        self.sources = [source for _, source, _ in cell.edges()]
        self.first = nn.Sequential(
            nn.ReLU(), *([_halve()] if cell.halve_first else []),
            *_conv_norm(older, cell.width))
        self.second = nn.Sequential(nn.ReLU(),
                                    *_conv_norm(newer, cell.width))
        self.operations = nn.ModuleList(
            build_operation(op, cell.width, stride)
            for op, _, stride in cell.edges())
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        """The last two maps to the next, (B, nodes x width, H', W')."""
        maps = [self.first(older), self.second(newer)]
        sums = []
        for source, operation in zip(self.sources, self.operations):
            y = operation(maps[source])
            if not isinstance(operation, nn.Identity):
                y = self.drop_path(y)
            sums.append(y)
            if len(sums) % 2 == 0:
                maps.append(sums[-2] + sums[-1])
        return torch.cat(maps[2:], 1)


@MODELS.register_module()
class SearchableCellNet(BaseModule):
    """A network of two searched cells, for images of CIFAR's size.

    MA2ML searched a cell space of NASNet's type on CIFAR; which operations
    and sizes is not known. This one has the size of DARTS (arXiv 1806.09055):
    seven operations, four nodes a cell, inputs added.
    :class:`mmvision_ext.ma2ml.spaces.CellSpace` makes the decisions.

    Args:
        arch (str | dict): A name of ``cell_arch.ARCH_ZOO`` ('darts') or the
            arguments of :class:`CellArch`. Defaults to 'darts'.
        in_channels (int): Channels of the image. Defaults to 3.
        drop_path_rate (float): Stochastic depth of the last cell's
            operations; it rises linearly from 0. Defaults to 0.
        out_indices (Sequence[int]): Stages whose last map is returned, with
            strides 1, 2 and 4; later ones are not built. Defaults to (2, ).
        init_cfg (dict | list[dict], optional): Weights to start from, as
            everywhere in mmengine. Defaults to None.

    Raises:
        ValueError: If a value is out of its range or unknown.
    """

    def __init__(self,
                 arch: Union[str, Mapping] = 'darts',
                 in_channels: int = 3,
                 drop_path_rate: float = 0.,
                 out_indices: Sequence[int] = (2, ),
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.arch_settings = resolve_cell_arch(arch)
        self.in_channels = in_channels
        self.out_indices = tuple(out_indices)
        outs = self.out_indices
        if not outs or list(outs) != sorted(set(outs)) or \
                set(outs) - {0, 1, 2}:
            raise ValueError(f'out_indices is {outs}; expected rising stage '
                             'numbers out of (0, 1, 2)')
        if not 0. <= drop_path_rate < 1.:
            raise ValueError(f'drop_path_rate is {drop_path_rate}; it must '
                             'lie in [0, 1)')
        stem = STEM_MULTIPLIER * self.arch_settings.width
        stages = self.arch_settings.stages()
        # on the CPU also where the network is built on the meta device
        rates = iter(torch.linspace(
            0, drop_path_rate, sum(map(len, stages)), device='cpu').tolist())
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, stem, 3, padding=1, bias=False),
            nn.BatchNorm2d(stem))
        self.stages = nn.ModuleList(
            nn.ModuleList(SearchableCell(cell, next(rates))
                          for cell in stage)
            for stage in stages[:outs[-1] + 1])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps of ``out_indices``, fine to coarse.

        Args:
            x (Tensor): Images of shape (B, in_channels, H, W), any H and W.

        Returns:
            tuple[Tensor]: Shapes (B, C_i, ceil(H/s), ceil(W/s)).
        """
        older = newer = self.stem(x)
        outs = []
        for i, stage in enumerate(self.stages):
            for cell in stage:
                older, newer = newer, cell(older, newer)
            if i in self.out_indices:
                # the cells themselves begin with a ReLU
                outs.append(F.relu(newer))
        return tuple(outs)

    def flops(self, input_shape: Sequence[int]) -> int:
        """Multiply-adds of one image, without running the network.

        Args:
            input_shape (Sequence[int]): (channels, height, width) or
                (height, width).

        Returns:
            int: What the counter of the suite counts.
        """
        shape = (self.in_channels, *input_shape[-2:])
        return self.arch_settings.flops(shape, self.out_indices[-1])

"""Cells and networks of cells: sizes, parameters, multiply-adds."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: The operations between two maps of a cell.
OPERATIONS = ('identity', 'sep3', 'sep5', 'dil3', 'dil5', 'avg3', 'max3')
#: Channels of the stem over those of a cell's nodes, as in DARTS.
STEM_MULTIPLIER = 3

Node = tuple[tuple[str, int], tuple[str, int]]


@dataclass(frozen=True)
class Cell:
    """One cell at its place in the network.

    Args:
        nodes (tuple): For each node two pairs of an operation and the map
            it reads: 0 is the output of the cell before the last one, 1 of
            the last one, 2 on are the nodes of this cell in order.
        in_channels (tuple[int, int]): Channels of maps 0 and 1.
        width (int): Channels of a node.
        stride (int): 2 in a reduction cell.
        halve_first (bool): Map 0 is twice as large as map 1, since a
            reduction cell stands between.
    """

    nodes: tuple[Node, ...]
    in_channels: tuple[int, int]
    width: int
    stride: int
    halve_first: bool

    @property
    def out_channels(self) -> int:
        """All nodes, one behind the other."""
        return len(self.nodes) * self.width

    def edges(self) -> list[tuple[str, int, int]]:
        """Operation, map it reads and stride, two for each node."""
        return [(op, source, self.stride if source < 2 else 1)
                for node in self.nodes for op, source in node]

    def params(self) -> int:
        """Parameters of the cell."""
        width = self.width
        # two 1x1 convolutions with batch norm bring the inputs to the width
        count = sum(channels * width + 2 * width
                    for channels in self.in_channels)
        for op, _, stride in self.edges():
            kind, kernel = op[:3], op[3:]
            if kind in ('sep', 'dil'):
                once = width * int(kernel)**2 + width * width + 2 * width
                count += once * (2 if kind == 'sep' else 1)
            elif op == 'identity' and stride == 2:
                count += width * width + 2 * width
        return count

    def macs(self, before: int, after: int) -> int:
        """Multiply-adds.

        Args:
            before (int): Pixels of map 1, the larger one.
            after (int): Pixels of the nodes.

        Returns:
            int: The count. A halved map 0 has the pixels of map 1.
        """
        width = self.width
        count = before * width * sum(self.in_channels)
        for op, _, stride in self.edges():
            kind, kernel = op[:3], op[3:]
            if kind in ('sep', 'dil'):
                once = after * width * (int(kernel)**2 + width)
                count += once * (2 if kind == 'sep' else 1)
            elif op == 'identity' and stride == 2:
                count += after * width * width
        return count


@dataclass(frozen=True)
class CellArch:
    """A network of normal and reduction cells, in three stages.

    Args:
        normal (tuple): Nodes of the normal cell, see :class:`Cell`.
        reduce (tuple): Nodes of the reduction cell.
        cells (int): Normal cells in each stage. Defaults to 6.
        width (int): Channels of a node in the first stage; they double with
            each reduction. Defaults to 36.

    Raises:
        ValueError: If a node names an unknown operation or a map that does
            not exist yet.
    """

    normal: tuple[Node, ...]
    reduce: tuple[Node, ...]
    cells: int = 6
    width: int = 36

    def __post_init__(self) -> None:
        for name in ('normal', 'reduce'):
            nodes = tuple(
                tuple((op, source) for op, source in node)
                for node in getattr(self, name))
            object.__setattr__(self, name, nodes)
            for place, node in enumerate(nodes):
                _check_node(name, place, node)
            if not nodes:
                raise ValueError(f'{name} has no nodes')
        for name in ('cells', 'width'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} is {getattr(self, name)}; '
                                 'expected at least 1')

    @property
    def out_channels(self) -> tuple[int, int, int]:
        """Channels at the end of each stage."""
        return tuple(len(self.normal) * self.width << i for i in range(3))

    def stages(self) -> list[list[Cell]]:
        """The cells of every stage; stages 2 and 3 begin with a reduction."""
        stages: list[list[Cell]] = []
        older = newer = STEM_MULTIPLIER * self.width
        halve = False
        for i in range(3):
            stage = []
            for j in range(self.cells + (i > 0)):
                reduction = i > 0 and j == 0
                cell = Cell(self.reduce if reduction else self.normal,
                            (older, newer), self.width << i,
                            2 if reduction else 1, halve)
                older, newer, halve = newer, cell.out_channels, reduction
                stage.append(cell)
            stages.append(stage)
        return stages

    def params(self, last: int = 2, in_channels: int = 3) -> int:
        """Parameters of the backbone.

        Args:
            last (int): Last stage that is built. Defaults to 2.
            in_channels (int): Channels of the image. Defaults to 3.

        Returns:
            int: The count.
        """
        stem = STEM_MULTIPLIER * self.width
        return stem * (9 * in_channels + 2) + sum(
            cell.params() for stage in self.stages()[:last + 1]
            for cell in stage)

    def flops(self, input_shape: Sequence[int], last: int = 2) -> int:
        """Multiply-adds of the backbone for one image.

        Args:
            input_shape (Sequence[int]): (channels, height, width), or
                (height, width) of an image of 3 channels.
            last (int): Last stage that is built. Defaults to 2.

        Returns:
            int: The count.
        """
        *channels, height, width = input_shape
        count = height * width * STEM_MULTIPLIER * self.width * 9 * (
            channels or [3])[0]
        for stage in self.stages()[:last + 1]:
            for cell in stage:
                before = height * width
                height = -(-height // cell.stride)
                width = -(-width // cell.stride)
                count += cell.macs(before, height * width)
        return count


def _check_node(name: str, place: int, node: Sequence) -> None:
    if len(node) != 2:
        raise ValueError(f'node {place} of {name} is {node}; expected two '
                         'pairs of an operation and a map')
    for op, source in node:
        if op not in OPERATIONS:
            raise ValueError(f'node {place} of {name} has the operation '
                             f'{op!r}; choose one of {OPERATIONS}')
        if not 0 <= source < place + 2:
            raise ValueError(
                f'node {place} of {name} reads map {source}; expected 0 to '
                f'{place + 1} (the two inputs and the nodes before it)')


_MAX = ('max3', 0), ('max3', 1)
#: 'darts' is the second-order cell published with DARTS (arXiv 1806.09055);
#: with the default size it is the published network for CIFAR.
ARCH_ZOO: dict[str, CellArch] = {
    'darts': CellArch(
        normal=((('sep3', 0), ('sep3', 1)), (('sep3', 0), ('sep3', 1)),
                (('sep3', 1), ('identity', 0)),
                (('identity', 0), ('dil3', 2))),
        reduce=(_MAX, (('identity', 2), ('max3', 1)),
                (('max3', 0), ('identity', 2)),
                (('identity', 2), ('max3', 1)))),
}


def resolve_cell_arch(arch: str | Mapping) -> CellArch:
    """An architecture by name or from its settings.

    Args:
        arch (str | Mapping): A key of :data:`ARCH_ZOO`, or the arguments of
            :class:`CellArch`.

    Returns:
        CellArch: The settings.

    Raises:
        ValueError: If the name or a setting is unknown, or one is missing.
    """
    if isinstance(arch, str):
        if arch not in ARCH_ZOO:
            raise ValueError(f'arch {arch!r} is unknown; choose one of '
                             f'{sorted(ARCH_ZOO)} or give a dict')
        return ARCH_ZOO[arch]
    try:
        return CellArch(**arch)
    except TypeError as error:
        raise ValueError(
            f'arch is {dict(arch)}; expected the keys normal and reduce, '
            f'and optionally cells and width ({error})') from error

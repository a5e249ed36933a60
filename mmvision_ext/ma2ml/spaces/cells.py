"""The architecture agent's space of cells."""
from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from ...registry import TASK_UTILS
from ..decision import Decision
from ..networks.cell_arch import OPERATIONS, CellArch
from .pipelines import set_channels

_KINDS = ('normal', 'reduce')


@TASK_UTILS.register_module()
class CellSpace:
    """Cells of :class:`SearchableCellNet`.

    MA2ML searched a cell space of NASNet's type on CIFAR-10 and -100; its
    operations, nodes and widths are not known. This one has the size of
    DARTS: a normal and a reduction cell of four nodes, each of which adds
    two operations on any two earlier maps. Ours.

    Args:
        nodes (int): Nodes of a cell. Defaults to 4.
        operations (Sequence[str]): Those to choose from. Defaults to all
            seven.
        cells (Sequence[int]): Normal cells in each of the three stages.
            Defaults to (6, ), which is no decision.
        widths (Sequence[int]): Channels of a node in the first stage.
            Defaults to (36, ), which is no decision.

    Raises:
        ValueError: If an operation is unknown.
    """

    def __init__(self, nodes: int = 4,
                 operations: Sequence[str] = OPERATIONS,
                 cells: Sequence[int] = (6, ),
                 widths: Sequence[int] = (36, )) -> None:
        unknown = [o for o in operations if o not in OPERATIONS]
        if unknown:
            raise ValueError(f'operations has {unknown}; choose from '
                             f'{OPERATIONS}')
        self.nodes = nodes
        self.operations = tuple(operations)
        self.cells = tuple(cells)
        self.widths = tuple(widths)

    def decisions(self) -> list[Decision]:
        """Cells and width, then operation and map, two of each a node."""
        found = [Decision('cells', self.cells, ordinal=True),
                 Decision('width', self.widths, ordinal=True)]
        for kind in _KINDS:
            for node in range(1, self.nodes + 1):
                for side in 'ab':
                    name = f'{kind}{node}{side}'
                    found += [
                        Decision(f'{name}_op', self.operations),
                        # 0 and 1 are the cells before, then the nodes
                        Decision(f'{name}_input', tuple(range(node + 1))),
                    ]
        return [one for one in found if len(one.choices) > 1]

    def arch(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The ``arch`` of the backbone.

        Args:
            values (Mapping[str, Any]): Decisions by short name.

        Returns:
            dict: Arguments of :class:`CellArch`, plain values.
        """
        arch: dict[str, Any] = dict(
            cells=values.get('cells', self.cells[0]),
            width=values.get('width', self.widths[0]))
        for kind in _KINDS:
            arch[kind] = [[[values.get(f'{kind}{node}{side}_op',
                                       self.operations[0]),
                            values[f'{kind}{node}{side}_input']]
                           for side in 'ab']
                          for node in range(1, self.nodes + 1)]
        return arch

    def apply(self, cfg: MutableMapping, values: Mapping[str, Any]) -> None:
        """Write the cells and the channels of what follows.

        Args:
            cfg (Config): A copy of the base config; changed in place.
            values (Mapping[str, Any]): Decisions by short name.

        Raises:
            ValueError: If the backbone is another one.
        """
        backbone = cfg['model'].get('backbone', {})
        if not str(backbone.get('type')).endswith('SearchableCellNet'):
            raise ValueError(
                f'model.backbone is {backbone.get("type")!r}; CellSpace '
                "needs 'mmvision_ext.SearchableCellNet'")
        backbone['arch'] = self.arch(values)
        channels = CellArch(**backbone['arch']).out_channels
        outs = backbone.get('out_indices') or (2, )
        set_channels(cfg, [channels[i] for i in outs])

"""Knobs of vHeat and iTPN as the architecture agent's space.

Both are reached by the keys of the config alone. Ours: MA2ML knows neither.
"""
from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Optional

from ...registry import TASK_UTILS
from ..decision import Decision
from .pipelines import set_channels


class _StagedSpace:
    """Depths of the stages, width, MLP ratio and drop path of a backbone.

    A single choice is a constant and no decision.
    """

    #: The class that the base config has to have as its backbone.
    backbone: str
    #: Number of its stages.
    stages: int

    def __init__(self, depths: Sequence[Sequence[int]],
                 embed_dims: Sequence[int],
                 mlp_ratios: Sequence[float] = (4., ),
                 drop_path: Optional[Sequence[float]] = None) -> None:
        if len(depths) != self.stages:
            raise ValueError(f'depths is {depths}; expected choices for each '
                             f'of the {self.stages} stages')
        self.depths = [tuple(choices) for choices in depths]
        self.embed_dims = tuple(embed_dims)
        self.mlp_ratios = tuple(mlp_ratios)
        self.drop_path = None if drop_path is None else tuple(drop_path)

    def decisions(self) -> list[Decision]:
        """``depth1`` and so on, width, ratio, drop path."""
        found = [Decision(f'depth{i}', choices, ordinal=True)
                 for i, choices in enumerate(self.depths, 1)]
        found += [Decision('embed_dims', self.embed_dims, ordinal=True),
                  Decision('mlp_ratio', self.mlp_ratios, ordinal=True)]
        if self.drop_path is not None:
            found.append(Decision('drop_path', self.drop_path, ordinal=True))
        return [one for one in found if len(one.choices) > 1]

    def _start(self, cfg: MutableMapping, values: Mapping[str, Any]
               ) -> tuple[MutableMapping, dict[str, Any], float]:
        """The backbone's config, its ``arch`` and the MLP ratio."""
        backbone = cfg['model'].get('backbone', {})
        if str(backbone.get('type')).rpartition('.')[2] != self.backbone:
            raise ValueError(
                f'model.backbone is {backbone.get("type")!r}; '
                f"{type(self).__name__} needs 'mmvision_ext.{self.backbone}'")
        if self.drop_path is not None:
            backbone['drop_path_rate'] = values.get('drop_path',
                                                    self.drop_path[0])
        # a name stands for settings that are all replaced
        old = backbone.get('arch')
        arch = dict(old) if isinstance(old, Mapping) else {}
        arch['embed_dims'] = values.get('embed_dims', self.embed_dims[0])
        arch['depths'] = [values.get(f'depth{i}', choices[0])
                          for i, choices in enumerate(self.depths, 1)]
        return backbone, arch, values.get('mlp_ratio', self.mlp_ratios[0])


@TASK_UTILS.register_module()
class VHeatSpace(_StagedSpace):
    """Depths, width, MLP ratio and drop path of :class:`VHeat`.

    Form of the norms and layer scale stay as the base config has them in a
    dict ``arch``; a named one is replaced by pre-norm without a scale.

    Args:
        depths (Sequence[Sequence[int]]): Choices for each of four stages.
        embed_dims (Sequence[int]): Channels of the first stage.
        mlp_ratios (Sequence[float]): Defaults to (4, ).
        drop_path (Sequence[float], optional): None keeps the base's.

    Raises:
        ValueError: If there are not four stages.
    """

    backbone = 'VHeat'
    stages = 4

    def apply(self, cfg: MutableMapping, values: Mapping[str, Any]) -> None:
        """Write the architecture and the channels of what follows.

        Args:
            cfg (Config): A copy of the base config; changed in place.
            values (Mapping[str, Any]): Decisions by short name.

        Raises:
            ValueError: If the backbone is another one.
        """
        backbone, arch, ratio = self._start(cfg, values)
        backbone['arch'] = dict(arch, mlp_ratio=ratio)
        outs = backbone.get('out_indices', (0, 1, 2, 3))
        set_channels(cfg, [arch['embed_dims'] << i for i in outs])


@TASK_UTILS.register_module()
class ITPNSpace(_StagedSpace):
    """Depths, width, MLP ratio and drop path of :class:`ITPN`.

    Args:
        depths (Sequence[Sequence[int]]): Choices for each of three stages.
        embed_dims (Sequence[int]): Channels of the last stage, multiples of
            ``head_dims``.
        mlp_ratios (Sequence[float]): Of the last stage; the others keep 3.
            Defaults to (4, ).
        drop_path (Sequence[float], optional): None keeps the base's.
        head_dims (int): Channels of an attention head. Defaults to 64.

    Raises:
        ValueError: If there are not three stages, or a width is no multiple
            of ``head_dims``.
    """

    backbone = 'ITPN'
    stages = 3

    def __init__(self, depths: Sequence[Sequence[int]],
                 embed_dims: Sequence[int],
                 mlp_ratios: Sequence[float] = (4., ),
                 drop_path: Optional[Sequence[float]] = None,
                 head_dims: int = 64) -> None:
        super().__init__(depths, embed_dims, mlp_ratios, drop_path)
        if any(dims % head_dims for dims in self.embed_dims):
            raise ValueError(f'embed_dims is {self.embed_dims}; expected '
                             f'multiples of head_dims, {head_dims}')
        self.head_dims = head_dims

    def apply(self, cfg: MutableMapping, values: Mapping[str, Any]) -> None:
        """Write the architecture and the channels of what follows.

        Args:
            cfg (Config): A copy of the base config; changed in place.
            values (Mapping[str, Any]): Decisions by short name.

        Raises:
            ValueError: If the backbone is another one.
        """
        backbone, arch, ratio = self._start(cfg, values)
        dims = arch['embed_dims']
        backbone['arch'] = dict(arch, num_heads=dims // self.head_dims,
                                mlp_ratios=[3., 3., ratio])
        stages = [dims // 4, dims // 2, dims]
        if backbone.get('out_type') == 'avg_featmap':
            stages = stages[-1:]
        set_channels(cfg, stages)
        neck = cfg['model'].get('neck') or {}
        head = cfg['model'].get('decode_head')
        if neck.get('concat') and head is not None:
            # each level of the pyramid with the raw stage behind it
            wide = [neck['out_channels'] + c for c in stages]
            wide += wide[-1:] * (neck['num_outs'] - len(wide))
            head['in_channels'] = wide

"""The architecture agent's space of mobile networks."""
from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Optional

from ...registry import TASK_UTILS
from ..decision import Condition, Decision
from ..networks.mobile_arch import MobileArch
from .pipelines import set_channels, set_image_size


@dataclass(frozen=True)
class StageChoices:
    """What may be chosen for a stage.

    Args:
        widths (tuple[int, ...]): Output channels.
        depths (tuple[int, ...]): Layers.
        first (tuple[int, ...]): Expansions of the first layer.
        rest (tuple[int, ...]): Expansions of the others.
        kernels (tuple[int, ...]): Depthwise kernels. Defaults to (3, 5).
        se (tuple[bool, ...]): Squeeze-and-excitation or not. Defaults to
            both.
        stride (int): Of the first layer. Defaults to 1.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    first: tuple[int, ...]
    rest: tuple[int, ...]
    kernels: tuple[int, ...] = (3, 5)
    se: tuple[bool, ...] = (False, True)
    stride: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != 'stride':
                object.__setattr__(self, field.name,
                                   tuple(getattr(self, field.name)))


def _range(low: int, high: int, step: int = 1) -> tuple[int, ...]:
    return tuple(range(low, high + 1, step))


#: The table of FBNetV3. That the table fixes squeeze-and-excitation (stages
#: 3, 5, 6 and 7 have it) and this space does not is ours.
FBNETV3_STAGES = (
    StageChoices(_range(16, 24, 2), _range(1, 4), (1, ), (1, ),
                 se=(False, )),
    StageChoices(_range(20, 32, 4), _range(4, 7), _range(4, 7), _range(2, 5),
                 stride=2),
    StageChoices(_range(24, 48, 4), _range(4, 7), _range(4, 7), _range(2, 5),
                 stride=2),
    StageChoices(_range(56, 84, 4), _range(4, 8), _range(4, 7), _range(2, 5),
                 stride=2),
    StageChoices(_range(96, 144, 4), _range(6, 10), _range(4, 7),
                 _range(2, 5)),
    StageChoices(_range(180, 224, 4), _range(5, 9), _range(4, 7),
                 _range(4, 7), stride=2),
    StageChoices(_range(180, 224, 4), (1, ), (6, ), (6, )),
)


@TASK_UTILS.register_module()
class MobileSpace:
    """Architectures of :class:`SearchableMobileNet`.

    By default the space that FBNetV3 was searched in ("FBNetV3: Joint
    Architecture-Recipe Search using Predictor Pretraining", CVPR 2021): per
    stage kernel, expansion, width and depth, and the input resolution. MA2ML
    searched kernel size, width, depth and resolution on ImageNet; its exact
    ranges are not known. Squeeze-and-excitation as a decision is ours.

    Args:
        stages (Sequence[Mapping], optional): Arguments of
            :class:`StageChoices` for each stage. By default FBNetV3's.
        stem (Sequence[int]): Channels of the stem. Defaults to 16 to 24.
        resolutions (Sequence[int], optional): Sides of the input in pixels;
            None leaves the pipelines alone, as detectors and segmenters
            need. Defaults to 224 to 272 in steps of 8.
        granularity (str): 'stage': kernel and expansion for the first layer
            of a stage and for the rest, as in the table; 'layer': for every
            layer, of which the later ones exist only if the stage is deep
            enough. Defaults to 'stage'.
        stem_stride (int): 2, or 1 for small images. Defaults to 2.
        head_expansion (int): See :class:`MobileArch`. Defaults to 6.

    Raises:
        ValueError: If an argument is not as described.
    """

    def __init__(self,
                 stages: Optional[Sequence[Mapping[str, Any]]] = None,
                 stem: Sequence[int] = _range(16, 24, 2),
                 resolutions: Optional[Sequence[int]] = _range(224, 272, 8),
                 granularity: str = 'stage',
                 stem_stride: int = 2,
                 head_expansion: int = 6) -> None:
        if granularity not in ('stage', 'layer'):
            raise ValueError(f'granularity is {granularity!r}; choose stage '
                             'or layer')
        try:
            self.stages = FBNETV3_STAGES if stages is None else tuple(
                StageChoices(**stage) for stage in stages)
        except TypeError as error:
            raise ValueError(
                'stages: expected dicts with the keys widths, depths, first '
                f'and rest, and perhaps kernels, se, stride ({error})'
            ) from error
        self.stem = tuple(stem)
        self.resolutions = None if resolutions is None else tuple(resolutions)
        self.granularity = granularity
        self.stem_stride = stem_stride
        self.head_expansion = head_expansion

    def decisions(self) -> list[Decision]:
        """Resolution, stem, then stage by stage; single choices left out."""
        found = [Decision('stem', self.stem, ordinal=True)]
        if self.resolutions is not None:
            found.insert(0, Decision('resolution', self.resolutions,
                                     ordinal=True))
        for number, stage in enumerate(self.stages, 1):
            prefix = f's{number}'
            found += [
                Decision(f'{prefix}_depth', stage.depths, ordinal=True),
                Decision(f'{prefix}_width', stage.widths, ordinal=True),
                Decision(f'{prefix}_se', stage.se),
                *self._layers(prefix, stage),
            ]
        return [one for one in found if len(one.choices) > 1]

    def _layers(self, prefix: str, stage: StageChoices) -> list[Decision]:
        found = []
        for suffix, needed in self._places(stage):
            deep = tuple(d for d in stage.depths if d >= needed)
            condition = None if deep == stage.depths else Condition(
                f'{prefix}_depth', deep)
            expansions = stage.first if needed == 1 else stage.rest
            found += [
                Decision(f'{prefix}_kernel_{suffix}', stage.kernels,
                         ordinal=True, condition=condition),
                Decision(f'{prefix}_expand_{suffix}', expansions,
                         ordinal=True, condition=condition),
            ]
        return found

    def _places(self, stage: StageChoices) -> list[tuple[str, int]]:
        """Suffix of a decision, and the depth from which on it exists."""
        deepest = max(stage.depths)
        if self.granularity == 'layer':
            return [(str(j), j) for j in range(1, deepest + 1)]
        return [('first', 1), ('rest', 2)][:deepest]

    def arch(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The ``arch`` of the backbone.

        Args:
            values (Mapping[str, Any]): Decisions by short name.

        Returns:
            dict: Arguments of :class:`MobileArch`, plain values.
        """
        arch: dict[str, Any] = dict(
            stem=values.get('stem', self.stem[0]), widths=[], depths=[],
            kernels=[], expansions=[], se=[], strides=[],
            stem_stride=self.stem_stride, head_expansion=self.head_expansion)
        for number, stage in enumerate(self.stages, 1):

            def pick(name: str, choices: Sequence,
                     prefix: str = f's{number}') -> Any:
                return values.get(f'{prefix}_{name}', choices[0])

            depth = pick('depth', stage.depths)
            places = [p for p in self._places(stage) if p[1] <= depth]
            arch['depths'].append(depth)
            arch['widths'].append(pick('width', stage.widths))
            arch['se'].append(pick('se', stage.se))
            arch['strides'].append(stage.stride)
            arch['kernels'].append(
                [pick(f'kernel_{s}', stage.kernels) for s, _ in places])
            arch['expansions'].append(
                [pick(f'expand_{s}', stage.first if needed == 1 else
                      stage.rest) for s, needed in places])
        return arch

    def apply(self, cfg: MutableMapping, values: Mapping[str, Any]) -> None:
        """Write the architecture, what follows it, and the image size.

        Args:
            cfg (Config): A copy of the base config; changed in place.
            values (Mapping[str, Any]): Decisions by short name.

        Raises:
            ValueError: If the backbone is another one, or nothing behind it
                takes its channels.
        """
        backbone = cfg['model'].get('backbone', {})
        if not str(backbone.get('type')).endswith('SearchableMobileNet'):
            raise ValueError(
                f'model.backbone is {backbone.get("type")!r}; MobileSpace '
                "needs 'mmvision_ext.SearchableMobileNet'")
        arch = self.arch(values)
        backbone['arch'] = arch
        channels = MobileArch(**arch).out_channels
        outs = backbone.get('out_indices') or (len(arch['widths']), )
        set_channels(cfg, [channels[i] for i in outs])
        if 'resolution' in values:
            set_image_size(cfg, values['resolution'])
        elif self.resolutions is not None:
            set_image_size(cfg, self.resolutions[0])

"""Spaces of the augmentation agent: AutoAugment, RandAugment, Trivial.

MA2ML's augmentation agent emits 25 sub-policies of operation, probability
and magnitude in AutoAugment's form. The ranges here are AutoAugment's
(arXiv 1805.09501); five sub-policies a candidate, no SamplePairing, and the
two small spaces are ours.
"""
from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from ...registry import TASK_UTILS
from ..decision import Condition, Decision
from .pipelines import place_policy, train_pipelines

#: Operation -> (transform of mmpretrain, argument, least, most). Magnitudes
#: run evenly from least to most; None for operations without one. A colour
#: factor f of AutoAugment (0.1 to 1.9) is f - 1 here.
OPERATIONS: dict[str, tuple[str, Any, float, float]] = {
    'AutoContrast': ('AutoContrast', None, 0, 0),
    'Invert': ('Invert', None, 0, 0),
    'Equalize': ('Equalize', None, 0, 0),
    'Solarize': ('Solarize', 'thr', 256, 0),
    'Posterize': ('Posterize', 'bits', 8, 4),
    'Contrast': ('Contrast', 'magnitude', -0.9, 0.9),
    'Color': ('ColorTransform', 'magnitude', -0.9, 0.9),
    'Brightness': ('Brightness', 'magnitude', -0.9, 0.9),
    'Sharpness': ('Sharpness', 'magnitude', -0.9, 0.9),
    'ShearX': ('Shear', 'magnitude', 0, 0.3),
    'ShearY': ('Shear', 'magnitude', 0, 0.3),
    'TranslateX': ('Translate', 'magnitude', 0, 0.45),
    'TranslateY': ('Translate', 'magnitude', 0, 0.45),
    'Rotate': ('Rotate', 'angle', 0, 30),
    'Cutout': ('Cutout', 'shape', 0, 0.18),
}
#: Those that leave every pixel where it is: boxes, masks and labels hold.
PHOTOMETRIC = ('AutoContrast', 'Invert', 'Equalize', 'Solarize', 'Posterize',
               'Contrast', 'Color', 'Brightness', 'Sharpness')
_COLOURS = ('Contrast', 'Color', 'Brightness', 'Sharpness')
_LEVELS = 10


def _scope(cfg: Mapping[str, Any]) -> str:
    scope = cfg.get('default_scope')
    if scope not in ('mmpretrain', 'mmdet', 'mmseg'):
        raise ValueError(f'default_scope is {scope!r}; augmentations are '
                         'known for mmpretrain, mmdet and mmseg')
    return scope


def _import_mmpretrain(cfg: MutableMapping) -> None:
    """Let a config of another package find mmpretrain's transforms."""
    if cfg['default_scope'] == 'mmpretrain':
        return
    old = cfg.get('custom_imports') or {}
    modules = [*old.get('imports', []), 'mmpretrain.datasets.transforms']
    # once each, in order
    cfg['custom_imports'] = dict(imports=list(dict.fromkeys(modules)),
                                 allow_failed_imports=False)


def _insert(cfg: MutableMapping, steps: Sequence[dict]) -> None:
    for pipeline in train_pipelines(cfg):
        place_policy(pipeline, steps)


def _ranged(operation: str) -> dict[str, Any]:
    """An operation of RandAugment, its magnitude from none to full.

    Direction and sign are left to the transform.
    """
    name, argument, least, most = OPERATIONS[operation]
    step: dict[str, Any] = dict(type=f'mmpretrain.{name}')
    if argument is not None:
        # colours: from no change to the whole change, in both directions
        least = 0 if operation in _COLOURS else least
        step['magnitude_range'] = [least, most]
    return _directed(operation, step)


def _directed(operation: str, step: dict[str, Any]) -> dict[str, Any]:
    if operation[-1] in 'XY':
        step['direction'] = 'horizontal' if operation[-1] == 'X' \
            else 'vertical'
    return step


def _names(scope: str) -> list[str]:
    """Operations with a magnitude a transform can draw, for a package."""
    if scope != 'mmpretrain':
        return list(PHOTOMETRIC)
    return [name for name in OPERATIONS if name != 'Cutout']


@TASK_UTILS.register_module()
class AutoAugmentSpace:
    """Sub-policies of two operations, each with probability and magnitude.

    Every image draws one sub-policy. AutoAugment's grids: 11 probabilities,
    10 magnitudes, 15 operations (without SamplePairing). In detectors and
    segmenters the nine operations that move no pixel can be searched.

    Args:
        num_policies (int): Sub-policies of a candidate. AutoAugment
            searches 5 and joins the best five searches to 25, what MA2ML's
            agent is said to emit. Defaults to 5.
        operations (str): 'all', or 'photometric' for those that move no
            pixel. Defaults to 'all'.
        image_size (int): Side in pixels where the policy acts, for Cutout
            (at most 0.18 of it, 60 of 331 as published). Defaults to 224.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, num_policies: int = 5, operations: str = 'all',
                 image_size: int = 224) -> None:
        if num_policies < 1:
            raise ValueError(f'num_policies is {num_policies}; expected at '
                             'least 1')
        if operations not in ('all', 'photometric'):
            raise ValueError(f'operations is {operations!r}; choose all or '
                             'photometric')
        self.num_policies = num_policies
        self.photometric = operations == 'photometric'
        self.image_size = image_size

    def decisions(self) -> list[Decision]:
        """Operation, probability and magnitude, two of each a sub-policy."""
        names = PHOTOMETRIC if self.photometric else tuple(OPERATIONS)
        strong = tuple(n for n in names if OPERATIONS[n][1] is not None)
        found = []
        for i in range(1, self.num_policies + 1):
            for side in 'ab':
                found += [
                    Decision(f'p{i}{side}_op', names),
                    Decision(f'p{i}{side}_prob',
                             tuple(k / 10 for k in range(11)), ordinal=True),
                    Decision(f'p{i}{side}_magnitude',
                             tuple(range(_LEVELS)), ordinal=True,
                             condition=Condition(f'p{i}{side}_op', strong)),
                ]
        return found

    def policies(self, values: Mapping[str, Any]) -> list[list[dict]]:
        """Sub-policies as mmpretrain's ``AutoAugment`` takes them.

        Args:
            values (Mapping[str, Any]): Decisions by short name.

        Returns:
            list[list[dict]]: Two transforms a sub-policy. Those of several
            candidates can be joined to one policy.
        """
        return [[self._step(values, f'p{i}{side}') for side in 'ab']
                for i in range(1, self.num_policies + 1)]

    def _step(self, values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        operation = values[f'{prefix}_op']
        name, argument, least, most = OPERATIONS[operation]
        step = dict(type=f'mmpretrain.{name}', prob=values[f'{prefix}_prob'])
        if argument is not None:
            share = values[f'{prefix}_magnitude'] / (_LEVELS - 1)
            value = least + share * (most - least)
            if argument == 'shape':
                value = max(1, round(value * self.image_size))
            elif argument == 'bits':
                value = round(value)
            step[argument] = round(value, 4)
        if operation in _COLOURS:
            # the levels themselves go from less to more
            step['random_negative_prob'] = 0.
        return _directed(operation, step)

    def apply(self, cfg: MutableMapping, values: Mapping[str, Any]) -> None:
        """Put a policy into every training pipeline.

        Args:
            cfg (Config): A copy of the base config; changed in place.
            values (Mapping[str, Any]): Decisions by short name.

        Raises:
            ValueError: If operations that move pixels meet boxes or masks,
                or the config has no training pipeline.
        """
        if _scope(cfg) != 'mmpretrain' and not self.photometric:
            raise ValueError(
                f'default_scope is {cfg["default_scope"]!r}: operations that '
                'move pixels would leave boxes and labels behind; set '
                "operations='photometric'")
        _import_mmpretrain(cfg)
        _insert(cfg, [dict(type='mmpretrain.AutoAugment',
                           policies=self.policies(values),
                           hparams=dict(pad_val=128))])


@TASK_UTILS.register_module()
class RandAugmentSpace:
    """RandAugment: how many operations, how strong.

    In a classifier these are mmpretrain's transforms. In a detector it is
    mmdet's own RandAugment, which moves boxes and masks along; in a segmenter
    mmpretrain's, reduced to the operations that move no pixel.

    Source: arXiv 1909.13719; as a space of MA2ML, ours.

    Args:
        num_ops (Sequence[int]): Operations an image; 0 is none. Defaults to
            (1, 2, 3).
        magnitudes (Sequence[int]): Strengths on the scale of 0 to 30.
            Defaults to every third.

    Raises:
        ValueError: If a strength is off the scale.
    """

    def __init__(self, num_ops: Sequence[int] = (1, 2, 3),
                 magnitudes: Sequence[int] = tuple(range(0, 31, 3))) -> None:
        if min(magnitudes) < 0 or max(magnitudes) > 30 or min(num_ops) < 0:
            raise ValueError(
                f'num_ops is {tuple(num_ops)}, magnitudes '
                f'{tuple(magnitudes)}; expected numbers from 0 on, '
                'magnitudes up to 30')
        self.num_ops = tuple(num_ops)
        self.magnitudes = tuple(magnitudes)

    def decisions(self) -> list[Decision]:
        """``num_ops`` and, unless that is 0, ``magnitude``."""
        some = tuple(n for n in self.num_ops if n)
        condition = None if some == self.num_ops else Condition(
            'num_ops', some)
        return [Decision('num_ops', self.num_ops, ordinal=True),
                Decision('magnitude', self.magnitudes, ordinal=True,
                         condition=condition)]

    def apply(self, cfg: MutableMapping, values: Mapping[str, Any]) -> None:
        """Put the policy into every training pipeline.

        Args:
            cfg (Config): A copy of the base config; changed in place.
            values (Mapping[str, Any]): Decisions by short name.

        Raises:
            ValueError: If the config has no training pipeline or is of a
                package without known augmentations.
        """
        scope = _scope(cfg)
        if values['num_ops'] == 0:
            _insert(cfg, [])
            return
        if scope == 'mmdet':
            _insert(cfg, [self._mmdet(values)])
            return
        _import_mmpretrain(cfg)
        _insert(cfg, [dict(
            type='mmpretrain.RandAugment',
            policies=[_ranged(name) for name in _names(scope)],
            num_policies=values['num_ops'],
            magnitude_level=values['magnitude'], magnitude_std=0.5,
            total_level=30, hparams=dict(pad_val=128))])

    def _mmdet(self, values: Mapping[str, Any]) -> dict[str, Any]:
        names = [name for name in OPERATIONS if name != 'Cutout']
        # mmdet counts strengths from 0 to 10
        level = round(values['magnitude'] / 3)
        space: list[list[dict]] = []
        for name in names:
            step: dict[str, Any] = dict(type=f'mmdet.{name}', prob=0.5)
            if OPERATIONS[name][1] is not None:
                step['level'] = level
            space.append([step])
        return dict(type='mmdet.RandAugment', aug_space=space,
                    aug_num=values['num_ops'])


@TASK_UTILS.register_module()
class TrivialAugmentSpace:
    """TrivialAugment, on or off: one operation, at any strength.

    Each image draws one of the operations, or none, and a uniform strength
    (arXiv 2103.10158). There is nothing to tune, so the agent decides only
    whether it is used. In detectors and segmenters only operations that
    move no pixel are drawn. As a space of MA2ML, ours.
    """

    def decisions(self) -> list[Decision]:
        """``trivial``: True or False."""
        return [Decision('trivial', (False, True))]

    def apply(self, cfg: MutableMapping, values: Mapping[str, Any]) -> None:
        """Put the policy into every training pipeline, or take one out.

        Args:
            cfg (Config): A copy of the base config; changed in place.
            values (Mapping[str, Any]): Decisions by short name.

        Raises:
            ValueError: As :meth:`RandAugmentSpace.apply`.
        """
        scope = _scope(cfg)
        if not values['trivial']:
            _insert(cfg, [])
            return
        _import_mmpretrain(cfg)
        policies = [dict(_ranged(name), prob=1.) for name in _names(scope)]
        identity = dict(type='mmpretrain.AutoContrast', prob=0.)
        _insert(cfg, [dict(
            type='mmpretrain.RandAugment', policies=[identity, *policies],
            num_policies=1, magnitude_level=30, magnitude_std='inf',
            total_level=30, hparams=dict(pad_val=128))])

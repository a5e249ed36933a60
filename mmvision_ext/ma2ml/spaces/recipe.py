"""The space of the hyper-parameter agent: the recipe of a training."""
from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, Union

from mmengine.config import ConfigDict

from ...registry import TASK_UTILS
from ..decision import Decision
from .keys import set_key
from .pipelines import short_name

#: FBNetV3's recipe space, the obvious candidate for MA2ML's on ImageNet.
IMAGENET: dict[str, tuple] = dict(
    optimizer=('RMSprop', 'SGD'),
    lr=tuple(k / 1000 for k in range(20, 31)),
    weight_decay=tuple(k / 1e6 for k in range(7, 22)),
    dropout=tuple(k / 100 for k in range(1, 32)),
    drop_path=tuple(k / 100 for k in range(10, 32)),
    mixup=tuple(k / 100 for k in range(42)),
    ema=(False, True))
#: MA2ML's space on CIFAR is not known: ours.
CIFAR: dict[str, tuple] = dict(
    lr=(0.01, 0.025, 0.05, 0.1, 0.2),
    weight_decay=(1e-4, 3e-4, 5e-4, 1e-3),
    drop_path=(0., 0.1, 0.2, 0.3),
    label_smoothing=(0., 0.1),
    batch_size=(64, 128, 256),
    mixup=(0., 0.1, 0.2))
_PRESETS = dict(imagenet=IMAGENET, cifar=CIFAR)

#: What an optimizer takes besides rate and decay.
_OPTIMIZERS: dict[str, dict[str, Any]] = {
    'SGD': dict(momentum=0.9, nesterov=True),
    'RMSprop': dict(alpha=0.9, momentum=0.9, eps=1e-3),
    'AdamW': dict(betas=(0.9, 0.999)),
}


def _set_optimizer(cfg: MutableMapping, name: str) -> None:
    old = cfg['optim_wrapper']['optimizer']
    if old.get('type') == name:
        return
    if name not in _OPTIMIZERS:
        raise ValueError(f'optimizer is {name!r}; choose from '
                         f'{sorted(_OPTIMIZERS)}, or search '
                         'optim_wrapper.optimizer as a KeySpace')
    cfg['optim_wrapper']['optimizer'] = dict(
        type=name, lr=old['lr'], weight_decay=old.get('weight_decay', 0.),
        **_OPTIMIZERS[name])


def _set_ema(cfg: MutableMapping, use: bool) -> None:
    hooks = [hook for hook in cfg.get('custom_hooks') or []
             if short_name(hook) != 'EMAHook']
    if use:
        hooks.append(ConfigDict(type='EMAHook', momentum=2e-4,
                                priority='ABOVE_NORMAL'))
    cfg['custom_hooks'] = hooks


def _set_mixup(cfg: MutableMapping, alpha: float) -> None:
    model = cfg['model']
    train = model.get('train_cfg')
    train = dict(train) if train else {}
    augments = train.get('augments') or []
    augments = [augments] if isinstance(augments, Mapping) else augments
    kept = [one for one in augments if short_name(one) != 'Mixup']
    if alpha:
        kept.append(ConfigDict(type='Mixup', alpha=alpha))
    # an empty list of augments would be drawn from
    train.pop('augments', None)
    if kept:
        train['augments'] = kept
    model['train_cfg'] = train or None


def _set_label_smoothing(cfg: MutableMapping, value: float) -> None:
    head = cfg['model'].get('head')
    if head is None:
        raise ValueError('label_smoothing: the base config has no '
                         'model.head; it can be searched for classifiers')
    head['loss'] = dict(type='LabelSmoothLoss', label_smooth_val=value,
                        mode='original') if value else dict(
                            type='CrossEntropyLoss')


def _set_dropout(cfg: MutableMapping, value: float) -> None:
    model = cfg['model']
    if 'decode_head' in model:
        model['decode_head']['dropout_ratio'] = value
    elif 'StackedLinear' in str((model.get('head') or {}).get('type')):
        model['head']['dropout_rate'] = value
    else:
        raise ValueError('dropout: the base config has neither a '
                         'StackedLinearClsHead nor a decode_head, which have '
                         'dropout')


def _key(name: str) -> Callable[[MutableMapping, Any], None]:
    return lambda cfg, value: set_key(cfg, name, value)


#: In this order: an optimizer takes over the rate of the one before it.
_SETTERS: dict[str, Callable[[MutableMapping, Any], None]] = dict(
    optimizer=_set_optimizer,
    lr=_key('optim_wrapper.optimizer.lr'),
    weight_decay=_key('optim_wrapper.optimizer.weight_decay'),
    batch_size=_key('train_dataloader.batch_size'),
    drop_path=_key('model.backbone.drop_path_rate'),
    dropout=_set_dropout,
    label_smoothing=_set_label_smoothing,
    mixup=_set_mixup,
    ema=_set_ema)


@TASK_UTILS.register_module()
class RecipeSpace:
    """Optimiser, rate, decay, regularisation of a training.

    Schedules are those of the base config: one with ratios instead of end
    values (``eta_min_ratio``) follows the searched rate.

    Args:
        choices (str | Mapping[str, Sequence]): 'imagenet' (the recipe space
            of FBNetV3), 'cifar' (ours), or for each of the names
            ``optimizer`` ('SGD', 'RMSprop', 'AdamW'), ``lr``,
            ``weight_decay``, ``batch_size`` (a process), ``drop_path``,
            ``dropout``, ``label_smoothing``, ``mixup`` (alpha, 0 for none)
            and ``ema`` that is to be searched its choices.

    Raises:
        ValueError: If a name is unknown.
    """

    def __init__(self,
                 choices: Union[str, Mapping[str, Sequence]]) -> None:
        if isinstance(choices, str):
            if choices not in _PRESETS:
                raise ValueError(f'choices is {choices!r}; choose one of '
                                 f'{sorted(_PRESETS)} or give a dict')
            choices = _PRESETS[choices]
        unknown = [name for name in choices if name not in _SETTERS]
        if unknown:
            raise ValueError(f'choices names {unknown}; known are '
                             f'{", ".join(_SETTERS)} (search other settings '
                             'with a KeySpace)')
        self.choices = {name: tuple(own) for name, own in choices.items()}

    def decisions(self) -> list[Decision]:
        """One for each name; numbers are ordinal."""
        return [Decision(name, own, ordinal=name not in ('optimizer', 'ema'))
                for name, own in self.choices.items()]

    def apply(self, cfg: MutableMapping, values: Mapping[str, Any]) -> None:
        """Write the recipe into a config.

        Args:
            cfg (Config): A copy of the base config; changed in place.
            values (Mapping[str, Any]): Decisions by short name.

        Raises:
            ValueError: If the config has no place for a setting; the
                message names it.
        """
        for name, setter in _SETTERS.items():
            if name in values:
                setter(cfg, values[name])

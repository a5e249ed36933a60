"""Layer-wise decay of the learning rate, for every task."""

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from mmengine.dist import is_main_process
from mmengine.logging import MMLogger, print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from ..registry import OPTIM_WRAPPER_CONSTRUCTORS

_PREFIX = 'backbone.'

_OWN_KEYS = ('layer_decay_rate', 'legacy', 'num_layers')

_KNOWN_KEYS = (*_OWN_KEYS, 'bias_lr_mult', 'bias_decay_mult',
               'norm_decay_mult', 'dwconv_decay_mult', 'flat_decay_mult',
               'dcn_offset_lr_mult', 'bypass_duplicate', 'custom_keys')

# Of a custom key, what has been worked into rate and decay.
_USED_OPTIONS = ('params', 'lr', 'weight_decay', 'lr_mult', 'decay_mult')


@dataclass
class _Group:
    """Parameters that share a layer and all options."""

    layer_id: int
    lr_scale: float
    lr: float
    options: dict[str, Any]
    params: list[nn.Parameter] = field(default_factory=list)


def _exponent(layer_id: int, num_layers: int) -> tuple[int, int]:
    return layer_id, num_layers - 1 - layer_id


@contextmanager
def _only_errors(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Learning rates that fall from the heads down to the stem.

    A parameter of layer ``id`` gets the rate ``lr * layer_decay_rate **
    (n + 1 - id)``: the stem is layer 0, the n blocks of the backbone are
    1 to n, and the rest of the backbone, neck and heads are layer n + 1 with
    the whole rate. The backbone says which layer a parameter belongs to by
    ``get_layer_depth(param_name, prefix)``, which gives the layer and n + 2:
    ITPN, FastITPN, VHeat and many backbones of mmpretrain have it. Works for
    every model with a ``backbone``: classifiers, detectors, segmentors and
    pre-training models, wrapped for distributed training or not.

    Weight decay and all else follow
    :class:`mmengine.optim.DefaultOptimWrapperConstructor`. Parameters of the
    same layer and options form one group, in an order that depends on the
    model alone, so that an optimizer can be resumed and stays fast. The
    table of groups is logged once.

    The released recipes of classification and segmentation give the decay
    over 13 layers. That is ``layer_decay_rate=0.6 ** (13 / (n + 1))``, or
    with ``legacy`` ``0.9 ** (13 / (num_layers + 2))``.

    Args:
        optim_wrapper_cfg (dict): Config of the optimizer wrapper; its
            ``optimizer`` gives ``lr`` and, if wanted, ``weight_decay``.
        paramwise_cfg (dict): The options of mmengine's default constructor
            (``norm_decay_mult``, ``bias_decay_mult``, ``flat_decay_mult``,
            ``custom_keys``...; an ``lr_mult`` counts on top of the layer's
            rate) and these:

            - ``layer_decay_rate`` (float): In (0, 1]; required.
            - ``legacy`` (bool): Number layers as the original training code
              of the backbone does. For iTPN that counts the merges too but
              not in n: the last block gets the rate divided by
              ``layer_decay_rate``. Defaults to False.
            - ``num_layers`` (int): With ``legacy``, the n of the original
              config, where that is not the number of blocks (44 in a
              segmentation config of a network with 30). Defaults to None.

    Raises:
        ValueError: If an option is unknown, out of range or missing.
        TypeError: If the model has no backbone, or the backbone does not
            say how deep its parameters are.

    Example:
        >>> optim_wrapper = dict(
        ...     optimizer=dict(type='AdamW', lr=2e-4, weight_decay=0.05),
        ...     constructor='mmvision_ext.LayerDecayOptimWrapperConstructor',
        ...     paramwise_cfg=dict(
        ...         layer_decay_rate=0.9,
        ...         norm_decay_mult=0.,
        ...         bias_decay_mult=0.,
        ...         flat_decay_mult=0.,
        ...         custom_keys={'pos_embed': dict(decay_mult=0.)}))
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        cfg = self.paramwise_cfg
        unknown = sorted(set(cfg) - set(_KNOWN_KEYS))
        if unknown:
            raise ValueError(f'paramwise_cfg has the unknown keys {unknown}; '
                             f'choose out of {sorted(_KNOWN_KEYS)}')
        rate = cfg.get('layer_decay_rate')
        if not isinstance(rate, (int, float)) or not 0. < rate <= 1.:
            raise ValueError(
                f'layer_decay_rate in paramwise_cfg is {rate!r}; expected a '
                'number above 0 and up to 1, such as 0.9')
        num_layers = cfg.get('num_layers')
        if num_layers is not None and (
                not cfg.get('legacy') or num_layers < 1):
            raise ValueError(
                f'num_layers is {num_layers!r}; it is at least 1 and for '
                'legacy=True alone, otherwise the backbone says it')
        if self.base_lr is None:
            raise ValueError('the optimizer has no lr; layer-wise decay '
                             'needs one to scale')

    def add_params(self,
                   params: list[dict],
                   module: nn.Module,
                   prefix: str = '',
                   is_dcn_module: Optional[Union[int, float]] = None) -> None:
        """Add the parameters of a model, grouped by layer and options.

        Args:
            params (list[dict]): Groups; extended in place.
            module (nn.Module): The model.
            prefix (str): Name of ``module`` in the model. The parent calls
                this method for each child with its name. Defaults to '',
                the model itself.
            is_dcn_module (int | float, optional): As in the parent.

        Raises:
            TypeError: See the class.
        """
        if prefix:
            super().add_params(params, module, prefix, is_dcn_module)
            return
        find_layer = self._layer_finder(module)
        single: list[dict] = []
        # The parent logs a line for each option of each parameter.
        with _only_errors(MMLogger.get_current_instance()):
            super().add_params(single, module, prefix, is_dcn_module)
        names = {id(p): name for name, p in module.named_parameters()}
        groups = self._merge(single, names, find_layer)
        params.extend(
            dict(params=group.params, lr=group.lr, lr_scale=group.lr_scale,
                 layer_id=group.layer_id, **group.options)
            for group in groups)
        if is_main_process():
            frozen = [p for p in module.parameters() if not p.requires_grad]
            print_log(
                self._table(module, groups, sum(p.numel() for p in frozen)),
                logger='current')

    def _layer_finder(self, model: nn.Module
                      ) -> Callable[[str], tuple[int, int]]:
        """A function from a parameter's name to its layer and exponent."""
        backbone = getattr(model, 'backbone', None)
        depth_of = getattr(backbone, 'get_layer_depth', None)
        advice = ("expected a model whose 'backbone' has "
                  'get_layer_depth(param_name, prefix), such as ITPN, '
                  'FastITPN or VHeat; for others leave out constructor and '
                  'layer_decay_rate of optim_wrapper')
        if backbone is None:
            raise TypeError(f'{type(model).__name__} has no backbone; '
                            f'{advice}')
        if depth_of is None:
            raise TypeError(
                f'{type(backbone).__name__}, the backbone of '
                f'{type(model).__name__}, does not say how deep its '
                f'parameters are; {advice}')
        if not self.paramwise_cfg.get('legacy'):
            return lambda name: _exponent(*depth_of(name, _PREFIX))
        if 'legacy' not in inspect.signature(depth_of).parameters:
            raise TypeError(
                f'legacy=True, but {type(backbone).__name__} knows one way to '
                'number its layers; leave legacy out')
        num_layers = self.paramwise_cfg.get('num_layers')

        def find(name: str) -> tuple[int, int]:
            layer_id, total = depth_of(name, _PREFIX, legacy=True)
            if num_layers is None:
                return _exponent(layer_id, total)
            # A late block and the heads may have the same number there.
            actual, actual_total = depth_of(name, _PREFIX)
            block = 0 < actual < actual_total - 1
            if layer_id == total - 1 and not block:
                layer_id = num_layers + 1
            return _exponent(layer_id, num_layers + 2)

        return find

    def _merge(self, single: list[dict], names: dict[int, str],
               find_layer: Callable[[str], tuple[int, int]]) -> list[_Group]:
        groups: dict[tuple, _Group] = {}
        for one in single:
            layer_id, exponent = find_layer(names[id(one['params'][0])])
            scale = self.paramwise_cfg['layer_decay_rate']**exponent
            lr = one.get('lr', self.base_lr) * scale
            options = {k: v for k, v in one.items() if k not in _USED_OPTIONS}
            if self.base_wd is not None:
                options['weight_decay'] = one.get('weight_decay',
                                                  self.base_wd)
            # values of options may be lists
            key = (layer_id, lr, repr(sorted(options.items())))
            group = groups.setdefault(
                key, _Group(layer_id, scale, lr, options))
            group.params.extend(one['params'])
        # the sort keeps the order of the model within a layer
        return sorted(groups.values(), key=lambda group: group.layer_id)

    def _table(self, model: nn.Module, groups: list[_Group],
               frozen: int) -> str:
        lines = [
            f'layer-wise learning rates of {type(model.backbone).__name__} '
            f'in {type(model).__name__} (base {self.base_lr:g}, decay '
            f'{self.paramwise_cfg["layer_decay_rate"]:g} a layer):',
            f'{"layer":>5}  {"parameters":>12}  {"lr scale":>9}  '
            f'{"weight decay":>12}'
        ]
        for group in groups:
            decay = group.options.get('weight_decay')
            lines.append(
                f'{group.layer_id:>5}  '
                f'{sum(p.numel() for p in group.params):>12,}  '
                f'{group.lr / self.base_lr:>9.4g}  '
                f'{"-" if decay is None else format(decay, "g"):>12}')
        if frozen:
            lines.append(f'frozen: {frozen:,} parameters')
        return '\n'.join(lines)

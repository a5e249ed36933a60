"""Judging by a cheaper training: less data, fewer epochs, smaller images."""
import copy
from typing import Any

from mmengine.config import Config

from ..errors import SearchError
from ..spec import SearchSpec
from .training import TrainingEvaluator

#: Keys of a transform or a data preprocessor that hold sizes in pixels.
_SIZES = ('crop_size', 'scale', 'size', 'img_scale', 'scales')
#: Least number that counts as pixels: smaller ones are ratios.
_LEAST = 16


class ProxyEvaluator(TrainingEvaluator):
    """Trains each candidate in a cheaper setting.

    FBNetV3 and AutoAugment searched with such proxies; whether MA2ML did is
    not known. How well the proxy ranks candidates is for the user to
    measure: ``python tools/ma2ml_proxy.py CONFIG``.

    Args:
        subset (float): Share of the training images, in (0, 1], drawn with
            a fixed seed, each class alike where the dataset knows classes.
            Defaults to 1.
        epochs (float): Share of the training's length, in (0, 1]; the
            schedule shrinks with it. Defaults to 1.
        image_size (float): Share of the image's sides, in (0, 1]: sizes in
            the pipelines are multiplied by it and rounded to multiples of
            8. Defaults to 1.
        **kwargs (Any): As of :class:`TrainingEvaluator`.
    """

    def __init__(self, subset: float = 1., epochs: float = 1.,
                 image_size: float = 1., **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, share in (('subset', subset), ('epochs', epochs),
                            ('image_size', image_size)):
            if not 0 < share <= 1:
                raise ValueError(f'{name} is {share}; expected a share, '
                                 'above 0 and at most 1')
        if subset == epochs == image_size == 1 and not self.options:
            raise ValueError('a proxy that is the full training: give '
                             'subset, epochs, image_size or options')
        self.subset = subset
        self.epochs = epochs
        self.image_size = image_size

    def prepare(self, cfg: Config) -> None:
        """Make the training cheaper.

        Args:
            cfg (Config): Changed in place.
        """
        if self.subset < 1:
            loader = cfg.train_dataloader
            loader.dataset = dict(
                type='mmvision_ext.RandomSubset', share=self.subset,
                dataset=loader.dataset)
        if self.epochs < 1:
            shorten(cfg, self.epochs)
        if self.image_size < 1:
            for name in ('train', 'val', 'test'):
                _shrink(cfg.get(f'{name}_dataloader'), self.image_size)
            _shrink(cfg.get('data_preprocessor'), self.image_size)
            _shrink(cfg.model.get('data_preprocessor'), self.image_size)
        super().prepare(cfg)


def shorten(cfg: Config, share: float) -> None:
    """Shorten a training and its schedule.

    Args:
        cfg (Config): Changed in place.
        share (float): Share of the epochs or iterations to keep.

    Raises:
        SearchError: If the training has no length.
    """
    loop = cfg.train_cfg
    key = 'max_epochs' if loop.get('max_epochs') else 'max_iters'
    if not loop.get(key):
        raise SearchError('the base config has neither train_cfg.max_epochs '
                          'nor train_cfg.max_iters that a proxy could '
                          'shorten')
    def scale(number: int) -> int:
        return max(1, round(share * number))

    loop[key] = scale(loop[key])
    if loop.get('val_interval'):
        loop['val_interval'] = min(scale(loop['val_interval']), loop[key])
    if loop.get('val_begin'):
        loop['val_begin'] = min(scale(loop['val_begin']), loop[key])
    _shorten_schedules(cfg, share)
    for hook in cfg.get('custom_hooks') or []:
        for entry in hook.get('schedule') or []:
            if entry.get('action_epoch'):
                entry['action_epoch'] = scale(entry['action_epoch'])


def _shorten_schedules(cfg: Config, share: float) -> None:
    found = cfg.get('param_scheduler') or []
    schedules = found if isinstance(found, list) else [found]
    if not schedules:
        return
    for least in (1, 0):
        # With a least of 1 a warm-up stays; where that would leave no time
        # for what follows it, what rounds to nothing goes instead.
        scaled = []
        for schedule in schedules:
            scaled.append(copy.deepcopy(schedule))
            for name in ('begin', 'end', 'T_max', 'total_iters',
                         'step_size'):
                if schedule.get(name):
                    scaled[-1][name] = max(least if name in (
                        'begin', 'end') else 1, round(share * schedule[name]))
            if schedule.get('milestones'):
                scaled[-1]['milestones'] = sorted(
                    {max(1, round(share * one))
                     for one in schedule['milestones']})
        kept = [one for one in scaled if one.get('end') is None
                or (one.get('begin') or 0) < one['end']]
        if len(kept) == len(scaled):
            break
    cfg.param_scheduler = kept


def _shrink(node: Any, share: float) -> None:
    if isinstance(node, list):
        for item in node:
            _shrink(item, share)
    if not hasattr(node, 'items'):
        return
    for key, value in list(node.items()):
        if key in _SIZES:
            node[key] = _scaled(value, share)
        else:
            _shrink(value, share)


def _scaled(value: Any, share: float) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_scaled(one, share) for one in value)
    if isinstance(value, int) and value >= _LEAST:
        return max(8, round(share * value / 8) * 8)
    return value


def full_search(spec: SearchSpec) -> dict[str, Any]:
    """The evaluator that trains what the proxy only samples.

    Args:
        spec (SearchSpec): A search with a proxy.

    Returns:
        dict[str, Any]: Config of the evaluator.
    """
    kept = ('processes', 'gpus', 'checkpoints')
    return dict(type='training', **{
        key: spec.evaluator[key] for key in kept if key in spec.evaluator})

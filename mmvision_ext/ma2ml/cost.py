"""What a candidate costs, known before any training."""
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import torch
from torch import Tensor, nn

from ..engine.complexity import count_complexity
from .spaces import analytic_flops

#: Numbers of a pipeline that decide the size of the image, best first.
_SIZES = ('crop_size', 'scale', 'size', 'img_scale')


@dataclass(frozen=True)
class Cost:
    """Size of a candidate.

    Args:
        flops (int, optional): Multiply-adds of one image.
        params (int, optional): Parameters.
    """

    flops: Optional[int] = None
    params: Optional[int] = None


class ConfigCost:
    """Counts the network of a config, with the counter of the suite.

    Counted are a classifier or a segmentor as a whole, and backbone and neck
    of a detector, whose heads cost what the image makes them cost. Equal
    networks are counted once.

    Where arithmetic tells the multiply-adds, a candidate above the limit is
    known without being built; one within it is counted nevertheless, so
    that all records come from one counter.

    Args:
        input_shape (Sequence[int], optional): Channels, height and width.
            Defaults to None, those of the validation pipeline.
        limit (float, optional): The limit. Defaults to None.
    """

    def __init__(self, input_shape: Optional[Sequence[int]] = None,
                 limit: Optional[float] = None) -> None:
        self.input_shape = None if input_shape is None else tuple(input_shape)
        self.limit = limit
        self._known: dict[str, Cost] = {}

    def __call__(self, cfg: Mapping[str, Any]) -> Cost:
        """Count.

        Args:
            cfg (Config): The candidate.

        Returns:
            Cost: Its size; without parameters where arithmetic has shown
            that it is too large.

        Raises:
            ValueError: If the size of the image cannot be read, or the
                network cannot be built or run.
        """
        shape = self.input_shape or image_shape(cfg)
        if self.limit is not None:
            flops = analytic_flops(cfg, shape)
            if flops is not None and flops > self.limit:
                return Cost(flops)
        key = json.dumps([shape, cfg['model']], default=str, sort_keys=True)
        if key not in self._known:
            try:
                self._known[key] = self._count(cfg, shape)
            except (ArithmeticError, AssertionError, AttributeError,
                    LookupError, RuntimeError, TypeError) as error:
                raise ValueError(f'the network cannot be built and run on '
                                 f'{shape}: {type(error).__name__}: {error}'
                                 ) from error
        return self._known[key]

    def _count(self, cfg: Mapping[str, Any],
               shape: tuple[int, ...]) -> Cost:
        from mmengine.registry import init_default_scope
        init_default_scope(cfg.get('default_scope') or 'mmengine')
        config = dict(cfg['model'])
        if 'augments' in (config.get('train_cfg') or {}):
            # Mixing images counts for nothing and would fill the log.
            del config['train_cfg']
        model = _build(config)
        found = count_complexity(_Forward(model), shape[1:], shape[0])
        return Cost(found.macs, found.params)


class _Forward(nn.Module):
    """A model of any mm library as a function of the image."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        detects = any(hasattr(model, name) for name in
                      ('roi_head', 'bbox_head', 'rpn_head'))
        whole = hasattr(model, 'extract_feat') and (
            getattr(model, 'head', None) is not None
            or hasattr(model, 'decode_head'))
        # not the function itself: whoever counts works on a copy
        self.part = ''
        if whole and not detects:
            self.part = 'tensor'
        elif hasattr(model, 'extract_feat'):
            self.part = 'features'

    def forward(self, x: Tensor) -> Any:
        if self.part == 'tensor':
            return self.model(x, mode='tensor')
        if self.part == 'features':
            return self.model.extract_feat(x)
        return self.model(x)


def _build(config: Mapping[str, Any]) -> nn.Module:
    from ..engine.build import build_model
    try:
        with torch.device('meta'):
            return build_model(config)
    except (NotImplementedError, RuntimeError):
        # Some constructors read numbers out of tensors.
        return build_model(config)


def image_shape(cfg: Mapping[str, Any]) -> tuple[int, int, int]:
    """Channels, height and width of an image of the validation pipeline.

    Args:
        cfg (Config): The config.

    Returns:
        tuple[int, int, int]: Three channels and the size that the last step
        with a size leaves.

    Raises:
        ValueError: If no step tells it.
    """
    dataset = (cfg.get('val_dataloader') or {}).get('dataset') or {}
    while 'dataset' in dataset and 'pipeline' not in dataset:
        dataset = dataset['dataset']
    for step in reversed(dataset.get('pipeline') or []):
        for name in _SIZES:
            size = step.get(name)
            if isinstance(size, int) and size > 0:
                return 3, size, size
            if isinstance(size, (list, tuple)) and len(size) == 2 and all(
                    isinstance(n, int) and n > 0 for n in size):
                # mmcv's scales are (width, height)
                return 3, size[1], size[0]
    raise ValueError('the size of an image cannot be read from the '
                     'validation pipeline: give flops_input=(3, H, W) in the '
                     'search')

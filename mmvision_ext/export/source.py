"""The network of a config and a checkpoint, and what it expects of images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ..engine.checks import check_mmengine
from ..engine.errors import LaunchError
from ..engine.launch import read_config
from ..engine.trained import class_names, load_trained, preprocessing

_DETECTOR_PARTS = ('rpn_head', 'roi_head', 'bbox_head', 'mask_head')


@dataclass(frozen=True)
class Source:
    """A network with its weights.

    Args:
        model (nn.Module): The network, in eval mode.
        task (str): 'classification', 'segmentation' or 'backbone'.
        name (str): Name of the config.
        mean (tuple[float, ...]): Subtracted from the channels, in the order
            of the network.
        std (tuple[float, ...]): What they are divided by then.
        rgb (bool): Whether that order is red, green, blue.
        classes (tuple[str, ...]): Names of the classes, empty if unknown.
    """

    model: nn.Module
    task: str
    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rgb: bool
    classes: tuple[str, ...]


def load_source(config: str, weights: str, part: str = 'model') -> Source:
    """Build the network of a config and load a checkpoint into it.

    Args:
        config (str): A config file.
        weights (str): A checkpoint of it, or converted weights.
        part (str): 'model', or 'backbone' for the backbone alone, of any
            config. Defaults to 'model'.

    Returns:
        Source: The network.

    Raises:
        LaunchError: If a file is missing, the weights do not fit, or that
            kind of network is not exported.
        CheckpointError: If the checkpoint cannot be read safely.
    """
    check_mmengine()
    task = _task(read_config(config), part, config)
    cfg, model = load_trained(config, weights)
    settings = preprocessing(cfg)
    rgb = bool(settings.get('bgr_to_rgb', settings.get('to_rgb', False)))
    return Source(
        model.backbone if part == 'backbone' else model, task,
        Path(config).stem, tuple(settings.get('mean') or (0., 0., 0.)),
        tuple(settings.get('std') or (1., 1., 1.)), rgb, class_names(cfg))


def _task(cfg: Any, part: str, config: str) -> str:
    model = cfg.get('model') or {}
    if 'backbone' not in model:
        raise LaunchError(f'config {config}: its model has no backbone; '
                          'classifiers and segmentors can be exported, and '
                          'the backbone of any network')
    if part == 'backbone':
        return 'backbone'
    if any(model.get(name) for name in _DETECTOR_PARTS):
        kind = 'a detector, whose boxes are chosen outside of any graph'
    elif any(key in model for key in ('target_generator', 'target_cfg')) or \
            'Pretrain' in str(model.get('type')):
        kind = 'for pre-training, which needs no file for inference'
    elif model.get('decode_head'):
        return 'segmentation'
    elif model.get('head'):
        return 'classification'
    else:
        kind = f'a {model.get("type")}, neither classifier nor segmentor'
    raise LaunchError(f'config {config}: the model is {kind}; export its '
                      'backbone with --part backbone')

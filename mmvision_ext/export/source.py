"""The network of a config and a checkpoint, and what it expects of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ..compat.checkpoint import safe_load
from ..engine.checks import check_checkpoint, check_mmengine, register_scope
from ..engine.errors import LaunchError
from ..engine.launch import read_config

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
    cfg = read_config(config)
    check_checkpoint('WEIGHTS', weights)
    register_scope(cfg.get('default_scope'))
    task = _task(cfg, part, config)
    model = _load(_build(cfg, config), weights, config)
    settings = _preprocessing(cfg)
    rgb = bool(settings.get('bgr_to_rgb', settings.get('to_rgb', False)))
    return Source(
        model.backbone if part == 'backbone' else model, task,
        Path(config).stem, tuple(settings.get('mean') or (0., 0., 0.)),
        tuple(settings.get('std') or (1., 1., 1.)), rgb, _classes(cfg, model))


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


def _preprocessing(cfg: Any) -> dict:
    # mmpretrain keeps it beside the model, mmseg inside
    return dict(cfg.get('data_preprocessor') or {},
                **(cfg.model.get('data_preprocessor') or {}))


def _build(cfg: Any, config: str) -> nn.Module:
    from mmengine.registry import DefaultScope

    from ..engine.build import MissingPackageError, build_model
    settings = cfg.model.to_dict()
    settings.setdefault('data_preprocessor', _preprocessing(cfg) or None)
    for key in ('pretrained', 'init_cfg'):
        settings.pop(key, None)
    scope = cfg.get('default_scope') or 'mmengine'
    try:
        with DefaultScope.overwrite_default_scope(scope):
            return build_model(settings).eval()
    except MissingPackageError as error:
        raise LaunchError(str(error)) from error
    except Exception as error:
        # the settings are the user's: any layer may refuse them its own way
        reason = str(error).strip().partition('\n')[0]
        raise LaunchError(f'config {config}: the model cannot be built: '
                          f'{reason}') from error


def _load(model: nn.Module, weights: str, config: str) -> nn.Module:
    content = safe_load(weights)
    state = content.get('state_dict', content) \
        if isinstance(content, Mapping) else {}
    state = {k: v for k, v in state.items()
             if not k.startswith('data_preprocessor.')}
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError) as error:
        lines = str(error).strip().splitlines()
        raise LaunchError(f'{weights} does not fit {config}: '
                          f'{lines[-1].strip()}') from error
    # Heads that only help in training are not always kept in a file.
    missing = [k for k in missing if not k.startswith('auxiliary_head.')]
    for kind, names in (('lacks', missing), ('also holds', unexpected)):
        if names:
            raise LaunchError(
                f'{weights} does not fit {config}: it {kind} {names[0]} and '
                f'{len(names) - 1} more; give the checkpoint of this config')
    return model


def _classes(cfg: Any, model: nn.Module) -> tuple[str, ...]:
    for loader in ('test_dataloader', 'val_dataloader', 'train_dataloader'):
        dataset = (cfg.get(loader) or {}).get('dataset') or {}
        names: Sequence[str] = (dataset.get('metainfo') or {}).get(
            'classes', ()) or ()
        if names:
            return tuple(names)
    names = cfg.get('classes') or ()
    return tuple(names) if not isinstance(names, str) else ()

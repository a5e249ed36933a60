"""The network of a config with the weights of a checkpoint."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..compat.checkpoint import safe_load
from .build import MissingPackageError, build_model
from .checks import check_checkpoint, check_mmengine, register_scope
from .errors import LaunchError
from .launch import read_config


def load_trained(config: str, weights: str) -> tuple[Any, nn.Module]:
    """Build the network of a config and load a checkpoint into it.

    Args:
        config (str): A config file.
        weights (str): A checkpoint of it.

    Returns:
        tuple[mmengine.Config, nn.Module]: The config, and the network in
        eval mode on the CPU.

    Raises:
        LaunchError: If a file is missing or the weights do not fit.
        CheckpointError: If the checkpoint cannot be read safely.
    """
    check_mmengine()
    cfg = read_config(config)
    check_checkpoint('WEIGHTS', weights)
    register_scope(cfg.get('default_scope'))
    model = _build(cfg, config)
    _load(model, weights, config)
    return cfg, model


def preprocessing(cfg: Any) -> dict[str, Any]:
    """Settings of the data preprocessor.

    Args:
        cfg (mmengine.Config): The config.

    Returns:
        dict: What is given beside the model and inside, inside first.
    """
    # mmpretrain keeps it beside the model, mmseg inside
    return dict(cfg.get('data_preprocessor') or {},
                **(cfg.model.get('data_preprocessor') or {}))


def _build(cfg: Any, config: str) -> nn.Module:
    from mmengine.registry import DefaultScope
    settings = cfg.model.to_dict()
    settings.setdefault('data_preprocessor', preprocessing(cfg) or None)
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


def _load(model: nn.Module, weights: str, config: str) -> None:
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


def class_names(cfg: Any) -> tuple[str, ...]:
    """Names of the classes that a config tells of.

    Args:
        cfg (mmengine.Config): The config.

    Returns:
        tuple[str, ...]: The names, empty if it names none.
    """
    for loader in ('test_dataloader', 'val_dataloader', 'train_dataloader'):
        dataset = (cfg.get(loader) or {}).get('dataset') or {}
        names = (dataset.get('metainfo') or {}).get('classes')
        if names:
            return tuple(names)
    names = cfg.get('classes') or ()
    return tuple(names) if not isinstance(names, str) else ()

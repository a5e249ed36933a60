"""Networks built from the configs that weight files carry."""

import copy
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from torch import Tensor, nn

_BACKBONE = 'backbone.'


class MissingPackageError(ImportError):
    """A package that the network is built from is not installed."""


def build_model(config: Mapping[str, Any]) -> nn.Module:
    """Build a network from a model config.

    Args:
        config (Mapping[str, Any]): As in ``meta['model']`` of a converted
            file; left unchanged.

    Returns:
        nn.Module: The network, freshly initialised.

    Raises:
        MissingPackageError: If mmengine, or the package that the type names,
            is not installed.
    """
    scopes = {str(config.get('type', '')).split('.')[0],
              str(config.get('_scope_', ''))}
    for package in ('mmengine', 'mmpretrain', 'mmdet', 'mmseg'):
        if (package == 'mmengine' or package in scopes) and \
                find_spec(package) is None:
            raise MissingPackageError(
                f'{config.get("type")} needs {package}, which is not '
                'installed: pip install "mmvision_ext[onedl]"')
    from mmengine.config import ConfigDict

    from ..registry import MODELS
    # mmdet reads parts of its config as attributes
    return MODELS.build(ConfigDict(copy.deepcopy(dict(config))))


def load_weights(model: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Load the weights of a converted file, all or none missing.

    Args:
        model (nn.Module): The network, or a backbone alone.
        state_dict (Mapping[str, Tensor]): Its weights; those of a backbone
            under 'backbone.' in either case.

    Raises:
        RuntimeError: If a tensor is missing, too many or of another shape.
        WeightMismatchError: If they are those of another backbone.
    """
    weights: dict[str, Tensor] = dict(state_dict)
    if not hasattr(model, _BACKBONE[:-1]):
        weights = {name[len(_BACKBONE):] if name.startswith(_BACKBONE)
                   else name: tensor for name, tensor in weights.items()}
    model.load_state_dict(weights, strict=True)

"""Pruners by name."""
from collections.abc import Mapping
from typing import Any

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)

from .errors import SearchError

_PRUNERS: dict[str, type[BasePruner]] = dict(
    none=NopPruner, median=MedianPruner, asha=SuccessiveHalvingPruner,
    hyperband=HyperbandPruner)


def build_pruner(config: Mapping[str, Any]) -> BasePruner:
    """Make a pruner.

    Steps are epochs, or iterations where the training counts in these.

    Args:
        config (Mapping): ``type`` 'none', 'median', 'asha' (asynchronous
            successive halving) or 'hyperband', and arguments of Optuna's
            class.

    Returns:
        BasePruner: The pruner.

    Raises:
        SearchError: If there is no such pruner, or an argument is wrong.
    """
    settings = dict(config)
    name = settings.pop('type', 'none')
    if name not in _PRUNERS:
        raise SearchError(f'pruner {name!r}: choose from '
                          f'{", ".join(_PRUNERS)}')
    try:
        return _PRUNERS[name](**settings)
    except (TypeError, ValueError) as error:
        raise SearchError(f'pruner {name}: {error}') from error

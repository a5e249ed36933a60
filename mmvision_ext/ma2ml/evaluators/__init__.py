"""How a candidate is judged: by training, by a proxy, from a table."""
from collections.abc import Mapping
from typing import Any

from ...registry import TASK_UTILS
from ..errors import SearchError
from .base import Evaluator
from .proxy import ProxyEvaluator
from .tabular import TabularEvaluator
from .training import TrainingEvaluator

__all__ = ['Evaluator', 'ProxyEvaluator', 'TabularEvaluator',
           'TrainingEvaluator', 'build_evaluator']

_NAMES = dict(training=TrainingEvaluator, proxy=ProxyEvaluator,
              tabular=TabularEvaluator)


def build_evaluator(config: Mapping[str, Any]) -> Evaluator:
    """Make an evaluator.

    Args:
        config (Mapping): ``type`` 'training', 'proxy' or 'tabular', or the
            name of a class in ``TASK_UTILS``, and its arguments.

    Returns:
        Evaluator: The evaluator.

    Raises:
        SearchError: If it cannot be made.
    """
    settings = dict(config)
    kind = settings.get('type', 'training')
    try:
        if kind in _NAMES:
            settings.pop('type', None)
            return _NAMES[kind](**settings)
        return TASK_UTILS.build(settings)
    except (TypeError, ValueError, KeyError, OSError) as error:
        reason = str(error.args[0] if error.args else error).strip()
        raise SearchError(f'search.evaluator {kind}: {reason}') from error

"""Child registries of every mmengine root registry, scope 'mmvision_ext'.

mmengine imports this module by itself when it meets a type of the form
``mmvision_ext.Name``; ``locations`` then bring in what registers the name.
"""

from typing import List

import mmengine.registry as root
from mmengine.registry import Registry


def _child(name: str, locations: List[str]) -> Registry:
    parent: Registry = getattr(root, name)
    return Registry(
        parent.name,
        parent=parent,
        scope='mmvision_ext',
        locations=[f'mmvision_ext.{place}' for place in locations])


MODELS = _child('MODELS', ['vheat', 'itpn', 'ma2ml.networks'])
MODEL_WRAPPERS = _child('MODEL_WRAPPERS', ['engine'])
WEIGHT_INITIALIZERS = _child('WEIGHT_INITIALIZERS', ['engine'])
DATASETS = _child('DATASETS', ['datasets', 'ma2ml.subset'])
TRANSFORMS = _child('TRANSFORMS', ['datasets', 'itpn'])
DATA_SAMPLERS = _child('DATA_SAMPLERS', ['datasets'])
FUNCTIONS = _child('FUNCTIONS', ['datasets'])
METRICS = _child('METRICS', ['engine'])
EVALUATOR = _child('EVALUATOR', ['engine'])
HOOKS = _child('HOOKS', [
    'engine.exact_resume', 'engine.nonfinite', 'itpn', 'ma2ml.hook'])
LOOPS = _child('LOOPS', ['engine'])
RUNNERS = _child('RUNNERS', ['engine'])
RUNNER_CONSTRUCTORS = _child('RUNNER_CONSTRUCTORS', ['engine'])
STRATEGIES = _child('STRATEGIES', ['engine'])
OPTIMIZERS = _child('OPTIMIZERS', ['engine'])
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS', ['engine'])
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'OPTIM_WRAPPER_CONSTRUCTORS', ['engine.layer_decay'])
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS', ['engine'])
TASK_UTILS = _child('TASK_UTILS', ['engine', 'ma2ml.spaces'])
INFERENCERS = _child('INFERENCERS', ['engine'])
VISUALIZERS = _child('VISUALIZERS', ['engine'])
VISBACKENDS = _child('VISBACKENDS', ['engine'])
LOG_PROCESSORS = _child('LOG_PROCESSORS', ['engine'])

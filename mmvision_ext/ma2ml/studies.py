"""Making a study, or opening the one that is there."""
import warnings
from pathlib import Path
from typing import Any, Optional

import optuna
from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage

from .errors import SearchError
from .proposals import counts_ordinals
from .pruning import build_pruner
from .spec import SearchSpec
from .storage import hide_password

#: Attribute with what may not change between runs.
_IDENTITY = 'identity'


def open_study(spec: SearchSpec, storage: BaseStorage, name: str,
               resume: bool, place: str) -> Study:
    """Make a study, or open it to go on or to join.

    Args:
        spec (SearchSpec): The search, with its base config read.
        storage (BaseStorage): Where it is kept.
        name (str): Its name.
        resume (bool): Whether a study that has trials is welcome.
        place (str): Where it is kept, for messages.

    Returns:
        Study: With the pruner of the search.

    Raises:
        SearchError: If it is there and ``resume`` is not given, or is of
            another search.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', ExperimentalWarning)
        study = optuna.create_study(
            storage=storage, study_name=name, direction=spec.direction,
            pruner=build_pruner(spec.pruner), load_if_exists=True)
    known = study.user_attrs.get(_IDENTITY)
    if known is None:
        _describe(study, spec)
        return study
    trials = len(study.get_trials(deepcopy=False))
    if trials and not resume:
        raise SearchError(
            f'there is a study {name!r} with {trials} trials in '
            f'{hide_password(place)}: go on with it, or join those who work '
            'on it, with --resume; begin anew with another --work-dir')
    _compare(known, spec, name)
    _check_form(study, spec)
    # Both may change; the report says what holds now.
    study.set_user_attr('flops_limit', spec.flops_limit)
    study.set_user_attr('sampler', spec.sampler.get('name', 'ma2ml'))
    return study


def _describe(study: Study, spec: SearchSpec) -> None:
    """Write down what the study is about."""
    text = Path(spec.path).read_text('utf-8') if spec.path else ''
    # The identity last: with it the description is whole.
    for key, value in dict(
            metric=spec.metric, flops_limit=spec.flops_limit,
            sampler=spec.sampler.get('name', 'ma2ml'), seed=spec.seed,
            search_config=text, deterministic=spec.deterministic,
            counts_ordinals=counts_ordinals(
                spec.sampler.get('name', 'ma2ml'))).items():
        study.set_user_attr(key, value)
    study.set_user_attr(_IDENTITY, spec.identity())


def _compare(known: dict[str, Any], spec: SearchSpec, name: str) -> None:
    own = spec.identity()
    path = _difference(known, own)
    if path is not None:
        raise SearchError(
            f'study {name!r} is of another search: {path}. Rewards of both '
            'cannot be compared; give this one another --work-dir')


def _difference(old: Any, new: Any, path: str = '') -> Optional[str]:
    """The first place where two trees differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            where = f'{path}.{key}' if path else str(key)
            if key not in old or key not in new:
                return f'{where} is in one alone'
            found = _difference(old[key], new[key], where)
            if found:
                return found
        return None
    if isinstance(old, list) and isinstance(new, list) and \
            len(old) == len(new):
        for place, pair in enumerate(zip(old, new)):
            found = _difference(*pair, f'{path}.{place}')
            if found:
                return found
        return None
    return None if old == new else f'{path} was {old!r} and is {new!r}'


def _check_form(study: Study, spec: SearchSpec) -> None:
    name = spec.sampler.get('name', 'ma2ml')
    counted = study.user_attrs['counts_ordinals']
    if counts_ordinals(name) and not counted:
        raise SearchError(
            f'sampler {name} needs ordinal decisions as numbers, and the '
            'study has them as categories: give this search another '
            '--work-dir')
    if name == 'ma2ml' and counted:
        raise SearchError(
            f'sampler {name} needs decisions as categories, and the study '
            'has ordinal ones as numbers: give this search another '
            '--work-dir')

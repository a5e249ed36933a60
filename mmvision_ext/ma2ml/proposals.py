"""Proposing candidates: any sampler, without repeats, within the limit."""
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial, TrialState

from .errors import SearchError
from .space import SearchSpace

if TYPE_CHECKING:
    from collections.abc import Set

#: Samplers of Optuna by the name that ``--sampler`` takes, and the settings
#: that suit decisions: dependent choices, an order where there is one.
_OPTUNA: dict[str, tuple[type[BaseSampler], dict[str, Any]]] = dict(
    random=(RandomSampler, {}),
    tpe=(TPESampler, dict(multivariate=True, group=True)),
    gp=(GPSampler, dict(deterministic_objective=False,
                        warn_independent_sampling=False)),
    nsgaii=(NSGAIISampler, {}),
    evolution=(NSGAIISampler, dict(population_size=20)),
    cmaes=(CmaEsSampler, dict(warn_independent_sampling=False)))
#: Those that see the order of ordinal decisions, as numbers.
_COUNTING = ('gp', 'cmaes')
SAMPLERS = ('ma2ml', *_OPTUNA)

#: Draws of the sampler before a candidate is drawn uniformly; fewer of one
#: that fits a model for each.
_TRIES, _COSTLY_TRIES = 30, 3
#: Uniform draws before the limit is taken for impossible.
_UNIFORM_TRIES = 300

Values = dict[str, Any]


def trial_seed(seed: int, number: int, purpose: int = 0) -> int:
    """A seed that depends on a trial alone, not on what came before it.

    Args:
        seed (int): Seed of the search.
        number (int): Number of the trial.
        purpose (int): 0 for its training, 1 and 2 for its proposal.
            Defaults to 0.

    Returns:
        int: From 0 to 2**31 - 1.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(number, purpose))
    return int(sequence.generate_state(1)[0]) >> 1


def counts_ordinals(name: str) -> bool:
    """Whether a sampler wants ordinal decisions as numbers.

    Args:
        name (str): As in the config.

    Returns:
        bool: False for those that see categories alone.
    """
    return name in _COUNTING


class ProposalSampler(BaseSampler):
    """Lets another sampler draw until a candidate is new and small enough.

    A sampler that repeats itself wastes trainings in a space of discrete
    decisions, and one that knows no limit proposes what may not be trained.
    So every sampler is asked up to 30 times for a candidate (a Gaussian
    process, which is costly and repeats itself, 3 times); then it is
    drawn uniformly, and if the whole space has been seen, one is repeated
    (whose reward the search copies). The same rule holds for all samplers.

    Samplers of Optuna are made anew for each trial, seeded with its number,
    so that what is proposed depends on the records alone and a search that
    was killed goes on as if it had not been.

    Args:
        settings (Mapping): ``name``, one of :data:`SAMPLERS`, and arguments
            of its class.
        space (SearchSpace): The space.
        seed (int): Seed of the search.
        feasible (Callable): Tells of a candidate whether it may be trained.
        on_trial (Callable): Called with the id of each trial that is about
            to be filled.
        counted (bool): Ordinal decisions are numbers in this study.
            Defaults to False.

    Raises:
        SearchError: If there is no such sampler, or it does not fit.
    """

    def __init__(self, settings: Mapping[str, Any], space: SearchSpace,
                 seed: int, feasible: Callable[[Values], bool],
                 on_trial: Callable[[int], None],
                 counted: bool = False) -> None:
        self.space = space
        self.seed = seed
        self.feasible = feasible
        self.on_trial = on_trial
        self._distributions = space.distributions(counted)
        self._codes: dict[int, tuple[int, ...]] = {}
        own = dict(settings)
        self.name = own.pop('name', 'ma2ml')
        self._learner: Optional[BaseSampler] = None
        if self.name == 'ma2ml':
            self._learner = self._make_learner(own)
        elif self.name not in _OPTUNA:
            raise SearchError(f'sampler {self.name!r}: choose from '
                              f'{", ".join(SAMPLERS)}')
        self._settings = own
        if self.name == 'cmaes' and not any(
                one.ordinal for one in space.decisions):
            raise SearchError('sampler cmaes works on ordered choices, and no '
                              'decision of this space is ordinal')
        self._make(0)

    def _make_learner(self, own: Mapping[str, Any]) -> BaseSampler:
        from .sampler import MA2MLSampler
        try:
            return MA2MLSampler(space=self.space, seed=self.seed,
                                feasible=self.feasible, **own)
        except (TypeError, ValueError) as error:
            raise SearchError(f'sampler ma2ml: {error}') from error

    def _make(self, number: int) -> BaseSampler:
        if self._learner is not None:
            return self._learner
        kind, settings = _OPTUNA[self.name]
        settings = {**settings, **self._settings}
        known = inspect.signature(kind).parameters
        for key in settings:
            if key not in known:
                raise SearchError(f'sampler {self.name}: no setting {key!r} '
                                  f'(it has {", ".join(known)})')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', ExperimentalWarning)
            return kind(**settings, seed=trial_seed(self.seed, number, 1))

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Say which trial is being filled."""
        self.on_trial(trial._trial_id)
        self._make(trial.number).before_trial(study, trial)

    def infer_relative_search_space(
            self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All decisions: a candidate is drawn as a whole."""
        return self._distributions

    def sample_relative(self, study: Study, trial: FrozenTrial,
                        search_space: dict[str, BaseDistribution]
                        ) -> dict[str, Any]:
        """Draw a candidate; see the class.

        Args:
            study (Study): The study.
            trial (FrozenTrial): The trial to fill.
            search_space (dict): All decisions.

        Returns:
            dict[str, Any]: The decisions that exist in the candidate.

        Raises:
            SearchError: If nothing within the limit is found, or nothing
                is left that could be proposed.
        """
        if 'fixed_params' in trial.system_attrs:
            return {}
        seen = self.seen(study, trial.number)
        inner = self._make(trial.number)
        for _ in range(_COSTLY_TRIES if self.name == 'gp' else _TRIES):
            params = self._draw(inner, study, trial)
            values = self._values(params)
            if self.space.encode(values) not in seen and self.feasible(
                    values):
                return params
        return self._draw_uniformly(study, trial.number, seen)

    def sample_independent(self, study: Study, trial: FrozenTrial,
                           param_name: str,
                           param_distribution: BaseDistribution) -> Any:
        """One decision alone: where some of a candidate were given."""
        return self._make(trial.number).sample_independent(
            study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial,
                    state: TrialState,
                    values: Optional[Sequence[float]]) -> None:
        """Tell the sampler."""
        self._make(trial.number).after_trial(study, trial, state, values)

    def seen(self, study: Study, number: int) -> 'Set[tuple[int, ...]]':
        """Candidates of all other trials.

        Those whose worker died count only while they run: the candidate
        has not been judged.

        Args:
            study (Study): The study.
            number (int): The trial that does not count.

        Returns:
            set: Codes of candidates.
        """
        found = set()
        for trial in study.get_trials(deepcopy=False):
            if trial.number == number:
                continue
            code = self.code_of(trial)
            failure = trial.user_attrs.get('failure') or {}
            if code is not None and failure.get('class') != 'killed':
                found.add(code)
        return found

    def code_of(self, trial: FrozenTrial) -> Optional[tuple[int, ...]]:
        """The candidate of a trial.

        Args:
            trial (FrozenTrial): Any trial of the study.

        Returns:
            tuple[int, ...] | None: Its code; None if it is not filled yet.
        """
        code = self._codes.get(trial.number)
        if code is None:
            try:
                code = self.space.encode(self.space.values_of(trial))
            except ValueError:
                return None
            if trial.state.is_finished():
                self._codes[trial.number] = code
        return code

    def _draw(self, inner: BaseSampler, study: Study,
              trial: FrozenTrial) -> dict[str, Any]:
        space = inner.infer_relative_search_space(study, trial)
        found = inner.sample_relative(study, trial, space)
        params: dict[str, Any] = {}
        values: Values = {}
        for name in self.space.names:
            if not self.space.is_active(name, values):
                continue
            if name in found:
                params[name] = found[name]
            else:
                params[name] = inner.sample_independent(
                    study, trial, name, self._distributions[name])
            values[name] = self._value(name, params[name])
        return params

    def _value(self, name: str, param: Any) -> Any:
        if hasattr(self._distributions[name], 'low'):
            place = self.space.names.index(name)
            return self.space.decisions[place].choices[param]
        return param

    def _values(self, params: Mapping[str, Any]) -> Values:
        return {name: self._value(name, one) for name, one in params.items()}

    def _draw_uniformly(self, study: Study, number: int,
                        seen: 'Set[tuple[int, ...]]') -> dict[str, Any]:
        rng = np.random.default_rng(trial_seed(self.seed, number, 2))
        feasible = False
        for _ in range(_UNIFORM_TRIES):
            values = self.space.sample(rng)
            if self.feasible(values):
                feasible = True
                if self.space.encode(values) not in seen:
                    return self._params(values)
        if not feasible:
            raise SearchError(
                f'no candidate within flops_limit among {_UNIFORM_TRIES} '
                'drawn at random: raise --flops-limit, or give the spaces '
                'smaller choices (--dry-run shows what they cost)')
        complete = study.get_trials(
            deepcopy=False, states=(TrialState.COMPLETE, ))
        if not complete:
            raise SearchError('every candidate of the space runs or has '
                              'failed: see the messages of the trials')
        return self._params(self.space.values_of(
            complete[int(rng.integers(len(complete)))]))

    def _params(self, values: Values) -> dict[str, Any]:
        code = self.space.encode(values)
        return {
            name: code[place] if hasattr(self._distributions[name], 'low')
            else values[name]
            for place, name in enumerate(self.space.names) if name in values
        }

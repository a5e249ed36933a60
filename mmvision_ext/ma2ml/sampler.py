"""MA2ML as a sampler of Optuna, for our search tool and any other study."""
import threading
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from .learner import MA2MLLearner
from .presets import settings
from .proposal import Action, Feasible
from .space import SearchSpace
from .view import GivenView, InferredView, levels

#: System attribute: place of a trial in the sequence, and what was proposed.
PROPOSAL = 'ma2ml:proposal'

#: User attribute: credit of each agent for the proposal.
CREDIT = 'ma2ml:credit'

#: User attribute in which the search tool writes why a trial failed.
FAILURE = 'failure'

#: Failures that say nothing about the candidate.
LOST = ('killed', )


class MA2MLSampler(BaseSampler):
    """Agents with a shared critic choose the parameters together.

    The agent of a parameter is what stands before the first dot of its name
    (``aug.``, ``nas.``, ``hpo.``), or what ``agents`` says.

    Without ``space`` the sampler takes the parameters it finds in the
    study's trials, continuous ones at a few levels, and leaves a parameter
    that is new to a uniform draw, as in the first trial of a study. With
    ``space`` it knows all from the start, and which decisions depend on
    which, so that it never proposes the same candidate twice.

    Completed trials teach their value, pruned ones the last value they
    reported. Failed trials are not proposed again and teach the worst value
    of the study, except where the user attribute ``failure`` has the class
    ``killed``, which says nothing about the candidate: those are as if they
    had never been.

    The learner's state is a function of the seed and the trial log, so a
    study that is loaded again goes on as it would have: each trial takes the
    first free place in the sequence of proposals, that of a killed one
    before a new one, and draws are keyed by the place. With several workers
    this holds in ordered mode: the proposal at place ``t`` looks at the
    results of the places up to ``t - workers`` and no others, whenever they
    came in; it takes the trials between as pending.

    Args:
        space (SearchSpace, optional): The space, of which
            ``space.suggest(trial)`` asks for the parameters. Defaults to
            None: it is taken from the trials.
        seed (int, optional): Seed. Defaults to None, a random one.
        preset (str): Name of the learner's settings: ``ma2ml``, ``network``,
            ``plain``, ``lite``, ``no-credit`` or ``no-replay``. Defaults to
            ``'ma2ml'``.
        agents (Mapping[str, Sequence[str]], optional): Agent to names of its
            parameters, for names without such a prefix. Defaults to None.
        feasible (Callable, optional): Parameters of a candidate to whether
            it may be evaluated, see :class:`MA2MLLearner`. Defaults to None.
        ordered (int, optional): Number of workers in ordered mode. Defaults
            to None: every proposal looks at all finished trials.
        **changes: Settings to change of the preset, see
            :class:`~mmvision_ext.ma2ml.presets.Settings`.

    Raises:
        ValueError: If there is no such preset or setting.
    """

    def __init__(self, space: Optional[SearchSpace] = None, *,
                 seed: Optional[int] = None, preset: str = 'ma2ml',
                 agents: Optional[Mapping[str, Sequence[str]]] = None,
                 feasible: Optional[Feasible] = None,
                 ordered: Optional[int] = None, **changes: Any) -> None:
        if ordered is not None and ordered < 1:
            raise ValueError(f'ordered is {ordered}; expected the number of '
                             'workers, at least 1')
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        self._given = space
        self._seed = seed
        self._settings = settings(preset, **changes)
        self._owners = {name: agent for agent, names in (agents or {}).items()
                        for name in names}
        self._feasible = feasible
        self._ordered = ordered
        self._reset()

    def reseed_rng(self) -> None:
        """Do nothing: draws are keyed by the place in the sequence."""

    def infer_relative_search_space(
            self, study: Study,
            trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters that are known, see the class."""
        self._raise_error_if_multi_objective(study)
        with self._lock:
            view = self._look(study)
            return {} if view is None else dict(view.distributions)

    def sample_relative(
            self, study: Study, trial: FrozenTrial,
            search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """Propose a candidate, see the class.

        Raises:
            RuntimeError: In ordered mode, if a result is missing that the
                proposal has to look at.
        """
        with self._lock:
            trials = [one for one in _live(study)
                      if one.number != trial.number]
            place = _free_place(trials, trial)
            self._place[trial.number] = place
            record: dict[str, Any] = dict(place=place)
            params: dict[str, Any] = {}
            if search_space:
                learner = self._learn(study, trials, place)
                pending = self._pending(trials, place)
                proposal = learner.propose(pending, key=place)
                record['action'] = list(proposal.action)
                params = self._view.params(proposal.action)
                if proposal.credit:
                    study._storage.set_trial_user_attr(
                        trial._trial_id, CREDIT, {
                            self._view.agents[agent]: value
                            for agent, value in proposal.credit.items()
                        })
            study._storage.set_trial_system_attr(
                trial._trial_id, PROPOSAL, record)
            return params

    def sample_independent(self, study: Study, trial: FrozenTrial,
                           param_name: str,
                           param_distribution: BaseDistribution) -> Any:
        """Draw a parameter that is not known yet uniformly."""
        place = self._place.get(trial.number, trial.number)
        rng = np.random.default_rng(
            [self._seed, 3, place, zlib.crc32(param_name.encode())])
        values = levels(param_distribution)
        return values[int(rng.integers(len(values)))]

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state['_lock'], state['_learner'], state['_view']
        del state['_observed'], state['_place']
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._learner: Optional[MA2MLLearner] = None
        self._view: Union[GivenView, InferredView, None] = None
        if self._given is not None:
            self._view = GivenView(self._given)
        self._observed: set[int] = set()
        self._place: dict[int, int] = {}

    def _look(self, study: Study) -> Union[GivenView, InferredView, None]:
        """The study's parameters; the learner starts anew if they changed."""
        if self._given is not None:
            return self._view
        found: dict[str, BaseDistribution] = {}
        for trial in study.get_trials(deepcopy=False):
            if trial.state.is_finished():
                found.update(trial.distributions)
        if not found:
            return None
        if self._view is None or self._view.distributions != found:
            self._view = InferredView(found, self._owners)
            self._learner = None
        return self._view

    def _learn(self, study: Study, trials: list[FrozenTrial],
               place: int) -> MA2MLLearner:
        """Bring the learner to the state before a place."""
        if self._learner is None:
            view, feasible = self._view, None
            if self._feasible is not None:
                def feasible(values: dict[str, Any]) -> bool:
                    return self._feasible(
                        view.params(view.space.encode(values)))
            self._learner = MA2MLLearner(
                view.space, self._seed, self._settings, feasible)
            self._observed = set()
        if self._ordered is not None:
            past = place - self._ordered
            self._check_order(trials, past)
            trials = [one for one in trials if _place_of(one) <= past]
        sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
        for trial in trials:
            if not trial.state.is_finished() or (
                    trial.number in self._observed):
                continue
            action = self._view.action(trial)
            if action is not None:
                self._learner.observe(action, _reward(trial, sign))
            self._observed.add(trial.number)
        return self._learner

    def _pending(self, trials: list[FrozenTrial],
                 place: int) -> list[Action]:
        pending = []
        for one in trials:
            if one.number in self._observed:
                continue
            if self._ordered is not None and _place_of(one) > place:
                continue
            record = one.system_attrs.get(PROPOSAL, {})
            action = self._view.action(one) or record.get('action')
            if action is not None:
                pending.append(tuple(action))
        return pending

    def _check_order(self, trials: list[FrozenTrial], past: int) -> None:
        done = {_place_of(one) for one in trials if one.state.is_finished()}
        for place in range(past + 1):
            if place not in done:
                raise RuntimeError(
                    f'ordered mode with {self._ordered} workers: the trial '
                    f'at place {place} has to be told before the next one '
                    'is asked for; ask fewer trials ahead, or mark it as '
                    "failed with the user attribute failure of class "
                    "'killed' if its worker is gone")


def _live(study: Study) -> list[FrozenTrial]:
    """Trials that count, in the order of their places."""
    trials = [
        trial for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.WAITING and not (
            trial.state == TrialState.FAIL and trial.user_attrs.get(
                FAILURE, {}).get('class') in LOST)
    ]
    return sorted(trials, key=lambda one: (_place_of(one), one.number))


def _place_of(trial: FrozenTrial) -> int:
    """Trials that others proposed stand where their number says."""
    return trial.system_attrs.get(PROPOSAL, {}).get('place', trial.number)


def _free_place(trials: list[FrozenTrial], trial: FrozenTrial) -> int:
    """The first place that no other trial has or is about to take."""
    taken = {_place_of(one) for one in trials
             if PROPOSAL in one.system_attrs or one.state.is_finished()}
    before = sum(one.number < trial.number for one in trials
                 if not one.state.is_finished()
                 and PROPOSAL not in one.system_attrs)
    place = 0
    while place in taken or before:
        before -= place not in taken
        place += 1
    return place


def _reward(trial: FrozenTrial, sign: int) -> Optional[float]:
    if trial.state == TrialState.COMPLETE:
        return sign * trial.value
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        last = max(trial.intermediate_values)
        return sign * trial.intermediate_values[last]
    return None

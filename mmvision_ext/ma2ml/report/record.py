"""What a report needs to know of a study, read once."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from ..space import SearchSpace

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

#: Trial attributes that hold the credit of each agent.
CREDIT_KEYS = ('ma2ml:credit', 'agents_credit')


@dataclass(frozen=True)
class TrialRow:
    """A trial.

    Args:
        number (int): Its number.
        state (str): 'complete', 'pruned', 'failed' or 'running'.
        value (float, optional): The reward; of a pruned trial the last
            value it reported.
        params (dict[str, Any]): Full names to choices, in order.
        flops (int, optional): Multiply-adds of the candidate.
        seconds (float, optional): What it took.
        failure (str, optional): Class of the failure.
        message (str): What is known about it.
        credit (dict[str, float]): Credit of each agent at the proposal.
    """

    number: int
    state: str
    value: Optional[float]
    params: dict[str, Any]
    flops: Optional[int] = None
    seconds: Optional[float] = None
    failure: Optional[str] = None
    message: str = ''
    credit: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """A study.

    Args:
        name (str): Name of the study.
        metric (str): What the reward is.
        maximize (bool): Whether more is better.
        trials (list[TrialRow]): By number.
        flops_limit (float, optional): Largest multiply-adds allowed.
        config (str): Text of the search config, if the study carries it.
        sampler (str): Name of the sampler, if the study carries it.
    """

    name: str
    metric: str
    maximize: bool
    trials: list[TrialRow]
    flops_limit: Optional[float] = None
    config: str = ''
    sampler: str = ''

    @property
    def complete(self) -> list[TrialRow]:
        """Trials that were trained to the end."""
        return [t for t in self.trials if t.state == 'complete']

    @property
    def best(self) -> Optional[TrialRow]:
        """The complete trial with the best reward, the first of equals."""
        return min(self.complete, key=self.loss, default=None)

    def loss(self, trial: TrialRow) -> float:
        """The reward as something to make small."""
        return -trial.value if self.maximize else trial.value

    @property
    def agents(self) -> list[str]:
        """Agents in the order of their decisions."""
        names = (name.partition('.')[0] for trial in self.trials
                 for name in (*trial.params, *trial.credit))
        return list(dict.fromkeys(names))

    @property
    def decisions(self) -> list[str]:
        """Full names of all decisions that were made in any trial."""
        rows = sorted(self.trials, key=lambda t: -len(t.params))
        return list(dict.fromkeys(n for t in rows for n in t.params))

    def pareto(self) -> list[TrialRow]:
        """Complete trials that no cheaper one equals, cheapest first."""
        rows = [t for t in self.complete if t.flops is not None]
        front: list[TrialRow] = []
        for trial in sorted(rows, key=lambda t: (t.flops, self.loss(t))):
            if not front or self.loss(trial) < self.loss(front[-1]):
                front.append(trial)
        return front


def read_study(study: Study) -> Record:
    """Read a study.

    Args:
        study (optuna.Study): With one objective. Studies of plain Optuna
            have no FLOPs, failures and credits and are read as well.

    Returns:
        Record: What the report shows.

    Raises:
        ValueError: If the study has several objectives.
    """
    if len(study.directions) != 1:
        raise ValueError(
            f'study {study.study_name!r} has {len(study.directions)} '
            'objectives; the report shows studies with one')
    attrs = study.user_attrs
    limit = attrs.get('flops_limit')
    # what the search tool wrote down when it made the study
    space = (attrs.get('identity') or {}).get('space')
    space = SearchSpace.from_config(space) if space else None
    return Record(
        name=study.study_name,
        metric=str(attrs.get('metric') or 'reward'),
        maximize=study.direction.name == 'MAXIMIZE',
        trials=[_row(trial, space)
                for trial in study.get_trials(deepcopy=False)],
        flops_limit=None if limit is None else float(limit),
        config=str(attrs.get('search_config') or ''),
        sampler=str(attrs.get('sampler') or ''))


def _row(trial: FrozenTrial, space: Optional[SearchSpace]) -> TrialRow:
    attrs: Mapping[str, Any] = {**trial.system_attrs, **trial.user_attrs}
    name = trial.state.name
    state = dict(COMPLETE='complete', PRUNED='pruned', FAIL='failed').get(
        name, 'running')
    value = trial.value
    if state == 'pruned' and trial.intermediate_values:
        value = trial.intermediate_values[max(trial.intermediate_values)]
    if value is not None and not math.isfinite(value):
        # an infinite reward: nothing to compare with
        value, state = None, 'failed' if state == 'complete' else state
    failure, message = _failure(attrs.get('failure'), state)
    seconds = attrs.get('seconds')
    if seconds is None and trial.duration is not None:
        seconds = trial.duration.total_seconds()
    credit = next((attrs[k] for k in CREDIT_KEYS if attrs.get(k)), {})
    return TrialRow(
        number=trial.number, state=state, value=value,
        # a study may hold the places of ordinal choices instead of them
        params=space.values_of(trial) if space else dict(trial.params),
        flops=attrs.get('flops'), seconds=seconds,
        failure=failure, message=message,
        credit={str(agent): float(one) for agent, one in credit.items()})


def _failure(found: Any, state: str) -> tuple[Optional[str], str]:
    if isinstance(found, Mapping):
        return str(found.get('class', 'unknown')), str(
            found.get('message') or '')
    if state == 'failed':
        return 'unknown', str(found or '')
    return None, ''


def moving_mean(values: Sequence[float], window: int) -> list[float]:
    """Mean of the last values up to each.

    Args:
        values (Sequence[float]): In order.
        window (int): How many.

    Returns:
        list[float]: One mean a value.
    """
    means = []
    for end in range(1, len(values) + 1):
        part = values[max(0, end - window):end]
        means.append(sum(part) / len(part))
    return means

"""What a proposal of the MA2ML learner costs."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from ..ma2ml.decision import Decision
from ..ma2ml.learner import MA2MLLearner
from ..ma2ml.space import SearchSpace
from .machine import device_name

#: Trials before each mark of which the median is taken.
WINDOW = 20
#: Name in the report.
LEARNER = 'ma2ml-learner'


def make_space() -> SearchSpace:
    """Three agents of four decisions with five ordered choices each.

    Returns:
        SearchSpace: 5^12 candidates.
    """
    return SearchSpace({
        agent: [Decision(f'd{i}', list(range(5)), ordinal=True)
                for i in range(4)]
        for agent in ('augmentation', 'architecture', 'recipe')
    })


def measure_proposals(marks: Sequence[int], say: Callable[[str], None]
                      ) -> Iterator[dict[str, Any]]:
    """Run a search that evaluates for nothing.

    Args:
        marks (Sequence[int]): Numbers of trials.
        say (Callable[[str], None]): Told of the progress.

    Returns:
        Iterator[dict[str, Any]]: A row of the report for each mark, when it
        is reached: seconds of asking and telling of the last
        :data:`WINDOW` trials, by the clock and of the CPU.
    """
    learner = MA2MLLearner(make_space())
    clock: list[float] = []
    cpu: list[float] = []
    for trial in range(1, max(marks) + 1):
        start, cpu_start = time.perf_counter(), time.process_time()
        action = learner.propose().action
        # far from trivial, and the best candidate is (2, 3, 1, 2, 3, ...)
        reward = -sum((x - (2, 3, 1)[i % 3])**2 for i, x in enumerate(action))
        learner.observe(action, float(reward))
        clock.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
        if trial in marks:
            say(f'{LEARNER}: {trial} of {max(marks)} trials')
            yield make_row(trial, clock[-WINDOW:], cpu[-WINDOW:])


def make_row(trials: int, seconds: Sequence[float],
             cpu_seconds: Sequence[float]) -> dict[str, Any]:
    """A row of the report.

    Args:
        trials (int): Trials that the learner knows.
        seconds (Sequence[float]): Of the last ones, by the clock.
        cpu_seconds (Sequence[float]): What the CPU worked.

    Returns:
        dict[str, Any]: The row.
    """
    return dict(
        model=LEARNER, height=None, width=None, batch=None, mode='search',
        device='cpu', dtype=None, compile=False, with_cp=False,
        device_name=device_name(torch.device('cpu')),
        threads=torch.get_num_threads(), trials=trials, status='ok',
        reason=None, turns=len(seconds),
        seconds=statistics.median(seconds), seconds_min=min(seconds),
        seconds_max=max(seconds), cpu_seconds=statistics.median(cpu_seconds),
        cpu_seconds_min=min(cpu_seconds), cpu_seconds_max=max(cpu_seconds))

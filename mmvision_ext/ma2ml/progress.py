"""What the user sees of a search while it runs."""
import statistics
import sys
import time
from typing import Any, Optional, Protocol

from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


class Watcher(Protocol):
    """Is told what happens in a search."""

    def started(self, number: int, attempt: int) -> None:
        """A trial begins, or begins again."""

    def finished(self, trial: FrozenTrial) -> None:
        """A trial has been recorded."""

    def line(self, text: str) -> None:
        """Something worth a line."""

    def tick(self, study: Study, running: int) -> None:
        """Nothing happened for a moment."""

    def close(self) -> None:
        """The search has ended."""


class Silent:
    """Shows nothing."""

    def started(self, number: int, attempt: int) -> None:
        """Nothing."""

    def finished(self, trial: FrozenTrial) -> None:
        """Nothing."""

    def line(self, text: str) -> None:
        """Nothing."""

    def tick(self, study: Study, running: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Display:
    """A bar on a terminal, a line a trial elsewhere.

    Args:
        total (int): Trials that the search shall have.
        metric (str): What the reward is.
        maximize (bool): Whether more of it is better.
        workers (int): Trials at once.
        timeout (float, optional): Seconds that the search may take.
        terminal (bool, optional): Draw a bar. Defaults to None: if stdout
            is a terminal.
    """

    def __init__(self, total: int, metric: str, maximize: bool, workers: int,
                 timeout: Optional[float] = None,
                 terminal: Optional[bool] = None) -> None:
        self.total = total
        self.metric = metric
        self.sign = 1 if maximize else -1
        self.workers = workers
        self.end = None if timeout is None else time.monotonic() + timeout
        self.best: Optional[FrozenTrial] = None
        self.done = self.failed = 0
        self._seconds: list[float] = []
        show = sys.stdout.isatty() if terminal is None else terminal
        self._bar: Any = _Bar(total) if show else None

    def load(self, study: Study) -> None:
        """Count what is there already.

        Args:
            study (Study): The study.
        """
        for trial in study.get_trials(deepcopy=False):
            if trial.state.is_finished():
                self._count(trial)
        self._draw(0)

    def started(self, number: int, attempt: int) -> None:
        """A trial begins, or begins again."""

    def finished(self, trial: FrozenTrial) -> None:
        """A trial has been recorded."""
        self._count(trial)
        if self._bar is None:
            print(f'{self.describe(trial)}  [{self.summary()}]', flush=True)

    def line(self, text: str) -> None:
        """Something worth a line."""
        if self._bar is None:
            print(text, flush=True)
        else:
            self._bar.print(text)

    def tick(self, study: Study, running: int) -> None:
        """Nothing happened for a moment."""
        self._draw(running)

    def close(self) -> None:
        """The search has ended."""
        if self._bar is not None:
            self._bar.stop()

    def describe(self, trial: FrozenTrial) -> str:
        """One line about a trial.

        Args:
            trial (FrozenTrial): Finished.

        Returns:
            str: Number, reward or failure, FLOPs, time.
        """
        failure = trial.user_attrs.get('failure')
        if failure:
            what = f'failed, {failure["class"]}: {failure["message"]}'
        elif trial.state == TrialState.PRUNED:
            what = 'pruned' if trial.value is None else \
                f'pruned at {trial.value:.5g}'
        else:
            what = f'{self.metric} {trial.value:.5g}'
        parts = [f'trial {trial.number}: {what}']
        if trial.user_attrs.get('flops'):
            parts.append(flops_text(trial.user_attrs['flops']))
        if trial.user_attrs.get('reused_from') is not None:
            parts.append(f'same as trial {trial.user_attrs["reused_from"]}')
        elif trial.user_attrs.get('seconds') is not None:
            parts.append(f'{trial.user_attrs["seconds"]:.1f} s')
        return ', '.join(parts)

    def summary(self) -> str:
        """Best reward, its FLOPs, failures and the time left."""
        parts = [f'{self.done}/{self.total}']
        if self.best is not None:
            parts.append(f'best {self.best.value:.5g} '
                         f'(trial {self.best.number})')
            if self.best.user_attrs.get('flops'):
                parts.append(flops_text(self.best.user_attrs['flops']))
        if self.failed:
            parts.append(f'{self.failed} failed')
        left = self.time_left()
        if left is not None:
            parts.append(f'left {clock(left)}')
        return ', '.join(parts)

    def time_left(self) -> Optional[float]:
        """Seconds to the end, None while there is nothing to go by."""
        now = time.monotonic()
        limit = None if self.end is None else max(0., self.end - now)
        if not self._seconds:
            return limit
        usual = statistics.median(self._seconds)
        guess = usual * max(0, self.total - self.done) / self.workers
        return guess if limit is None else min(guess, limit)

    def _count(self, trial: FrozenTrial) -> None:
        self.done += 1
        self.failed += trial.state == TrialState.FAIL
        if trial.user_attrs.get('reused_from') is None and trial.duration:
            # with the start of its process, which its own clock leaves out
            self._seconds.append(trial.duration.total_seconds())
        if trial.state == TrialState.COMPLETE and (
                self.best is None or self.sign * trial.value
                > self.sign * self.best.value):
            self.best = trial

    def _draw(self, running: int) -> None:
        if self._bar is not None:
            self._bar.draw(self.done, f'{self.summary()}, {running} running')


class _Bar:
    """A bar of rich at the bottom of the terminal."""

    def __init__(self, total: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn
        self._progress = Progress(
            BarColumn(), TextColumn('{task.fields[text]}', markup=False),
            refresh_per_second=4)
        self._task = self._progress.add_task('', total=total, text='')
        self._progress.start()

    def draw(self, done: int, text: str) -> None:
        self._progress.update(self._task, completed=done, text=text)

    def print(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        self._progress.stop()


def is_maximized(study: Study) -> bool:
    """Whether more of a study's reward is better.

    Args:
        study (Study): With one objective.

    Returns:
        bool: True if it is.
    """
    return study.direction == StudyDirection.MAXIMIZE


def flops_text(flops: float) -> str:
    """FLOPs as people write them.

    Args:
        flops (float): Multiply-adds.

    Returns:
        str: Such as '412.3 MFLOPs'.
    """
    if flops >= 1e9:
        return f'{flops / 1e9:.2f} GFLOPs'
    return f'{flops / 1e6:.1f} MFLOPs'


def clock(seconds: float) -> str:
    """A time as h:mm:ss.

    Args:
        seconds (float): The time.

    Returns:
        str: Such as '0:12:30'.
    """
    whole = round(seconds)
    return f'{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}'

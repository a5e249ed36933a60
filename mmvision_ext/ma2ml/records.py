"""The records of a search, as one process of it keeps them."""
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from optuna import Study
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from .executors import Outcome
from .failures import Failure, classify_exit
from .leases import Lease, retry_storage
from .progress import Watcher
from .trial_files import TrialFolder

_STATES = dict(complete=TrialState.COMPLETE, pruned=TrialState.PRUNED,
               failed=TrialState.FAIL)


@dataclass
class Running:
    """A trial of this process.

    Args:
        number (int): Its number.
        trial_id (int): Its id in the storage.
        values (dict[str, Any]): The candidate.
        folder (TrialFolder): Its folder.
        attempts (list[dict]): Failures of earlier attempts.
        begin (float): Time, in seconds, when the attempt began.
        reported (int): Reports that were passed on.
        twin (int, optional): The trial of the same candidate whose result
            this one waits for.
    """

    number: int
    trial_id: int
    values: dict[str, Any]
    folder: TrialFolder
    attempts: list[dict[str, Any]]
    begin: float = field(default_factory=time.time)
    reported: int = 0
    twin: Optional[int] = None


class Records:
    """Writes to a study what becomes of the trials of this process.

    Args:
        study (Study): The study.
        storage (BaseStorage): Its storage.
        lease (Lease): The sign of life of this process.
        watcher (Watcher): Is told what happens.
    """

    def __init__(self, study: Study, storage: BaseStorage, lease: Lease,
                 watcher: Watcher) -> None:
        self.study = study
        self.storage = storage
        self.lease = lease
        self.watcher = watcher
        self._unowned: dict[int, float] = {}

    def own(self, trial_id: int) -> None:
        """Sign a trial as one of this process.

        Args:
            trial_id (int): Its id.
        """
        self.storage.set_trial_user_attr(
            trial_id, 'owner', self.lease.owner)

    def set(self, run: Running, name: str, value: Any) -> None:
        """Write an attribute of a trial.

        Args:
            run (Running): The trial.
            name (str): Name of the attribute.
            value (Any): What JSON can hold.
        """
        retry_storage(lambda: self.storage.set_trial_user_attr(
            run.trial_id, name, value))

    def pass_reports(self, run: Running) -> None:
        """Pass on what a trial has reported, and answer.

        Args:
            run (Running): The trial.
        """
        reports = run.folder.reports()
        for step, value in reports[run.reported:]:
            self.storage.set_trial_intermediate_value(
                run.trial_id, step, value)
            prune = self.study.pruner.prune(
                self.study, self.storage.get_trial(run.trial_id))
            run.folder.answer(step, bool(prune))
        run.reported = len(reports)

    def tell(self, run: Running, result: Mapping[str, Any]) -> None:
        """Record how a trial ended.

        If the trial has been taken over meanwhile, since this process had
        been silent for too long, what happens there counts.

        Args:
            run (Running): The trial.
            result (Mapping): ``state``, ``value``, ``seconds`` and perhaps
                ``failure`` and ``metrics``.
        """
        trial = self.storage.get_trial(run.trial_id)
        if trial.state.is_finished() or \
                trial.user_attrs.get('owner') != self.lease.owner:
            self.watcher.line(f'trial {run.number} was taken over by another '
                              'process meanwhile; its result there counts')
            return
        self.set(run, 'seconds', result['seconds'])
        for name in ('failure', 'metrics'):
            if result.get(name):
                self.set(run, name, result[name])
        state = _STATES[result['state']]
        value = result['value'] if state == TrialState.COMPLETE else None
        retry_storage(lambda: self.study.tell(
            run.number, value, state=state, skip_if_finished=True))
        self.watcher.finished(self.storage.get_trial(run.trial_id))

    def orphans(self, mine: Iterable[int]) -> list[FrozenTrial]:
        """Trials whose process has died, for this process to go on with.

        Args:
            mine (Iterable[int]): Numbers of the trials of this process.

        Returns:
            list[FrozenTrial]: By number; empty in all processes but the
            oldest, so that no two take the same.
        """
        mine = set(mine)
        trials = [t for t in self.study.get_trials(
            deepcopy=False, states=(TrialState.RUNNING, ))
            if t.number not in mine]
        if not trials:
            return []
        living = self.lease.living()
        if living[0] != self.lease.owner:
            return []
        return [t for t in trials if self._is_orphan(t, living)]

    def _is_orphan(self, trial: FrozenTrial, living: list[str]) -> bool:
        if 'owner' not in trial.user_attrs and len(living) > 1:
            # Another process may be about to sign it.
            now = time.monotonic()
            since = self._unowned.setdefault(trial.number, now)
            return now - since > self.lease.seconds
        return trial.user_attrs.get('owner') not in living

    def leave(self, runs: Iterable[Running]) -> None:
        """Leave the study, and trials that run to whoever comes.

        Args:
            runs (Iterable[Running]): The trials of this process.
        """
        try:
            for run in runs:
                trial = self.storage.get_trial(run.trial_id)
                if not trial.state.is_finished() and \
                        trial.user_attrs.get('owner') == self.lease.owner:
                    self.storage.set_trial_user_attr(
                        run.trial_id, 'owner', None)
            self.lease.end()
        except (OSError, StorageInternalError):
            # What ended the search may keep it from saying so; the next one
            # finds out by itself.
            self.lease.abandon()


def failure_of(outcome: Outcome, folder: TrialFolder) -> Failure:
    """Why a process ended without a result.

    Args:
        outcome (Outcome): How it ended.
        folder (TrialFolder): Folder of its trial.

    Returns:
        Failure: Class and message.
    """
    if outcome.stopped == 'timeout':
        return Failure('timeout', outcome.message)
    if outcome.stopped == 'memory':
        return Failure('oom', outcome.message)
    if outcome.stopped in ('lost', 'cancelled'):
        return Failure('killed', outcome.message or 'the worker is gone')
    if outcome.returncode == 0:
        return Failure('crash', 'it ended without a result')
    return classify_exit(outcome.returncode, folder.log_tail())

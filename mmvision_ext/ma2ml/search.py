"""The loop of a search: propose, run, record, until enough is known.

Every step leaves its trace before the next: a trial is recorded before it
runs, its result lies in its folder before it is told to the study. So a
search that is killed at any moment loses no finished trial and runs none a
second time; it goes on where the records end.
"""
import math
import time
from pathlib import Path
from typing import Any, Optional

from optuna import Study
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from .errors import SearchError
from .evaluators import Evaluator
from .executors import Executor
from .executors.base import end_left_over
from .failures import Failure
from .leases import Lease
from .limits import CostLimit
from .progress import Watcher
from .proposals import ProposalSampler, trial_seed
from .records import Records, Running, failure_of
from .spec import SearchSpec
from .trial_files import TrialFolder

#: How often a trial may lose the process that searches, before it is taken
#: for what ends it.
_TAKEOVERS = 10
#: Repetitions in a row after which the space is taken for exhausted.
_REPEATS = 20
_RUNNING = (TrialState.RUNNING, )


class Search:
    """A search, as one process of it sees it.

    Args:
        spec (SearchSpec): What to search.
        study (Study): The records.
        storage (BaseStorage): The storage of the study.
        evaluator (Evaluator): Judges candidates.
        executor (Executor): Runs trials.
        work_dir (Path): Folder of the search.
        watcher (Watcher): Is told what happens.
        tick (float): Seconds between two looks at running trials. Defaults
            to 0.1.

    Attributes:
        interrupted (bool): Set it to end the search in order.
    """

    def __init__(self, spec: SearchSpec, study: Study, storage: BaseStorage,
                 evaluator: Evaluator, executor: Executor, work_dir: Path,
                 watcher: Watcher, tick: float = 0.1) -> None:
        self.spec = spec
        self.study = study
        self.storage = storage
        self.evaluator = evaluator
        self.executor = executor
        self.work_dir = work_dir
        self.watcher = watcher
        self.tick = tick
        self.interrupted = False
        self.lease = Lease(study, spec.lease)
        self.records = Records(study, storage, self.lease, watcher)
        self.limit = CostLimit(spec, evaluator)
        self._running: dict[int, Running] = {}
        self._results: dict[int, dict[str, Any]] = {}
        self._repeats = 0
        self._next_look = 0.
        self._deadline = None if spec.timeout is None \
            else time.monotonic() + spec.timeout
        self.sampler = study.sampler = ProposalSampler(
            spec.sampler, spec.space, spec.seed,
            self.limit.is_feasible, self.records.own,
            counted=bool(study.user_attrs.get('counts_ordinals')))

    def run(self) -> None:
        """Search until the trials are done, time is over, or told to stop.

        Raises:
            SearchError: If it cannot go on; what was recorded is kept.
        """
        self.lease.start()
        try:
            self._refuse_company()
            while not self.interrupted and not self._overdue():
                busy = self._take_over()
                busy |= self._propose()
                busy |= self._collect()
                self._follow_twins()
                self._pass_reports()
                busy |= self._tell_ready()
                if self._done():
                    break
                self.watcher.tick(self.study, len(self._running))
                if not busy:
                    time.sleep(self.tick)
        finally:
            self.executor.close()
            self.records.leave(self._running.values())

    # -- proposing ---------------------------------------------------------

    def _propose(self) -> bool:
        """Fill all slots, before any further result is told."""
        proposed = False
        while not self._over_limit() and not self.interrupted:
            self._fill(self.study.ask())
            proposed = True
        return proposed

    def _over_limit(self) -> bool:
        """Whether no further trial may be proposed now."""
        trials = self.study.get_trials(deepcopy=False)
        waiting = sum(t.state == TrialState.WAITING for t in trials)
        if len(trials) - waiting >= self.spec.trials or self._exhausted():
            return True
        if self.spec.deterministic:
            # As many as would run if all took equally long: what a proposal
            # knows of others does then not depend on their speed.
            told = 0
            while told < len(trials) and trials[told].state.is_finished():
                told += 1
            return len(trials) >= told + self.executor.slots
        return self._busy() >= self.executor.slots

    def _exhausted(self) -> bool:
        return self._repeats >= _REPEATS

    def _fill(self, trial: Trial) -> None:
        """Complete a trial's candidate and start it."""
        counted = bool(self.study.user_attrs.get('counts_ordinals'))
        values = self.spec.space.suggest(trial, counted)
        self._start(self.storage.get_trial(trial._trial_id), values)

    def _start(self, trial: FrozenTrial, values: dict[str, Any]) -> None:
        run = Running(trial.number, trial._trial_id, values,
                      TrialFolder(self.work_dir / 'trials'
                                  / f'{trial.number:05d}'),
                      list(trial.user_attrs.get('attempts') or []))
        self._running[run.number] = run
        if run.folder.holds(self._candidate(run)) and self._adopt(run):
            return
        if trial.user_attrs.get('takeovers', 0) > _TAKEOVERS:
            self._results[run.number] = dict(
                state='failed', seconds=0., failure=Failure(
                    'killed', f'{_TAKEOVERS} times the process that searches '
                    'ended while it ran').record())
            return
        try:
            cost = self.limit.cost(values)
        except ValueError as error:
            self._finish(run, Failure('infeasible', str(error)))
            return
        self.records.set(run, 'flops', cost.flops)
        self.records.set(run, 'params', cost.params)
        excess = self.limit.excess(cost)
        if excess is not None:
            self._finish(run, excess)
            return
        twin = self._twin(run)
        if twin is None:
            self._repeats = 0
            self._launch(run)
        elif twin.state == TrialState.COMPLETE:
            self._repeats += 1
            self._copy(run, twin)
        else:
            run.twin = twin.number

    def _candidate(self, run: Running) -> dict[str, Any]:
        return dict(number=run.number, values=run.values,
                    metric=self.spec.metric,
                    seed=trial_seed(self.spec.seed, run.number))

    def _twin(self, run: Running) -> Optional[FrozenTrial]:
        """A trial of the same candidate, complete or begun before.

        Another process may draw a candidate in the moment between the draw
        here and its record.
        """
        code = self.spec.space.encode(run.values)
        begun = None
        for trial in self.study.get_trials(deepcopy=False):
            if trial.number == run.number or \
                    self.sampler.code_of(trial) != code:
                continue
            if trial.state == TrialState.COMPLETE:
                return trial
            if trial.state == TrialState.RUNNING and \
                    trial.number < run.number:
                begun = begun or trial
        return begun

    def _copy(self, run: Running, twin: FrozenTrial) -> None:
        self.records.set(run, 'reused_from', twin.number)
        self._results[run.number] = dict(
            state='complete', value=twin.value, seconds=0.)

    def _follow_twins(self) -> None:
        """Take the results that trials of the same candidate have got."""
        for run in list(self._running.values()):
            if run.twin is None or run.number in self._results:
                continue
            twin = self.study.get_trials(deepcopy=False)[run.twin]
            if twin.state == TrialState.COMPLETE:
                self._copy(run, twin)
            elif twin.state.is_finished():
                run.twin = None
                self._launch(run)

    def _busy(self) -> int:
        """How many slots are taken."""
        return sum(run.twin is None for run in self._running.values())

    def _launch(self, run: Running) -> None:
        """Start an attempt."""
        candidate = self._candidate(run)
        end_left_over(run.folder.path)
        run.folder.open(candidate)
        run.begin, run.reported = time.time(), 0
        arguments = (self.spec, run.values)
        self.watcher.started(run.number, len(run.attempts) + 1)
        try:
            if self.evaluator.inline:
                result = self.evaluator.evaluate(*arguments,
                                                 candidate['seed'])
                run.folder.write_result(**{'state': 'complete', **result})
                self._adopt(run)
                return
            job = self.evaluator.job(*arguments, run.number,
                                     candidate['seed'], run.folder)
        except ValueError as error:
            self._finish(run, Failure('infeasible', str(error)))
            return
        self.executor.submit(job)

    # -- what becomes of trials --------------------------------------------

    def _collect(self) -> bool:
        outcomes = self.executor.poll()
        for outcome in outcomes:
            run = self._running.get(outcome.number)
            if run is not None and not self._adopt(run):
                self._finish(run, failure_of(outcome, run.folder))
        return bool(outcomes)

    def _adopt(self, run: Running) -> bool:
        """Take the result that lies in a trial's folder, if there is one."""
        result = run.folder.result()
        if result is None:
            return False
        if result.get('failure'):
            self._finish(run, Failure(**result['failure']))
        elif not math.isfinite(result['value']):
            self._finish(run, Failure('nan', f'{self.spec.metric} is '
                                      f'{result["value"]}'))
        else:
            self.records.pass_reports(run)
            result.setdefault('seconds', time.time() - run.begin)
            self._results[run.number] = result
        return True

    def _finish(self, run: Running, failure: Failure) -> None:
        """Try a failed trial again, or record its failure."""
        if failure.full_disk:
            raise SearchError(f'trial {run.number}: {failure.message}: the '
                              'disk is full')
        seconds = time.time() - run.begin
        before = sum(one['class'] == failure.kind for one in run.attempts)
        run.attempts.append({**failure.record(), 'seconds': seconds})
        self.records.set(run, 'attempts', run.attempts)
        if before < self.spec.retries[failure.kind]:
            self.watcher.line(f'trial {run.number}: {failure.kind} '
                              f'({failure.message}); it is tried again')
            self._launch(run)
            return
        self._results[run.number] = dict(
            state='failed', failure=failure.record(), seconds=seconds)

    def _tell_ready(self) -> bool:
        """Tell the study what is known, in order where order counts."""
        told = False
        for number in sorted(self._results):
            if self.spec.deterministic and number != min(self._running):
                break
            self.records.tell(self._running[number], self._results[number])
            del self._running[number], self._results[number]
            told = True
            if self.spec.deterministic:
                # The next proposal knows this result and no later one.
                break
        return told

    def _pass_reports(self) -> None:
        for run in self._running.values():
            if run.number not in self._results:
                self.records.pass_reports(run)

    # -- other processes ---------------------------------------------------

    def _take_over(self) -> bool:
        """Go on with trials whose process has died."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + min(1., self.spec.lease / 4)
        taken = False
        for trial in self.records.orphans(self._running):
            if self._busy() < self.executor.slots:
                self._take(trial)
                taken = True
        return taken

    def _take(self, trial: FrozenTrial) -> None:
        self.records.own(trial._trial_id)
        if self.sampler.code_of(trial) is None:
            # It was cut off while its candidate was drawn.
            self._fill(Trial(self.study, trial._trial_id))
            return
        values = self.spec.space.values_of(trial)
        if trial.user_attrs.get('owner') is not None:
            self.storage.set_trial_user_attr(
                trial._trial_id, 'takeovers',
                trial.user_attrs.get('takeovers', 0) + 1)
        self.watcher.line(f'trial {trial.number}: goes on; the process that '
                          'ran it has ended')
        self._start(self.storage.get_trial(trial._trial_id), values)

    def _refuse_company(self) -> None:
        others = [one for one in self.lease.living()
                  if one != self.lease.owner]
        if others and (self.spec.deterministic
                       or self.study.user_attrs.get('deterministic')):
            raise SearchError(
                'a deterministic search belongs to one process, and another '
                'works on this study: wait for its end, or give this one '
                'another --work-dir')

    # -- the end -----------------------------------------------------------

    def _overdue(self) -> bool:
        return self._deadline is not None and \
            time.monotonic() > self._deadline

    def _done(self) -> bool:
        if self._running or not (self._exhausted() or self._all_begun()):
            return False
        rest = self.study.get_trials(deepcopy=False, states=_RUNNING)
        if not rest:
            return True
        # Those of processes that are known to live end without this one.
        return all(self.lease.is_certain(t.user_attrs.get('owner'))
                   for t in rest)

    def _all_begun(self) -> bool:
        trials = self.study.get_trials(deepcopy=False)
        begun = sum(t.state != TrialState.WAITING for t in trials)
        return begun >= self.spec.trials

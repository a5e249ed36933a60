"""What a search ends with: the best config, the front, a report."""
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

from optuna import Study

from .evaluators import Evaluator
from .executors import Executor, Job, Outcome
from .failures import classify_exit
from .proposals import trial_seed
from .report import write_report
from .report.record import Record, TrialRow, read_study
from .spec import SearchSpec, candidate_config
from .trial_files import TrialFolder, write_json

_HEADER = '''"""The best candidate of a search, as a config to train with.

Command:  python tools/train.py {path}
Found by: trial {number} of study {name}, {metric} {value:.6g} in the search
          (a score of the search, no result: train it and see)
Cost:     {cost}
Choices:  {choices}
"""
'''


def within_limit(record: Record, limit: Optional[float]) -> Record:
    """The record with those trials that a limit allows.

    Args:
        record (Record): All trials.
        limit (float, optional): Most multiply-adds.

    Returns:
        Record: A search that went on with a lower limit has others.
    """
    if limit is None:
        return record
    return replace(record, trials=[
        t for t in record.trials if t.flops is None or t.flops <= limit])


def write_results(spec: SearchSpec, study: Study, work_dir: Path
                  ) -> dict[str, Path]:
    """Write what is known so far.

    Args:
        spec (SearchSpec): The search.
        study (Study): Its records.
        work_dir (Path): Folder to write to.

    Returns:
        dict[str, Path]: Files by what they are: 'report', 'pareto', 'best'.
        The last is absent without a complete trial, or without configs.
    """
    record = within_limit(read_study(study), spec.flops_limit)
    written = dict(report=work_dir / 'report.html',
                   pareto=work_dir / 'pareto.json')
    write_report(study, written['report'])
    write_json(written['pareto'], [
        dict(trial=row.number, value=row.value, flops=row.flops,
             choices=_choices(spec, study, row)) for row in record.pareto()])
    best = record.best
    if best is not None and spec.base is not None:
        written['best'] = work_dir / 'best_config.py'
        write_best(spec, study, best, written['best'])
    return written


def write_best(spec: SearchSpec, study: Study, best: TrialRow,
               path: Path) -> None:
    """Write a candidate as a stock config.

    It is the base config with the candidate's choices and nothing of the
    search: no hook, no shortened schedule of a proxy.

    Args:
        spec (SearchSpec): The search.
        study (Study): Its records.
        best (TrialRow): The candidate's trial.
        path (Path): The file.
    """
    values = _choices(spec, study, best)
    cost = 'not counted' if best.flops is None else \
        f'{best.flops / 1e6:.1f} M multiply-adds an image'
    header = _HEADER.format(
        path=path, number=best.number, name=study.study_name,
        metric=spec.metric, value=best.value, cost=cost,
        choices=('\n' + 10 * ' ').join(
            f'{name} = {value!r}' for name, value in values.items()))
    draft = path.with_name('.best_config.py')
    candidate_config(spec, values).dump(str(draft))
    # The dump comes without what a user wants to know of it.
    draft.write_text(header + draft.read_text('utf-8'), 'utf-8')
    draft.replace(path)


def _choices(spec: SearchSpec, study: Study, row: TrialRow) -> dict[str, Any]:
    trial = study.get_trials(deepcopy=False)[row.number]
    return spec.space.values_of(trial)


def run_jobs(executor: Executor, jobs: Sequence[Job],
             tick: float = 0.1) -> dict[int, str]:
    """Run jobs that stand for themselves, to the end of all.

    Jobs whose folder holds a result are not run again.

    Args:
        executor (Executor): Runs them.
        jobs (Sequence[Job]): With different numbers.
        tick (float): Seconds between two looks. Defaults to 0.1.

    Returns:
        dict[int, str]: For each job that failed, why.
    """
    waiting = [job for job in jobs
               if (TrialFolder(job.folder).result() or {}).get('state')
               != 'complete']
    folders = {job.number: TrialFolder(job.folder) for job in waiting}
    failed: dict[int, str] = {}
    running = 0
    while waiting or running:
        while waiting and running < executor.slots:
            executor.submit(waiting.pop(0))
            running += 1
        for outcome in executor.poll():
            running -= 1
            reason = _reason(outcome, folders[outcome.number])
            if reason:
                failed[outcome.number] = reason
        time.sleep(tick)
    return failed


def _reason(outcome: Outcome, folder: TrialFolder) -> Optional[str]:
    result = folder.result() or {}
    if result.get('state') == 'complete':
        return None
    if result.get('failure'):
        return result['failure']['message']
    return outcome.message or classify_exit(
        outcome.returncode, folder.log_tail()).message


def retrain(spec: SearchSpec, study: Study, evaluator: Evaluator,
            executor: Executor, work_dir: Path) -> list[dict[str, Any]]:
    """Train the best candidates in full, from several seeds each.

    A search takes the best of many noisy scores, so its best score flatters;
    these trainings say what the candidates are worth.

    Args:
        spec (SearchSpec): The search, with ``retrain``.
        study (Study): Its records.
        evaluator (Evaluator): Trains in full.
        executor (Executor): Runs the trainings.
        work_dir (Path): Folder of the search; the trainings go below
            ``retrain``, their summary to ``retrain.json``.

    Returns:
        list[dict[str, Any]]: For each candidate its trial, the values that
        were reached, their mean and standard deviation (None of one), and
        failures; best mean first.
    """
    settings = {'top': 1, 'seeds': 3, **(spec.retrain or {})}
    record = within_limit(read_study(study), spec.flops_limit)
    distinct: dict[tuple, TrialRow] = {}
    for row in sorted(record.complete, key=record.loss):
        distinct.setdefault(
            spec.space.encode(_choices(spec, study, row)), row)
    rows = list(distinct.values())[:settings['top']]
    jobs, folders = [], {}
    for place, row in enumerate(rows):
        values = _choices(spec, study, row)
        for index in range(settings['seeds']):
            number = place * settings['seeds'] + index
            seed = trial_seed(spec.seed, index, 3)
            folder = TrialFolder(
                work_dir / 'retrain' / f'trial{row.number:05d}_seed{index}')
            candidate = dict(values=values, seed=seed, metric=spec.metric)
            if not (folder.holds(candidate) and folder.result()):
                folder.open(candidate)
            # The limit of time is one of trials.
            jobs.append(replace(
                evaluator.job(spec, values, number, seed, folder),
                timeout=None))
            folders[number] = folder
    failed = run_jobs(executor, jobs)
    summary = []
    for place, row in enumerate(rows):
        numbers = range(place * settings['seeds'],
                        (place + 1) * settings['seeds'])
        reached = [folders[n].result()['value'] for n in numbers
                   if n not in failed]
        summary.append(dict(
            trial=row.number, search_value=row.value, flops=row.flops,
            values=reached, failures=[failed[n] for n in numbers
                                      if n in failed],
            mean=statistics.fmean(reached) if reached else None,
            sd=statistics.stdev(reached) if len(reached) > 1 else None))
    sign = -1 if spec.direction == 'maximize' else 1
    summary.sort(key=lambda one: (one['mean'] is None,
                                  sign * (one['mean'] or 0.)))
    (work_dir / 'retrain.json').write_text(json.dumps(summary, indent=1))
    return summary

"""What a search ends with, and what is seen of it on the way."""
import json
from datetime import timedelta

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState, create_trial

from mmvision_ext.ma2ml.executors import LocalExecutor
from mmvision_ext.ma2ml.finish import retrain, write_results
from mmvision_ext.ma2ml.leases import retry_storage
from mmvision_ext.ma2ml.progress import (
    Display,
    Silent,
    clock,
    flops_text,
)


def test_the_front_holds_what_no_cheaper_candidate_equals(
        tmp_path, settings, make_search):
    found = make_search(tmp_path, settings, trials=30)
    found.search.run()
    written = write_results(found.spec, found.study, tmp_path)
    assert set(written) == {'report', 'pareto'}
    front = json.loads(written['pareto'].read_text())
    assert front[-1]['choices'] == {'a.x': 2, 'b.y': 2, 'b.z': 2}
    assert front[-1]['flops'] == 7e6
    for less, more in zip(front, front[1:]):
        assert less['flops'] < more['flops']
        assert less['value'] < more['value']
    for trial in found.study.trials:
        assert not any(
            trial.user_attrs['flops'] <= one['flops']
            and trial.value > one['value'] for one in front)
    # A lower limit has another best.
    found.spec.flops_limit = 4e6
    write_results(found.spec, found.study, tmp_path)
    assert max(one['flops'] for one in json.loads(
        written['pareto'].read_text())) <= 4e6


def test_the_best_are_trained_again_from_several_seeds(
        tmp_path, settings, make_search, script_evaluator):
    found = make_search(tmp_path, settings, trials=6,
                        retrain=dict(top=2, seeds=3))
    found.search.run()
    script = """
import json, os, sys
folder = sys.argv[1]
asked = json.load(open(folder + '/candidate.json'))
seed = int(folder[-1])
if seed == 2 and asked['values'] == {worst}:
    sys.exit('RuntimeError: no luck')
json.dump(dict(state='complete', value=sum(asked['values'].values()) + seed),
          open(folder + '/r', 'w'))
os.rename(folder + '/r', folder + '/result.json')
"""
    ranked = sorted(found.study.trials, key=lambda t: -t.value)[:2]
    evaluator = script_evaluator(
        script.replace('{worst}', repr(ranked[1].params)))
    rows = retrain(found.spec, found.study, evaluator,
                   LocalExecutor(2, gpus=[]), tmp_path)
    by_trial = {row['trial']: row for row in rows}
    base = sum(ranked[0].params.values())
    assert by_trial[ranked[0].number]['values'] == [
        base, base + 1, base + 2]
    assert by_trial[ranked[0].number]['mean'] == base + 1
    assert by_trial[ranked[0].number]['sd'] == 1.
    assert by_trial[ranked[1].number]['failures'] == [
        'exit status 1: RuntimeError: no luck']
    assert len(by_trial[ranked[1].number]['values']) == 2
    assert [row['mean'] for row in rows] == sorted(
        (row['mean'] for row in rows), reverse=True)
    assert json.loads((tmp_path / 'retrain.json').read_text()) == rows
    # What is there is not trained again; what failed is.
    again = retrain(found.spec, found.study,
                    script_evaluator('raise SystemExit("ValueError: x")'),
                    LocalExecutor(2, gpus=[]), tmp_path)
    assert {row['trial']: row['values'] for row in again} == {
        row['trial']: row['values'] for row in rows}


class Hurry(Silent):
    """Lets the time be over as soon as so many trials run."""

    def __init__(self, trials):
        self.trials = trials

    def tick(self, study, running):
        if running == self.trials:
            self.search._deadline = 0.


def run_and_put_off(found, trials):
    found.search.watcher = Hurry(trials)
    found.search.watcher.search = found.search
    found.search.run()


def test_time_over_puts_trials_off_and_a_later_search_ends_them(
        tmp_path, settings, make_search, script_evaluator):
    waiting = script_evaluator('import signal; signal.pause()')
    found = make_search(tmp_path, settings, waiting, trials=2, workers=2)
    run_and_put_off(found, 2)
    trials = found.study.get_trials()
    assert [(t.state, t.user_attrs['owner']) for t in trials] == [
        (TrialState.RUNNING, None)] * 2
    again = make_search(tmp_path, settings, script_evaluator(), trials=2)
    again.search.run()
    assert [t.params for t in again.study.trials] == [
        t.params for t in trials]
    assert [t.state.name for t in again.study.trials] == ['COMPLETE'] * 2


def test_a_candidate_that_keeps_ending_the_search_is_given_up(
        tmp_path, settings, make_search, script_evaluator):
    waiting = script_evaluator('import signal; signal.pause()')
    found = make_search(tmp_path, settings, waiting, trials=1)
    run_and_put_off(found, 1)
    trial, = found.study.trials
    found.storage.set_trial_user_attr(trial._trial_id, 'takeovers', 11)
    make_search(tmp_path, settings, script_evaluator(), trials=1
                ).search.run()
    trial, = make_search(tmp_path, settings).study.trials
    assert trial.user_attrs['failure'] == {
        'class': 'killed', 'message':
        '10 times the process that searches ended while it ran'}


def test_a_storage_that_is_away_for_a_moment_is_waited_for(monkeypatch):
    pauses = []
    monkeypatch.setattr('mmvision_ext.ma2ml.leases.time.sleep',
                        pauses.append)
    answers = iter([StorageInternalError, StorageInternalError, 5])

    def call():
        answer = next(answers)
        if answer == 5:
            return answer
        raise answer('away')

    assert retry_storage(call) == 5
    assert pauses == [1., 2.]

    def never():
        raise StorageInternalError('away')

    with pytest.raises(StorageInternalError):
        retry_storage(never)
    assert pauses[2:] == [1., 2., 4., 8., 16.]


def finished(value=None, took=0., **attrs):
    """A trial that took so many seconds, start of its process included."""
    trial = create_trial(
        state=TrialState.FAIL if value is None else TrialState.COMPLETE,
        value=value, params=dict(x=0), user_attrs=attrs,
        distributions=dict(x=IntDistribution(0, 3)))
    trial.datetime_start = trial.datetime_complete - timedelta(seconds=took)
    return trial


def test_the_display_tells_best_failures_and_time_left(capsys):
    study = optuna.create_study(direction='minimize')
    study.add_trials([
        finished(0.5, 40., flops=412.3e6, seconds=30.),
        finished(None, 3600., seconds=90.,
                 failure={'class': 'oom', 'message': 'full'}),
        finished(0.7, 60., flops=2e6, seconds=50.),
        finished(0.7, 1., reused_from=2, seconds=0.)])
    display = Display(10, 'loss', False, workers=2, terminal=False)
    display.load(study)
    # Six trials, usually of a minute, two at once.
    assert display.time_left() == 180.
    assert display.summary() == (
        '4/10, best 0.5 (trial 0), 412.3 MFLOPs, 1 failed, left 0:03:00')
    display.finished(study.trials[1])
    assert capsys.readouterr().out.startswith(
        'trial 1: failed, oom: full, 90.0 s  [5/10')
    assert display.describe(study.trials[3]) == (
        'trial 3: loss 0.7, same as trial 2')


def test_the_bar_is_drawn_on_a_terminal(capsys):
    display = Display(2, 'acc', True, workers=1, terminal=True)
    study = optuna.create_study()
    study.add_trial(finished(0.25, 3., seconds=2.))
    display.load(study)
    display.line('a line')
    display.tick(study, 1)
    display.close()
    shown = capsys.readouterr().out
    assert 'a line' in shown
    assert '1/2, best 0.25 (trial 0), left 0:00:03, 1 running' in \
        ' '.join(shown.split())


def test_numbers_are_written_as_people_do():
    assert flops_text(8.123e9) == '8.12 GFLOPs'
    assert flops_text(599.95e6) == '600.0 MFLOPs'
    assert clock(3725.4) == '1:02:05'

"""The loop: what is proposed, what failures lead to, who else is there."""
import json
import math
import os
from collections import Counter

import optuna
import pytest
from optuna.trial import TrialState

from mmvision_ext.ma2ml.errors import SearchError
from mmvision_ext.ma2ml.failures import (
    Failure,
    classify_error,
    classify_exit,
    read_retries,
)
from mmvision_ext.ma2ml.leases import PREFIX, Lease
from mmvision_ext.ma2ml.progress import Silent
from mmvision_ext.ma2ml.proposals import SAMPLERS, trial_seed


def candidates(study):
    return [tuple(t.params.values()) for t in study.get_trials()]


@pytest.mark.parametrize('name', SAMPLERS)
def test_every_sampler_stays_within_the_limit_without_repeats(
        name, tmp_path, settings, make_search):
    changes = dict(flops_limit=5e6, trials=13, sampler=dict(name=name))
    found = make_search(tmp_path, settings, **changes)
    found.search.run()
    flops = [t.user_attrs['flops'] for t in found.study.trials]
    assert len(flops) == 13 and max(flops) <= 5e6
    seen = candidates(found.study)
    assert len(set(seen)) == 13
    # The same from its seed alone, in another study.
    again = make_search(tmp_path / 'again', settings, **changes)
    again.search.run()
    assert candidates(again.study) == seen


def test_a_limit_that_nothing_meets_is_said(tmp_path, settings, make_search):
    found = make_search(tmp_path, settings, flops_limit=1e3)
    with pytest.raises(SearchError, match='raise --flops-limit'):
        found.search.run()


def test_a_space_that_has_been_seen_ends_the_search_by_copies(
        tmp_path, settings, make_search):
    agents = dict(a=[dict(name=name, choices=[0, 1, 2, 3][:choices])
                     for name, choices in zip('xyz', (4, 1, 1))])
    settings['evaluator'] = dict(type='training')
    found = make_search(tmp_path, settings, Plain(), trials=100,
                        agents=agents)
    found.search.run()
    trials = found.study.get_trials()
    assert len(trials) == 24
    assert found.search.evaluator.count == 4
    copies = [t for t in trials if 'reused_from' in t.user_attrs]
    assert len(copies) == 20
    for copy in copies:
        original = trials[copy.user_attrs['reused_from']]
        assert copy.params == original.params
        assert copy.value == original.value


class Plain:
    """Judges by the sum of the choices, or as it is told to."""

    inline = True

    def __init__(self, judge=None):
        self.count = 0
        self.judge = judge or (lambda values: sum(values.values()))

    def cost(self, spec, values):
        return None

    def evaluate(self, spec, values, seed):
        self.count += 1
        return dict(value=self.judge(values))


def test_a_reward_that_is_no_number_fails_the_trial_alone(
        tmp_path, settings, make_search):
    found = make_search(
        tmp_path, settings,
        Plain(lambda v: math.nan if v['a.x'] == 1 else v['a.x']), trials=10)
    found.search.run()
    for trial in found.study.get_trials():
        failed = trial.params['a.x'] == 1
        assert trial.state.name == ('FAIL' if failed else 'COMPLETE')
        if failed:
            assert trial.user_attrs['failure']['class'] == 'nan'
    assert {t.state.name for t in found.study.trials} == {'FAIL', 'COMPLETE'}


def test_a_candidate_without_a_config_fails_alone(
        tmp_path, settings, make_search):

    def judge(values):
        raise ValueError('the base config has no neck')

    found = make_search(tmp_path, settings, Plain(judge), trials=2)
    found.search.run()
    assert [t.user_attrs['failure'] for t in found.study.trials] == [
        {'class': 'infeasible', 'message': 'the base config has no neck'}] * 2


# How a trial's process ends, at each of its attempts, and what it leads to.
_FAILING = """
import json, os, sys
folder = sys.argv[1]
attempt = len([f for f in os.listdir(folder) if f.startswith('log.txt')])
{body}
json.dump(dict(state='complete', value=attempt), open(folder + '/r', 'w'))
os.rename(folder + '/r', folder + '/result.json')
"""


@pytest.mark.parametrize('body, limits, kind, attempts, lives', [
    ('if attempt < 2: raise KeyError("img")', {}, 'crash', 1, True),
    ('raise KeyError("img")', {}, 'crash', 2, False),
    ('if attempt < 3: os.kill(os.getpid(), 9)', {}, 'killed', 2, True),
    ('os.kill(os.getpid(), 9)', {}, 'killed', 3, False),
    ('raise SystemExit("CUDA out of memory. Tried")', {}, 'oom', 1, False),
    ('import signal; signal.pause()', dict(timeout=0.05), 'timeout', 1,
     False),
    ('sys.exit(0)', {}, 'crash', 2, False),
])
def test_failures_are_named_and_tried_again_by_the_rule(
        body, limits, kind, attempts, lives, tmp_path, settings, make_search,
        script_evaluator):
    evaluator = script_evaluator(_FAILING.format(body=body), **limits)
    found = make_search(tmp_path, settings, evaluator, trials=1)
    found.search.run()
    trial, = found.study.trials
    assert [one['class'] for one in trial.user_attrs['attempts']] == [
        kind] * attempts
    assert trial.state.name == ('COMPLETE' if lives else 'FAIL')
    if lives:
        assert trial.value == attempts + 1
        assert 'failure' not in trial.user_attrs
    else:
        assert trial.user_attrs['failure']['class'] == kind
    # The log of every attempt is kept.
    logs = list((tmp_path / 'trials' / '00000').glob('log.txt*'))
    assert len(logs) == attempts + lives


def test_a_candidate_that_failed_is_not_proposed_again(
        tmp_path, settings, make_search):
    agents = dict(a=[dict(name='x', choices=[0, 1, 2])])

    def judge(values):
        if values['a.x'] == 1:
            raise ValueError('no')
        return 1.

    found = make_search(tmp_path, settings, Plain(judge), agents=agents,
                        trials=8)
    found.search.run()
    counts = Counter(t.params['a.x'] for t in found.study.trials)
    assert counts[1] == 1 and counts[0] + counts[2] == 7


@pytest.mark.parametrize('error, kind', [
    (RuntimeError('CUDA out of memory. Tried to allocate 2 GiB'), 'oom'),
    (RuntimeError("[enforce fail] can't allocate memory"), 'oom'),
    (MemoryError(), 'oom'),
    (FloatingPointError('the loss is nan (not finite)'), 'nan'),
    (AssertionError('loss become infinite or NaN!'), 'nan'),
    (AssertionError('expected 3 channels'), 'crash'),
    (ValueError('nan is no class name'), 'crash'),
    (KeyError('img'), 'crash'),
])
def test_errors_are_classified(error, kind):
    assert classify_error(error).kind == kind
    assert not classify_error(error).full_disk


def test_a_full_disk_is_known_whoever_reports_it():
    assert classify_error(OSError(28, 'No space left on device')).full_disk
    assert classify_exit(1, 'x\nOSError: [Errno 28] No space left on device'
                         ).full_disk
    assert classify_exit(-9, '') .kind == 'killed'
    assert classify_exit(None, '').kind == 'killed'
    assert classify_exit(-11, 'Segfault') == Failure(
        'crash', 'ended by signal 11: Segfault')


def test_retries_are_checked():
    assert read_retries(dict(oom=1))['oom'] == 1
    with pytest.raises(ValueError, match="'ooom'.*oom, crash"):
        read_retries(dict(ooom=1))
    with pytest.raises(ValueError, match='crash=-1'):
        read_retries(dict(crash=-1))


def test_two_processes_share_a_study_and_no_trial(
        tmp_path, settings, make_search, script_evaluator, fork):
    """Both start at the same time; each trial is run by one of them."""
    go = os.pipe()

    def body():
        os.read(go[0], 1)
        make_search(tmp_path, settings, script_evaluator(), trials=16,
                    workers=2).search.run()

    children = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            os.close(go[1])
            os._exit(fork(body))
        children.append(pid)
    os.close(go[0])
    os.close(go[1])
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            for pid in children] == [0, 0]
    study = make_search(tmp_path, settings).study
    assert [t.state.name for t in study.trials] == ['COMPLETE'] * 16
    assert len({t.user_attrs['owner'] for t in study.trials}) == 2
    # Both may draw the same at the same time; then one waits for the other.
    trained = [t for t in study.trials if 'reused_from' not in t.user_attrs]
    assert len({tuple(t.params.values()) for t in trained}) == len(trained)
    assert len(trained) == len(list(tmp_path.glob('trials/*/result.json')))
    assert not list(tmp_path.glob('trials/*/*attempt*'))
    # Both have left.
    assert [v for n, v in study.user_attrs.items()
            if n.startswith(PREFIX)] == [None, None]


@pytest.mark.parametrize('ends', ['complete', 'failed'])
def test_a_candidate_that_runs_elsewhere_is_waited_for(
        ends, tmp_path, settings, make_search):
    """Another process has just begun with what this one drew as well."""
    found = make_search(tmp_path, settings, Plain(), trials=2)
    other = found.study.ask()
    found.storage.set_trial_user_attr(other._trial_id, 'owner', 'other')
    values = found.spec.space.suggest(other)
    found.search.lease.living = lambda: ['other', found.search.lease.owner]
    found.search.lease.is_certain = lambda owner: True

    class Teller(Silent):
        ticks = 0

        def tick(self, study, running):
            self.ticks += 1
            if self.ticks == 3 and ends == 'complete':
                study.tell(0, 7.)
            elif self.ticks == 3:
                study.tell(0, state=TrialState.FAIL)

    found.search.watcher = Teller()
    found.study.enqueue_trial(values)
    found.search.run()
    trial = found.study.trials[1]
    assert trial.params == values
    if ends == 'complete':
        assert (trial.value, trial.user_attrs['reused_from']) == (7., 0)
        assert found.search.evaluator.count == 0
    else:
        assert trial.value == sum(values.values())
        assert found.search.evaluator.count == 1


def test_a_silent_process_elsewhere_is_dead_after_its_lease(monkeypatch):
    now = [0.]
    monkeypatch.setattr('mmvision_ext.ma2ml.leases.time.monotonic',
                        lambda: now[0])
    study = optuna.create_study()
    lease = Lease(study, seconds=60)
    other = dict(host='b', place='another machine', pid=1, start=1, count=1,
                 seconds=60)
    study.set_user_attr(PREFIX + '0-older', other)
    assert lease.living() == ['0-older', lease.owner]
    assert not lease.is_certain('0-older')
    now[0] = 50.
    study.set_user_attr(PREFIX + '0-older', {**other, 'count': 2})
    assert lease.living() == ['0-older', lease.owner]
    assert lease.is_certain('0-older')
    now[0] = 109.
    assert lease.living() == ['0-older', lease.owner]
    now[0] = 111.
    assert lease.living() == [lease.owner]


def test_a_dead_process_here_is_known_at_once(fork):
    study = optuna.create_study()
    lease = Lease(study, seconds=1e6)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    from mmvision_ext.ma2ml.processes import machine
    study.set_user_attr(PREFIX + '0', dict(
        host='a', place=machine(), pid=pid, start=5, count=1, seconds=1e6))
    assert lease.living() == [lease.owner]


def test_a_deterministic_search_refuses_company(
        tmp_path, settings, make_search):
    first = make_search(tmp_path, settings, deterministic=True)
    first.search.lease.start()
    second = make_search(tmp_path, settings)
    with pytest.raises(SearchError, match='belongs to one process'):
        second.search.run()
    first.search.lease.end()
    second.search.run()
    assert len(second.study.trials) == 8


def test_another_search_does_not_go_into_the_same_study(
        tmp_path, settings, make_search):
    make_search(tmp_path, settings).search.run()
    with pytest.raises(SearchError, match=r'space.a.0.choices'):
        make_search(tmp_path, {**settings, 'agents': dict(
            a=[dict(name='x', choices=[0, 1])])})
    with pytest.raises(SearchError, match="metric was 'reward' and is 'a'"):
        make_search(tmp_path, settings, metric='a')
    with pytest.raises(SearchError, match='sampler gp needs ordinal'):
        make_search(tmp_path, settings, sampler=dict(name='gp'))
    # What may change: how many, how, how long.
    more = make_search(tmp_path, settings, trials=9,
                       sampler=dict(name='random'))
    more.search.run()
    assert len(more.study.trials) == 9


def test_seeds_of_trials_do_not_depend_on_one_another():
    seeds = {trial_seed(s, n, p) for s in range(3) for n in range(50)
             for p in range(3)}
    assert len(seeds) == 450
    assert min(seeds) >= 0 and max(seeds) < 2**31


def test_reports_are_pruned_and_kept(tmp_path, settings, make_search,
                                     script_evaluator):
    """A trial that reports little is stopped by the median of others."""
    script = """
import json, os, sys
folder = sys.argv[1]
number = json.load(open(folder + '/candidate.json'))['number']
value = 1. if number < 4 else 0.
state = 'complete'
for step in (1, 2, 3):
    with open(folder + '/reports.jsonl', 'a') as file:
        file.write(json.dumps(dict(step=step, value=value + step)) + '\\n')
    while True:
        try:
            answer = json.load(open(folder + '/verdict.json'))
        except (OSError, ValueError):
            continue
        if answer['step'] == step:
            break
    if answer['prune']:
        state = 'pruned'
        break
json.dump(dict(state=state, value=value + step), open(folder + '/r', 'w'))
os.rename(folder + '/r', folder + '/result.json')
"""
    found = make_search(
        tmp_path, settings, script_evaluator(script), trials=6,
        pruner=dict(type='median', n_startup_trials=4, n_warmup_steps=2))
    found.search.run()
    trials = found.study.get_trials()
    assert [t.state.name for t in trials] == ['COMPLETE'] * 4 + [
        'PRUNED'] * 2
    assert trials[0].intermediate_values == {1: 2., 2: 3., 3: 4.}
    assert trials[5].intermediate_values == {1: 1., 2: 2.}
    assert trials[5].value == 2.


def test_dashboards_and_plain_optuna_read_the_journal(
        tmp_path, settings, make_search):
    make_search(tmp_path, settings).search.run()
    plain = optuna.load_study(
        study_name=None, storage=optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(
                str(tmp_path / 'study.log'))))
    assert len(plain.trials) == 8
    assert json.loads(json.dumps(plain.user_attrs))['metric'] == 'reward'

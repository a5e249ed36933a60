"""Where trials run, and what becomes of those that do not end well."""
import json
import os
import signal
import sys
from collections.abc import Callable

import pytest

from mmvision_ext.ma2ml.errors import SearchError
from mmvision_ext.ma2ml.executors import Job, LocalExecutor, build_executor
from mmvision_ext.ma2ml.executors.base import end_left_over
from mmvision_ext.ma2ml.processes import machine, process_start
from mmvision_ext.ma2ml.trial_files import TrialFolder

FOREVER = 'import signal; signal.pause()'


def wait_for(condition: Callable[[], object]) -> object:
    """Poll as the search does; pytest's time limit is the only other end."""
    while True:
        found = condition()
        if found:
            return found


def make_job(folder, script: str, number: int = 0, **limits) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    return Job(number, str(folder), [sys.executable, '-S', '-c', script],
               **limits)


@pytest.fixture
def local():
    executor = LocalExecutor(1, gpus=[])
    yield executor
    executor.close()


def test_a_job_runs_with_its_folder_and_its_log(local, tmp_path):
    local.submit(make_job(
        tmp_path, 'import os; print(os.environ["MMVISION_TRIAL_DIR"])'))
    outcome, = wait_for(local.poll)
    assert (outcome.number, outcome.returncode, outcome.stopped) == (
        0, 0, None)
    assert TrialFolder(tmp_path).log_tail() == f'{tmp_path}\n'


def test_a_job_over_its_time_is_ended(local, tmp_path):
    local.submit(make_job(tmp_path, FOREVER, timeout=0.01))
    outcome, = wait_for(local.poll)
    assert outcome.stopped == 'timeout'
    assert outcome.returncode == -signal.SIGTERM
    assert outcome.message == 'took longer than 0.01 s'


def test_a_job_over_its_memory_is_ended_children_included(local, tmp_path):
    script = ('import subprocess, sys; subprocess.run([sys.executable, "-S",'
              f'"-c", "x = bytearray(80 << 20); {FOREVER}"])')
    local.submit(make_job(tmp_path, script, memory=60 << 20))
    outcome, = wait_for(local.poll)
    assert outcome.stopped == 'memory'
    assert outcome.message.endswith('the limit is 60')


def test_what_a_job_leaves_behind_is_ended(local, tmp_path):
    script = ('import os, signal\npid = os.fork()\n'
              'if pid: open("pid", "w").write(str(pid))\n'
              'else: signal.pause()')
    script = f'import os; os.chdir({str(tmp_path)!r})\n{script}'
    local.submit(make_job(tmp_path, script))
    outcome, = wait_for(local.poll)
    assert outcome.returncode == 0
    child = int((tmp_path / 'pid').read_text())
    wait_for(lambda: process_start(child) is None)


def test_cancelled_jobs_say_so_whether_they_ran_or_waited(local, tmp_path):
    for number in range(2):
        local.submit(make_job(tmp_path / str(number), FOREVER, number))
    local.cancel(0)
    local.cancel(1)
    outcomes = []
    while len(outcomes) < 2:
        outcomes += local.poll()
    assert {(o.number, o.stopped) for o in outcomes} == {
        (0, 'cancelled'), (1, 'cancelled')}


def test_slots_share_the_gpus_and_the_cores(tmp_path, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(6)))
    executor = LocalExecutor(2, gpus=['0', '1', '4', '5'])
    script = ('import os; print(os.environ["CUDA_VISIBLE_DEVICES"], '
              'os.environ["OMP_NUM_THREADS"])')
    for number in range(2):
        executor.submit(make_job(tmp_path / str(number), script, number))
    ended = 0
    while ended < 2:
        ended += len(executor.poll())
    assert [TrialFolder(tmp_path / str(n)).log_tail() for n in range(2)] == [
        '0,1 3\n', '4,5 3\n']
    with pytest.raises(SearchError, match='3 workers for 2 GPUs'):
        LocalExecutor(3, gpus=['0', '1'])
    with pytest.raises(SearchError, match='needs 3 GPUs, a slot has 2'):
        executor.submit(make_job(tmp_path / '2', script, 2, gpus=3))


def test_a_process_that_a_dead_search_left_is_ended(local, tmp_path):
    local.submit(make_job(tmp_path, FOREVER))
    state = json.loads((tmp_path / 'process.json').read_text())
    assert state['machine'] == machine()
    assert end_left_over(tmp_path)
    outcome, = wait_for(local.poll)
    assert outcome.returncode == -signal.SIGKILL
    # Its number may be another's now, which is left alone.
    state.update(pid=os.getpid())
    (tmp_path / 'process.json').write_text(json.dumps(state))
    assert not end_left_over(tmp_path)


def test_executors_that_are_not_there_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    monkeypatch.setitem(sys.modules, 'submitit', None)
    with pytest.raises(SearchError, match=r"'mmvision_ext\[ray\]'"):
        build_executor('ray', 1)
    with pytest.raises(SearchError, match=r"'mmvision_ext\[slurm\]'"):
        build_executor('slurm', 1)
    with pytest.raises(SearchError, match='choose from local, ray, slurm'):
        build_executor('cloud', 1)
    with pytest.raises(SearchError, match='executor local: .*cpus'):
        build_executor('local', 1, cpus=2)


def test_a_slurm_job_that_dies_is_lost_and_run_again(
        tmp_path, settings, make_search, script_evaluator):
    """submitit's local executor stands for the cluster."""
    pytest.importorskip('submitit', reason='needs the extra [slurm]')
    executor = build_executor('slurm', 1, cluster='local',
                              folder=str(tmp_path / 'jobs'), timeout_min=5)
    script = """
import json, os, sys
folder = sys.argv[1]
if not os.path.exists(folder + '/log.txt.attempt1'):
    os.kill(os.getppid(), 9)
    # What outlived its supervisor and wrote a result would count.
    os._exit(1)
json.dump(dict(state='complete', value=1.5), open(folder + '/r', 'w'))
os.rename(folder + '/r', folder + '/result.json')
"""
    found = make_search(tmp_path, settings, script_evaluator(script),
                        executor, trials=1)
    found.search.run()
    trial, = found.study.trials
    assert trial.value == 1.5
    first, = trial.user_attrs['attempts']
    assert first['class'] == 'killed'
    assert first['message'].startswith('job ')

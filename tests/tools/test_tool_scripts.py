"""The shell scripts, each in processes of its own."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mmvision_ext.engine.distributed import main
from mmvision_ext.engine.messages import MESSAGE_FILE, catch_interrupt, report

cpu_only = pytest.mark.skipif(
    torch.cuda.is_available(), reason='several gloo processes on one machine')

_RANK_SCRIPT = """
import json, os, sys, torch.distributed as dist
dist.init_process_group('gloo')
total = [None] * dist.get_world_size()
dist.all_gather_object(total, dist.get_rank())
if dist.get_rank() == 0:
    keys = ('WORLD_SIZE', 'MASTER_ADDR', 'OMP_NUM_THREADS')
    print(json.dumps([total, sys.argv[1:], *map(os.environ.get, keys)]))
if 'fail' in sys.argv and dist.get_rank() == 1:
    os._exit(7)
if 'kill' in sys.argv and dist.get_rank() == 1:
    os.kill(os.getpid(), 9)
dist.barrier()
"""


def _clean_env(**extra: str) -> dict[str, str]:
    """The environment without what a launcher sets, and with our Python."""
    drop = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT',
            'PORT', 'NNODES', 'NODE_RANK', 'MKL_NUM_THREADS')
    env = {k: v for k, v in os.environ.items() if k not in drop}
    env['MMVISION_VENV'] = sys.prefix
    return {**env, **extra}


def _run(*command: str | Path, **extra: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(c) for c in command],
                          env=_clean_env(**extra),
                          capture_output=True,
                          text=True,
                          timeout=560)


@pytest.fixture
def rank_script(tmp_path: Path) -> Path:
    path = tmp_path / 'a script.py'
    path.write_text(_RANK_SCRIPT)
    return path


@pytest.mark.parametrize('script, args', [
    ('dist_train.sh', []),
    ('dist_train.sh', ['config.py']),
    ('dist_train.sh', ['config.py', '0']),
    ('dist_train.sh', ['config.py', '--resume']),
    ('dist_test.sh', ['config.py', '2']),
    ('dist_test.sh', ['config.py', 'x.pth', 'two']),
    ('slurm_train.sh', ['partition', 'job']),
])
def test_missing_arguments_show_the_usage(repo_root, script, args):
    done = _run('bash', repo_root / 'tools' / script, *args)
    assert done.returncode == 2
    assert done.stderr.startswith(f'usage: bash tools/{script} ')
    assert not done.stdout


@cpu_only
def test_processes_ports_and_threads(repo_root, rank_script, monkeypatch):
    module = [sys.executable, '-m', 'mmvision_ext.engine.distributed']
    env = dict(PYTHONPATH=str(repo_root))
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    done = _run(*module, '2', rank_script, 'a b', '--x', 'c', **env)
    assert done.returncode == 0, done.stderr
    ranks, args, world, address, threads = json.loads(done.stdout)
    assert (ranks, world, address) == ([0, 1], '2', '127.0.0.1')
    assert args == ['a b', '--x', 'c']
    cores = len(os.sched_getaffinity(0))
    assert int(threads) == max(1, cores // 2)
    done = _run(*module, '1', rank_script, OMP_NUM_THREADS='3', **env)
    assert json.loads(done.stdout)[-1] == '3'


@cpu_only
def test_a_failing_rank_fails_the_whole(repo_root, rank_script):
    done = _run(sys.executable, '-m', 'mmvision_ext.engine.distributed', '2',
                rank_script, 'fail', PYTHONPATH=str(repo_root))
    assert done.returncode == 7
    assert done.stderr.splitlines()[-1] == 'rank 1 failed with exit status 7'


@cpu_only
def test_a_killed_rank_ends_the_others(repo_root, rank_script):
    done = _run(sys.executable, '-m', 'mmvision_ext.engine.distributed', '2',
                rank_script, 'kill', PYTHONPATH=str(repo_root))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        'rank 1 was killed by SIGKILL: was there too little memory?')


@pytest.mark.parametrize('variables, expected', [
    (dict(NNODES='2'), 'NNODES=2 needs MASTER_ADDR'),
    (dict(NNODES='two'), 'NNODES=two: expected a number'),
    (dict(PORT='http'), 'PORT=http: expected a number'),
])
def test_bad_environment_is_one_line(monkeypatch, capfd, variables, expected):
    for name in ('NNODES', 'NODE_RANK', 'MASTER_ADDR', 'PORT'):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(['1', 'train.py', 'c.py']) == 2
    line = capfd.readouterr().err
    assert line.startswith(f'train.py: {expected}') and line.count('\n') == 1


def test_more_processes_than_gpus(monkeypatch, capfd):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    assert main(['2', 'train.py', 'c.py']) == 2
    assert '2 processes need as many GPUs, but 1' in capfd.readouterr().err


@cpu_only
@pytest.mark.smoke
@pytest.mark.timeout(1700)  # three launches, slow where the disk is
def test_dist_train_resume_and_test(repo_root, tiny_config, toy_data,
                                    tmp_path):
    tools, work_dir = repo_root / 'tools', tmp_path / 'work dir'
    common = ['--data-root', toy_data / 'imagenet', '--work-dir', work_dir]
    done = _run('bash', tools / 'dist_train.sh', tiny_config, '2', *common)
    assert done.returncode == 0, done.stderr
    # 8 images in batches of 4 in 2 processes: one step an epoch.
    assert 'Epoch(train) [1][1/1]' in done.stdout
    assert 'accuracy/top1' in done.stdout
    done = _run('bash', tools / 'dist_train.sh', tiny_config, '2', *common,
                '--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    assert done.returncode == 0, done.stderr
    assert 'resumed epoch: 1, iter: 1' in done.stdout
    assert (work_dir / 'epoch_2.pth').is_file()
    done = _run('bash', tools / 'dist_test.sh', tiny_config,
                work_dir / 'epoch_2.pth', '2', *common)
    assert done.returncode == 0, done.stderr
    assert 'Epoch(test) [1/1]    accuracy/top1' in done.stdout


@cpu_only
def test_dist_train_says_once_what_is_missing(repo_root, tiny_config):
    done = _run('bash', repo_root / 'tools/dist_train.sh', tiny_config, '2',
                '--data-root', '/no/where')
    assert done.returncode == 2
    assert done.stderr.count('/no/where/ does not exist') == 1
    assert 'Traceback' not in done.stderr


def _wait_for(condition, process: subprocess.Popen, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f'not within {seconds} s'
        time.sleep(0.1)


def _alive(marker: str) -> list[str]:
    """Command lines with the marker of processes that are no zombies."""
    found = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            text = path.read_bytes().replace(b'\0', b' ').decode()
        except (OSError, UnicodeDecodeError):
            continue
        if marker in text:
            found.append(text)
    return found


@cpu_only
@pytest.mark.skipif(
    not Path('/proc/self/cmdline').exists(), reason='looks into /proc')
@pytest.mark.parametrize('processes', [1, 2])
def test_interrupt(repo_root, tiny_config, toy_data, tmp_path, processes):
    work_dir = tmp_path / 'interrupted'
    tools = repo_root / 'tools'
    command = ([sys.executable, tools / 'train.py', tiny_config]
               if processes == 1 else
               ['bash', tools / 'dist_train.sh', tiny_config, '2'])
    command += [
        '--data-root', toy_data / 'imagenet', '--work-dir', work_dir,
        '--cfg-options', 'train_cfg.max_epochs=100000',
        'train_dataloader.num_workers=1',
        'default_hooks.checkpoint.max_keep_ckpts=1'
    ]
    process = subprocess.Popen([str(c) for c in command],
                               env=_clean_env(),
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE,
                               text=True,
                               start_new_session=True)
    try:
        last = work_dir / 'last_checkpoint'
        _wait_for(last.is_file, process, 400)
        os.killpg(process.pid, signal.SIGINT)
        error = process.communicate(timeout=120)[1]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert error.splitlines()[-1].endswith('interrupted')
    assert error.count('interrupted') == 1 and 'Traceback' not in error
    assert _alive(str(work_dir)) == []


def test_slurm_train_starts_srun(repo_root, tmp_path):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    done = _run('bash', repo_root / 'tools/slurm_train.sh', 'gpu', 'my job',
                'a config.py', '--resume', GPUS='16', CPUS_PER_TASK='3',
                SRUN_ARGS='--time=1:00 --exclusive',
                PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}')
    assert done.returncode == 0, done.stderr
    python = str(Path(sys.prefix) / 'bin/python')
    assert done.stdout.splitlines() == [
        '--partition=gpu', '--job-name=my job', '--gres=gpu:8',
        '--ntasks=16', '--ntasks-per-node=8', '--cpus-per-task=3',
        '--kill-on-bad-exit=1', '--time=1:00', '--exclusive', python, '-u',
        str(repo_root / 'tools/train.py'), 'a config.py', '--launcher',
        'slurm', '--resume'
    ]


def test_a_rank_leaves_its_line_to_the_launcher(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv(MESSAGE_FILE, str(tmp_path / 'line'))
    report('said')
    assert (tmp_path / 'line').read_text() == 'said'
    monkeypatch.delenv(MESSAGE_FILE)
    monkeypatch.setenv('LOCAL_RANK', '1')
    report('not said')
    monkeypatch.setenv('LOCAL_RANK', '0')
    report('said here')
    assert capfd.readouterr().err == 'said here\n'


def test_signal_handling_is_put_back():
    before, hook = signal.getsignal(signal.SIGINT), sys.excepthook
    with catch_interrupt('x') as interrupt:
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    assert sys.excepthook is hook
    assert not interrupt.seen


@pytest.mark.parametrize('tool', ['test.py', 'make_toy_data.py'])
def test_tools_run_from_anywhere(repo_root, tmp_path, tool):
    done = subprocess.run(
        [sys.executable, str(repo_root / 'tools' / tool), '--help'],
        env=_clean_env(), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f'usage: {tool}')

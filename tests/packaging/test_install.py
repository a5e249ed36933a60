"""An installation away from the checkout, and one that follows it."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmvision_ext.datasets import make_toy_data


@pytest.fixture
def call(tmp_path):
    """Runs a command in an empty folder, without the checkout's path."""
    away = tmp_path / 'away'
    away.mkdir()

    def run(*command):
        names = {key: value for key, value in os.environ.items()
                 if key != 'PYTHONPATH'}
        done = subprocess.run(
            [str(part) for part in command], cwd=away, env=names, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout

    run.folder = away
    return run


ONE_STEP = ('--cfg-options', 'train_cfg.max_iters=1',
            'train_cfg.val_interval=1', 'train_dataloader.batch_size=4',
            'train_dataloader.num_workers=1', 'val_dataloader.num_workers=1')


@pytest.mark.smoke
def test_a_wheel_trains_from_another_folder(source_copy, environment, call,
                                            tmp_path):
    """With its own tools, and by mim."""
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps',
         '--no-build-isolation', '--no-index', '-w', tmp_path, source_copy],
        check=True)
    python = environment(*map(str, tmp_path.glob('*.whl')))
    where = Path(call(python, '-c', 'import mmvision_ext as m;'
                      'print(m.__file__)').splitlines()[-1]).parent
    assert where.is_relative_to(tmp_path / 'environment')
    mim = where / '.mim'
    make_toy_data(call.folder / 'toy', train=6, val=6, size=64)
    data = call.folder / 'toy' / 'imagenet'
    config = mim / 'configs' / 'quickstart' / 'vheat-nano_toy_cls.py'
    printed = call(python, mim / 'tools' / 'train.py', config,
                   '--data-root', data, '--work-dir', 'by-tool', *ONE_STEP)
    assert 'accuracy/top1' in printed
    assert (call.folder / 'by-tool' / 'iter_1.pth').is_file()
    printed = call(
        python, '-c', 'from mim.cli import cli; cli()', 'train',
        'mmpretrain', config, '--gpus', '0', '--work-dir', 'by-mim',
        *ONE_STEP, f'train_dataloader.dataset.data_root={data}',
        f'val_dataloader.dataset.data_root={data}')
    assert (call.folder / 'by-mim' / 'iter_1.pth').is_file()
    assert call(python, '-m', 'mmvision_ext', '--version').strip()


@pytest.mark.smoke
def test_an_editable_installation_links_to_the_checkout(
        source_copy, environment, call):
    python = environment('-e', str(source_copy))
    mim = source_copy / 'mmvision_ext' / '.mim'
    for name in ('configs', 'tools', 'model-index.yml'):
        assert (mim / name).is_symlink()
        assert (mim / name).resolve() == source_copy / name
    printed = call(
        python, '-c', 'import mmvision_ext as m, importlib.util as u\n'
        'from mmvision_ext.engine.shipped import shipped_root\n'
        'print(m.__file__); print(shipped_root())\n'
        'print([n for n in ("tools", "configs", "docker") if u.find_spec(n)])'
    )
    assert printed.splitlines()[-3:] == [
        str(source_copy / 'mmvision_ext' / '__init__.py'), str(source_copy),
        '[]']
    # again, over the links that are there
    environment('-e', str(source_copy))
    assert (mim / 'configs').is_symlink()

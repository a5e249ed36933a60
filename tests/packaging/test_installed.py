"""The installed package, far from any checkout."""
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ON_ONEDL = any(found.name == 'onedl-mmengine'
               for found in metadata.distributions())
MIM = 'from mim.cli import cli; cli()'
SHORT = [
    'train_cfg.max_iters=2', 'train_cfg.val_interval=2',
    'train_dataloader.batch_size=2', 'default_hooks.checkpoint.interval=2',
    *(f'{split}_dataloader.{key}' for split in ('train', 'val')
      for key in ('num_workers=0', 'persistent_workers=False'))
]


def call(python: Path, cwd: Path, *args: object) -> str:
    """Run an installed interpreter; give what it prints."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith(('PYTHON', 'COVERAGE'))}
    done = subprocess.run(
        [python, *map(str, args)], cwd=cwd, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope='module')
def installed(built, install) -> tuple[Path, Path]:
    """The wheel in an environment of its own."""
    return install(built['wheel'])


@pytest.fixture(scope='module')
def data(installed, tmp_path_factory) -> Path:
    """A folder with generated images, made by the shipped tool."""
    python, packages = installed
    folder = tmp_path_factory.mktemp('far away')
    call(python, folder,
         packages / 'mmvision_ext/.mim/tools/make_toy_data.py', '--out',
         'toy', '--train', 12, '--val', 6, '--size', 32)
    return folder


@pytest.mark.smoke
def test_the_installed_package_is_what_runs(installed, data):
    python, packages = installed
    lines = call(
        python, data, '-c', 'import mmvision_ext as m\n'
        'from mmvision_ext.engine.shipped import shipped_root\n'
        'from mmvision_ext.quickstart.tasks import TASKS\n'
        'from mmvision_ext.quickstart.search import search_config\n'
        'print(m.__file__, shipped_root(), *(t.config_path for t in TASKS),'
        ' search_config(), sep="\\n")').splitlines()
    root = packages / 'mmvision_ext'
    assert lines[-8:-6] == [str(root / '__init__.py'), str(root / '.mim')]
    for name in lines[-6:]:
        assert Path(name).is_relative_to(root) and Path(name).is_file()
    text = call(python, data, '-m', 'mmvision_ext', 'info')
    assert f'configs      {root / ".mim"}\n' in text
    assert text.rstrip().splitlines()[-1].startswith('OK: ')


@pytest.mark.smoke
def test_shipped_tool_trains_a_shipped_config(installed, data):
    python, packages = installed
    mim = packages / 'mmvision_ext' / '.mim'
    text = call(
        python, data, mim / 'tools/train.py',
        mim / 'configs/quickstart/vheat-nano_toy_cls.py', '--data-root',
        'toy/imagenet', '--work-dir', 'own', '--cfg-options', *SHORT)
    assert 'accuracy/top1' in text
    assert (data / 'own' / 'iter_2.pth').stat().st_size > 100_000


@pytest.mark.smoke
def test_mim_trains_with_the_packages_tool(installed, data):
    python, packages = installed
    config = 'configs/quickstart/vheat-nano_toy_cls.py'
    call(python, data, '-c', MIM, 'train', 'mmpretrain',
         packages / 'mmvision_ext/.mim' / config, '--gpus', 0, '--work-dir',
         'mim', '--cfg-options', *SHORT,
         *(f'{split}_dataloader.dataset.data_root=toy/imagenet'
           for split in ('train', 'val', 'test')))
    assert (data / 'mim' / 'iter_2.pth').stat().st_size > 100_000


@pytest.mark.smoke
@pytest.mark.skipif(ON_ONEDL, reason="this stack's mim takes the "
                    'first file of an installed wheel for its folder')
def test_mim_knows_the_package(installed, data):
    """By the name of a config alone, and in its tables."""
    python, _ = installed
    call(python, data, '-c', MIM, 'train', 'mmvision_ext',
         'vheat-nano_toy_cls.py', '--gpus', 0, '--data-root', 'toy/imagenet',
         '--work-dir', 'known', '--cfg-options', *SHORT)
    assert (data / 'known' / 'iter_2.pth').stat().st_size > 100_000
    table = call(python, data, '-c', MIM, 'search', 'mmvision_ext')
    assert 'config id: ' in table


def test_editable_install_links_to_the_checkout(checkout, install, tmp_path):
    subprocess.run(
        [sys.executable, '-c', 'import sys\n'
         'from setuptools.build_meta import build_editable\n'
         'build_editable(sys.argv[1])', tmp_path], cwd=checkout, check=True,
        capture_output=True)
    links = checkout / 'mmvision_ext' / '.mim'
    try:
        python, packages = install(next(tmp_path.glob('*.whl')))
        assert {path.name for path in links.iterdir()} == {
            'configs', 'tools', 'model-index.yml'}
        for link in links.iterdir():
            assert link.is_symlink()
            assert link.resolve() == checkout / link.name
        assert not (packages / 'mmvision_ext').exists()
        out = call(
            python, tmp_path, '-c', 'from importlib.util import find_spec\n'
            'from mmvision_ext.engine.shipped import shipped_root\n'
            'print(shipped_root(), *map(find_spec, ("configs", "tools", '
            '"docker")), sep="\\n")').splitlines()
        assert out[-4:] == [str(checkout), 'None', 'None', 'None']
        # What is no link is somebody's, and stays.
        (links / 'tools').unlink()
        (links / 'tools').mkdir()
        (links / 'tools' / 'mine').touch()
        code = ('import sys, runpy, setuptools\n'
                'setuptools.setup = lambda **kw: None\n'
                'made = runpy.run_path("setup.py")\n'
                'made["link_shipped"](made["ROOT"] / sys.argv[1])\n')
        failed = subprocess.run(
            [sys.executable, '-c', code, 'mmvision_ext/.mim'], cwd=checkout,
            capture_output=True, text=True, check=False)
        assert failed.returncode == 1
        assert 'tools is in the way of a link to' in failed.stderr
        assert (links / 'tools' / 'mine').exists()
    finally:
        for path in links.rglob('mine'):
            path.unlink()
        for path in links.iterdir():
            path.rmdir() if path.is_dir() and not path.is_symlink() \
                else path.unlink()
        links.rmdir()


def test_incomplete_installation_is_named(tmp_path, monkeypatch):
    from mmvision_ext.engine import shipped
    from mmvision_ext.engine.errors import LaunchError
    monkeypatch.setattr(shipped, '_PACKAGE', tmp_path / 'mmvision_ext')
    with pytest.raises(LaunchError, match='no configs beside .*install'):
        shipped.shipped_root()
    (tmp_path / 'configs' / '_base_').mkdir(parents=True)
    assert shipped.shipped_root() == tmp_path
    (tmp_path / 'mmvision_ext/.mim/configs/_base_').mkdir(parents=True)
    assert shipped.shipped_root() == tmp_path / 'mmvision_ext' / '.mim'

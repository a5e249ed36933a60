"""A copy of the sources, and environments to install it into."""
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

_COPIED = ('mmvision_ext', 'configs', 'tools', 'tests', 'docs',
           'requirements', 'setup.py', 'pyproject.toml', 'MANIFEST.in',
           'README.md', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md',
           'mkdocs.yml', 'model-index.yml')


@pytest.fixture(scope='module')
def source_copy(repo_root: Path,
                tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources elsewhere, in a path with a space; the tree stays clean."""
    place = tmp_path_factory.mktemp('copy') / 'source with space'
    place.mkdir()
    for name in _COPIED:
        if (repo_root / name).is_dir():
            shutil.copytree(
                repo_root / name, place / name,
                ignore=shutil.ignore_patterns('__pycache__', '.mim'))
        else:
            shutil.copy(repo_root / name, place / name)
    return place


@pytest.fixture
def environment(tmp_path: Path) -> Callable[..., Path]:
    """Makes a clean environment; returns its interpreter.

    It sees the packages of this one, but for mmvision_ext: what makes that
    importable here is a ``.pth`` file, which does not count there.
    """

    def make(*what: str) -> Path:
        place = tmp_path / 'environment'
        backend = tmp_path / 'backend'
        backend.mkdir(exist_ok=True)
        for part in ('setuptools*', '_distutils_hack', 'wheel*'):
            for tool in Path(sysconfig.get_path('purelib')).glob(part):
                if not (backend / tool.name).exists():
                    (backend / tool.name).symlink_to(tool)
        subprocess.run(
            [sys.executable, '-m', 'venv', '--without-pip', place],
            check=True)
        python = place / 'bin' / 'python'
        site = subprocess.run(
            [python, '-c', 'import sysconfig;'
             'print(sysconfig.get_path("purelib"))'],
            check=True, capture_output=True, text=True).stdout.strip()
        # Before it sees the other packages, or pip would find the package
        # installed already.
        subprocess.run(
            [sys.executable, '-m', 'pip', '--python', python, 'install',
             '-q', '--no-deps', '--no-build-isolation', '--no-index', *what],
            check=True, env={**os.environ, 'PYTHONPATH': str(backend)})
        Path(site, 'shared.pth').write_text(sysconfig.get_path('purelib'))
        return python

    return make

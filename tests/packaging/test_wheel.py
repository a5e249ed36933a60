"""What `pip install .` puts where."""
import shutil
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest


@pytest.fixture(scope='module')
def wheel(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel of a copy of the sources; the tree stays clean."""
    work = tmp_path_factory.mktemp('wheel')
    source = work / 'source with space'
    shutil.copytree(
        repo_root / 'mmvision_ext', source / 'mmvision_ext',
        ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(repo_root / name, source / name)
    # Folders of the repository that must not end up in site-packages.
    for name in ('configs', 'tests', 'tools', 'docs'):
        (source / name).mkdir()
        (source / name / '__init__.py').touch()
    subprocess.run([
        sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps',
        '--no-build-isolation', '--no-index', '-w', work, source
    ], check=True)
    wheels = list(work.glob('*.whl'))
    assert len(wheels) == 1
    return wheels[0]


def test_wheel_is_pure_and_named_after_the_version(wheel, repo_root):
    version = {}
    exec((repo_root / 'mmvision_ext/version.py').read_text(), version)
    expected = f"mmvision_ext-{version['__version__']}-py3-none-any.whl"
    assert wheel.name == expected


def test_wheel_holds_the_package_and_nothing_else(wheel, repo_root):
    names = set(zipfile.ZipFile(wheel).namelist())
    top = {name.split('/')[0] for name in names}
    assert {name for name in top if not name.endswith('.dist-info')} == {
        'mmvision_ext'}
    sources = {
        path.relative_to(repo_root).as_posix()
        for path in (repo_root / 'mmvision_ext').rglob('*.py')
    }
    assert sources <= names
    assert 'mmvision_ext/py.typed' in names
    assert any(name.endswith('LICENSE') for name in names)


def test_metadata_requires_neither_stack(wheel):
    archive = zipfile.ZipFile(wheel)
    name = next(n for n in archive.namelist() if n.endswith('/METADATA'))
    meta = HeaderParser().parsestr(archive.read(name).decode())
    assert set(meta['Requires-Python'].split(',')) == {'>=3.10', '<3.13'}
    hard = [r for r in meta.get_all('Requires-Dist') if 'extra' not in r]
    assert sorted(hard) == ['numpy', 'safetensors', 'torch>=2.1']
    assert set(meta.get_all('Provides-Extra')) == {
        'onedl', 'openmmlab', 'search', 'ray', 'slurm', 'benchmark',
        'dev'}

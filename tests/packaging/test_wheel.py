"""What `pip install .` puts where."""
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest


@pytest.fixture(scope='module')
def built(source_copy: Path, tmp_path_factory: pytest.TempPathFactory
          ) -> Path:
    """Folder with wheel and source distribution of a copy of the sources."""
    out = tmp_path_factory.mktemp('built')
    # Folders of the repository that must not end up in site-packages.
    for name in ('configs', 'tests', 'tools', 'docs'):
        (source_copy / name / '__init__.py').touch()
    subprocess.run([
        sys.executable, '-m', 'build', '--no-isolation', '--outdir', out,
        source_copy
    ], check=True, capture_output=True)
    return out


@pytest.fixture(scope='module')
def wheel(built: Path) -> Path:
    """The wheel, made from the source distribution."""
    wheels = list(built.glob('*.whl'))
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
    shipped = {
        f'mmvision_ext/.mim/{path.relative_to(repo_root).as_posix()}'
        for folder in ('configs', 'tools')
        for path in (repo_root / folder).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }
    assert shipped > {'mmvision_ext/.mim/tools/train.py'}
    found = {name for name in names if '/.mim/' in name}
    assert found - {f'mmvision_ext/.mim/{folder}/__init__.py'
                    for folder in ('configs', 'tools')} == shipped | {
        'mmvision_ext/.mim/model-index.yml'}
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
        'export', 'demo', 'docs', 'pictures', 'dev'}


def test_source_distribution_holds_what_the_tests_need(built, repo_root):
    path = next(built.glob('*.tar.gz'))
    with tarfile.open(path) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    for folder in ('tests', 'configs', 'tools', 'requirements', 'docs'):
        files = {
            p.relative_to(repo_root).as_posix()
            for p in (repo_root / folder).rglob('*')
            if p.is_file() and '__pycache__' not in p.parts
        }
        assert files <= names, folder
    assert not any('.mim' in name or '.pyc' in name for name in names)

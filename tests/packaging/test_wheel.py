"""What the distributions hold, file by file."""
import re
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from .conftest import source_files

#: Tools that need a checkout, so that a wheel is better off without.
CHECKOUT_ONLY = {'check_env.py', 'check_stack.sh', 'quickstart.sh',
                 'setup_env.sh'}


def wheel_names(built) -> set[str]:
    return set(zipfile.ZipFile(built['wheel']).namelist())


def test_wheel_is_pure_and_named_after_the_version(built, repo_root):
    version = {}
    exec((repo_root / 'mmvision_ext/version.py').read_text(), version)
    expected = f"mmvision_ext-{version['__version__']}-py3-none-any.whl"
    assert built['wheel'].name == expected


def test_wheel_holds_the_package_and_its_mim_and_nothing_else(
        built, checkout):
    expected = set()
    for path in checkout.rglob('*'):
        name = path.relative_to(checkout)
        if not path.is_file() or '__pycache__' in name.parts or \
                name.name in CHECKOUT_ONLY:
            continue
        if name.parts[0] == 'mmvision_ext':
            expected.add(name.as_posix())
        elif name.parts[0] in ('configs', 'tools', 'model-index.yml'):
            expected.add(f'mmvision_ext/.mim/{name.as_posix()}')
    names = wheel_names(built)
    info = {name for name in names if '.dist-info/' in name}
    assert {name.partition('/')[2] for name in info} == {
        'METADATA', 'RECORD', 'WHEEL', 'licenses/LICENSE',
        'entry_points.txt', 'top_level.txt'}
    assert names - info == expected
    assert len([name for name in names if '/.mim/configs/' in name]) > 80
    assert 'mmvision_ext/.mim/tools/train.py' in names
    assert 'mmvision_ext/.mim/model-index.yml' in names
    assert {'mmvision_ext/py.typed',
            'mmvision_ext/quickstart/page.css'} <= names


def test_checkout_only_is_what_setup_leaves_out(repo_root):
    text = (repo_root / 'setup.py').read_text()
    listed = re.search(r'^CHECKOUT_ONLY = \((.*?)\)', text, re.M | re.S)[1]
    assert set(re.findall(r"'(.+?)'", listed)) == CHECKOUT_ONLY
    for name in CHECKOUT_ONLY:
        assert (repo_root / 'tools' / name).is_file()


def test_sdist_holds_all_that_a_checkout_does(built, repo_root):
    archive = tarfile.open(built['sdist'])
    names = {name.partition('/')[2] for name in archive.getnames()}
    missing = {name.as_posix() for name in source_files(repo_root)} - names
    assert missing == set()
    assert not [name for name in names if '__pycache__' in name
                or name.startswith('mmvision_ext/.mim')]


def test_metadata_requires_neither_stack(built, repo_root):
    archive = zipfile.ZipFile(built['wheel'])
    name = next(n for n in archive.namelist() if n.endswith('/METADATA'))
    meta = HeaderParser().parsestr(archive.read(name).decode())
    assert set(meta['Requires-Python'].split(',')) == {'>=3.10', '<3.13'}
    hard = [r for r in meta.get_all('Requires-Dist') if 'extra' not in r]
    assert sorted(hard) == ['numpy', 'safetensors', 'torch>=2.1']
    text = (repo_root / 'setup.py').read_text()
    extras = text.split('extras_require={')[1].split('}')[0]
    assert set(meta.get_all('Provides-Extra')) == set(
        re.findall(r"'(\w+)':", extras)) >= {'onedl', 'openmmlab', 'search'}


def test_no_build_leaves_the_sources_as_they_were(built, checkout):
    """The links of an editable installation are not made by a build."""
    assert not (checkout / 'mmvision_ext' / '.mim').exists()
    assert isinstance(built['wheel'], Path)

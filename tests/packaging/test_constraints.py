"""The pins of the two stacks."""
import re
import sys
from pathlib import Path

import pytest

STACKS = {
    'onedl': {
        'onedl-mmengine': '0.10.12',
        'onedl-mmcv': '2.3.6',
        'onedl-mmdetection': '3.5.1',
        'onedl-mmsegmentation': '1.4.2',
        'onedl-mmpretrain': '1.3.6',
        'onedl-mim': '0.5.1',
    },
    'openmmlab': {
        'mmengine': '0.10.7',
        'mmcv-lite': '2.1.0',
        'mmdet': '3.3.0',
        'mmsegmentation': '1.2.2',
        'mmpretrain': '1.2.0',
        'openmim': '0.3.9',
    },
}


@pytest.fixture(scope='module')
def check_env(repo_root):
    sys.path.insert(0, str(repo_root / 'tools'))
    try:
        import check_env
        yield check_env
    finally:
        sys.path.remove(str(repo_root / 'tools'))


@pytest.mark.parametrize('stack', STACKS)
def test_mm_packages_are_pinned_and_the_other_stack_absent(
        stack, check_env, repo_root):
    pins = check_env.read_pins(repo_root / f'requirements/{stack}.txt')
    assert STACKS[stack].items() <= pins.items()
    other = next(name for name in STACKS if name != stack)
    assert not STACKS[other].keys() & pins.keys()


def test_both_stacks_are_tested_on_the_same_torch(check_env, repo_root):
    files = [check_env.read_pins(repo_root / f'requirements/{stack}.txt')
             for stack in STACKS]
    for name in ('torch', 'torchvision', 'numpy'):
        assert files[0][name] == files[1][name]
    assert files[0]['torch'] == '2.11.0'


@pytest.mark.parametrize('stack', STACKS)
def test_every_extra_is_pinned(stack, check_env, repo_root):
    """Whatever setup.py asks of a stack has an exact version."""
    text = (repo_root / 'setup.py').read_text()
    lists = {
        name.lower(): re.findall(r"'([\w-]+)", body) for name, body in
        re.findall(r'^([A-Z]+) = \[(.*?)\]', text, re.M | re.S)
    }
    pins = check_env.read_pins(repo_root / f'requirements/{stack}.txt')
    asked = set().union(*(
        lists[name] for name in (stack, 'dev', 'search', 'benchmark')))
    assert len(asked) > 12
    assert not asked - pins.keys()


def test_read_pins_follows_the_markers(check_env, tmp_path, monkeypatch):
    path = tmp_path / 'pins.txt'
    path.write_text("# a comment\n"
                    "a==1.0; python_version < '3.11'\n"
                    "a==2.0; python_version >= '3.11'\n"
                    "b==3.0\n")
    monkeypatch.setattr(sys, 'version_info', (3, 10, 1))
    assert check_env.read_pins(path) == {'a': '1.0', 'b': '3.0'}
    monkeypatch.setattr(sys, 'version_info', (3, 12, 1))
    assert check_env.read_pins(path) == {'a': '2.0', 'b': '3.0'}
    path.write_text('a>=1\n')
    with pytest.raises(ValueError, match="cannot read the pin 'a>=1'"):
        check_env.read_pins(path)


def test_faults_are_named(check_env):
    pins = {'mmengine': '0.10.7', 'mmcv-lite': '2.1.0', 'torch': '2.11.0',
            'torchvision': '0.26.0'}
    good = {**pins, 'torch': '2.11.0+cpu', 'mmvision-ext': '0.1.0'}
    assert check_env.find_faults(pins, good) == []
    bad = {**good, 'mmengine': '0.9.0', 'onedl-mmcv': '2.3.6'}
    del bad['torchvision'], bad['mmvision-ext']
    assert check_env.find_faults(pins, bad) == [
        'onedl-mmcv 2.3.6 belongs to the other stack',
        'mmengine is 0.9.0, expected 0.10.7',
        'torchvision 0.26.0 is missing',
        'mmvision_ext is not installed',
    ]


def test_mm_packages_of_this_environment_match(check_env, repo_root):
    """A run on the wrong versions would prove nothing."""
    present = check_env.installed()
    stack = 'onedl' if 'onedl-mmengine' in present else 'openmmlab'
    pins = check_env.read_pins(repo_root / f'requirements/{stack}.txt')
    assert check_env.find_mixed(pins, present) == []
    for name in STACKS[stack]:
        assert present[name] == pins[name]


def test_no_host_names(repo_root: Path):
    files = ['setup.py', 'pyproject.toml', 'tests/run.sh', '.ci/run',
             *(f'requirements/{stack}.txt' for stack in STACKS),
             'tools/setup_env.sh', 'tools/env_common.sh']
    for name in files:
        assert '://' not in (repo_root / name).read_text(), name

"""Detection of the stack, and the verdict on the environment."""
import textwrap

import pytest

from mmvision_ext.compat import StackError, check_stack, detect_stack, stack

STACK = detect_stack()
ONEDL = {
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmdetection': '3.5.1',
    'onedl-mmsegmentation': '1.4.2',
    'onedl-mmpretrain': '1.3.6',
    'onedl-mim': '0.5.1'
}
ORIGINAL = {
    'mmengine': '0.10.7',
    'mmcv-lite': '2.1.0',
    'mmdet': '3.3.0',
    'mmsegmentation': '1.2.2',
    'mmpretrain': '1.2.0',
    'openmim': '0.3.9'
}


@pytest.fixture
def installed(monkeypatch):
    """Pretend that exactly these distributions are installed."""

    def pretend(distributions):
        monkeypatch.setattr(stack, '_installed', lambda: dict(distributions))

    return pretend


@pytest.mark.parametrize('name,distributions', [('onedl', ONEDL),
                                                ('openmmlab', ORIGINAL)])
def test_whole_stacks(name, distributions, installed):
    installed({**distributions, 'numpy': '2.2.6'})
    found = check_stack()
    assert found.name == name
    assert found.missing == () and found.clashes == ()
    assert {part.distribution: part.version
            for part in found.parts} == distributions
    assert found.version('mmdet') == distributions.get(
        'mmdet', ONEDL['onedl-mmdetection'])


def test_no_stack_is_no_error(installed):
    installed({'torch': '2.11.0'})
    found = check_stack()
    assert found.name == 'none' and found.parts == ()
    assert found.missing == ('mmengine', 'mmcv', 'mmdet', 'mmseg',
                             'mmpretrain', 'mim')


def test_part_of_a_stack_is_no_error(installed):
    installed({'mmengine': '0.10.7', 'mmpretrain': '1.2.0'})
    found = check_stack()
    assert found.name == 'openmmlab'
    assert found.missing == ('mmcv', 'mmdet', 'mmseg', 'mim')


@pytest.mark.parametrize('own,foreign', [
    (ONEDL, 'mmdet'),
    (ONEDL, 'mmcv-lite'),
    (ONEDL, 'openmim'),
    (ORIGINAL, 'onedl-mmcv'),
    (ORIGINAL, 'onedl-mmengine'),
])
def test_a_mix_is_refused_and_can_be_mended(own, foreign, installed):
    version = {**ONEDL, **ORIGINAL}[foreign]
    installed({**own, foreign: version})
    with pytest.raises(StackError) as caught:
        check_stack()
    message = str(caught.value)
    assert f'{foreign} {version}' in message
    for name, number in own.items():
        assert f'{name} {number}' in message
    removal = next(
        line for line in message.splitlines() if 'pip uninstall -y' in line)
    assert set(removal.split()[3:]) == {*own, foreign}
    for extra in ('onedl', 'openmmlab'):
        assert (f"pip install -c requirements/{extra}.txt -e '.[{extra}]'"
                in message)


def test_commands_that_mend_exist(repo_root):
    setup_py = (repo_root / 'setup.py').read_text()
    for extra in ('onedl', 'openmmlab'):
        assert (repo_root / 'requirements' / f'{extra}.txt').is_file()
        assert f"'{extra}':" in setup_py


def test_two_builds_of_one_package_clash(installed):
    installed({**ORIGINAL, 'mmcv': '2.1.0'})
    assert check_stack().clashes == ('mmcv', )


def test_names_are_normalised(fake_distribution, monkeypatch):
    folder = fake_distribution('Onedl_MMCV', '9.9')
    monkeypatch.syspath_prepend(str(folder))
    assert stack._installed()['onedl-mmcv'] == '9.9'


def foreign_of_this_stack():
    if STACK.name == 'none':
        pytest.skip('no OpenMMLab packages are installed')
    return {'onedl': 'mmdet', 'openmmlab': 'onedl-mmdetection'}[STACK.name]


@pytest.mark.smoke
def test_import_refuses_a_mix(fake_distribution, run_python):
    foreign = foreign_of_this_stack()
    done = run_python(
        '-c',
        'import mmvision_ext',
        path=[fake_distribution(foreign, '3.3.3')])
    assert done.returncode != 0
    assert 'StackError' in done.stderr and f'{foreign} 3.3.3' in done.stderr
    assert 'pip uninstall -y' in done.stderr


@pytest.mark.smoke
def test_verdict_of_a_mix(fake_distribution, run_python):
    foreign = foreign_of_this_stack()
    done = run_python(
        '-m',
        'mmvision_ext.compat',
        path=[fake_distribution(foreign, '3.3.3')])
    assert done.returncode == 1
    assert 'Traceback' not in done.stdout + done.stderr
    assert 'FAIL: the packages of two OpenMMLab stacks are mixed' in (
        done.stdout)
    assert 'pip uninstall -y' in done.stdout
    assert '\nOK' not in done.stdout


@pytest.mark.smoke
def test_verdict_of_this_environment(run_python):
    if STACK.missing:
        pytest.skip(f'the stack here is not whole: {STACK.missing} missing')
    done = run_python('-m', 'mmvision_ext.compat')
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == f'OK: the {STACK.name} stack is usable'
    first = [line.split()[0] for line in lines[:-1]]
    assert first == [
        'mmvision_ext', 'python', 'platform', 'stack', 'torch', 'torchvision',
        'numpy', 'safetensors', 'cuda', 'mmengine', 'mmcv', 'mmdet', 'mmseg',
        'mmpretrain', 'mim', 'mmcv'
    ]
    for part in STACK.parts:
        assert f'{part.distribution} {part.version}  ok' in done.stdout
    assert 'Traceback' not in done.stderr


def test_verdict_of_a_broken_package(run_python, tmp_path):
    """A package that raises at import fails by name, not by traceback."""
    foreign_of_this_stack()
    package = tmp_path / 'mmdet'
    package.mkdir()
    (package / '__init__.py').write_text('raise OSError("libbroken.so")\n')
    done = run_python('-m', 'mmvision_ext.compat', path=[tmp_path])
    assert done.returncode == 1
    assert 'FAIL: mmdet cannot be imported: OSError: libbroken.so' in (
        done.stdout)
    assert 'Traceback' not in done.stdout + done.stderr


def test_verdict_of_a_broken_mmengine(run_python, tmp_path):
    """Even the package that ours builds on may be broken."""
    foreign_of_this_stack()
    package = tmp_path / 'mmengine'
    package.mkdir()
    (package / '__init__.py').write_text('import no_such_module\n')
    done = run_python('-m', 'mmvision_ext.compat', path=[tmp_path])
    assert done.returncode == 1
    assert 'FAIL: mmengine cannot be imported: ModuleNotFoundError' in (
        done.stdout)
    done = run_python(
        '-c', 'import mmvision_ext.compat as c; c.setup()', path=[tmp_path])
    assert 'StackError: mmengine is installed but cannot be' in done.stderr


ALONE = textwrap.dedent("""
    import sys
    for name in ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'mim',
                 'torchvision'):
        sys.modules[name] = None
    import mmvision_ext
    from mmvision_ext import compat
    compat.setup()
    assert compat.mmcv_ops_in_use() == 'none'
    import io, torch
    stream = io.BytesIO()
    torch.save({'w': torch.ones(2)}, stream)
    stream.seek(0)
    assert compat.safe_load(stream)['w'].tolist() == [1, 1]
""")


@pytest.mark.smoke
def test_without_any_package_it_is_quiet(run_python):
    done = run_python('-c', ALONE)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')

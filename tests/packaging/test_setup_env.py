"""tools/setup_env.sh with a stub in the place of Python.

The stub answers like an interpreter and records every call, so that what the
script decides is seen in a second and nothing is downloaded.
"""
import fcntl
import subprocess

import pytest

from .stub_project import Project


@pytest.fixture
def project(repo_root, tmp_path):
    return Project(repo_root, tmp_path)


def test_scripts_parse(repo_root):
    scripts = [*repo_root.glob('tools/*.sh'), *repo_root.glob('tests/*.sh'),
               repo_root / '.ci/run']
    assert len(scripts) >= 4
    for script in scripts:
        subprocess.run(['bash', '-n', script], check=True)


def test_second_call_installs_nothing(project):
    first = project.setup()
    assert first.returncode == 0, first.stderr
    installs = project.calls('-m pip install')
    assert len(installs) == 2
    assert all('requirements/onedl.txt' in call for call in installs)
    assert '--editable .[onedl,dev]' in installs[1]
    assert len(project.calls('-m mmvision_ext.compat')) == 1

    second = project.setup()
    assert second.returncode == 0, second.stderr
    assert f'ready: {project.venv}' in second.stdout
    assert project.calls('-m pip') == project.calls('-m venv') == []


@pytest.mark.parametrize(
    'name', ['requirements/onedl.txt', 'setup.py', 'tools/setup_env.sh'])
def test_changed_input_installs_again_in_place(project, name):
    project.setup()
    with open(project.root / name, 'a') as file:
        file.write('# changed\n')
    assert project.setup().returncode == 0
    assert len(project.calls('-m pip install')) == 2
    assert project.calls('-m venv') == []


def test_failed_install_is_reported_and_repaired(project):
    project.fail.touch()
    failed = project.setup()
    assert failed.returncode == 1
    assert 'pip could not install the packages' in failed.stderr
    assert 'ready' not in failed.stdout

    project.fail.unlink()
    repaired = project.setup()
    assert repaired.returncode == 0, repaired.stderr
    assert 'did not finish; starting over' in repaired.stdout
    assert len(project.calls('-m venv')) == 1
    assert project.setup().returncode == 0
    assert project.calls('-m pip') == []


def test_broken_environment_is_made_anew(project):
    project.setup()
    (project.venv / 'bin/python').unlink()
    (project.venv / 'left over').touch()
    again = project.setup()
    assert again.returncode == 0, again.stderr
    assert 'broken; making it anew' in again.stdout
    assert not (project.venv / 'left over').exists()


def test_foreign_folder_is_never_deleted(project):
    project.venv.mkdir()
    precious = project.venv / 'precious'
    precious.touch()
    result = project.setup()
    assert result.returncode == 1
    assert 'is no virtual environment' in result.stderr
    assert precious.exists()


def test_machine_without_libgl_gets_the_headless_opencv(project):
    assert project.setup(STUB_CV2='1').returncode == 0
    assert '--force-reinstall --no-deps opencv-python-headless' in (
        project.calls('-m pip install')[-1])


def test_two_calls_at_once_take_turns(project):
    with open(f'{project.venv}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = project.start()
        assert 'is at work; waiting' in process.stdout.readline()
        assert project.calls('-m venv') == []
        fcntl.flock(lock, fcntl.LOCK_UN)
        out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert 'ready' in out


def test_interrupted_install_starts_over(project):
    """As after a kill: the mark of an unfinished set-up is still there."""
    project.setup()
    (project.venv / '.mmvision_unfinished').touch()
    (project.venv / 'half written').touch()
    assert 'starting over' in project.setup().stdout
    assert not (project.venv / 'half written').exists()


def test_second_stack_has_its_own_place_and_pins(project):
    result = project.setup(MMVISION_STACK='openmmlab')
    assert result.returncode == 0, result.stderr
    assert (project.root / '.venv-openmmlab/bin/python').exists()
    assert not project.venv.exists()
    assert 'requirements/openmmlab.txt' in project.calls(
        '-m pip install')[1]


def test_place_can_be_chosen(project, tmp_path):
    place = tmp_path / 'another place' / 'env'
    assert project.setup(MMVISION_VENV=str(place)).returncode == 0
    assert (place / 'bin/python').exists()
    assert not project.venv.exists()


def test_unknown_stack(project):
    result = project.setup(MMVISION_STACK='mmlab')
    assert result.returncode == 2
    assert "MMVISION_STACK is 'mmlab'; expected 'onedl'" in result.stderr


def test_unsuitable_python(project):
    result = project.setup(PYTHON='/bin/false')
    assert result.returncode == 1
    assert "PYTHON is '/bin/false'" in result.stderr
    assert not project.venv.exists()


def test_arguments_are_refused_with_the_usage(project):
    result = project.setup('--stack', 'openmmlab')
    assert result.returncode == 2
    assert "unknown argument '--stack'" in result.stderr
    assert 'MMVISION_VENV' in result.stdout

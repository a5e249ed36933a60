"""tools/check_stack.sh with a stub in the place of Python."""
import pytest

from .stub_project import Project

SCRIPT = 'tools/check_stack.sh'


@pytest.fixture
def project(repo_root, tmp_path):
    (tmp_path / 'temporary').mkdir()
    return Project(repo_root, tmp_path)


def check(project, *args, **env):
    env = {'TMPDIR': str(project.root.parent / 'temporary'), **env}
    return project.setup(*args, script=SCRIPT, **env)


@pytest.mark.parametrize('stack', ['onedl', 'openmmlab'])
def test_whole_suite_in_an_environment_that_goes_away(project, stack):
    done = check(project, stack)
    assert done.returncode == 0, done.stderr
    installed = project.calls('-m pip install')[-1]
    assert f'requirements/{stack}.txt' in installed
    assert f'.[{stack},dev]' in installed
    # tests/run.sh would take the smoke part of the second stack alone
    assert project.calls('-m pytest') == [
        '-m pytest --numprocesses 2 --dist loadfile tests']
    assert done.stdout.splitlines()[-1].startswith(
        f'stack {stack}, Python 3.11.7, 20')
    assert done.stdout.endswith(': pytest tests: exit code 0\n')
    assert not list((project.root.parent / 'temporary').iterdir())
    assert not project.venv.exists()


def test_arguments_and_exit_code_are_those_of_pytest(project):
    done = check(project, 'onedl', 'tests/vheat', '-k', 'decay',
                 STUB_PYTEST='5', MMVISION_STACK='openmmlab',
                 MMVISION_VENV='/nowhere')
    assert done.returncode == 5
    assert project.calls('-m pytest')[0].endswith('tests/vheat -k decay')
    assert 'requirements/onedl.txt' in project.calls('-m pip install')[-1]
    assert not list((project.root.parent / 'temporary').iterdir())


def test_kept_environment_is_used_again(project, tmp_path):
    place = tmp_path / 'kept here'
    assert check(project, '--keep', str(place), 'onedl').returncode == 0
    assert (place / 'bin' / 'python').exists()
    again = check(project, '--keep', str(place), 'onedl')
    assert again.returncode == 0
    assert project.calls('-m pip install') == []
    assert len(project.calls('-m pytest')) == 1


def test_failed_set_up_has_a_code_of_its_own(project):
    project.fail.touch()
    done = check(project, 'onedl')
    assert done.returncode == 3
    assert done.stderr.endswith('error: no environment for onedl; see above\n')
    assert project.calls('-m pytest') == []
    assert not list((project.root.parent / 'temporary').iterdir())


@pytest.mark.parametrize('args,message', [
    ((), 'error: no stack is given'),
    (('torch', ), "the stack is 'torch'; expected onedl or openmmlab"),
    (('--keep', ), '--keep needs a folder'),
    (('-x', 'onedl'), "unknown option '-x'; those of pytest follow"),
])
def test_wrong_arguments(project, args, message):
    done = check(project, *args)
    assert done.returncode == 2
    assert message in done.stderr and 'usage: check_stack.sh' in done.stderr
    assert project.calls('') == []


def test_help(project):
    done = check(project, '--help')
    assert done.returncode == 0 and done.stderr == ''
    assert 'Exit codes: that of pytest' in done.stdout
    assert '#' not in done.stdout

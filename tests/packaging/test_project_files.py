"""The workflow, the templates and the hooks say what the project does."""
import re

import pytest
import yaml

FILES = ('.github/workflows/ci.yml', '.github/ISSUE_TEMPLATE/bug.yml',
         '.github/ISSUE_TEMPLATE/config.yml',
         '.github/ISSUE_TEMPLATE/feature.yml',
         '.github/ISSUE_TEMPLATE/question.yml', '.pre-commit-config.yaml')


@pytest.fixture(scope='module')
def read(repo_root):
    return lambda name: yaml.safe_load((repo_root / name).read_text())


def ci_parts(repo_root) -> list[str]:
    """The commands of .ci/run, with continued lines joined."""
    text = (repo_root / '.ci/run').read_text().replace('\\\n', ' ')
    found = re.findall(r"^part '[^']+' +(.*)$", text, re.M)
    return [' '.join(command.split()) for command in found]


def steps(workflow) -> list[tuple[dict, str]]:
    """Variables and command of every step, once for each of the matrix."""
    found = []
    for job in workflow['jobs'].values():
        stacks = job.get('strategy', {}).get('matrix', {}).get(
            'stack', ['onedl'])
        for stack in stacks:
            env = {key: value.replace('${{ matrix.stack }}', stack)
                   for key, value in job.get('env', {}).items()}
            found += [({**env, **step.get('env', {})}, step['run'])
                      for step in job['steps'] if 'run' in step]
    return found


@pytest.mark.parametrize('name', FILES)
def test_yaml_parses(read, name):
    assert isinstance(read(name), dict)


def test_all_yaml_of_the_project_is_looked_at(repo_root):
    found = {path.relative_to(repo_root).as_posix()
             for path in (repo_root / '.github').rglob('*.yml')}
    assert found | {'.pre-commit-config.yaml'} == set(FILES)


def test_workflow_runs_the_parts_of_ci(read, repo_root):
    parts = ci_parts(repo_root)
    assert len(parts) >= 5
    found = steps(read(FILES[0]))
    for part in parts:
        stack = 'onedl'
        if part.startswith('env '):
            stack = re.search(r'MMVISION_STACK=(\w+)', part)[1]
            part = re.sub(r'^env( \w+=\S+)+ ', '', part)
        assert [env for env, command in found if command == part
                and env.get('MMVISION_STACK', 'onedl') == stack], part


def test_workflow_runs_every_python_on_both_stacks(read, repo_root):
    workflow = read(FILES[0])
    matrix = workflow['jobs']['suite']['strategy']['matrix']
    listed = re.findall(r"'Programming Language :: Python :: (3\.\d+)'",
                        (repo_root / 'setup.py').read_text())
    assert matrix == dict(python=listed, stack=['onedl', 'openmmlab'])
    for job in workflow['jobs'].values():
        assert job['timeout-minutes'] <= 120
        for step in job['steps']:
            if 'uses' in step:
                assert re.fullmatch(r'actions/[a-z-]+@v\d+', step['uses'])
    # yaml reads the key `on` as a truth value
    assert workflow[True]['push']['branches'] == ['main']
    assert workflow['permissions'] == dict(contents='read')


@pytest.mark.parametrize('name', ['bug', 'feature', 'question'])
def test_issue_templates(read, name):
    form = read(f'.github/ISSUE_TEMPLATE/{name}.yml')
    assert {'name', 'description', 'labels', 'body'} <= set(form)
    fields = {part['id']: part for part in form['body'] if 'id' in part}
    assert len(fields) == len(
        [part for part in form['body'] if part['type'] != 'markdown'])
    assert any(part.get('validations', {}).get('required')
               for part in fields.values())
    if name != 'feature':
        assert fields['info']['attributes']['label'] == (
            'Output of `python -m mmvision_ext info`')
    assert fields.get('info', {}).get('validations', {}).get(
        'required', False) is (name == 'bug')


def test_hooks_are_the_lints_of_ci(read, repo_root):
    repos = read('.pre-commit-config.yaml')['repos']
    for repo in repos:
        assert repo['repo'] == 'local' or re.fullmatch(
            r'v[\d.]+', repo['rev'])
    hooks = {hook['id']: hook['entry'] for repo in repos
             if repo['repo'] == 'local' for hook in repo['hooks']}
    parts = ci_parts(repo_root)
    assert f'{hooks["ruff"]} .' in parts
    assert hooks['import-linter'] in parts

"""What can be known about the Dockerfile without an engine."""
import fnmatch
import re
import subprocess

import pytest


@pytest.fixture(scope='module')
def steps(repo_root) -> list[tuple[str, str]]:
    """(instruction, arguments), comments left out, lines joined."""
    text = (repo_root / 'docker/Dockerfile').read_text()
    text = re.sub(r'^\s*#.*\n', '', text, flags=re.M).replace('\\\n', ' ')
    return [tuple(line.split(None, 1)) for line in text.splitlines()
            if line.strip()]


@pytest.fixture(scope='module')
def stages(steps) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Stage -> what it starts from, its steps."""
    found = {}
    for word, rest in steps:
        if word == 'FROM':
            source, _, name = rest.split()
            found[name] = (source, [])
        else:
            found[name][1].append((word, rest))
    return found


def lineage(stages, name):
    """All steps of a stage and of those it starts from."""
    own = []
    while name in stages:
        name, part = stages[name]
        own = part + own
    return name, own


def ignored(repo_root, name: str) -> bool:
    """Whether .dockerignore keeps a path from the engine."""
    verdict = False
    for line in (repo_root / '.dockerignore').read_text().splitlines():
        if not line or line.startswith('#'):
            continue
        pattern = line.lstrip('!').replace('**/', '*')
        parts = name.split('/')
        heads = ['/'.join(parts[:n + 1]) for n in range(len(parts))]
        if any(fnmatch.fnmatch(head, pattern) for head in heads):
            verdict = not line.startswith('!')
    return verdict


def test_targets_start_from_one_pinned_image(stages):
    assert {'cpu', 'cuda', 'smoke'} <= set(stages)
    for name in stages:
        image, _ = lineage(stages, name)
        assert re.fullmatch(r'python:3\.1[0-2]\.\d+-slim-\w+', image)


@pytest.mark.parametrize('target', ['cpu', 'cuda', 'smoke'])
def test_targets_run_without_rights(stages, target):
    _, steps = lineage(stages, target)
    users = [rest for word, rest in steps if word == 'USER']
    assert users == ['1000']
    last_copy = max(n for n, (word, _) in enumerate(steps) if word == 'COPY')
    assert steps.index(('USER', '1000')) > last_copy
    created = [rest for word, rest in steps
               if word == 'RUN' and 'useradd' in rest]
    assert len(created) == 1 and '--uid 1000' in created[0]


def test_images_hold_the_environment_and_no_sources(stages):
    for target in ('cpu', 'cuda'):
        _, steps = lineage(stages, target)
        copies = [rest for word, rest in steps if word == 'COPY']
        assert copies == [f'--from=package-{target} /opt/mmvision '
                          '/opt/mmvision']


def test_every_pip_call_is_pinned_and_leaves_no_cache(steps, repo_root):
    lines = [rest for word, rest in steps if word == 'RUN']
    lines.append((repo_root / 'docker/install.sh').read_text().replace(
        '\\\n', ' '))
    calls = [call for line in lines
             for call in re.findall(r'pip install[^&\n]*', line)]
    assert len(calls) == 4
    for call in calls:
        assert re.match(r'pip install -c ("\$constraints"|'
                        r'/build/constraints\.txt) ', call)
    assert any('PIP_NO_CACHE_DIR=1' in rest for word, rest in steps
               if word == 'ENV')
    for line in lines:
        if 'apt-get install' in line:
            assert '--no-install-recommends' in line
            assert 'rm -rf /var/lib/apt/lists/*' in line


def test_torch_is_the_build_that_the_target_names(stages):
    _, cpu = lineage(stages, 'package-cpu')
    _, cuda = lineage(stages, 'package-cuda')
    assert ('ARG', 'TORCH_INDEX=') in cpu and ('ARG', 'TORCH_INDEX=') \
        not in cuda
    assert any('--extra-index-url "$TORCH_INDEX"' in rest
               and 'torch.version.cuda is None' in rest for _, rest in cpu)
    assert not any('index-url' in rest for _, rest in cuda)


def test_sources_of_copies_reach_the_engine(steps, repo_root):
    seen = 0
    for word, rest in steps:
        if word == 'COPY' and '--from' not in rest:
            source = rest.split()[0]
            for stack in ('onedl', 'openmmlab'):
                path = source.replace('${STACK}', stack)
                assert (repo_root / path).exists()
                assert path == '.' or not ignored(repo_root, path)
                seen += 1
    assert seen == 6
    for name in ('docker/install.sh', 'tools/check_env.py', 'setup.py',
                 'tools/mmvision_ext_mmcv.pth', 'requirements/onedl.txt',
                 'configs/vheat/vheat-nano_cifar10.py', 'README.md',
                 'LICENSE', 'pyproject.toml', 'mmvision_ext/version.py'):
        assert (repo_root / name).is_file()
        assert not ignored(repo_root, name), name
    for name in ('.git/config', '.venv/bin/python', 'work_dirs/a', 'tests/a',
                 'docs/a.md', 'mmvision_ext/.mim/tools', 'data/toy',
                 'mmvision_ext/ops/__pycache__/a.pyc', 'docker/Dockerfile'):
        assert ignored(repo_root, name), name


def test_steps_are_shell(steps, repo_root):
    runs = [rest for word, rest in steps if word == 'RUN']
    assert len(runs) >= 8
    for script in runs:
        subprocess.run(['bash', '-n', '-c', script], check=True)
    subprocess.run(['bash', '-n', repo_root / 'docker/install.sh'],
                   check=True)
    for word, rest in steps:
        if word in ('CMD', 'SHELL'):
            assert re.fullmatch(r'\[("[^"]+", )*"[^"]+"\]', rest)


def test_line_that_wakes_is_valid_python(repo_root):
    """The interpreter runs it at every start."""
    text = (repo_root / 'tools/mmvision_ext_mmcv.pth').read_text()
    assert text.count('\n') == 1 and text.startswith('import sys; ')
    import sys
    before = list(sys.meta_path)
    try:
        exec(text)
        finder, = [f for f in sys.meta_path if f not in before]
        assert finder.find_spec('mmcv.other') is None
        assert finder.find_spec('mmcv._ext') is None
    finally:
        sys.meta_path[:] = before

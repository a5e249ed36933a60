"""The commands of the pages exist, with their options and files."""
import contextlib
import importlib.util
import io
import re
import runpy
import shlex
import sys
from functools import cache
from pathlib import Path

import pytest

from mmvision_ext.cli import COMMANDS
from mmvision_ext.engine.launch import read_config
from mmvision_ext.engine.options import merge_options, train_parser

from .pages import PAGES, REPO, read_code

# Scripts that hand what follows to another tool.
BEHIND = {'dist_train.sh': 'train.py', 'slurm_train.sh': 'train.py',
          'dist_test.sh': 'test.py'}
WORDS = ('python', 'bash', 'mim', 'pip', 'optuna-dashboard', 'mkdocs')
SHELL = ('', 'bash', 'sh', 'console')


def read_commands(page: str) -> list[tuple[str, list[str]]]:
    """Place and words of each command in the code of a page."""
    found = []
    for code in read_code(page):
        if code.language not in SHELL:
            continue
        for line in re.sub(r'\\\n\s*', ' ', code.text).splitlines():
            line = line.strip().removeprefix('$ ')
            start = re.match(r'([A-Z_]+=\S+ )*(\S+)', line)
            if start and start[2] in WORDS:
                with contextlib.suppress(ValueError):
                    found.append((code.place,
                                  shlex.split(line, comments=True)))
    return found


@cache
def options_of(tool: str) -> frozenset[str]:
    """Options that the help of a tool in tools/ names."""
    said = io.StringIO()
    argv = sys.argv
    try:
        sys.argv = [tool, '--help']
        with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
            runpy.run_path(str(REPO / 'tools' / tool), run_name='__main__')
    finally:
        sys.argv = argv
    return frozenset(re.findall(r'(?<![\w-])--[a-z][\w-]*', said.getvalue()))


@cache
def options_of_command(command: str) -> frozenset[str]:
    """Options that the help of a command names."""
    from mmvision_ext.cli import main
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        main([command, '--help'])
    return frozenset(re.findall(r'(?<![\w-])--[a-z][\w-]*', said.getvalue()))


def complain(words: list[str]) -> list[str]:
    """What is wrong with a command."""
    wrong = [f'no file {word}' for word in words
             if re.fullmatch(r'(configs|tools|tests|requirements)/[\w./-]+',
                             word) and not (REPO / word).exists()]
    for name in (word.partition('=')[0] for word in words):
        if name.startswith('MMVISION_') and name not in known_variables():
            wrong.append(f'no variable {name}')
    words = [word for word in words if not re.match('[A-Z_]+=', word)]
    given = {word.partition('=')[0] for word in words
             if re.match('--[a-z]', word)}
    if not words[1:]:
        return wrong
    if words[0] in ('python', 'bash') and words[1].startswith('tools/'):
        wrong += complain_of_tool(words, given)
    elif words[:3] == ['python', '-m', 'mmvision_ext']:
        if len(words) > 3 and words[3] in COMMANDS:
            wrong += [f'no option {option}' for option in
                      sorted(given - options_of_command(words[3]))]
        elif words[3:] and words[3] not in ('COMMAND', '--help',
                                            '--version'):
            wrong.append(f'no command {words[3]}')
    elif words[:2] == ['python', '-m']:
        if importlib.util.find_spec(words[2]) is None:
            wrong.append(f'no module {words[2]}')
    extras = re.findall(r'(?:\.|mmvision_ext)\[([\w,-]+)\]', ' '.join(words))
    setup = (REPO / 'setup.py').read_text('utf-8')
    wrong += [f'no extra {extra}' for names in extras
              for extra in names.split(',') if f"'{extra}': " not in setup]
    return wrong


def complain_of_tool(words: list[str], given: set[str]) -> list[str]:
    tool = Path(words[1]).name
    if not (REPO / words[1]).is_file():
        return []
    tool = BEHIND.get(tool, tool)
    if tool.endswith('.sh'):
        return []
    wrong = [f'{tool} has no option {option}' for option in
             sorted(given - options_of(tool))]
    config = next((word for word in words if word.startswith('configs/')
                   and (REPO / word).is_file()), None)
    if config and tool == 'train.py' and not wrong:
        rest = words[words.index(config):]
        if words[1].endswith('.sh') and len(rest) > 1:
            rest = [word for word in rest if not re.fullmatch(r'\d+|GPUS',
                                                              word)]
        args = train_parser().parse_args(rest)
        options = dict(args.cfg_options)
        options.pop('data_root', None)
        # Raises where a key cannot be meant.
        merge_options(read_config(str(REPO / config)), options)
    return wrong


@cache
def known_variables() -> frozenset[str]:
    files = [*(REPO / 'mmvision_ext').rglob('*.py'),
             *(REPO / 'tools').glob('*'), *(REPO / 'tests').glob('*')]
    return frozenset(
        name for path in files if path.is_file()
        for name in re.findall(r'MMVISION_[A-Z_]+', path.read_text('utf-8')))


def test_commands_are_found() -> None:
    commands = [words for page in PAGES for _, words in read_commands(page)]
    assert len(commands) > 60
    assert any('tools/ma2ml_search.py' in words for words in commands)


@pytest.mark.parametrize('page', PAGES)
def test_commands_exist(page: str) -> None:
    wrong = [f'{place}: {what}' for place, words in read_commands(page)
             for what in complain(words)]
    assert wrong == []


@pytest.mark.parametrize('line, what', [
    ('python tools/train.py configs/vheat/none.py', 'no file configs/vhe'),
    ('python tools/trane.py CONFIG', 'no file tools/trane.py'),
    ('python tools/train.py CONFIG --data-rot DIR', 'no option --data-rot'),
    ('bash tools/dist_train.sh CONFIG 8 --tta', 'no option --tta'),
    ('python -m mmvision_ext inform', 'no command inform'),
    ('python -m mmvision_ext info --all', 'no option --all'),
    ('python -m mmvision_ext.compatible', 'no module'),
    ("pip install -c requirements/one.txt '.[onedl]'", 'no file require'),
    ("pip install 'mmvision_ext[nothing]'", 'no extra nothing'),
    ('MMVISION_STAK=openmmlab bash tests/run.sh', 'no variable MMVISION_ST'),
])
def test_mistakes_are_seen(line: str, what: str) -> None:
    assert what in ' '.join(complain(shlex.split(line)))

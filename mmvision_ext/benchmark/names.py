"""How a model is named on the command line."""

import ast
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engine.errors import LaunchError

_FORMS = ('expected an alias such as vheat-tiny, a registry type such as '
          'mmpretrain.ResNet(depth=50), a config file, or file.py:callable')


@dataclass(frozen=True)
class ModelName:
    """A model as the user names it.

    Args:
        text (str): As it was given.
        kind (str): 'alias', 'type', 'config' or 'callable'.
        target (str): Alias, registry type, path of a config, or
            ``path:name`` of a callable.
        kwargs (dict[str, Any]): Arguments. Defaults to none.
    """

    text: str
    kind: str
    target: str
    kwargs: dict[str, Any] = field(default_factory=dict)


def parse_name(text: str, aliases: tuple[str, ...]) -> ModelName:
    """Read a name; nothing is built or imported.

    Arguments are Python literals by keyword and are never evaluated.

    Args:
        text (str): The name.
        aliases (tuple[str, ...]): Those that are known.

    Returns:
        ModelName: Its parts.

    Raises:
        LaunchError: If it names nothing, or its arguments are no literals.
    """
    target, kwargs = _split(text)
    path, colon, attribute = target.rpartition(':')
    if colon and path.endswith('.py'):
        _check_file(text, path)
        if not attribute.isidentifier():
            raise LaunchError(f'model {text!r}: {attribute!r} is no name of '
                              'a callable; expected file.py:name')
        return ModelName(text, 'callable', target, kwargs)
    if target.endswith(('.py', '.yaml', '.yml', '.json')):
        _check_file(text, target)
        if kwargs:
            raise LaunchError(f'model {text!r}: a config takes no arguments; '
                              'expected its path alone')
        return ModelName(text, 'config', target)
    if target in aliases:
        return ModelName(text, 'alias', target, kwargs)
    if '.' in target and all(x.isidentifier() for x in target.split('.')):
        return ModelName(text, 'type', target, kwargs)
    close = difflib.get_close_matches(target, aliases, n=1)
    hint = f'; did you mean {close[0]}?' if close else ''
    raise LaunchError(f'model {text!r} is unknown: {_FORMS}{hint}')


def _split(text: str) -> tuple[str, dict[str, Any]]:
    """What is called, and the literals that it is called with."""
    start = text.find('(')
    if start < 0:
        return text, {}
    try:
        call = ast.parse(f'f{text[start:]}', mode='eval').body
        if not isinstance(call, ast.Call) or call.args or not isinstance(
                call.func, ast.Name) or any(
                    word.arg is None for word in call.keywords):
            raise ValueError('positional arguments')
        return text[:start], {
            str(word.arg): ast.literal_eval(word.value)
            for word in call.keywords
        }
    except (SyntaxError, ValueError) as error:
        raise LaunchError(f'model {text!r}: the arguments cannot be read; '
                          "expected literals by keyword such as (arch='tiny'"
                          ', depths=(2, 2, 6, 2))') from error


def _check_file(text: str, path: str) -> None:
    if not Path(path).is_file():
        raise LaunchError(f'model {text!r}: there is no file {path} (looked '
                          f'in {Path.cwd()})')

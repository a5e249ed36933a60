"""The messages that troubleshooting.md explains are those of the code."""
import ast
import re
from functools import cache
from pathlib import Path

import pytest

from .pages import REPO, parse

PAGE = 'docs/troubleshooting.md'
# `message` for one of ours, `message` (package) for one of others'.
HEADING = re.compile(r'`([^`]+)`( \((?P<package>[^)]+)\))?')
PLACEHOLDER = '\0'


def headings() -> list[tuple[str, str]]:
    """Message and package, '' for ours, of each entry of the page."""
    tokens = parse(PAGE)
    texts = [inline.content for heading, inline in zip(tokens, tokens[1:])
             if heading.type == 'heading_open' and heading.tag == 'h3']
    matches = [(text, HEADING.fullmatch(text)) for text in texts]
    assert [text for text, match in matches if not match] == []
    return [(match[1], match['package'] or '') for _, match in matches]


OURS = [message for message, package in headings() if not package]


def template(node: ast.AST) -> str | None:
    """Text of a string in the sources; what is filled in, as a mark."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return ''.join(template(part) or PLACEHOLDER for part in node.values)
    return None


@cache
def templates() -> str:
    """All strings of the package, a line each."""
    found = []
    for path in sorted((REPO / 'mmvision_ext').rglob('*.py')):
        for node in ast.walk(ast.parse(Path(path).read_text('utf-8'))):
            text = template(node)
            if text:
                found.append(text.replace('\n', ' '))
    return '\n'.join(found)


def exists(message: str) -> bool:
    parts = [re.escape(part.strip()) for part in message.split('...')]
    return re.search('.*'.join(parts), templates()) is not None


def test_the_page_has_both_kinds() -> None:
    assert len(OURS) >= 40
    assert len(headings()) - len(OURS) >= 12
    assert len({message for message, _ in headings()}) == len(headings())


@pytest.mark.smoke
@pytest.mark.parametrize('message', OURS)
def test_message_exists(message: str) -> None:
    """Words beside the dots, in their order, in one string of the code."""
    words = re.sub(r'[^a-z]', '', message.lower())
    assert len(words) >= 10, 'too short to be found'
    assert exists(message)


def test_a_changed_message_is_seen() -> None:
    assert not exists('config ... does not exist (sought in ...)')
    assert not exists('(looked in ... config ... does not exist')

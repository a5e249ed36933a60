"""What the pages of the documentation hold: headings, links, code."""
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

REPO = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(REPO).as_posix()
    for pattern in ('*.md', 'docs/*.md', 'configs/*/README.md')
    for path in REPO.glob(pattern))
# A comment above a block of Python says why the tests leave it out.
NOT_RUN = re.compile(r'<!-- not run: (.+) -->\s*')


@dataclass(frozen=True)
class Code:
    """A block or a span of code.

    Attributes:
        place (str): Page and line.
        language (str): ``python``... as the fence says; '' for indented code
            and spans.
        text (str): The code.
        not_run (str): Reason of a comment above it, else ''.
    """
    place: str
    language: str
    text: str
    not_run: str = ''


@cache
def parse(page: str) -> tuple[Token, ...]:
    """Tokens of a page, those inside lines behind their line."""
    tokens: list[Token] = []
    for token in MarkdownIt().enable('table').parse(
            (REPO / page).read_text('utf-8')):
        line = token.map[0] + 1 if token.map else 0
        tokens.append(token)
        for child in token.children or ():
            child.meta['line'] = line
            tokens.append(child)
    return tuple(tokens)


def read_code(page: str) -> list[Code]:
    """All code of a page, in its order."""
    found, note = [], ''
    for token in parse(page):
        if token.type in ('fence', 'code_block'):
            found.append(Code(f'{page}:{token.map[0] + 1}',
                              token.info.strip(), token.content, note))
        elif token.type == 'code_inline':
            found.append(Code(f'{page}:{token.meta["line"]}', '',
                              token.content))
        match = token.type == 'html_block' and NOT_RUN.fullmatch(
            token.content)
        note = match[1] if match else ''
    return found


def read_links(page: str) -> list[tuple[int, str]]:
    """Line and target of each link and picture of a page."""
    return [(token.meta['line'], token.attrs['href' if token.type ==
                                             'link_open' else 'src'])
            for token in parse(page)
            if token.type in ('link_open', 'image')]


def read_anchors(page: str) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    tokens, anchors = parse(page), set()
    for heading, inline in zip(tokens, tokens[1:]):
        if heading.type != 'heading_open':
            continue
        # What a reader sees: code without its ticks, links without targets.
        words = ''.join(child.content for child in inline.children)
        slug = re.sub(r'[^\w\- ]', '', words.lower()).replace(' ', '-')
        number = 1
        while slug in anchors:
            slug = f'{slug.removesuffix(f"-{number - 1}")}-{number}'
            number += 1
        anchors.add(slug)
    return anchors

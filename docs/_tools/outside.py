"""MkDocs hook: what lies beside ``docs/`` becomes part of the site.

The pages link to each other as files of the repository, so that they can be
read there. The site knows ``docs/`` alone. This hook adds the README, the
model cards and the changelog as pages, makes a page of every other text file
that a page links to (configs, sources), and turns the links accordingly.
"""

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
# Files of the repository that have a name of their own in the site.
_NAMES = {'README.md': 'overview.md', 'CHANGELOG.md': 'changes.md'}
_SOURCES = 'files'
_LINK = re.compile(r'(\]\()([^)\s#]+)(#[^)\s]*)?(\))')
_LANGUAGES = {'.py': 'python', '.sh': 'bash', '.toml': 'toml', '.yml': 'yaml',
              '.md': 'markdown'}


def site_name(path: str) -> str:
    """Name in the site of a file of the repository.

    Args:
        path (str): Path from the root of the repository.

    Returns:
        str: Path from the root of the site's sources.
    """
    if path.startswith('docs/'):
        return path.removeprefix('docs/')
    if is_card(path):
        return path
    return _NAMES.get(path, f'{_SOURCES}/{path}.md')


def repo_name(uri: str) -> str:
    """Path in the repository of a page of the site.

    Args:
        uri (str): Path from the root of the site's sources; no page of a
            source file.

    Returns:
        str: Path from the root of the repository.
    """
    if is_card(uri):
        return uri
    return {new: old for old, new in _NAMES.items()}.get(uri, f'docs/{uri}')


def is_card(path: str) -> bool:
    """Whether this is the README of a folder of configs."""
    return PurePosixPath(path).match('configs/*/README.md')


def turn_links(text: str, path: str, root: Path = ROOT) -> str:
    """Turn the links of a page from the repository to the site.

    Args:
        text (str): Markdown.
        path (str): Of the page, from the root of the repository.
        root (Path): Root of the repository.

    Returns:
        str: Markdown whose links to existing files are those of the site.
    """
    here = posixpath.dirname(site_name(path))

    def turn(match: re.Match[str]) -> str:
        target = _target(match[2], path, root)
        if target is None:
            return match[0]
        link = posixpath.relpath(site_name(target), here or '.')
        return f'{match[1]}{link}{match[3] or ""}{match[4]}'

    return _LINK.sub(turn, text)


def linked_files(text: str, path: str, root: Path = ROOT) -> set[str]:
    """Files of the repository that a page links to.

    Args:
        text (str): Markdown.
        path (str): Of the page, from the root of the repository.
        root (Path): Root of the repository.

    Returns:
        set[str]: Their paths from the root.
    """
    targets = (_target(match[2], path, root) for match in
               _LINK.finditer(text))
    return {target for target in targets if target is not None}


def _target(link: str, path: str, root: Path) -> str | None:
    """File that a link leads to; None for an address or what is absent."""
    if '://' in link or link.startswith(('/', 'mailto:')):
        return None
    target = posixpath.normpath(
        posixpath.join(posixpath.dirname(path), link))
    if target.startswith('..') or not (root / target).is_file():
        return None
    return target


def _source_page(path: str) -> str:
    """Page that shows a text file."""
    text = (ROOT / path).read_text('utf-8').rstrip()
    language = _LANGUAGES.get(PurePosixPath(path).suffix, 'text')
    return (f'---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n'
            f'~~~~~{language}\n{text}\n~~~~~\n')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside, and to the menu what it misses.

    Args:
        files (Files): Files of ``docs/``.
        config (MkDocsConfig): Settings; its menu is completed.

    Returns:
        Files: With those from outside.
    """
    pages = [repo_name(file.src_uri) for file in files.documentation_pages()]
    outside = [*_NAMES, *sorted(
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob('configs/*/README.md'))]
    sources: set[str] = set()
    for path in pages + outside:
        sources |= linked_files((ROOT / path).read_text('utf-8'), path)
    for path in outside:
        files.append(File.generated(config, site_name(path),
                                    content=(ROOT / path).read_text('utf-8')))
    for path in sorted(sources):
        uri = site_name(path)
        if uri.startswith(f'{_SOURCES}/'):
            files.append(File.generated(config, uri,
                                        content=_source_page(path)))
    config.nav = complete_menu(config.nav, map(site_name, pages))
    return files


def complete_menu(nav: list, pages: Iterable[str]) -> list:
    """Put the pages that a menu misses under "More", at its end.

    Args:
        nav (list): The menu, as in ``mkdocs.yml``.
        pages (Iterable[str]): Pages of the site.

    Returns:
        list: The menu with all of them.
    """
    missing = sorted(set(pages) - set(_listed(nav)))
    return [*nav, {'More': missing}] if missing else nav


def _listed(nav: list | dict | str | None) -> list[str]:
    """Pages of a menu, at all its depths."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav or []
    return [page for part in parts for page in _listed(part)]


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig,
                     files: Files) -> str:
    """Turn the links of a page.

    Args:
        markdown (str): Text of the page.
        page (Page): The page.
        config (MkDocsConfig): Settings.
        files (Files): All files of the site.

    Returns:
        str: Text with links of the site.
    """
    uri = page.file.src_uri
    if uri.startswith(f'{_SOURCES}/'):
        return markdown
    return turn_links(markdown, repo_name(uri))

"""Every link of the documentation leads somewhere."""
from urllib.parse import unquote

import pytest

from .pages import PAGES, REPO, read_anchors, read_links


def test_there_are_pages() -> None:
    assert {'README.md', 'CHANGELOG.md', 'docs/index.md',
            'configs/itpn/README.md'} <= set(PAGES)
    links = [link for page in PAGES for link in read_links(page)]
    assert len(links) > 150


@pytest.mark.smoke
@pytest.mark.parametrize('page', PAGES)
def test_links_resolve(page: str) -> None:
    broken = []
    for line, link in read_links(page):
        if '://' in link or link.startswith('mailto:'):
            continue
        path, _, anchor = unquote(link).partition('#')
        target = ((REPO / page).parent / path).resolve() if path else (
            REPO / page)
        if not target.exists() or not target.is_relative_to(REPO):
            broken.append(f'{page}:{line}: {link}: no such file')
        elif anchor and target.suffix == '.md':
            anchors = read_anchors(target.relative_to(REPO).as_posix())
            if anchor not in anchors:
                broken.append(f'{page}:{line}: {link}: no such heading')
    assert broken == []


def test_index_lists_every_page() -> None:
    """What nobody finds from the index is not read."""
    listed = {link.partition('#')[0] for _, link in
              read_links('docs/index.md')}
    pages = {path.removeprefix('docs/') for path in PAGES
             if path.startswith('docs/')} - {'index.md'}
    assert sorted(pages - listed) == []

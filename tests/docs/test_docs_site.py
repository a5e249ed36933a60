"""The site builds without a warning, from these pages and nothing else."""
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from .pages import PAGES, REPO

pytest.importorskip('mkdocs', reason="needs pip install '.[docs]'")
TOOLS = REPO / 'docs' / '_tools'


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch):
    """Import a file of docs/_tools, which is no package."""
    monkeypatch.syspath_prepend(str(TOOLS))

    def load(name: str) -> ModuleType:
        return import_module(name)

    return load


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning of MkDocs is an error."""
    folder = tmp_path_factory.mktemp('site')
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--quiet',
         '--config-file', REPO / 'mkdocs.yml', '--site-dir', folder],
        capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


class Loads(HTMLParser):
    """Collects what a browser fetches for a page, and its links."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(attrs)
        if tag in ('script', 'img', 'source', 'iframe'):
            self.fetched += [given['src']] if given.get('src') else []
        if tag == 'link' and given.get('rel') not in ('canonical', 'next',
                                                      'prev'):
            self.fetched.append(given['href'])
        if tag == 'a' and given.get('href'):
            self.links.append(given['href'])


def test_site_has_every_page_and_its_figures(site: Path, tool) -> None:
    outside = tool('outside')
    for page in PAGES:
        if page == 'SECURITY.md':  # says the same as docs/security.md
            continue
        name = outside.site_name(page).removesuffix('.md')
        name = re.sub('README$', 'index', name)
        assert (site / f'{name}.html').is_file(), page
    assert (site / 'images' / 'layers.svg').is_file()
    source = site / 'files/configs/vheat/vheat-tiny_16xb128_in1k.py.html'
    assert 'mmvision_ext.VHeat' in re.sub('<[^>]+>', '', source.read_text())
    assert not list(site.glob('_tools*'))


def test_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob('*.html'))
    assert len(pages) > 90
    for path in pages:
        found = Loads()
        found.feed(path.read_text('utf-8'))
        assert found.fetched
        assert [x for x in found.fetched if '//' in x] == [], path
        for link in found.links:
            target = link.partition('#')[0]
            if path.name == '404.html' or '//' in link or not target:
                continue
            assert (path.parent / target).exists(), (path, link)


def test_menu_takes_up_what_it_misses(tool) -> None:
    nav = [{'Home': 'index.md'}, {'Guides': [{'Run': 'running.md'}]}]
    complete = tool('outside').complete_menu
    assert complete(nav, ['index.md', 'running.md']) == nav
    assert complete(nav, ['running.md', 'zoo.md', 'demo.md', 'index.md']) == [
        *nav, {'More': ['demo.md', 'zoo.md']}]


def test_figures_are_those_of_their_script(tool) -> None:
    """So the layers drawn are those that import-linter checks."""
    draw = tool('draw')
    for name, figure in draw.FIGURES.items():
        assert (REPO / 'docs' / 'images' / name).read_text() == figure(), (
            f'{name} is out of date: python docs/_tools/draw.py')


def test_layers_are_read_from_the_contract(tool, tmp_path: Path) -> None:
    layers = tool('figure_layers')
    (tmp_path / 'pyproject.toml').write_text(
        '[[tool.importlinter.contracts]]\ntype = "layers"\n'
        'layers = ["(top)", "one | (two)"]\n')
    assert layers.read_layers(tmp_path) == [['top'], ['one', 'two']]
    drawn = {name for layer in layers.read_layers() for name in layer}
    assert drawn >= {'vheat', 'itpn', 'ma2ml', 'ops', 'compat'}


@pytest.mark.parametrize('page, link, expected', [
    ('README.md', 'docs/vheat.md#the-operator', 'vheat.md#the-operator'),
    ('docs/index.md', '../README.md', 'overview.md'),
    ('docs/vheat.md', '../configs/vheat/README.md',
     'configs/vheat/README.md'),
    ('configs/vheat/README.md', '../../docs/results.md', '../../results.md'),
    ('configs/vheat/README.md', 'vheat-tiny_16xb128_in1k.py',
     '../../files/configs/vheat/vheat-tiny_16xb128_in1k.py.md'),
    ('docs/vheat.md', '#padding', '#padding'),
    ('docs/vheat.md', 'https://arxiv.org/a.md', 'https://arxiv.org/a.md'),
    ('docs/vheat.md', '../gone.py', '../gone.py'),
])
def test_links_are_turned(tool, page: str, link: str, expected: str) -> None:
    text = tool('outside').turn_links(f'see [it]({link}), ok', page)
    assert text == f'see [it]({expected}), ok'

"""The search of the quickstart, without running one."""
import re
from pathlib import Path

import pytest

pytest.importorskip('mmengine', reason='the quickstart trains with mmengine')
pytest.importorskip('optuna', reason='the search needs it')

from mmvision_ext.ma2ml.report import Record, TrialRow  # noqa: E402
from mmvision_ext.quickstart import search as module  # noqa: E402
from mmvision_ext.quickstart.search import (  # noqa: E402
    Amount,
    Found,
    prepare_search,
    search_config,
    search_line,
)
from mmvision_ext.quickstart.search_section import (  # noqa: E402
    _AGENTS,
    search_section,
)

_FEW = Amount(trials=4, train=3, val=3)


def _trial(number, value, flops):
    params = {'aug.num_ops': number, 'nas.s1_width': 8, 'hpo.lr': 4e-3}
    return TrialRow(number, 'failed' if value is None else 'complete', value,
                    params, flops=flops,
                    failure='crash' if value is None else None)


@pytest.fixture
def found():
    """A search with a trial that failed and two that are best."""
    trials = [_trial(0, 75., 420_000), _trial(1, None, 500_000),
              _trial(2, 95., 640_000), _trial(3, 95., 810_000)]
    record = Record('toy', 'accuracy/top1', True, trials, flops_limit=1e6)
    return Found(record, Path('my out/search'), Amount(train=24, val=12), 65.)


def test_progress_is_read_from_what_the_search_prints():
    read = module._read_progress
    assert read('trial 3: accuracy/top1 98.333, 0.4 MFLOPs, 5.1 s  [4/16, '
                'best 98.333 (trial 2), 0.4 MFLOPs, left 0:01:02]\n') == (
        4, 16, 'best 98.333  eta 0:01:02')
    assert read('trial 0: failed, crash: x [1/2] y  [1/3, 1 failed]') == (
        1, 3, 'best none yet')
    assert read('trial 2: goes on') is None
    assert read('16/16, best 98.333 (trial 2)') is None


def test_line_for_the_terminal(found):
    assert search_line(found) == (
        'MA2ML search: best of 4 (1 unfinished) trials top-1 95.0 %, median '
        '95.0 %; 0.64 of at most 1 million multiply-adds; 1:05 minutes')


def test_section_shows_the_best_and_leads_on(found):
    html = search_section(found)
    cells = re.findall('<(?:td|b)>([^<]+)', html)
    assert cells == ['4 (1 unfinished)', '24 + 12', '1:05',
                     '0.64 of at most 1 M', '95.0 %', '95.0 %',
                     # of trial 2, the first of equals
                     '2', '8', '0.004']
    assert re.findall('<h3>(.*?)</h3>', html) == [
        'Trials', 'Accuracy and cost', 'Augmentation', 'Network', 'Recipe']
    assert '3 decisions in all' in html
    assert 'accuracy/top1 of 4 trials; the best is 95' in html
    assert '; 2 trials on the Pareto front' in html
    assert 'href="search/report.html"' in html
    assert ('python tools/train.py &#x27;my out/search/best_config.py&#x27;'
            in html)


def test_without_optuna_the_search_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'find_spec', lambda name: None)
    assert not prepare_search(tmp_path, _FEW)
    assert not any(tmp_path.iterdir())
    install = "pip install 'mmvision_ext[search]'"
    assert search_line(None).endswith(install)
    assert 'pip install &#x27;mmvision_ext[search]&#x27;' in \
        search_section(None)


def test_an_earlier_search_is_replaced_but_nothing_else(tmp_path):
    folder = tmp_path / 'search'
    folder.mkdir()
    (folder / 'study.log').touch()
    with pytest.raises(FileExistsError, match='quickstart did not make it'):
        prepare_search(tmp_path, _FEW)
    assert (folder / 'study.log').exists()
    (folder / 'search.log').touch()
    assert prepare_search(tmp_path, _FEW)
    assert not any(folder.iterdir())
    assert len(list((tmp_path / 'data-search').glob(
        'imagenet/train/*/*'))) == 3


def test_images_have_the_size_that_the_config_counts_on():
    from mmengine.config import Config
    search = Config.fromfile(search_config()).search
    assert search.flops_input == (3, module._SIZE, module._SIZE)
    assert [*search.agents] == [*_AGENTS]
    # Some trials are left for the agents.
    [option] = Amount().options
    name, _, warmup = option.partition('=')
    assert name == 'search.sampler.warmup' and 'warmup' in search.sampler
    assert 0 < int(warmup) < Amount().trials / 2

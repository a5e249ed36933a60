"""The report page: what it shows, that it is well formed and alone."""
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from mmvision_ext.ma2ml.report import read_study, write_report
from mmvision_ext.ma2ml.report.page import clock
from mmvision_ext.ma2ml.report.record import moving_mean
from mmvision_ext.ma2ml.report.svg import number, short, ticks

CHOICES = {'aug.num_ops': (0, 1, 2), 'nas.width': (8, 16, 32),
           'nas.op': ('conv', '<i>pool</i>'), 'hpo.lr': (0.001, 0.01)}
LATE = {'aug.magnitude': (3, 9)}


def add(study, value=None, state=TrialState.COMPLETE, flops=None, **rest):
    rng = np.random.default_rng(len(study.trials))
    params = {n: c[rng.integers(len(c))] for n, c in CHOICES.items()}
    if params['aug.num_ops']:
        params['aug.magnitude'] = LATE['aug.magnitude'][rng.integers(2)]
    attrs = dict(seconds=90., **rest)
    if flops is not None:
        attrs['flops'] = flops
    study.add_trial(create_trial(
        state=state, value=value, params=params, user_attrs=attrs,
        intermediate_values={1: 0.25} if state == TrialState.PRUNED else {},
        distributions={n: CategoricalDistribution({**CHOICES, **LATE}[n])
                       for n in params}))


@pytest.fixture
def study():
    """Thirty trials, the best of them number 7."""
    study = optuna.create_study(direction='maximize', study_name='a <b> & c')
    for name, value in dict(
            metric='accuracy/top1', flops_limit=12e6, sampler='ma2ml',
            search_config='x = "<script>alert(1)</script>"').items():
        study.set_user_attr(name, value)
    for i in range(30):
        if i == 3:
            add(study, state=TrialState.FAIL, failure={
                'class': 'oom', 'message': 'out of <memory>'})
        elif i == 4:
            add(study, state=TrialState.PRUNED)
        elif i == 5:
            add(study, state=TrialState.FAIL)
        else:
            add(study, value=93.21 if i == 7 else 50 + i, flops=10**6 * (
                i % 12 + 1), **{'ma2ml:credit': dict(
                    aug=0.1, nas=-0.2, hpo=i / 30)} if i > 10 else {})
    return study


def page_of(study, tmp_path):
    write_report(study, tmp_path / 'sub' / 'report.html')
    return (tmp_path / 'sub' / 'report.html').read_text('utf-8')


class Strict(HTMLParser):
    """Tags that close in order."""

    void = {'meta', 'br'}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def check_form(page):
    parser = Strict()
    parser.feed(page)
    assert parser.open == []
    assert 'script' not in parser.tags
    drawings = re.findall(r'<svg.*?</svg>', page, flags=re.S)
    for drawing in drawings:
        for element in ET.fromstring(drawing).iter():
            for name in ('x', 'y', 'cx', 'cy', 'width', 'points'):
                assert 'nan' not in element.get(name, '')
    # nothing is loaded from anywhere
    assert not re.search(r'(src|href)=|url\(|@import|https?:', page)
    return parser, drawings


def test_page_is_well_formed_alone_and_escaped(study, tmp_path):
    parser, drawings = check_form(page_of(study, tmp_path))
    text = ' '.join(parser.text)
    assert len(drawings) == 6
    assert 'i' not in parser.tags
    for literal in ('a <b> & c', '<i>pool</i>', 'out of <memory>',
                    '<script>alert(1)</script>'):
        assert literal in text


def test_page_says_what_was_found(study, tmp_path):
    page = page_of(study, tmp_path)
    text = re.sub(r'\s+', ' ', re.sub('<[^>]*>', ' ', page))
    assert 'Trial 7 reached accuracy/top1 93.21 with 8 million' in text
    assert '67 % of the limit in 1 min 30 s' in text
    assert 'median of 27 finished trials is' in text
    for tile in ('93.21 best accuracy/top1', '27 finished',
                 '1 stopped early', '2 failed', '45 min 0 s time'):
        assert tile in text
    assert 'agents aug , nas , hpo' in text
    assert '3 oom out of &lt;memory&gt; 5 unknown' in text


def test_record(study):
    record = read_study(study)
    assert record.agents == ['aug', 'nas', 'hpo']
    assert record.best.number == 7
    assert [(t.number, t.flops) for t in record.pareto()] == [
        (24, 10**6), (25, 2 * 10**6), (26, 3 * 10**6), (27, 4 * 10**6),
        (28, 5 * 10**6), (29, 6 * 10**6), (7, 8 * 10**6)]
    assert record.trials[4].value == 0.25
    assert record.trials[5].failure == 'unknown'
    assert record.trials[20].credit['hpo'] == pytest.approx(2 / 3)
    assert set(record.decisions) == {*CHOICES, *LATE}


def test_minimizing_turns_everything_around(tmp_path):
    study = optuna.create_study(direction='minimize')
    for i in range(8):
        add(study, value=float(i), flops=10 - i)
    record = read_study(study)
    assert record.best.number == 0
    assert [t.number for t in record.pareto()] == [7, 6, 5, 4, 3, 2, 1, 0]
    page = page_of(study, tmp_path)
    check_form(page)
    assert 'lowest reward' in page


def test_an_infinite_reward_counts_as_failed(tmp_path):
    study = optuna.create_study()
    for value in (float('inf'), 2., 3.):
        add(study, value=value)
    record = read_study(study)
    assert [t.state for t in record.trials] == [
        'failed', 'complete', 'complete']
    check_form(page_of(study, tmp_path))


@pytest.mark.parametrize('values', [[], [1.], [1., 1.], [2.] * 12])
def test_little_to_show(values, tmp_path):
    study = optuna.create_study(direction='maximize')
    for value in values:
        add(study, value=value)
    page = page_of(study, tmp_path)
    check_form(page)
    assert ('No trial has finished yet' in page) == (not values)
    assert 'No trial failed.' in page and 'No credits were recorded' in page


def test_a_running_study_is_read(study, tmp_path):
    study.ask()
    assert read_study(study).trials[-1].state == 'running'
    assert 'running' in page_of(study, tmp_path)


def test_places_of_ordinal_choices_are_decoded():
    study = optuna.create_study()
    study.set_user_attr('identity', dict(space=dict(hpo=[
        dict(name='lr', choices=[0.1, 0.2, 0.4], ordinal=True)])))
    study.add_trial(create_trial(value=1., params={'hpo.lr': 2},
                                 distributions={
                                     'hpo.lr': IntDistribution(0, 2)}))
    assert read_study(study).trials[0].params == {'hpo.lr': 0.4}


def test_several_objectives_are_refused():
    study = optuna.create_study(directions=['minimize', 'maximize'])
    with pytest.raises(ValueError, match='has 2 objectives'):
        read_study(study)


def test_numbers_and_words():
    assert [number(v) for v in (0, 0.92314, 71.349, 1200, 123456, 2e-5)] == [
        '0', '0.9231', '71.35', '1200', '123456', '2e-05']
    assert [short(v) for v in (True, None, 0.1, 'x' * 20)] == [
        'yes', 'none', '0.1', 'x' * 15 + '…']
    assert [clock(s) for s in (41.6, 200, 18750)] == [
        '42 s', '3 min 20 s', '5 h 12 min']
    assert ticks(0.21, 0.94, 4) == pytest.approx([0.4, 0.6, 0.8])
    assert ticks(5, 5, 4) == [5]
    assert moving_mean([1, 3, 5, 7], 2) == [1, 2, 4, 6]


@pytest.mark.parametrize('trials', [3, 18, 90])
def test_trials_are_counted_in_whole_numbers(trials, tmp_path):
    study = optuna.create_study(direction='maximize')
    for i in range(trials):
        add(study, value=float(i))
    chart = re.search(r'<svg.*?</svg>', page_of(study, tmp_path), re.S)[0]
    below = re.findall(r'>([\d.]+)</text>', ' '.join(
        re.findall(r'<text class="below"[^>]*>[^<]*</text>', chart)))
    assert 3 <= len(below) <= 9 and not any('.' in n for n in below)

"""The section on the search."""
from __future__ import annotations

import shlex
from html import escape

from .search import LEFT_OUT, TITLE, Found, millions
from .summary import clock

#: What the agents of the config choose, for people.
_AGENTS = dict(aug='Augmentation', nas='Network', hpo='Recipe')
#: Choices of an agent that stand in one column.
_MANY = 8


def search_section(found: Found | None) -> str:
    """What was searched, what was found, and how to train it.

    Args:
        found (Found, optional): The search; None if it was left out.

    Returns:
        str: HTML.
    """
    title = '<section class="search"><h2>MA2ML searches a pipeline</h2>'
    if found is None:
        return f'{title}<p class="soft">{TITLE}: {escape(LEFT_OUT)}</p>' \
            '</section>'
    from ..ma2ml.report import charts
    record = found.record
    figures = ''.join(
        f'<figure class="card"><h3>{name}</h3>{chart}'
        f'<figcaption>{caption}</figcaption></figure>'
        for name, chart, caption in (
            ('Trials', charts.history(record),
             'Each dot is a candidate; the line is the best so far.'),
            ('Accuracy and cost', charts.tradeoff(record),
             'The line joins candidates that no cheaper one equals.')))
    agents = ''.join(_agent(found, agent) for agent in record.agents)
    train = 'python tools/train.py ' + shlex.quote(str(found.best_config))
    return (
        f'{title}{_introduction(found)}{_table(found)}'
        f'<div class="grid pairs">{figures}</div>'
        '<p class="chosen">What the agents chose for the best candidate:</p>'
        f'<div class="grid agents">{agents}</div>'
        '<p><a href="search/report.html">The report of the search</a> has '
        'every trial, the credit of the agents and more. The best candidate '
        'is a config like any other:</p>'
        f'<pre><code>{escape(train)}</code></pre></section>')


def _introduction(found: Found) -> str:
    record = found.record
    return (
        '<p class="soft">Three agents, which share a critic, choose '
        'together: one the augmentation, one the network and one the recipe '
        f'of a small classifier, {len(record.decisions)} decisions in all. '
        'Every candidate was trained from scratch on generated '
        'images of 32 × 32 pixels; its top-1 on others is the reward of all '
        'agents. What costs more than '
        f'{millions(record.flops_limit)} million multiply-adds an image was '
        'not trained. These shapes are easy too, and the best of many '
        'trials is also the luckiest.</p>')


def _table(found: Found) -> str:
    record = found.record
    row = (('trials', found.counted),
           ('images', f'{found.amount.train} + {found.amount.val}'),
           ('time', clock(found.seconds)),
           ('multiply-adds of the best',
            f'{millions(record.best.flops)} of at most '
            f'{millions(record.flops_limit)} M'),
           ('median top-1', f'{found.median:.1f} %'))
    heads = ''.join(f'<th scope="col">{name.capitalize()}</th>'
                    for name, _ in row)
    cells = ''.join(f'<td>{escape(text)}</td>' for _, text in row)
    return (
        '<div class="scroll"><table class="summary"><thead><tr>'
        f'{heads}<th scope="col">Best top-1</th></tr></thead><tbody><tr>'
        f'{cells}<td class="metric"><b>{record.best.value:.1f} %</b></td>'
        '</tr></tbody></table></div>')


def _agent(found: Found, agent: str) -> str:
    """The choices of an agent for the best candidate."""
    from ..ma2ml.report.svg import short
    rows = [
        f'<li>{escape(name.partition(".")[2])}<b>{escape(short(value))}</b>'
        '</li>' for name, value in found.record.best.params.items()
        if name.partition('.')[0] == agent]
    css = 'card wide' if len(rows) > _MANY else 'card'
    return (f'<div class="{css}"><h3>{_AGENTS[agent]}</h3>'
            f'<ul class="choices">{"".join(rows)}</ul></div>')

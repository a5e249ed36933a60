"""The report of a search: one HTML page that needs no other file."""
from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Union

from . import charts
from .record import Record, TrialRow, read_study
from .svg import number, short

if TYPE_CHECKING:
    from optuna import Study

#: Axes of the parallel coordinates and rows of the tables at most.
_AXES, _ROWS = 9, 10
#: Choices of an agent that are shown unfolded.
_CHOICES = 12


def write_report(study: Study, path: Union[str, Path]) -> None:
    """Write the report of a study.

    The page shows all that the study's storage knows and nothing else, so it
    can be written at any time, also while the search runs, and by anybody
    who can open the storage. It has no scripts and loads nothing.

    Args:
        study (optuna.Study): With one objective.
        path (str | Path): The file; its folder is made.

    Raises:
        ValueError: If the study has several objectives.
    """
    record = read_study(study)
    found = _importance(study, record)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(record, found), 'utf-8')


def _importance(study: Study, record: Record) -> dict[str, float]:
    """Optuna's importance of the decisions that every trial makes."""
    from optuna.importance import get_param_importances
    if len(record.complete) < charts.MANY:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return dict(get_param_importances(study))
    except (ValueError, RuntimeError):
        # such as: all rewards equal
        return {}


def render(record: Record, found: Mapping[str, float]) -> str:
    """The page.

    Args:
        record (Record): The study.
        found (Mapping[str, float]): Importance of decisions by full name.

    Returns:
        str: HTML.
    """
    style = Path(__file__).with_name('report.css').read_text('utf-8')
    axes = _axes(record, found)
    conditional = [n for n in record.decisions if n not in found]
    body = ''.join([
        _head(record),
        _best(record),
        _section('History', 'Every dot is a finished trial, a ring one that '
                 'was stopped early, a cross one that failed; the line is '
                 'the best so far.' + _cut(record), charts.history(record)),
        _section('Accuracy and cost', 'Finished trials. The line joins '
                 'those that no cheaper trial equals (the Pareto front). A '
                 'FLOP is a multiply-add here.',
                 charts.tradeoff(record) + _pareto_table(record)),
        _section('Which decisions matter', 'Share of the differences in '
                 "reward that each decision explains, by Optuna's estimate "
                 '(PED-ANOVA) from the trials at hand.'
                 + (f' Not estimated: {len(conditional)} decisions that do '
                    'not exist in every trial.' if found and conditional
                    else ''),
                 _legend(record) + charts.importance(record, found)),
        _section('Credit of the agents', 'What the shared critic holds an '
                 "agent's part of a proposal to be worth, against what the "
                 'agent would do otherwise, the others unchanged. Above 0: '
                 'better than its habit.',
                 _legend(record) + charts.credit(record)),
        _section('Decisions together', 'A line a finished trial, from choice '
                 'to choice to the reward; within a choice better ones run '
                 'higher. Strong: the best tenth; thick: '
                 f'the best. {_which(axes, record)}',
                 f'<div class="scroll"><div class="wide">'
                 f'{charts.parallel(record, axes)}</div></div>'),
        _section('Failures', 'No failure ends a search; each is recorded '
                 'with its reason.',
                 charts.failures(record) + _failure_table(record)),
        _trials(record),
        _config(record),
    ])
    return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, '
            f'initial-scale=1"><title>Search {escape(record.name)}</title>'
            f'<style>{style}</style></head><body><div class="band"></div>'
            f'<main>{body}</main></body></html>\n')


def _section(title: str, text: str, inner: str) -> str:
    return (f'<section><h2>{title}</h2><p class="soft">{text}</p>'
            f'<div class="card">{inner}</div></section>')


def _cut(record: Record) -> str:
    if len(record.complete) < charts.MANY:
        return ''
    return ' Values beyond the axis are drawn at its end.'


def _which(axes: Sequence[str], record: Record) -> str:
    if len(axes) == len(record.decisions):
        return ''
    return (f'Shown: the {len(axes)} most important of '
            f'{len(record.decisions)} decisions.')


def _axes(record: Record, found: Mapping[str, float]) -> list[str]:
    """The most important decisions, in the order of the space."""
    order = sorted(record.decisions, key=lambda n: -found.get(n, 0.))
    chosen = set(order[:_AXES])
    return [name for name in record.decisions if name in chosen]


def _head(record: Record) -> str:
    counts = Counter(t.state for t in record.trials)
    seconds = sum(t.seconds or 0. for t in record.trials)
    best = record.best
    tiles = [('best ' + record.metric,
              number(best.value) if best else '–'),
             ('finished', str(counts['complete'])),
             ('stopped early', str(counts['pruned'])),
             ('failed', str(counts['failed'])),
             ('time of all trials', clock(seconds))]
    if counts['running']:
        tiles.append(('running', str(counts['running'])))
    inner = ''.join(f'<div><b>{escape(value)}</b><span>{escape(name)}</span>'
                    '</div>' for name, value in tiles)
    agents = ', '.join(
        f'<span class="agent {charts.colour(record, a)}">{escape(a)}</span>'
        for a in record.agents)
    sampler = f' by {escape(record.sampler)}' if record.sampler else ''
    limit = '' if record.flops_limit is None else (
        f' under {number(record.flops_limit / 1e6)} million multiply-adds')
    aim = 'highest' if record.maximize else 'lowest'
    return (f'<header><h1>{escape(record.name)}</h1><p class="soft">A search'
            f'{sampler} over {len(record.decisions)} decisions'
            + (f' of the agents {agents}' if agents else '')
            + f' for the {aim} {escape(record.metric)}{limit}.</p>'
            f'<div class="tiles">{inner}</div></header>')


def clock(seconds: float) -> str:
    """A time in two units.

    Args:
        seconds (float): From 0.

    Returns:
        str: Such as '42 s', '3 min 20 s', '5 h 12 min'.
    """
    whole = round(seconds)
    if whole < 60:
        return f'{whole} s'
    if whole < 3600:
        return f'{whole // 60} min {whole % 60} s'
    return f'{whole // 3600} h {whole % 3600 // 60} min'


def _best(record: Record) -> str:
    best = record.best
    if best is None:
        return ''
    order = sorted(record.complete, key=record.loss)
    parts = [f'Trial {best.number} reached {record.metric} '
             f'{number(best.value)}']
    if best.flops is not None:
        share = '' if not record.flops_limit else (
            f', {100 * best.flops / record.flops_limit:.0f} % of the limit')
        parts.append(f'with {number(best.flops / 1e6)} million '
                     f'multiply-adds{share}')
    if best.seconds is not None:
        parts.append(f'in {clock(best.seconds)}')
    text = escape(' '.join(parts) + '.')
    if len(order) > 2:
        middle = order[len(order) // 2].value
        text += escape(f' The median of {len(order)} finished trials is '
                       f'{number(middle)}.')
    top = order[:max(2, round(0.1 * len(order)))]
    blocks = ''.join(_agent_table(record, agent, best, top)
                     for agent in record.agents)
    return ('<section><h2>The best candidate</h2>'
            f'<p>{text} These are the rewards of the search, not of a '
            'retraining: a search picks the luckiest of its candidates, so '
            'a retrained one does a little worse.</p>'
            f'<div class="grid three">{blocks}</div></section>')


def _agent_table(record: Record, agent: str, best: TrialRow,
                 top: Sequence[TrialRow]) -> str:
    rows = []
    for name, value in best.params.items():
        own, _, decision = name.partition('.')
        if own != agent:
            continue
        same = sum(t.params.get(name) == value for t in top)
        rows.append(
            f'<tr><th scope="row">{escape(decision or name)}</th>'
            f'<td>{escape(short(value, 40))}</td>'
            f'<td class="number soft">{same}/{len(top)}</td></tr>')
    if not rows:
        return ''
    rest = '' if len(rows) <= _CHOICES else _folded(
        f'{len(rows) - _CHOICES} more',
        f'<table class="plain"><tbody>{"".join(rows[_CHOICES:])}</tbody>'
        '</table>')
    return (f'<div class="card"><h3 class="agent '
            f'{charts.colour(record, agent)}">{escape(agent)}</h3>'
            '<table class="plain"><thead><tr><th scope="col">decision</th>'
            '<th scope="col">choice</th><th scope="col" class="number" '
            'title="how many of the best trials agree">agree</th></tr>'
            f'</thead><tbody>{"".join(rows[:_CHOICES])}</tbody></table>'
            f'{rest}</div>')


def _legend(record: Record) -> str:
    items = ''.join(
        f'<li class="agent {charts.colour(record, a)}">{escape(a)}</li>'
        for a in record.agents)
    return f'<ul class="legend">{items}</ul>' if items else ''


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain text; columns of numbers stand to the right."""
    heads = ''.join(f'<th scope="col">{escape(h)}</th>' for h in head)
    lines = ''.join(
        '<tr>' + ''.join(f'<td>{escape(c)}</td>' for c in row) + '</tr>'
        for row in rows)
    return ('<div class="scroll"><table class="plain"><thead><tr>'
            f'{heads}</tr></thead><tbody>{lines}</tbody></table></div>')


def _pareto_table(record: Record) -> str:
    front = record.pareto()
    if not front:
        return ''
    rows = [[str(t.number), number(t.flops / 1e6), number(t.value)]
            for t in front]
    return _folded('The Pareto front as a table', _table(
        ['trial', 'MFLOPs', record.metric], rows))


def _folded(title: str, inner: str) -> str:
    return f'<details><summary>{escape(title)}</summary>{inner}</details>'


def _failure_table(record: Record) -> str:
    failed = [t for t in record.trials if t.failure]
    if not failed:
        return ''
    rows = [[str(t.number), t.failure or '', short(t.message, 300)]
            for t in failed[-50:]]
    title = f'The last {len(rows)} of {len(failed)} failures' if len(
        failed) > len(rows) else 'What happened'
    return _folded(title, _table(['trial', 'class', 'message'], rows))


def _trials(record: Record) -> str:
    head = ['trial', 'state', record.metric, 'MFLOPs',
            'time', *record.decisions]

    def line(trial: TrialRow) -> list[str]:
        return [str(trial.number), trial.failure or trial.state,
                '' if trial.value is None else number(trial.value),
                '' if trial.flops is None else number(trial.flops / 1e6),
                '' if trial.seconds is None else clock(trial.seconds),
                *(short(trial.params[n]) if n in trial.params else ''
                  for n in record.decisions)]

    order = sorted(record.complete, key=record.loss)[:_ROWS]
    every = _folded(f'All {len(record.trials)} trials',
                    _table(head, [line(t) for t in record.trials]))
    return ('<section><h2>Trials</h2><p class="soft">The best first.</p>'
            f'<div class="card">{_table(head, [line(t) for t in order])}'
            f'{every}</div></section>')


def _config(record: Record) -> str:
    if not record.config:
        return ''
    return ('<section><h2>The search</h2><div class="card">' + _folded(
        'Its config', f'<pre><code>{escape(record.config)}</code></pre>')
        + '</div></section>')

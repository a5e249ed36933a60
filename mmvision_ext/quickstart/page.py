"""The page of the quickstart: one HTML file that loads no other."""
from __future__ import annotations

import platform
from collections.abc import Sequence
from html import escape
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from ..pictures.colours import label_map
from ..pictures.predictions import Example
from .charts import loss_chart
from .heat import heat_section
from .pictures import img, objects_svg
from .pyramid import pretraining_section, pyramid_section
from .search import Found, search_line
from .search_section import search_section
from .summary import (
    HEADER,
    Result,
    cells,
    clock,
    figure,
    percent,
    text_table,
)
from .tasks import Task

_REPORTED = ('torch', 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection',
             'onedl-mmsegmentation', 'onedl-mmpretrain', 'mmengine',
             'mmcv-lite', 'mmcv', 'mmdet', 'mmsegmentation', 'mmpretrain')


def write_page(path: Path, results: Sequence[Result], found: Found | None,
               seconds: float) -> None:
    """Write the page.

    Args:
        path (Path): The file.
        results (Sequence[Result]): A result a task, in the order of
            ``TASKS``.
        found (Found, optional): The search; None if it was left out.
        seconds (float): Time of the whole quickstart so far.
    """
    style = Path(__file__).with_name('page.css').read_text('utf-8')
    by_name = {result.record.task.name: result for result in results}
    body = ''.join([
        _head(results, found, seconds),
        _curves(results),
        _classification(by_name['classification']),
        _detection(by_name['detection']),
        _segmentation(by_name['segmentation']),
        heat_section(by_name['segmentation'].predictions),
        pretraining_section(by_name['itpn-pretraining']),
        _detection(by_name['itpn-detection']),
        pyramid_section(by_name['itpn-pretraining'].predictions,
                        by_name['itpn-detection'].predictions),
        search_section(found),
        _next_steps(),
        _footer(results, found),
    ])
    path.write_text(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, '
        'initial-scale=1"><title>vHeat, iTPN and MA2ML quickstart</title>'
        f'<style>{style}</style></head><body><div class="band"></div>'
        f'<main>{body}</main></body></html>\n', 'utf-8')


def _head(results: Sequence[Result], found: Found | None, seconds: float
          ) -> str:
    searched = '' if found is None else (
        'MA2ML searched augmentation, network and recipe of a small '
        'classifier together. ')
    return (
        '<header><h1>vHeat, iTPN and MA2ML on generated shapes</h1>'
        '<p class="soft">vHeat-nano was trained from scratch as a '
        'classifier, in Mask R-CNN and in UPerNet. iTPN-nano was pre-trained '
        'on images without labels, together with its pyramid, and both then '
        f'went into a Mask R-CNN. {searched}The images were generated for '
        'the purpose; configs and loops are of the kind that serves '
        'ImageNet, COCO and ADE20K. All of it took '
        f'{clock(seconds)} minutes on {_device()}.</p></header>'
        f'{_summary(results)}')


def _summary(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        record = result.record
        first, *rest = (escape(cell) for cell in cells(result))
        metrics = '<br>'.join(
            f'{name} <span>{figure(record.task, record.before[name])} '
            f'→</span> <b>{figure(record.task, record.after[name])}</b>'
            for name in record.before)
        rows.append(
            f'<tr><th scope="row">{first}</th>' +
            ''.join(f'<td class="number">{cell}</td>' for cell in rest) +
            f'<td class="metric">{metrics}</td></tr>')
    heads = ''.join(
        f'<th scope="col"{_number(i)}>{name.capitalize()}</th>'
        for i, name in enumerate(HEADER))
    return (
        '<div class="scroll">'
        f'<table class="summary"><thead><tr>{heads}</tr></thead><tbody>'
        f'{"".join(rows)}</tbody></table></div><p class="soft">Images: for '
        'training + for validation. Time: minutes, with start-up and both '
        'validations. Before: the network with its initial weights, in '
        'iTPN Mask R-CNN with a pre-trained backbone and pyramid. Pixel '
        'loss: squared error on hidden patches while training, first and '
        'last figure logged; the mean of each patch would get 1. The shapes '
        'are easy; these figures show that training works, not how good the '
        'networks are or which is better.</p>')


def _number(column: int) -> str:
    return ' class="number"' if 0 < column < len(HEADER) - 1 else ''


def _device() -> str:
    if torch.cuda.is_available():
        return escape(torch.cuda.get_device_name())
    threads = torch.get_num_threads()
    return f'{threads} CPU thread{"s" if threads > 1 else ""}'


def _curves(results: Sequence[Result]) -> str:
    figures = ''.join(
        f'<figure class="card"><h3>{escape(r.record.task.title)}</h3>' +
        loss_chart(r.record.steps, r.record.losses,
                   f'Training loss of {r.record.task.title}') + '</figure>'
        for r in results)
    return ('<section><h2>Training loss</h2><p class="soft">Sum of all '
            'losses of the task over iterations, mean of the last ten.</p>'
            f'<div class="grid three">{figures}</div></section>')


def _classification(result: Result) -> str:
    task = result.record.task
    tiles = ''.join(
        _tile(task, example) for example in result.predictions.examples)
    return (f'<section><h2>{task.title}</h2><p class="soft">The first '
            'validation images of each class in turn, with the predicted '
            'class and its probability.</p>'
            f'<div class="grid six">{tiles}</div></section>')


def _tile(task: Task, example: Example) -> str:
    guess = int(np.argmax(example.prediction))
    truth = task.classes[example.truth]
    right = guess == example.truth
    verdict = (f'<span class="verdict {"right" if right else "wrong"}">'
               f'{"✓" if right else "✗"} {task.classes[guess]}</span> '
               f'{percent(example.prediction[guess])}')
    if not right:
        verdict += f'<br>it is a {truth}'
    return (f'<figure>{img(example.image, f"a {truth}")}'
            f'<figcaption>{verdict}</figcaption></figure>')


def _detection(result: Result) -> str:
    task, palette = result.record.task, result.predictions.palette
    cards = []
    for number, example in enumerate(result.predictions.examples, 1):
        sides = ''.join(
            f'<figure><span class="column">{name}</span>' + objects_svg(
                example.image, objects, task.classes, palette,
                f'{name} of validation image {number}') + '</figure>'
            for name, objects in (('ground truth', example.truth),
                                  ('prediction', example.prediction)))
        cards.append(f'<div class="card grid pair">{sides}</div>')
    return (f'<section><h2>{task.title}</h2><p class="soft">Boxes and masks '
            'on the first validation images; predictions with a score from '
            f'0.5 on.</p><div class="grid pairs">{"".join(cards)}</div>'
            '</section>')


def _segmentation(result: Result) -> str:
    task, palette = result.record.task, result.predictions.palette
    cards = []
    for number, example in enumerate(result.predictions.examples, 1):
        counted = example.truth != 255
        share = (example.prediction == example.truth)[counted].mean()
        pictures = (('image', example.image),
                    ('ground truth', label_map(example.truth, palette)),
                    ('prediction', label_map(example.prediction, palette)))
        sides = ''.join(
            f'<figure><span class="column">{name}</span>'
            f'{img(picture, f"{name} {number}")}</figure>'
            for name, picture in pictures)
        cards.append(
            f'<figure class="card"><div class="grid triple">{sides}</div>'
            f'<figcaption>{percent(share)} of the pixels right</figcaption>'
            '</figure>')
    legend = ''.join(
        f'<li><i style="background:rgb{tuple(colour)}"></i>{name}</li>'
        for name, colour in zip(task.classes, palette))
    return (f'<section><h2>{task.title}</h2><p class="soft">The first '
            'validation images. Grey pixels belong to no class and do not '
            f'count.</p><ul class="legend">{legend}</ul>'
            f'<div class="grid pairs">{"".join(cards)}</div></section>')


def _next_steps() -> str:
    return (
        '<section><h2>Where to go from here</h2><p>With data of your own in '
        "one of the usual layouts, the same tasks, iTPN's pre-training on "
        'any folder of images, and a search:</p><pre><code>'
        'python tools/train.py configs/vheat/vheat-tiny_16xb128_in1k.py '
        '--data-root IMAGENET\n'
        'bash tools/dist_train.sh configs/vheat/maskrcnn_vheat_tiny_1x_coco'
        '.py 8 --data-root COCO\n'
        'bash tools/dist_train.sh configs/vheat/upernet_vheat_ade20k.py 8 '
        '--data-root ADE20K\n'
        'python tools/train.py configs/itpn/itpn-nano_pretrain_pixel-mfm.py '
        '--data-root FOLDER\n'
        'python tools/ma2ml_search.py configs/ma2ml/imagenet_600m.py '
        '--data-root IMAGENET --workers 8</code></pre><p>The README '
        'tells which commands and options there are, and how released '
        'weights are used.</p></section>')


def _footer(results: Sequence[Result], found: Found | None) -> str:
    versions = []
    for name in _REPORTED:
        try:
            versions.append(f'{name} {metadata.version(name)}')
        except metadata.PackageNotFoundError:
            continue
    lines = f'{text_table(results)}\n{search_line(found)}'
    table = escape(lines).replace('--', '&#45;&#45;')
    return (f'<!--\n{table}\n--><footer>Made by <code>bash '
            f'tools/quickstart.sh</code> with Python '
            f'{platform.python_version()}, {", ".join(versions)}; seed 0.'
            '</footer>')

"""The section on how heat spreads through the network."""
from __future__ import annotations

import numpy as np

from ..vheat.diffusion import diffusion_maps
from .pictures import colour_map, img
from .predictions import Predictions


def heat_section(predictions: Predictions) -> str:
    """Heat in each stage of the network for the last example.

    Args:
        predictions (Predictions): A trained network with a vHeat backbone.

    Returns:
        str: HTML.
    """
    model = predictions.model
    data = model.data_preprocessor(predictions.batches[-1], False)
    inputs = data['inputs']
    maps = diffusion_maps(model.backbone, inputs)
    times = maps['times']
    heads = ''.join(
        f'<th scope="col"><b>t = {t:g}</b>{_comment(t)}</th>' for t in times)
    rows = ''.join(
        _row(number, stage, times, inputs.shape[2])
        for number, stage in enumerate(maps['stages'], 1))
    picture = img(predictions.examples[-1].image, 'the image')
    return (
        '<section><h2>Heat through the stages</h2><p>vHeat treats a feature '
        'map as a plate with a distribution of heat and lets it spread for '
        'one unit of time: high spatial frequencies fade by '
        '<code>exp(−k(ω<sub>n</sub>² + ω<sub>m</sub>²))</code>, where the '
        'diffusivity <code>k</code> is learnt for each frequency and '
        'channel. Below, the heat in the last block of each stage of the '
        'trained UPerNet, mean of the absolute value over channels, with '
        'the time of the same medium run on.</p><p class="soft"><span '
        'class="key">Heat, one scale a row: low<span class="scale hot">'
        '</span>high.</span> <span class="key">Diffusivity, mean over '
        'channels: low<span class="scale blue"></span>high;</span> '
        'frequency 0 is at the upper left.</p><div class="scroll">'
        '<table class="heat"><thead><tr><th class="name" scope="col">'
        f'{picture}</th>{heads}<th class="own" scope="col">'
        '<b>k(ω<sub>n</sub>, ω<sub>m</sub>)</b>learnt</th></tr></thead>'
        f'<tbody>{rows}</tbody></table></div></section>')


def _comment(time: float) -> str:
    if time == 0:
        return 'before'
    return 'the network' if time == 1 else f'{time:g} times as long'


def _row(number: int, stage: dict, times: tuple, pixels: int) -> str:
    heat = stage['heat'].cpu().numpy()
    k = stage['diffusivity'].cpu().numpy()
    # The scale of the heat before it spreads; single peaks do not set it.
    low, high = np.percentile(heat[0], (1, 99))
    height, width = heat.shape[1:]
    cells = ''.join(
        '<td>' + img(
            colour_map(values, low, high),
            f'heat of stage {number} after time {time:g}', 'pixels') + '</td>'
        for time, values in zip(times, heat))
    return (
        f'<tr><th class="name" scope="row"><b>Stage {number}</b>'
        f'{height} × {width} tokens of {round(pixels / height)} pixels</th>'
        f'{cells}<td class="own">' + img(
            colour_map(k, k.min(), k.max(), 'blue'),
            f'diffusivity of stage {number}', 'pixels') +
        f'<figcaption>{k.min():.4f} to {k.max():.4f}</figcaption></td></tr>')

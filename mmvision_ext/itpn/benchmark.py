"""iTPN against the plain softmax form of the very same network."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..engine.benchmark import (
    Comparison,
    DisagreementError,
    Step,
    compare,
    device_name,
    free_memory,
    peak_memory,
)
from .arch import ARCH_ZOO, ITPNArch, resolve_arch
from .attention import RPE_KINDS, Attention
from .network import ITPNNetwork
from .plain import PlainAttention, make_plain, pair_index, score_bytes
from .pyramid import ITPNPyramidNetwork
from .structure import PATCH

DTYPES = {
    'float32': torch.float32,
    'bfloat16': torch.bfloat16,
    'float16': torch.float16
}
MODES = ('inference', 'training')

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Args:
        arch (ITPNArch): The network.
        size (int): Side of the images in pixels, a multiple of 16.
        rpe (str): Kind of relative position. Defaults to 'none'.
        device (str): Where it runs. Defaults to 'cpu'.
        dtype (str): A key of :data:`DTYPES`; other than float32 it is
            autocast. Defaults to 'float32'.
        batch (int): Images. Defaults to 1.
        with_cp (bool): Recompute each block in the backward pass, in both
            forms. Defaults to False.

    Raises:
        ValueError: If a value cannot be run, or not on this machine.
    """

    arch: ITPNArch
    size: int
    rpe: str = 'none'
    device: str = 'cpu'
    dtype: str = 'float32'
    batch: int = 1
    with_cp: bool = False

    def __post_init__(self) -> None:
        if self.size < PATCH or self.size % PATCH:
            raise ValueError(f'size is {self.size}; expected a multiple of '
                             f'{PATCH} pixels')
        if self.batch < 1:
            raise ValueError(f'batch is {self.batch}; expected 1 or more')
        name = self.device.split(':')[0]
        if name not in ('cpu', 'cuda'):
            raise ValueError(f'device is {self.device!r}; choose cpu or cuda')
        if name == 'cuda' and not torch.cuda.is_available():
            raise ValueError(f'device is {self.device!r}, and torch '
                             f'{torch.__version__} finds no GPU; take cpu')

    @property
    def side(self) -> int:
        """Tokens a side of the map."""
        return self.size // PATCH


def build_features(setting: Setting) -> nn.Module:
    """The backbone and the pyramid of the original's detectors.

    Args:
        setting (Setting): The network and what it is for. Its relative
            positions are made for its size and are not zero.

    Returns:
        nn.Module: From images to the five maps of strides 4 to 64.
    """
    backbone = ITPNNetwork(
        arch=asdict(setting.arch),
        img_size=setting.size,
        pos_size=14,
        rpe=setting.rpe,
        with_cp=setting.with_cp)
    neck = ITPNPyramidNetwork(
        setting.arch.stage_dims, with_cp=setting.with_cp)
    _fill_tables(backbone)
    return nn.Sequential(backbone, neck).to(setting.device)


def _fill_tables(model: nn.Module) -> None:
    for name, table in model.named_parameters():
        if name.endswith('bias_table'):
            nn.init.trunc_normal_(table, std=0.5)


def make_step(model: nn.Module, inputs: Sequence, setting: Setting,
              mode: str) -> Step:
    """A step of inference or of training.

    Args:
        model (nn.Module): Returns a tensor or a tuple of them.
        inputs (Sequence): What it is called with.
        setting (Setting): Device and type.
        mode (str): 'inference', all outputs; or 'training', forward and
            backward from the mean square of each output: the loss, then the
            gradients.

    Returns:
        Step: The step. Gradients do not stay.
    """
    parameters = list(model.parameters())

    def forward() -> list[Tensor]:
        with torch.autocast(
                torch.device(setting.device).type,
                DTYPES[setting.dtype],
                enabled=setting.dtype != 'float32'):
            outs = model(*inputs)
        return [outs] if isinstance(outs, Tensor) else list(outs)

    @torch.no_grad()
    def infer() -> list[Tensor]:
        return forward()

    def train() -> list[Tensor]:
        loss = sum(x.float().square().mean() for x in forward())
        return [loss.detach(), *torch.autograd.grad(loss, parameters)]

    model.train(mode == 'training')
    return train if mode == 'training' else infer


def fit_setting(setting: Setting, mode: str, free: int | None
                ) -> tuple[Setting, str | None]:
    """As many attention blocks as the plain form has memory for.

    Args:
        setting (Setting): What is wanted.
        mode (str): 'inference' or 'training'.
        free (int, optional): Bytes that are free, half of which its score
            matrices may take. None: as many as one likes.

    Returns:
        tuple[Setting, str | None]: What can be had, and if that is less, a
        line that says why.

    Raises:
        ValueError: If not even one block fits.
    """
    arch = setting.arch
    kept, work = (
        setting.batch * x
        for x in score_bytes(setting.side**2, arch.num_heads,
                             DTYPES[setting.dtype], setting.rpe))
    if mode == 'inference' or setting.with_cp:
        # what is kept is freed or made again block by block
        kept, work = 0, kept + work
    depth = arch.depths[2]
    if free is None or depth * kept + work <= free // 2:
        return setting, None
    fits = (free // 2 - work) // kept if kept else 0
    need = (f'the plain form needs {_gib(depth * kept + work)} GiB for its '
            f'score matrices in {mode} at {setting.size} x {setting.size}, '
            f'of {_gib(free)} GiB free')
    if fits < 1:
        raise ValueError(f'{need}; take a smaller size or fewer images')
    cut = replace(arch, depths=(*arch.depths[:2], fits))
    return replace(setting, arch=cut), (
        f'{need} ({_gib(kept)} GiB kept in each of {depth} blocks): both '
        f'forms are measured with {fits} attention blocks')


def compare_forms(setting: Setting, mode: str, repeats: int) -> Comparison:
    """Backbone and pyramid, ours against the plain form.

    Args:
        setting (Setting): What to measure.
        mode (str): 'inference' or 'training'.
        repeats (int): Turns.

    Returns:
        Comparison: The measurements.
    """
    torch.manual_seed(0)
    device = torch.device(setting.device)
    ours = build_features(setting)
    plain = make_plain(ours, pair_index(setting.side, device))
    images = torch.randn(
        setting.batch, 3, setting.size, setting.size, device=device)
    steps = [make_step(x, (images, ), setting, mode) for x in (ours, plain)]
    # Gradients of tables are small sums of many roundings in half precision;
    # what is wrong differs by all of the largest value.
    tolerance = 1e-3 if setting.dtype == 'float32' else 0.2
    return compare(*steps, device, repeats, tolerance)


def attention_peaks(setting: Setting) -> dict[str, int]:
    """Peak memory of one attention alone, and its tokens.

    Args:
        setting (Setting): The network whose attention it is, and the size.

    Returns:
        dict[str, int]: ``size``, ``tokens``, and bytes as
        ``{ours,plain}_{inference,training}``.
    """
    torch.manual_seed(0)
    device = torch.device(setting.device)
    arch, side = setting.arch, setting.side
    ours = Attention(arch.embed_dims, arch.num_heads, setting.rpe, side)
    _fill_tables(ours)
    ours = ours.to(device)
    plain = PlainAttention(ours, pair_index(side, device))
    x = torch.randn(setting.batch, side**2, arch.embed_dims, device=device)
    peaks = {'size': setting.size, 'tokens': side**2}
    for mode in MODES:
        for name, form in (('ours', ours), ('plain', plain)):
            step = make_step(form, (x, (side, side)), setting, mode)
            peaks[f'{name}_{mode}'] = peak_memory(step, device)[1]
    return peaks


def render(report: dict) -> str:
    """The report as two tables in Markdown.

    Args:
        report (dict): See :func:`run`.

    Returns:
        str: Lines.
    """
    lines = [report['title'], '']
    lines += [f'note: {note}\n' for note in report['notes']]
    lines += [
        '| backbone and pyramid | attention blocks | plain | ours | '
        'time ratio | CPU work ratio | plain | ours | memory ratio | '
        'difference |', '|---|---|---|---|---|---|---|---|---|---|'
    ]
    for row in report['comparisons']:
        lines.append(
            f'| {row["mode"]} | {row["arch"]["depths"][2]} '
            f'| {row["plain_median_seconds"]:.3g} s '
            f'| {row["ours_median_seconds"]:.3g} s '
            f'| **{row["time_ratio"]:.2f}** | {row["cpu_time_ratio"]:.2f} '
            f'| {row["plain"]["peak_bytes"] / MIB:,.0f} MiB '
            f'| {row["ours"]["peak_bytes"] / MIB:,.0f} MiB '
            f'| **{row["memory_ratio"]:.2f}** | {row["difference"]:.0e} |')
    lines += [
        '', '| one attention, peak MiB | tokens | inference, plain | ours | '
        'training, plain | ours |', '|---|---|---|---|---|---|'
    ]
    keys = [f'{name}_{mode}' for mode in MODES for name in ('plain', 'ours')]
    for row in report['attention']:
        lines.append(f'| {row["size"]} x {row["size"]} | {row["tokens"]} | ' +
                     ' | '.join(f'{row[k] / MIB:,.1f}' for k in keys) + ' |')
    first, last = report['attention'][0], report['attention'][-1]
    if first is not last:
        lines.append(
            f'| grows by | {last["tokens"] / first["tokens"]:.1f} | ' +
            ' | '.join(f'{last[k] / first[k]:.1f}' for k in keys) + ' |')
    return '\n'.join(lines)


def run(setting: Setting, modes: Sequence[str], repeats: int,
        attention_sizes: Sequence[int]) -> dict:
    """Measure all and report.

    Args:
        setting (Setting): What to measure.
        modes (Sequence[str]): Out of :data:`MODES`.
        repeats (int): Turns of each comparison.
        attention_sizes (Sequence[int]): Sides of images, in pixels, for the
            table of one attention alone.

    Returns:
        dict: ``title``, ``notes``, ``setting``, ``comparisons`` (a dict
        each, seconds and bytes) and ``attention`` (see
        :func:`attention_peaks`).
    """
    notes, comparisons = [], []
    for mode in modes:
        fitted, note = fit_setting(
            setting, mode, free_memory(torch.device(setting.device)))
        if note:
            notes.append(note)
            print(f'note: {note}', file=sys.stderr, flush=True)
        result = compare_forms(fitted, mode, repeats)
        comparisons.append({
            'mode': mode,
            'arch': asdict(fitted.arch),
            **result.to_dict()
        })
    return {
        'title': _title(setting, repeats),
        'notes': notes,
        'setting': asdict(setting),
        'repeats': repeats,
        'torch': torch.__version__,
        'comparisons': comparisons,
        'attention': [
            attention_peaks(replace(setting, size=size))
            for size in attention_sizes
        ],
    }


def _title(setting: Setting, repeats: int) -> str:
    names = [k for k, arch in ARCH_ZOO.items() if arch == setting.arch]
    return (f'iTPN {names[0] if names else setting.arch}, {setting.batch} x '
            f'{setting.size} x {setting.size}, relative position '
            f'{setting.rpe}, {setting.dtype}'
            f'{", blocks recomputed" if setting.with_cp else ""}; '
            f'{device_name(torch.device(setting.device))}; '
            f'torch {torch.__version__}; medians of {repeats} turns; ratios '
            'are plain / ours')


def _gib(number: int) -> str:
    return f'{math.ceil(number / GIB * 10) / 10:.1f}'


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='benchmark.py',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description='Time and peak memory of backbone and pyramid of iTPN '
        'against the plain softmax form of the very same network, in turns '
        'in one process; both must agree.')
    add = parser.add_argument
    add('--arch', default='base', choices=sorted(ARCH_ZOO))
    add('--depths', type=int, nargs=3, metavar='N',
        help='blocks of the stages, in place of those of the architecture')
    add('--size', type=int, default=1024, help='side of the images in pixels')
    add('--mode', default='both', choices=(*MODES, 'both'))
    add('--rpe', default='none', choices=RPE_KINDS,
        help='kind of relative position')
    add('--device', default='cpu')
    add('--dtype', default='float32', choices=sorted(DTYPES),
        help='half precision is autocast')
    add('--batch', type=int, default=1, help='images')
    add('--with-cp', action='store_true',
        help='recompute each block in the backward pass, in both forms')
    add('--repeats', type=int, default=3, help='turns')
    add('--attention-sizes', type=int, nargs='+', default=[512, 768, 1024],
        help='sides of images for the table of one attention alone')
    add('--out', type=Path, default=Path('work_dirs/benchmark_itpn.json'))
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv (Sequence[str], optional): Arguments. Defaults to those of the
            process.

    Returns:
        int: 0, or 1 after an error, which is one line on stderr.
    """
    args = _parse(argv)
    try:
        arch = resolve_arch(args.arch)
        if args.depths:
            arch = replace(arch, depths=args.depths)
        setting = Setting(arch, args.size, args.rpe, args.device, args.dtype,
                          args.batch, args.with_cp)
        report = run(setting, MODES if args.mode == 'both' else
                     (args.mode, ), args.repeats, args.attention_sizes)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + '\n')
    except (ValueError, OSError, DisagreementError,
            torch.OutOfMemoryError) as error:
        print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
        return 1
    print(render(report))
    print(f'\nwritten: {args.out}')
    return 0

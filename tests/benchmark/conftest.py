"""Toy models in a file, and a benchmark that costs little."""
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmvision_ext.benchmark import ceilings, measure
from mmvision_ext.benchmark.resident import Resident

_TOYS = """
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Net(nn.Module):

    def __init__(self, factor=1.):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.factor = factor

    def forward(self, x):
        return self.factor * self.conv(x), x.mean()


class Renamed(nn.Module):

    def __init__(self, factor=1.):
        super().__init__()
        self.other = nn.Parameter(torch.zeros(4, 27))
        self.bias = nn.Parameter(torch.zeros(4))
        self.factor = factor

    def load_from(self, model):
        if not hasattr(model, 'conv'):
            raise ValueError('not of this kind')
        with torch.no_grad():
            self.other.copy_(model.conv.weight.flatten(1))
            self.bias.copy_(model.conv.bias)

    def forward(self, x):
        y = nn.functional.conv2d(
            x, self.other.unflatten(1, (3, 3, 3)), self.bias, 2, 1)
        return self.factor * y, x.mean()


class Recomputing(nn.Module):

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 1), nn.GELU(), nn.Conv2d(16, 16, 1), nn.GELU(),
            nn.Conv2d(16, 1, 1))
        self.with_cp = False

    def forward(self, x):
        if self.with_cp:
            return checkpoint(self.layers, x, use_reentrant=False)
        return self.layers(x)


class Wide(nn.Module):

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 1)

    def forward(self, x):
        return self.conv(x)


class Broken(Net):

    def forward(self, x):
        raise RuntimeError('no such\\nkernel')


def number():
    return 3
"""


@pytest.fixture
def toys(tmp_path: Path) -> str:
    """A file of toy models."""
    path = tmp_path / 'toys.py'
    path.write_text(_TOYS)
    return str(path)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    """Small ceilings, and no process a model; the models asked for one."""
    asked: list[str] = []

    def watch(text: str, case: object, threads: int) -> Resident:
        asked.append(text)
        return Resident(100 << 20, 107 << 20)

    monkeypatch.setattr(ceilings, 'CPU_SIDES', (16, 32))
    monkeypatch.setattr(ceilings, 'CPU_COPY', 1 << 16)
    monkeypatch.setattr(measure, 'measure_resident', watch)
    return asked

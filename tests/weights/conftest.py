"""Official vHeat files, made from the published names and shapes."""
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

StateDict = dict[str, Tensor]


def _block(name: str, dim: int, gamma: bool) -> dict[str, tuple[int, ...]]:
    shapes = {
        'norm1.weight': (dim, ), 'norm1.bias': (dim, ),
        'op.dwconv.weight': (dim, 1, 3, 3), 'op.dwconv.bias': (dim, ),
        'op.linear.weight': (2 * dim, dim), 'op.linear.bias': (2 * dim, ),
        'op.out_norm.weight': (dim, ), 'op.out_norm.bias': (dim, ),
        'op.out_linear.weight': (dim, dim), 'op.out_linear.bias': (dim, ),
        'op.to_k.0.weight': (dim, dim), 'op.to_k.0.bias': (dim, ),
        'norm2.weight': (dim, ), 'norm2.bias': (dim, ),
        'mlp.fc1.weight': (4 * dim, dim, 1, 1), 'mlp.fc1.bias': (4 * dim, ),
        'mlp.fc2.weight': (dim, 4 * dim, 1, 1), 'mlp.fc2.bias': (dim, ),
    }
    if gamma:
        shapes.update(gamma1=(dim, ), gamma2=(dim, ))
    return {f'{name}.{part}': shape for part, shape in shapes.items()}


def official_shapes(dims: int, depths: tuple[int, ...], gamma: bool,
                    grid: tuple[int, int], classes: int | None
                    ) -> dict[str, tuple[int, ...]]:
    """Names and shapes of an official file; a backbone without classes."""
    half = dims // 2
    shapes: dict[str, tuple[int, ...]] = {
        'patch_embed.conv1.weight': (half, 3, 3, 3),
        'patch_embed.conv1.bias': (half, ),
        'patch_embed.norm1.1.weight': (half, ),
        'patch_embed.norm1.1.bias': (half, ),
        'patch_embed.conv2.weight': (dims, half, 3, 3),
        'patch_embed.conv2.bias': (dims, ),
        'patch_embed.norm2.1.weight': (dims, ),
        'patch_embed.norm2.1.bias': (dims, ),
    }
    for i, depth in enumerate(depths):
        dim = dims << i
        shapes[f'freq_embed.{i}'] = (grid[0] >> i, grid[1] >> i, dim)
        for j in range(depth):
            shapes.update(_block(f'layers.{i}.{j}', dim, gamma))
        if i < 3:
            shapes[f'layers.{i}.{depth}.0.weight'] = (2 * dim, dim, 3, 3)
            shapes[f'layers.{i}.{depth}.1.weight'] = (2 * dim, )
            shapes[f'layers.{i}.{depth}.1.bias'] = (2 * dim, )
        if classes is None:
            shapes[f'outnorm{i}.weight'] = shapes[f'outnorm{i}.bias'] = (dim, )
    if classes is not None:
        last = dims << 3
        shapes['classifier.0.weight'] = shapes['classifier.0.bias'] = (last, )
        shapes['classifier.3.weight'] = (classes, last)
        shapes['classifier.3.bias'] = (classes, )
    return shapes


@pytest.fixture
def official() -> Callable[..., StateDict]:
    """A factory of official state dicts with random values."""

    def make(dims: int = 16,
             depths: tuple[int, ...] = (1, 1, 2, 1),
             gamma: bool = False,
             grid: tuple[int, int] = (16, 16),
             classes: int | None = None) -> StateDict:
        shapes = official_shapes(dims, depths, gamma, grid, classes)
        return {
            name: 0.1 * torch.randn(shape) + name.endswith('norm.weight')
            for name, shape in shapes.items()
        }

    return make


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write an object as a checkpoint and return its path."""

    def write(content: object, name: str = 'official.pth',
              zipped: bool = True) -> Path:
        path = tmp_path / name
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        return path

    return write

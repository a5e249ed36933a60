"""Fixtures and settings shared by all tests."""
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

REPO_ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Keep torch to the threads that OMP_NUM_THREADS allows."""
    threads = os.environ.get('OMP_NUM_THREADS')
    if threads:
        torch.set_num_threads(int(threads))


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Start every test from the same random state."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_default_scope() -> Iterator[None]:
    """Let no test depend on the default scope that another one left.

    mmengine keeps it for the whole process: after a training with mmdet a
    bare type name is looked up in mmdet, whoever asks.
    """
    yield
    registry = sys.modules.get('mmengine.registry')
    if registry is not None:
        registry.DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """The root of the repository."""
    return REPO_ROOT


@pytest.fixture(scope='session')
def shared_root() -> Path:
    """An optional folder of reference cases and small real data sets.

    It lies beside the repository (``../shared``) or where MMVISION_SHARED
    says. Tests that need it are skipped where it is absent.
    """
    root = Path(os.environ.get('MMVISION_SHARED',
                               REPO_ROOT.parent / 'shared'))
    if not root.is_dir():
        pytest.skip(f'needs the optional reference folder, absent: {root}')
    return root

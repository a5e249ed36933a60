"""A part of any dataset, for proxies."""
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np

from ..registry import DATASETS


@DATASETS.register_module()
def RandomSubset(dataset: Mapping[str, Any], share: float,  # noqa: N802
                 seed: int = 0) -> Any:
    """A dataset with some of its samples.

    Args:
        dataset (Mapping): Config of any dataset of an mm library.
        share (float): Share of the samples to keep, at least one a class.
        seed (int): Which. Defaults to 0: the same for all candidates.

    Returns:
        BaseDataset: The dataset.

    Raises:
        ValueError: If the dataset is a wrapper, of which no part can be
            taken.
    """
    built = DATASETS.build(dict(dataset))
    if not hasattr(built, 'get_subset_'):
        raise ValueError(f'a proxy cannot take a part of '
                          f'{type(built).__name__}: set subset=1 and shorten '
                          'the dataset by options')
    built.full_init()
    rng = np.random.default_rng(seed)
    groups: dict[Any, list[int]] = {}
    for index in range(len(built)):
        groups.setdefault(_label(built, index), []).append(index)
    chosen = []
    for group in groups.values():
        number = max(1, round(share * len(group)))
        chosen += rng.permutation(group)[:number].tolist()
    try:
        built.get_subset_(sorted(chosen))
    except NotImplementedError as error:
        raise ValueError(f'a proxy cannot take a part of '
                          f'{type(built).__name__}: set subset=1 and shorten '
                          'the dataset by options') from error
    return built


def _label(dataset: Any, index: int) -> Optional[int]:
    label = dataset.get_data_info(index).get('gt_label')
    return int(label) if isinstance(label, (int, np.integer)) else None

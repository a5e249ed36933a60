"""Means with confidence intervals, and a paired test."""
import numpy as np

_RESAMPLES = 10_000


def mean_interval(values: np.ndarray,
                  level: float = 0.95) -> tuple[float, float, float]:
    """Mean and its bootstrap percentile interval.

    Args:
        values (np.ndarray): Shape (N,), one a run.
        level (float): Coverage. Defaults to 0.95.

    Returns:
        tuple[float, float, float]: Mean, lower and upper end.
    """
    rng = np.random.default_rng(0)
    picks = rng.integers(len(values), size=(_RESAMPLES, len(values)))
    means = values[picks].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(values.mean()), float(low), float(high)


def sign_flip_p(differences: np.ndarray) -> float:
    """Two-sided paired test: could the signs of the differences be chance?

    Args:
        differences (np.ndarray): Shape (N,), one a pair of runs.

    Returns:
        float: Part of the sign patterns, the observed one included, with a
        mean as far from zero as the observed one; of 10,000 random patterns.
    """
    rng = np.random.default_rng(0)
    signs = rng.choice([-1., 1.], size=(_RESAMPLES, len(differences)))
    observed = abs(differences.mean())
    # equal means must count as equal in spite of rounding
    as_far = np.abs((signs * differences).mean(1)) >= observed * (1 - 1e-12)
    return float((1 + as_far.sum()) / (1 + _RESAMPLES))

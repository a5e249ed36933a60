"""Stochastic depth."""

from torch import Tensor, nn


class DropPath(nn.Module):
    """Drops a residual branch for whole samples while training.

    A kept branch is divided by the probability to keep it, so the expected
    value does not change. Source: "Deep Networks with Stochastic Depth",
    ECCV 2016.

    Args:
        drop_prob (float): Probability in [0, 1) to drop a branch.
            Defaults to 0.

    Raises:
        ValueError: If ``drop_prob`` is outside [0, 1).
    """

    def __init__(self, drop_prob: float = 0.) -> None:
        super().__init__()
        if not 0. <= drop_prob < 1.:
            raise ValueError(
                f'drop_prob is {drop_prob}; it must lie in [0, 1)')
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """Drop ``x`` of shape (B, ...) sample by sample."""
        if self.drop_prob == 0. or not self.training:
            return x
        keep = 1. - self.drop_prob
        mask = x.new_empty((x.shape[0], ) + (1, ) * (x.ndim - 1))
        return x * mask.bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        """The probability, for ``print(model)``."""
        return f'drop_prob={self.drop_prob:.3f}'

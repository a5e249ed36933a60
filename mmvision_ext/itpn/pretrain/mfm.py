"""Masked feature modelling: every level of the pyramid has a target.

The paper ("Integrally Pre-Trained Transformer Pyramid Networks", CVPR 2023,
arXiv 2211.12735, section 3.3) supervises the stages of the pyramid with the
features of a network that sees the whole image. That part was never
released. This is a reconstruction from the description; what it leaves open
was chosen here:

* The target of a level is the raw feature of the backbone's stage of that
  stride, in a momentum copy (or the feature of CLIP, resized to the stride),
  layer-normed without weights.
* In pixel pre-training the shared decoder runs once for each level on that
  level's tokens, with the mask token filled in, and a linear layer a level
  predicts the target. The coarsest level is decoded together with the finer
  ones, from the very tokens that predict the pixels. Only hidden patches
  count.
* In CLIP pre-training, which has no decoder and keeps the hidden patches in
  the sequence, a norm and a linear layer predict it from the pyramid itself.
* The momentum rises from 0.996 to 1 along a half cosine.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..blocks import init_linear

TEACHERS = ('momentum', 'clip')
DISTANCES = ('smooth_l1', 'cosine')
TARGET_NORMS = ('layer', 'none')

#: Training steps without an update after which a momentum teacher that
#: nobody updates is an error. No gradient is accumulated for so long.
MAX_IDLE = 1000

#: Strides of the levels, fine to coarse.
STRIDES = (4, 8, 16)


@dataclass(frozen=True)
class MFMSettings:
    """Settings of masked feature modelling.

    Args:
        teacher (str): Where targets come from: 'momentum', a copy of the
            backbone that follows it; or 'clip', in CLIP pre-training, its
            teacher. Defaults to 'momentum'.
        weight (float): Factor of the loss of each level. Defaults to 0.3.
        momentum (float): Of the copy, at the start. Defaults to 0.996.
        end_momentum (float): And at the end of training. Defaults to 1.
        distance (str): 'smooth_l1' or 'cosine'. Defaults to 'smooth_l1'.
        target_norm (str): 'layer', each position normalised to mean 0 and
            variance 1 over its channels, or 'none'. Defaults to 'layer'.

    Raises:
        ValueError: If a value is unknown or out of its range.
    """

    teacher: str = 'momentum'
    weight: float = 0.3
    momentum: float = 0.996
    end_momentum: float = 1.
    distance: str = 'smooth_l1'
    target_norm: str = 'layer'

    def __post_init__(self) -> None:
        for name, known in (('teacher', TEACHERS), ('distance', DISTANCES),
                            ('target_norm', TARGET_NORMS)):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(
                    f'{name} of mfm is {value!r}; choose one of {known}')
        if self.weight < 0:
            raise ValueError(f'weight of mfm is {self.weight}; it must not '
                             'be negative')
        if not 0 <= self.momentum <= self.end_momentum <= 1:
            raise ValueError(
                f'momentum of mfm is {self.momentum} to '
                f'{self.end_momentum}; expected rising values within [0, 1]')


class MomentumTeacher(nn.Module):
    """A frozen copy of a network that follows it.

    ``teacher = m * teacher + (1 - m) * network`` after each step of the
    optimiser, m rising from ``momentum`` to ``end_momentum`` along a half
    cosine. :class:`MomentumTeacherHook` makes the updates in a runner. The
    copy is part of the state dict, so that a resumed training goes on as if
    it had not stopped; processes of a distributed training make the same
    updates from the same weights and never have to exchange them.

    Source: "Momentum Contrast for Unsupervised Visual Representation
    Learning", CVPR 2020; the schedule from "Bootstrap Your Own Latent",
    NeurIPS 2020.

    Args:
        network (nn.Module): What is followed.
        momentum (float): m at the start. Defaults to 0.996.
        end_momentum (float): m at the end. Defaults to 1.
    """

    def __init__(self,
                 network: nn.Module,
                 momentum: float = 0.996,
                 end_momentum: float = 1.) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.momentum = momentum
        self.end_momentum = end_momentum
        self._idle_steps = 0

    def train(self, mode: bool = True) -> 'MomentumTeacher':
        """Stay in eval mode: no stochastic depth in a target."""
        return super().train(False)

    def momentum_at(self, progress: float) -> float:
        """m after a share of the training, from 0 to 1."""
        rise = (1 - math.cos(math.pi * min(progress, 1.))) / 2
        return self.momentum + (self.end_momentum - self.momentum) * rise

    @torch.no_grad()
    def update(self, network: nn.Module, progress: float) -> None:
        """Follow the network by one step.

        Args:
            network (nn.Module): What is followed.
            progress (float): The share of the training that is done.
        """
        get_ema_multi_avg_fn(self.momentum_at(progress))(
            list(self.network.parameters()), list(network.parameters()), 1)
        self._idle_steps = 0

    def restart(self, network: nn.Module) -> None:
        """Become equal to the network."""
        self.network.load_state_dict(network.state_dict())

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tuple[Tensor, ...]:
        """Features of whole images, whatever the network returns."""
        return self.network(images)

    def count_step(self) -> None:
        """Note that a training step uses the teacher.

        Raises:
            RuntimeError: If many did and none has updated it.
        """
        self._idle_steps += 1
        if self._idle_steps > MAX_IDLE:
            raise RuntimeError(
                f'the momentum teacher was used in {MAX_IDLE} training steps '
                'and never updated; add custom_hooks=['
                "dict(type='mmvision_ext.MomentumTeacherHook')] to the "
                'config, or call update() after each step of the optimiser')


def cosine_distance(pred: Tensor, target: Tensor) -> Tensor:
    """One minus the cosine of the angle over the last dimension; mean."""
    return 1 - F.cosine_similarity(pred, target, dim=-1).mean()


class MaskedFeatureModelling(nn.Module):
    """Prediction of a target in each level, and its loss.

    Args:
        settings (MFMSettings): Weight, distance and normalisation.
        in_dims (int): Channels that a level is predicted from.
        out_dims (Sequence[int]): Channels that are predicted in each level,
            fine to coarse.
        with_norm (bool): Whether a LayerNorm stands before the linear layer.
        backbone (nn.Module): What a momentum teacher follows.
        ln_eps (float): Epsilon of these norms. Defaults to 1e-6.
    """

    def __init__(self,
                 settings: MFMSettings,
                 in_dims: int,
                 out_dims: Sequence[int],
                 with_norm: bool,
                 backbone: nn.Module,
                 ln_eps: float = 1e-6) -> None:
        super().__init__()
        self.settings = settings
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(in_dims, eps=ln_eps)
                if with_norm else nn.Identity(), nn.Linear(in_dims, dims))
            for dims in out_dims)
        self.heads.apply(init_linear)
        self.teacher = None
        if settings.teacher == 'momentum':
            self.teacher = MomentumTeacher(backbone, settings.momentum,
                                           settings.end_momentum)

    def losses(self, tokens: Sequence[Tensor],
               targets: Sequence[Tensor]) -> dict[str, Tensor]:
        """The weighted loss of each level.

        Args:
            tokens (Sequence[Tensor]): What each level is predicted from,
                fine to coarse, (..., in_dims).
            targets (Sequence[Tensor]): What is to be predicted, as many
                values as the prediction has; the last dimension is that of
                channels, which are normalised and compared.

        Returns:
            dict[str, Tensor]: ``loss_mfm_s4``, ``loss_mfm_s8`` and
            ``loss_mfm_s16``, scalars in float32.
        """
        names = [f'loss_mfm_s{stride}' for stride in STRIDES]
        return dict(zip(names, self._losses(tokens, targets)))

    def _losses(self, tokens: Sequence[Tensor],
                targets: Sequence[Tensor]) -> Iterator[Tensor]:
        for head, x, target in zip(self.heads, tokens, targets):
            target = target.float()
            if self.settings.target_norm == 'layer':
                target = F.layer_norm(target, target.shape[-1:])
            pred = head(x).float().reshape(target.shape)
            distance = F.smooth_l1_loss if \
                self.settings.distance == 'smooth_l1' else cosine_distance
            yield self.settings.weight * distance(pred, target)

"""What the pre-training models have in common."""

from collections.abc import Sequence
from typing import Any, Optional, Tuple, Union

from mmengine.model import BaseModel
from torch import Tensor, nn

from ...registry import MODELS
from ..position import grid_side
from .mfm import MFMSettings, MomentumTeacher
from .patches import PATCH

Grid = Tuple[int, int]
Part = Union[dict, nn.Module]


class ITPNPretrain(BaseModel):
    """A backbone and its pyramid, to be pre-trained together.

    In a checkpoint they are ``backbone.*`` and ``neck.*``: given to the
    ``init_cfg`` of a detector or segmentor with the same parts, it
    initialises both. All else is under ``head.*`` and ``mfm.*``.

    Args:
        backbone (dict | nn.Module): Of type ``mmvision_ext.ITPN`` or
            ``mmvision_ext.FastITPN``, with all three stages as outputs.
        neck (dict | nn.Module): Of type ``mmvision_ext.ITPNPyramid``.
        data_preprocessor (dict | nn.Module, optional): Without a type it is
            ``mmpretrain.SelfSupDataPreprocessor``. Defaults to None, which
            only moves the data.
        init_cfg (dict | list[dict], optional): Weights to start from, as
            everywhere in mmengine. Defaults to None.

    Raises:
        ValueError: If backbone and neck do not fit.
    """

    def __init__(self,
                 backbone: Part,
                 neck: Part,
                 data_preprocessor: Optional[Part] = None,
                 init_cfg: Optional[dict] = None) -> None:
        if isinstance(data_preprocessor, dict):
            data_preprocessor = {
                'type': 'mmpretrain.SelfSupDataPreprocessor',
                **data_preprocessor
            }
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = _build(backbone)
        self.neck = _build(neck)
        self.mfm: Optional[nn.Module] = None
        if self.backbone.out_type != 'featmap' or \
                self.backbone.out_indices != (0, 1, 2):
            raise ValueError(
                f'the backbone returns {self.backbone.out_type!r} of the '
                f'stages {self.backbone.out_indices}; pre-training needs the '
                'maps of all, the default')
        if self.neck.in_channels != tuple(self.backbone.num_features):
            raise ValueError(
                f'in_channels of the neck is {self.neck.in_channels}; the '
                f'backbone has {tuple(self.backbone.num_features)}')

    @property
    def momentum_teacher(self) -> Optional[MomentumTeacher]:
        """The copy that :class:`MomentumTeacherHook` updates, if any."""
        return None if self.mfm is None else self.mfm.teacher

    def init_weights(self) -> None:
        """Initialise; a momentum teacher starts equal to the backbone."""
        super().init_weights()
        if self.momentum_teacher is not None:
            self.momentum_teacher.restart(self.backbone)

    def forward(self,
                inputs: Union[Tensor, Sequence[Tensor]],
                data_samples: Optional[list] = None,
                mode: str = 'tensor') -> Any:
        """Run the model as a runner does.

        Args:
            inputs (Tensor | Sequence[Tensor]): Images, (B, C, H, W); in CLIP
                pre-training two views of them.
            data_samples (list, optional): One a picture. Defaults to None.
            mode (str): 'loss', a dict of losses; 'predict', a list of data
                samples with pictures or features; 'tensor', the maps of the
                pyramid. Defaults to 'tensor'.

        Returns:
            dict | list | tuple: As ``mode`` says.

        Raises:
            ValueError: If ``mode`` is none of these.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            images = inputs if isinstance(inputs, Tensor) else inputs[0]
            return self.neck(self.backbone(images))
        raise ValueError(f"mode is {mode!r}; choose 'loss', 'predict' or "
                         "'tensor'")

    def _load_from_state_dict(self, state_dict: dict, prefix: str,
                              *args: Any) -> None:
        # A file without a momentum teacher: it starts from the backbone.
        teacher = f'{prefix}mfm.teacher.network.'
        if self.momentum_teacher is not None and not any(
                name.startswith(teacher) for name in state_dict):
            backbone = f'{prefix}backbone.'
            state_dict.update({
                teacher + name.removeprefix(backbone): value
                for name, value in list(state_dict.items())
                if name.startswith(backbone)
            })
        super()._load_from_state_dict(state_dict, prefix, *args)


def _build(part: Part) -> nn.Module:
    return MODELS.build(part) if isinstance(part, dict) else part


def position_grid(backbone: nn.Module) -> Grid:
    """Patches that the position embedding of a backbone is for, (S, S)."""
    side = grid_side(backbone.position)
    return side, side


def patch_grid(images: Tensor) -> Grid:
    """Patches of images, (Hp, Wp).

    Raises:
        ValueError: If a side is no multiple of 16.
    """
    height, width = images.shape[2:]
    if height % PATCH or width % PATCH:
        raise ValueError(
            f'images of {height} x {width} pixels; pre-training needs '
            f'multiples of {PATCH}, crop or resize them in the pipeline')
    return height // PATCH, width // PATCH


def mfm_settings(mfm: dict, teachers: Tuple[str, ...]) -> MFMSettings:
    """Settings of masked feature modelling from a config.

    Args:
        mfm (dict): The arguments of :class:`MFMSettings`.
        teachers (tuple[str, ...]): Those that the model can have.

    Returns:
        MFMSettings: The settings.

    Raises:
        ValueError: If a key or value is unknown, or the teacher is none of
            these.
    """
    try:
        settings = MFMSettings(**mfm)
    except TypeError as error:
        raise ValueError(
            f'mfm is {dict(mfm)}; it takes the arguments of MFMSettings '
            f'({error})') from error
    if settings.teacher not in teachers:
        raise ValueError(f'teacher of mfm is {settings.teacher!r}; this '
                         f'model can have {teachers}')
    return settings

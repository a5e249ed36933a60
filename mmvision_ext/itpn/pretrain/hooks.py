"""The hook that lets momentum teachers follow what is trained."""

from typing import Any, Optional

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...registry import HOOKS


@HOOKS.register_module()
class MomentumTeacherHook(Hook):
    """Updates the momentum teacher after each step of the optimiser.

    With accumulated gradients that is once in ``accumulative_counts``
    iterations. The momentum depends on the share of the training that is
    done, so a resumed training needs no memory of its own. Checkpoints are
    saved after the update.
    """

    priority = 'NORMAL'

    def before_train(self, runner: Runner) -> None:
        """Check that there is a teacher.

        Raises:
            ValueError: If the model has none.
        """
        if getattr(_bare_model(runner), 'momentum_teacher', None) is None:
            raise ValueError(
                f'{type(_bare_model(runner)).__name__} has no momentum '
                "teacher; give it mfm=dict(teacher='momentum') or take "
                'MomentumTeacherHook out of custom_hooks')

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Follow what is trained, if the optimiser has just made a step."""
        if runner.optim_wrapper.should_update():
            model = _bare_model(runner)
            model.momentum_teacher.update(model.backbone,
                                          runner.iter / runner.max_iters)


def _bare_model(runner: Runner) -> Any:
    model = runner.model
    return model.module if is_model_wrapper(model) else model

"""What the quickstart's configs need of the training loop."""
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..registry import HOOKS


@HOOKS.register_module()
class InitialValHook(Hook):
    """Validates once before the first step, to have a figure to start from.

    The metrics are logged like those of any validation, at step 0.
    """

    priority = 'VERY_LOW'

    def before_train(self, runner: Runner) -> None:
        """Run the validation loop, if the runner has one.

        Args:
            runner (Runner): The runner, its weights initialised or loaded.
        """
        if runner.val_loop is not None:
            runner.val_loop.run()

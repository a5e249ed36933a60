"""Runs one trial: trains with its config, says how it ended.

Started as a script of its own, with the trial's folder as the argument.
"""
import ctypes
import os
import signal
import sys
import traceback
from pathlib import Path

#: Variable with the number of the process that watches over this one.
PARENT = 'MMVISION_PARENT'


def die_with_parent() -> None:
    """Let the kernel end this process when the one that watches it dies.

    A search that was killed has nobody to tell of its trials; one that goes
    on later would start them a second time beside the first.
    """
    parent = os.environ.pop(PARENT, None)
    if parent is None:
        return
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    except (AttributeError, OSError):
        return  # not Linux
    if os.getppid() != int(parent):
        os._exit(1)


def main(argv: list[str]) -> int:
    """Run the trial.

    Args:
        argv (list[str]): The folder, then what ``tools/train.py`` takes
            besides a config and a work directory.

    Returns:
        int: Exit status.
    """
    from mmvision_ext.engine.launch import train
    from mmvision_ext.ma2ml.failures import classify_error
    from mmvision_ext.ma2ml.trial_files import TrialFolder
    folder = TrialFolder(argv[0])
    # mmengine deletes and makes files in it as it likes
    run = folder.path / 'run'
    try:
        return train([str(folder.config), '--work-dir', str(run), *argv[1:]])
    except Exception as error:
        traceback.print_exc()
        failure = classify_error(error)
        if not failure.full_disk:
            folder.write_result(state='failed', failure=failure.to_json())
        return 1


if __name__ == '__main__':
    die_with_parent()
    # The package in place of its folder, whose modules are no packages.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    sys.exit(main(sys.argv[1:]))

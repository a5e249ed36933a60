#!/usr/bin/env bash
# Sets up and runs the test suite:
#
#     bash tests/run.sh                        # everything
#     bash tests/run.sh tests/vheat -k decay   # any arguments of pytest
#     MMVISION_STACK=openmmlab bash tests/run.sh   # smoke part, second stack
#
# MMVISION_TEST_WORKERS  processes to run the tests in (default 2)
set -euo pipefail

# shellcheck source=tools/env_common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../tools/env_common.sh"
bash "$MMVISION_ROOT/tools/setup_env.sh"

# One thread a process: the tests are many small ones, and the processes
# share the cores.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
if [ "$#" -eq 0 ] && [ "$MMVISION_STACK" = openmmlab ]; then
    set -- -m smoke
fi
cd -- "$MMVISION_ROOT"
exec "$MMVISION_VENV/bin/python" -m pytest \
    --numprocesses "${MMVISION_TEST_WORKERS:-2}" --dist loadfile "$@"

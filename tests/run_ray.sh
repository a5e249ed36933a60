#!/usr/bin/env bash
# Installs Ray into the environment and runs the tests on a cluster of it.
# The rest of the suite skips them where Ray is absent: it takes 250 MB.
#
#     bash tests/run_ray.sh
set -euo pipefail

# shellcheck source=tools/env_common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../tools/env_common.sh"
bash "$MMVISION_ROOT/tools/setup_env.sh"

constraints=$MMVISION_ROOT/requirements/$MMVISION_STACK.txt
if ! "$MMVISION_VENV/bin/python" -c 'import ray' 2>/dev/null; then
    # A large download: a registry that stumbles gets a second chance.
    for attempt in 1 2 3; do
        "$MMVISION_VENV/bin/python" -m pip install -qq \
            --disable-pip-version-check --constraint "$constraints" \
            "$(grep -o '^ray==[^;]*' "$constraints")" && break
        [ "$attempt" -lt 3 ] || exit 1
    done
fi
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
cd -- "$MMVISION_ROOT"
exec "$MMVISION_VENV/bin/python" -m pytest -n 0 tests/ma2ml/test_ray.py "$@"

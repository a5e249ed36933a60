#!/usr/bin/env bash
# Mutation testing: changes one place of the package at a time, in a copy, and
# runs the tests of that part. Prints the changes that no test noticed.
#
#     bash tests/run_mutation.sh                        # 50 places a target
#     bash tests/run_mutation.sh vheat --sample 20 --seed 1
#
# Targets: ops, vheat, itpn-neck, ma2ml-learner. A change takes as long as the
# tests of its target, 10 to 40 seconds. Cosmic Ray, which makes the changes,
# comes into an environment of its own, .venv-mutation.
set -euo pipefail

# shellcheck source=tools/env_common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../tools/env_common.sh"
bash "$MMVISION_ROOT/tools/setup_env.sh"

tool=$MMVISION_ROOT/.venv-mutation
if [ ! -x "$tool/bin/cosmic-ray" ]; then
    "$MMVISION_VENV/bin/python" -m venv "$tool"
    "$tool/bin/python" -m pip install -qq --disable-pip-version-check \
        --requirement "$MMVISION_ROOT/requirements/mutation.txt"
fi
exec "$tool/bin/python" "$MMVISION_ROOT/tests/mutation/mutate.py" \
    --python "$MMVISION_VENV/bin/python" "$@"

#!/usr/bin/env bash
# Sets up and generates images; trains vHeat on them as a classifier, in Mask
# R-CNN and in UPerNet, pre-trains iTPN and trains it in Mask R-CNN, searches
# the pipeline of a small classifier with MA2ML; prints a table and writes a
# page with pictures.
#
#     bash tools/quickstart.sh [--out DIR] [--fast]
set -euo pipefail

# shellcheck source=tools/env_common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/env_common.sh"
bash "$MMVISION_ROOT/tools/setup_env.sh"
exec "$MMVISION_VENV/bin/python" -m mmvision_ext.quickstart "$@"

#!/usr/bin/env bash
# Train on several GPUs, or in several processes on a machine without CUDA.
set -eu
if [ $# -lt 2 ] || ! [[ "$2" =~ ^[1-9][0-9]*$ ]]; then
    cat >&2 <<'USAGE'
usage: bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]

GPUS is the number of processes on this machine, one a GPU; without CUDA they
are gloo processes on the CPU. Environment: PORT (default: a free one), NNODES,
NODE_RANK, MASTER_ADDR (several machines), OMP_NUM_THREADS, MMVISION_VENV.
USAGE
    exit 2
fi
. "$(dirname -- "${BASH_SOURCE[0]}")/_python.sh"
CONFIG="$1" GPUS="$2"
shift 2
exec "$PYTHON" -m mmvision_ext.engine.distributed "$GPUS" \
    "$MMVISION_ROOT/tools/train.py" "$CONFIG" --launcher pytorch "$@"

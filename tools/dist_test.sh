#!/usr/bin/env bash
# Evaluate on several GPUs, or in several processes on a machine without CUDA.
set -eu
if [ $# -lt 3 ] || ! [[ "$3" =~ ^[1-9][0-9]*$ ]]; then
    cat >&2 <<'USAGE'
usage: bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]

GPUS is the number of processes on this machine, one a GPU; without CUDA they
are gloo processes on the CPU. Environment: PORT (default: a free one), NNODES,
NODE_RANK, MASTER_ADDR (several machines), OMP_NUM_THREADS, MMVISION_VENV.
USAGE
    exit 2
fi
. "$(dirname -- "${BASH_SOURCE[0]}")/_python.sh"
CONFIG="$1" CHECKPOINT="$2" GPUS="$3"
shift 3
exec "$PYTHON" -m mmvision_ext.engine.distributed "$GPUS" \
    "$MMVISION_ROOT/tools/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "$@"

#!/usr/bin/env bash
# Train under Slurm, one task a GPU.
set -eu
if [ $# -lt 3 ]; then
    cat >&2 <<'USAGE'
usage: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]

Environment: GPUS (all GPUs of the job, default 8), GPUS_PER_NODE (default: GPUS,
at most 8), CPUS_PER_TASK (default 5), SRUN_ARGS (further words for srun),
MASTER_PORT, MMVISION_VENV.
USAGE
    exit 2
fi
. "$(dirname -- "${BASH_SOURCE[0]}")/_python.sh"
PARTITION="$1" JOB_NAME="$2" CONFIG="$3"
shift 3
GPUS="${GPUS:-8}"
GPUS_PER_NODE="${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}"
# SRUN_ARGS is a list of words, so it is not quoted.
# shellcheck disable=SC2086
exec srun --partition="$PARTITION" --job-name="$JOB_NAME" \
    --gres="gpu:$GPUS_PER_NODE" --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "$PYTHON" -u "$MMVISION_ROOT/tools/train.py" "$CONFIG" --launcher slurm "$@"

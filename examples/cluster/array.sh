#!/bin/sh
# One data set by an array job, a part each and no Ray: sbatch examples/cluster/array.sh RECIPE OUT
# Then, when all are done: synthstudio merge OUT/part-* --out OUT/whole
#SBATCH --job-name=synthstudio
#SBATCH --array=1-8
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
set -eu
recipe=$1
out=$2
synthstudio generate "$recipe" --out "$out/part-$SLURM_ARRAY_TASK_ID" --resume \
    --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --workers "${SLURM_CPUS_PER_TASK:-1}"

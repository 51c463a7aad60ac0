#!/bin/sh
# One data set by all nodes of a SLURM job: sbatch examples/cluster/slurm.sh RECIPE OUT
# Recipe, asset folders and this environment are at the same path on all nodes (a shared disk);
# OUT is written by the first node alone.
#SBATCH --job-name=synthstudio
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
set -eu
recipe=$1
out=$2
cores=${SLURM_CPUS_PER_TASK:-1}
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# Ray's launcher: begins a cluster over the nodes, runs what follows -- on the first, ends it.
export RAY_USAGE_STATS_ENABLED=0
srun ray symmetric-run --address "$first:${RAY_PORT:-6379}" --min-nodes "$SLURM_NNODES" \
    --num-cpus "$cores" -- \
    env RAY_ADDRESS=auto \
    synthstudio generate "$recipe" --out "$out" --resume \
    --engine ray --workers "$((SLURM_NNODES * cores))"
test -f "$out/index.json"  # the launcher ends well even where Ray could not start

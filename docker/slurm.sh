#!/usr/bin/env bash
# A sweep on several machines of a Slurm cluster, one worker a GPU:
#   sbatch docker/slurm.sh sweep.toml results
# Submit it again to go on after a time limit.
#SBATCH --job-name=gtrade
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --exclusive
#SBATCH --time=12:00:00
set -euo pipefail

spec=$1 results=$2 # on a file system that all machines share
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

srun ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" -- \
  gtrade run "$spec" --out "$results" --executor ray

#!/bin/bash
# Submits a batch script three times, each to begin when the one before has ended, however it ended: what is there is kept,
# and the last one finds nothing left to do.
set -euo pipefail
script=${1:?usage: until_done.sh SCRIPT}

job=$(sbatch --parsable "$script")
for _ in 1 2; do
  job=$(sbatch --parsable --dependency=afterany:"${job%%;*}" "$script")
done
squeue --jobs="${job%%;*}"

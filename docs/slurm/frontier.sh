#!/bin/bash
# For machines with 8 GPUs (GCDs of AMD MI250X) and 56 cores for jobs a node, as OLCF's Frontier. To be changed: account,
# path, parameters.
#SBATCH --account=abc000
#SBATCH --partition=batch
#SBATCH --nodes=4
#SBATCH --gpus-per-node=8
#SBATCH --ntasks-per-node=24
#SBATCH --cpus-per-task=2
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=INT@60
set -euo pipefail

simulate=$HOME/nanobragg_kokkos/build/bin/nanobragg_kokkos.simulate

export OMP_NUM_THREADS=1 OMP_PROC_BIND=false
export DEVICES_PER_NODE=8
export HDF5_USE_FILE_LOCKING=FALSE

srun --cpu-bind=cores "$simulate" job.phil \
  n_images=100000 \
  output.directory="$MEMBERWORK/abc000/simulated" \
  output.images_per_file=100 \
  output.log=True

#!/bin/bash
# For machines with 4 NVIDIA GPUs and 64 cores a node, as NERSC's Perlmutter. To be changed: account, path, parameters.
#SBATCH --account=m0000
#SBATCH --constraint=gpu
#SBATCH --qos=regular
#SBATCH --nodes=4
#SBATCH --gpus-per-node=4
#SBATCH --ntasks-per-node=16
#SBATCH --cpus-per-task=8
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=INT@60
set -euo pipefail

simulate=$HOME/nanobragg_kokkos/build/bin/nanobragg_kokkos.simulate

# A rank has a thread that computes on the GPU and one that compresses and writes.
export OMP_NUM_THREADS=1 OMP_PROC_BIND=false
# All four ranks on a GPU see all four GPUs, and take them in turn.
export DEVICES_PER_NODE=4
# HDF5 locks files that it reads; the parallel file system need not support that.
export HDF5_USE_FILE_LOCKING=FALSE

srun --cpu-bind=cores "$simulate" job.phil \
  n_images=100000 \
  output.directory="$SCRATCH/simulated" \
  output.images_per_file=100 \
  output.log=True

# What pack and run share: how Python is started, and the jobs that both machines run. Sourced, with `clone` set.

# use_python ROOT PROGRAMS [LIBRARIES]: sets the array `python`, a command that runs the Python in ROOT/usr with the
# extension in PROGRAMS. As with libtbx's dispatchers, nothing of another Python may get in.
use_python() {
  local root=${1%/} programs=$2 libraries=${3-}
  python=(env -u PYTHONHOME -u PYTHONSTARTUP -u VIRTUAL_ENV -u CONDA_PREFIX -u LIBTBX_BUILD
    PYTHONPATH="$clone:$programs" PYTHONNOUSERSITE=1 PYTHONPYCACHEPREFIX="${scratch:?}/bytecode" PYTHONUNBUFFERED=1
    LC_ALL=C.UTF-8 OPENBLAS_NUM_THREADS=1
    # Where Debian's packages would look in the machine's own folders.
    HDF5_PLUGIN_PATH="$root/usr/lib/x86_64-linux-gnu/hdf5/serial/plugins" CLIBD="$root/usr/share/ccp4" MATPLOTLIBRC="$root/usr/lib/python3/dist-packages/matplotlib/mpl-data"
    MPLCONFIGDIR="$scratch/matplotlib")
  [[ -z $libraries ]] || python+=(LD_LIBRARY_PATH="$libraries")
  python+=("$root/usr/bin/python3")
}

# small_job DIRECTORY: sets the array `job`, the arguments of a job of four small images without noise, which have the
# same counts on every machine.
small_job() {
  job=(n_images=4 noise=False oversample=2 detector.layers=2 crystal.Deff_A=600
    "detector.reference=$clone/tests/gpu/two_panels.expt" "output.directory=$1")
}

# varied_job DIRECTORY: the same of images that differ in more than the orientation: two crystals in pulses with random
# spikes at the absorption edge of iron, where each energy has structure factors of its own.
varied_job() {
  small_job "$1"
  job+=(beam.mean_energy=7120 spectrum.shape=sase spike_width_eV=5 pulse_energy_jitter=0.2 crystal.count=2
    crystal.cell_variation=0.01 "crystal.mosaic_spread_deg=0.1 0.2 0.3")
}

"""The Python interface: the same bits everywhere, nothing that a script does breaks the interpreter, errors that say what is wrong."""

from __future__ import annotations

import gc
import itertools
import pickle
import threading

import numpy as np
import pytest
from cctbx import factor_ev_angstrom
from cctbx.array_family import flex
from dxtbx.model import Spectrum
from helpers.small_models import (
    random_amplitudes,
    small_beam,
    small_crystal,
    small_detector,
    small_structure_factors,
)

from nanobragg_kokkos import (
    Amorphous,
    Crystal,
    Rotation,
    SensorLayers,
    Simulation,
    Sources,
    StructureFactors,
    air,
    backend,
    water,
)


def small_simulation(**options) -> Simulation:
    options.setdefault("fluence", 1e12)
    options.setdefault("beam_size_mm", 0.01)
    return Simulation(small_detector(), Sources.from_beam(small_beam()), **options)


SIMULATE = """
import sys
import numpy as np
from helpers.small_models import small_beam, small_crystal, small_detector, small_structure_factors
from nanobragg_kokkos import Simulation, Sources, air, water
simulation = Simulation(small_detector(), Sources.from_beam(small_beam()), fluence=1e12, beam_size_mm=0.01, oversample=2)
simulation.add_spots(small_crystal(n_cells=(30, 25, 25)), small_structure_factors(), engine="pixel")
simulation.add_spots(small_crystal(n_cells=(30, 25, 25)), small_structure_factors(), engine="reflection")

def small_simulation():
    return Simulation(small_detector(), Sources.from_beam(small_beam()), fluence=1e12)
"""

EVERYTHING = """
import ctypes.util, glob, importlib, os, sys
{first}
import scitbx.array_family.flex, cctbx.array_family.flex
try:
    import hdf5plugin  # in some versions built with fast-math, which switches subnormal numbers off
except ImportError:
    pass
# all of cctbx and dxtbx that has an extension, and dials where it is installed
for directory in sys.path:
    for name in sorted(glob.glob(os.path.join(directory, "*_ext*.so"))):
        module = os.path.basename(name).split(".")[0]
        if module.startswith(("cctbx", "scitbx", "dxtbx", "mmtbx", "omptbx", "iotbx", "smtbx", "dials")):
            try:
                importlib.import_module(module)
            except (ImportError, RuntimeError, SystemError):  # needs another first
                pass
"""


class TestSameBits:
    def test_threads_and_imports_change_nothing(self, run_python):
        before = (
            "",
            EVERYTHING.format(first=""),
            # as cctbx loads its extensions
            EVERYTHING.format(first="sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)"),
            # The stubs of the OpenMP functions that come with cctbx, in front of everything else
            EVERYTHING.format(
                first="ctypes.CDLL(name, ctypes.RTLD_GLOBAL) if (name := ctypes.util.find_library('omptbx')) else None"
            ),
        )
        program = SIMULATE + (
            "import hashlib, nanobragg_kokkos\n"
            "print(nanobragg_kokkos.backend()['threads'], hashlib.sha256(simulation.image[0].tobytes()).hexdigest())\n"
            # What is too faint for a normal number must be there too: counted in integers, for fast-math's sake.
            "faint = Simulation(small_detector(), Sources.from_beam(small_beam()), fluence=1e-270)\n"
            "faint.add_spots(small_crystal(shape='gauss'), small_structure_factors(), engine='pixel')\n"
            "bits = faint.image[0].view(np.int64)\n"
            "print(np.count_nonzero((bits > 0) & (bits < 1 << 52)))\n"
        )
        digests = {}
        for imports, threads in itertools.product(before, ("1", "2")):
            done = run_python(imports + program, OMP_NUM_THREADS=threads)
            assert done.returncode == 0, (imports, threads, done.stderr)
            used, digest, subnormal = done.stdout.split()
            if backend()["backend"] == "OpenMP":
                assert used == threads
            digests[imports, threads] = digest
            assert int(subnormal) > 0, (imports, threads)
        assert len(set(digests.values())) == 1, digests

    def test_again_and_beside_another(self):
        crystal, structure_factors = small_crystal(), small_structure_factors()
        first, second = small_simulation(), small_simulation(oversample=2)
        first.add_spots(crystal, structure_factors)
        once = first.image[0].copy()
        second.add_spots(crystal, structure_factors)
        first.clear()
        assert not first.image[0].any()
        first.add_spots(crystal, structure_factors)
        np.testing.assert_array_equal(first.image[0], once)
        assert not np.array_equal(second.image[0], once)
        assert once.max() > 0


class TestBackground:
    def test_added_again_is_not_calculated_again_and_has_the_same_bits(self, monkeypatch):
        simulation = small_simulation()
        simulation.add_background(water(0.1), air(10))
        first = simulation.image[0].copy()
        monkeypatch.delattr("nanobragg_kokkos.imaging.simulation.ext.add_background")
        simulation.clear()
        simulation.add_background(water(0.1), air(10))
        np.testing.assert_array_equal(simulation.image[0], first)
        simulation.add_background(water(0.1), air(10))
        np.testing.assert_array_equal(simulation.image[0], 2 * first)

    def test_another_sample_gives_another_image(self):
        def alone(*samples: Amorphous) -> np.ndarray:
            simulation = small_simulation()
            simulation.add_background(*samples)
            return simulation.image[0].copy()

        def like_water(**changes) -> Amorphous:
            of = water(0.1)
            values = {name: getattr(of, name) for name in of.__dataclass_fields__}
            return Amorphous(**{**values, **changes})

        simulation = small_simulation()
        for sample in (
            water(0.1),
            like_water(thickness_mm=0.2),
            like_water(density_gcm3=0.9),
            like_water(molecular_weight_Da=20.0),
            like_water(amplitude=water(0.1).amplitude * 1.1),
            like_water(stol=water(0.1).stol * 1.1),
            air(10),
            water(0.1),
        ):
            simulation.clear()
            simulation.add_background(sample)
            np.testing.assert_array_equal(simulation.image[0], alone(sample))
            simulation.add_background()  # of nothing
            np.testing.assert_array_equal(simulation.image[0], alone(sample))
        together = alone(water(0.1)) + alone(air(10))
        np.testing.assert_allclose(alone(water(0.1), air(10)), together, rtol=1e-15)

    def test_another_beam_gives_another_image(self):
        sources = Sources.from_beam(small_beam(wavelength=1.1))
        fresh = Simulation(small_detector(), sources, fluence=3e11, beam_size_mm=0.01)
        changed = small_simulation()
        changed.add_background(water(0.1))
        changed.clear()
        changed.illuminate(sources, 3e11)
        assert (changed.sources, changed.fluence) == (sources, 3e11)
        for simulation in (changed, fresh):
            simulation.add_background(water(0.1))
            simulation.add_spots(small_crystal(), small_structure_factors())
        np.testing.assert_array_equal(changed.image[0], fresh.image[0])

    def test_spots_come_out_the_same_beside_it(self):
        spots, both = small_simulation(), small_simulation()
        spots.add_spots(small_crystal(), small_structure_factors())
        both.add_background(water(0.1))
        background = both.image[0].copy()
        both.add_spots(small_crystal(), small_structure_factors())
        np.testing.assert_allclose(both.image[0], background + spots.image[0], rtol=1e-14)

    def test_any_number_of_threads_gives_the_same_bits(self, run_python):
        program = (
            "import hashlib\n"
            "from dxtbx.model import Spectrum\n"
            "from scitbx.array_family import flex\n"
            "from helpers.small_models import small_beam, small_detector\n"
            "from nanobragg_kokkos import Simulation, Sources, water\n"
            "spectrum = Spectrum(flex.double(range(9400, 9600)), flex.double([1.0] * 200))\n"
            "simulation = Simulation(small_detector(150), Sources.from_beam(small_beam(), spectrum), fluence=1e12, beam_size_mm=0.01)\n"
            "simulation.add_background(water(0.1))\n"
            "print(simulation.image[0].max() > 0, hashlib.sha256(simulation.image[0].tobytes()).hexdigest())\n"
        )
        done = [run_python(program, OMP_NUM_THREADS=threads) for threads in ("1", "2", "3")]
        assert all(process.returncode == 0 for process in done), [process.stderr for process in done]
        assert len({process.stdout for process in done}) == 1 and done[0].stdout.startswith("True")

    def test_python_threads_may_share_the_beam_and_the_detector(self):
        detector, sources, sample = small_detector(), Sources.from_beam(small_beam()), water(0.1)
        images = {}

        def simulate(number: int) -> None:
            simulation = Simulation(detector, sources, fluence=1e12, beam_size_mm=0.01)
            for _ in range(5):
                simulation.clear()
                simulation.add_background(sample if number % 2 else air(number + 1))
            images[number] = simulation.image[0].copy()

        threads = [threading.Thread(target=simulate, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        np.testing.assert_array_equal(images[1], images[3])
        np.testing.assert_allclose(images[2], 3 * images[0], rtol=1e-14)


class TestInterpreterExit:
    @pytest.mark.parametrize(
        "ending",
        [
            "",
            "import builtins; builtins.kept = [simulation, simulation.image, small_structure_factors().on_device]",
            "class Kept:\n  def __del__(self): self.simulation.image\nkept = Kept(); kept.simulation = simulation; kept.me = kept",
            "import atexit; atexit.register(lambda: simulation.clear())",
            "kept = simulation.image; del simulation",
            "sys.exit(0)",
            "import threading; t = threading.Thread(target=lambda: simulation.add_background(air(1))); t.start()",
            "import threading\ndef work():\n  try:\n    while True: simulation.add_background(air(1))\n  except RuntimeError: pass\n"
            "threading.Thread(target=work, daemon=True).start()",
        ],
        ids=["plain", "builtins", "destructor", "atexit", "view_alone", "sys_exit", "thread", "daemon"],
    )
    def test_is_clean_whatever_is_kept(self, run_python, ending):
        done = run_python(SIMULATE + ending)
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_forked_process_is_told_and_ends(self, run_python):
        done = run_python(
            SIMULATE + "import os\n"
            "if os.fork() == 0:\n"
            "    for use in (simulation.clear, lambda: simulation.add_background(air(1)), small_simulation):\n"
            "        try: use()\n"
            "        except RuntimeError as error: print('forked' in str(error), flush=True)\n"
            "    sys.exit(0)\n"
            "assert os.wait()[1] == 0\n"
            "simulation.clear()\n"
        )
        assert (done.returncode, done.stdout.split()) == (0, ["True"] * 3), done.stderr

    def test_an_unreadable_number_of_threads_is_an_error(self, run_python):
        done = run_python(SIMULATE, KOKKOS_NUM_THREADS="many")
        assert done.returncode == 1
        assert "ValueError: KOKKOS_NUM_THREADS must be a positive whole number, not 'many'" in done.stderr

    def test_use_after_the_end_raises(self, run_python):
        done = run_python(
            SIMULATE + "import nanobragg_kokkos_ext as ext\next.stop()\next.stop()\n"
            "for use in (simulation.clear, lambda: simulation.add_background(air(1)), lambda: small_structure_factors().on_device):\n"
            "    try: use()\n"
            "    except RuntimeError as error: print('ended' in str(error))\n"
        )
        assert (done.returncode, done.stdout.split()) == (0, ["True"] * 3), done.stderr


class TestArrays:
    def test_are_views_that_stay_valid(self):
        simulation = small_simulation()
        view = simulation.image[0]
        assert view.shape == (96, 96) and view.dtype == np.float64 and not view.flags.writeable
        simulation.add_background(water(0.1))
        if backend()["device"] == "host":
            assert view.min() > 0
        kept = simulation.image[0]
        expected = kept.copy()
        del simulation, view
        gc.collect()
        np.testing.assert_array_equal(kept, expected)

    def test_flex_holds_the_same(self):
        simulation = small_simulation()
        simulation.add_background(air(10))
        (array,) = simulation.flex_image
        assert isinstance(array, flex.double) and array.all() == (96, 96)
        np.testing.assert_array_equal(array.as_numpy_array(), simulation.image[0])

    def test_models_pickle(self):
        models = (small_crystal(), small_structure_factors(), Sources.from_beam(small_beam()), water(0.1))
        crystal, structure_factors, sources, _ = pickle.loads(pickle.dumps(models))
        images = []
        for c, f, s in ((models[0], models[1], models[2]), (crystal, structure_factors, sources)):
            simulation = Simulation(small_detector(), s, fluence=1e12)
            simulation.add_spots(c, f)
            images.append(simulation.image[0])
        # dxtbx takes a crystal apart and puts it together again, which costs the last digits of its A matrix.
        np.testing.assert_allclose(*images, rtol=0, atol=1e-10 * images[0].max())

    def test_memory_is_at_most_24_bytes_a_pixel(self, run_python):
        done = run_python(
            # Not by getrusage, which takes what the process had that started this one for its own.
            "import re\n" + SIMULATE + "def memory(kind):\n"
            "    return 1024 * int(re.search(kind + r':\\s+(\\d+) kB', open('/proc/self/status').read()).group(1))\n"
            "before, n = memory('VmRSS'), 3000\n"
            "large = Simulation(small_detector(pixels=n, pixel_mm=0.05), Sources.from_beam(small_beam()), fluence=1e12,\n"
            "                   beam_size_mm=0.01, mask=[np.ones((n, n), bool)])\n"
            "large.add_spots(small_crystal(blocks=1), small_structure_factors())\n"
            "large.add_background(water(0.1))\n"
            "large.image[0].max()\n"
            "print((memory('VmHWM') - before) / n**2)\n"
        )
        assert done.returncode == 0, done.stderr
        assert 8 < float(done.stdout) < 24


class TestModels:
    def test_amplitudes_of_any_symmetry_give_one_image(self):
        array = random_amplitudes()
        merged = array.average_bijvoet_mates()
        images = []
        for amplitudes in (
            merged,
            merged.generate_bijvoet_mates(),
            merged.expand_to_p1(),
            merged.generate_bijvoet_mates().expand_to_p1(),
        ):
            simulation = small_simulation()
            simulation.add_spots(small_crystal(), StructureFactors(amplitudes))
            images.append(simulation.image[0])
        for image in images[1:]:
            np.testing.assert_array_equal(image, images[0])

    def test_bijvoet_mates_differ_where_the_data_do(self):
        array = random_amplitudes()
        one, other = small_simulation(), small_simulation()
        one.add_spots(small_crystal(), StructureFactors(array))
        swapped = array.customized_copy(indices=-array.indices())
        other.add_spots(small_crystal(), StructureFactors(swapped))
        assert np.abs(one.image[0] - other.image[0]).max() > 0.1 * one.image[0].max()

    def test_each_source_uses_its_own_channel(self):
        arrays = [random_amplitudes(seed) for seed in (5, 6)]
        energies = flex.double([9480.0, 9520.0])
        beam, crystal = small_beam(), small_crystal()
        both = Simulation(
            small_detector(),
            Sources.from_beam(beam, Spectrum(energies, flex.double([1, 3])), one_channel_each=True),
            fluence=4e12,
        )
        both.add_spots(crystal, StructureFactors(arrays))
        alone = np.zeros((96, 96))
        for energy, weight, array in zip(energies, (1, 3), arrays):
            single = small_beam()
            single.set_wavelength(factor_ev_angstrom / energy)
            simulation = Simulation(small_detector(), Sources.from_beam(single), fluence=weight * 1e12)
            simulation.add_spots(crystal, StructureFactors(array))
            alone += simulation.image[0]
        np.testing.assert_allclose(both.image[0], alone, rtol=0, atol=1e-12 * alone.max())

    def test_volume_counts_blocks(self):
        block = 40 * 50 * 60 * 12 * 10 * 9 * 1e-21  # mm³
        images = []
        for volume in (None, 1000 * block):
            simulation = small_simulation()
            simulation.add_spots(small_crystal(volume_mm3=volume), small_structure_factors())
            images.append(simulation.image[0])
        np.testing.assert_allclose(images[1], 1000 * images[0], rtol=1e-12)

    def test_masked_pixels_stay_dark_and_others_do_not_change(self):
        mask = np.random.default_rng(3).random((96, 96)) < 0.5
        images = []
        for masks in (None, [mask]):
            simulation = small_simulation(mask=masks)
            simulation.add_spots(small_crystal(), small_structure_factors())
            simulation.add_background(water(0.1))
            images.append(simulation.image[0])
        np.testing.assert_array_equal(images[1], np.where(mask, images[0], 0))

    @pytest.mark.parametrize("amorphous", [water(1), air(1)], ids=["water", "air"])
    def test_backgrounds_stay_positive(self, amorphous):
        for wavelength in (2.0, 1.0, 0.4, 0.2, 0.12):  # to 100 keV
            simulation = Simulation(
                small_detector(pixels=200, pixel_mm=4.0),
                Sources.from_beam(small_beam(wavelength)),
                fluence=1e12,
                beam_size_mm=0.01,
            )
            simulation.add_background(amorphous)
            assert simulation.image[0].min() > 0

    def test_molecules_of_water(self):
        # A cube of 1 mm of water weighs 1 mg: 3.35e19 molecules
        assert water(1.0).molecules(1.0) == pytest.approx(3.3456e19, rel=1e-4)


class TestErrors:
    @pytest.mark.parametrize(
        "make, message",
        [
            (lambda: Sources([1.0, -1.0], [1, 1]), "wavelengths .* positive"),
            (lambda: Sources([1.0, 1.0], [1]), r"weights .* shape \(2,\)"),
            (lambda: Sources([1.0], [1], polarization_fraction=1.2), "polarization_fraction"),
            (lambda: Sources([1.0], [1], directions=[(0, 0, 1), (0, 1, 1)]), "directions"),
            (lambda: small_crystal(n_cells=(1, 2)), "n_cells"),
            (lambda: small_crystal(n_cells=(1, 2, 0)), "n_cells"),
            (lambda: small_crystal(n_cells=(1, 2, 2.5), shape="square"), "n_cells"),
            (lambda: small_crystal(n_cells=(1, 2, 0.5)), "n_cells"),
            (lambda: small_crystal(shape="cube"), "shape must be one of square.*cube"),
            (lambda: small_crystal(volume_mm3=-1), "volume_mm3"),
            (lambda: Crystal(small_crystal().model, (1, 1, 1), mosaic_blocks=np.zeros((2, 3, 3))), "rotation matrices"),
            (lambda: Crystal(small_crystal().model, (1, 1, 1), mosaic_blocks=np.eye(3)), r"\(n, 3, 3\)"),
            (lambda: SensorLayers(0, 1), "thickness_mm"),
            (lambda: SensorLayers(1, -1), "attenuation_length_mm"),
            (lambda: SensorLayers(1, 1, 0), "layers"),
            (lambda: Amorphous([0], [1, 2], 1, 1, 1), "amplitude"),
            (lambda: Amorphous([0], [1], -1, 1, 1), "thickness_mm"),
            (lambda: Amorphous([0], [1], 1, -1, 1), "density_gcm3"),
            (lambda: Amorphous([0], [1], 1, 1, 0), "molecular_weight_Da"),
            (lambda: Sources([], []), "wavelengths"),
            (lambda: Sources([float("inf")], [1]), "wavelengths"),
            (lambda: Sources([1.0], [1], channels=[2**31 - 1]), "channels"),
            (lambda: Sources([1.0], [1], channels=[2**32]), "channels"),
            (lambda: Sources([1.0], [1], channels=[0.9]), "channels"),
            (lambda: Sources([1.0], [1], electric_vector=(1, 0)), "electric_vector"),
            (lambda: Rotation(axis=(0, 0, 0)), "axis"),
            (lambda: Rotation(axis=(0, 1)), "axis"),
            (lambda: Rotation(start_deg=float("nan")), "start_deg"),
            (lambda: Rotation(steps=0), "steps"),
            (lambda: small_crystal(volume_mm3=float("inf")), "volume_mm3"),
            (lambda: SensorLayers(0.3, float("inf")), "attenuation_length_mm"),
            (lambda: SensorLayers("thick", 1), "thickness_mm"),
            (lambda: SensorLayers(1, 1, 1, placement=1.5), "placement"),
            (lambda: Amorphous([], [], 1, 1, 1), "stol"),
            (lambda: Amorphous([[0, 1]], [[1, 2]], 1, 1, 1), "stol"),
            (lambda: Amorphous([1, 0], [1, 1], 1, 1, 1), "ascend"),
            (lambda: small_simulation(oversample=0), "oversample"),
            (lambda: small_simulation(oversample=None), "oversample"),
            (lambda: small_simulation(fluence=-1), "fluence"),
            (lambda: small_simulation(fluence=float("nan")), "fluence"),
            (lambda: small_simulation(beam_size_mm=0), "beam_size_mm"),
            (lambda: small_simulation(mask=[np.ones((95, 96), bool)]), "mask"),
            (lambda: small_simulation(beam_size_mm=None).add_background(water(1)), "beam_size_mm"),
            (lambda: small_simulation(mask=[np.ones((96, 96))]), "mask"),
            (lambda: small_simulation(mask=np.ones((96, 96), bool)), "mask"),
            (
                lambda: small_simulation().add_background(Amorphous([0, 1, 1 + 1e-15], [1, 1, 2], 1, 1, 1)),
                "1e-9 of its range",
            ),
            (lambda: small_crystal(interpolation="linear"), "interpolation"),
            (
                lambda: StructureFactors(
                    random_amplitudes().customized_copy(crystal_symmetry=None, unit_cell=None, space_group_info=None)
                ),
                "unit cell",
            ),
            (
                lambda: StructureFactors(
                    random_amplitudes().set_observation_type_xray_amplitude().as_intensity_array()
                ),
                "not intensities",
            ),
            (lambda: StructureFactors(random_amplitudes().concatenate(random_amplitudes())), "several values"),
            (lambda: StructureFactors([]).on_device, "no channel"),
            (lambda: small_structure_factors(default_amplitude=float("inf")).on_device, "default_amplitude"),
        ],
    )
    def test_say_what_is_wrong(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_numpy_scalars_and_flex_masks_are_welcome(self):
        simulation = Simulation(
            small_detector(),
            Sources.from_beam(small_beam()),
            fluence=np.float32(1e12),
            oversample=np.int64(2),
            sensor=SensorLayers(np.float32(0.3), 1, np.int64(2)),
            mask=[flex.bool(flex.grid(96, 96), True)],
        )
        crystal = small_crystal(rotation=Rotation(np.array([0, 1, 0]), np.float32(1), 1, np.int64(2)))
        simulation.add_spots(crystal, small_structure_factors())
        assert simulation.image[0].max() > 0

    def test_a_panel_whose_plane_holds_the_sample_stays_finite(self):
        detector = small_detector()
        for origin in ((0.0, 5.0, -10.0), (1e-12, -5.0, 3.0), (0.0, -20.0, -20.0)):
            detector[0].set_frame((0, 0, 1), (0, 1, 0), origin)
            simulation = Simulation(
                detector,
                Sources.from_beam(small_beam()),
                fluence=1e12,
                beam_size_mm=1,
                sensor=SensorLayers(0.3, 0.2, 3),
            )
            simulation.add_spots(small_crystal(), small_structure_factors())
            simulation.add_background(water(0.1))
            assert np.isfinite(simulation.image[0]).all()

    def test_a_missing_channel(self):
        simulation = Simulation(small_detector(), Sources([1.3, 1.31], [1, 1], channels=[0, 4]), fluence=1)
        with pytest.raises(ValueError, match="channel 4 but there are only 1"):
            simulation.add_spots(small_crystal(), small_structure_factors())

    def test_images_of_different_sizes(self):
        other = Simulation(small_detector(pixels=10), Sources.from_beam(small_beam()), fluence=1)
        with pytest.raises(ValueError, match="sizes"):
            small_simulation().add(other)

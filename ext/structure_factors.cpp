// The structure factors for Python: from flex arrays, or in memory that Python owns.
#include <boost/python.hpp>
#include <cctbx/miller.h>
#include <scitbx/array_family/boost_python/flex_fwd.h>
#include <scitbx/array_family/ref.h>
#include <scitbx/vec3.h>

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <nanobragg_kokkos/core/models/structure_factors.h>

#include "conversions.h"
#include "wrappers.h"

namespace bp = boost::python;
namespace af = scitbx::af;
namespace nb = nanobragg;

namespace {

nb::StructureFactors* make_structure_factors(const bp::list& channels, double default_amplitude, double F000) {
  std::vector<std::vector<nb::Amplitude>> all;
  for (int c = 0; c < bp::len(channels); ++c) {
    const af::const_ref<cctbx::miller::index<>> indices =
        bp::extract<af::const_ref<cctbx::miller::index<>>>(channels[c][0])();
    const af::const_ref<double> values = bp::extract<af::const_ref<double>>(channels[c][1])();
    require_size(values.size(), indices.size(), "amplitudes");
    std::vector<nb::Amplitude> channel;
    channel.reserve(values.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      channel.push_back({{indices[i][0], indices[i][1], indices[i][2]}, values[i]});
    all.push_back(std::move(channel));
  }
  return new nb::StructureFactors(all, default_amplitude, F000);
}

// The memory of an array of Python's, which stays alive as long as this does.
std::shared_ptr<const Py_buffer> memory_of(const bp::object& array, const char* format, std::size_t size,
                                           const char* name) {
  auto buffer = std::make_unique<Py_buffer>();
  if (PyObject_GetBuffer(array.ptr(), buffer.get(), PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0)
    bp::throw_error_already_set();
  std::shared_ptr<const Py_buffer> memory(buffer.release(), [](const Py_buffer* held) {
    const PyGILState_STATE state = PyGILState_Ensure();
    PyBuffer_Release(const_cast<Py_buffer*>(held));
    PyGILState_Release(state);
    delete held;
  });
  if (std::string(memory->format) != format)
    throw std::invalid_argument(std::string(name) + " has numbers of another type");
  require_size(memory->len / memory->itemsize, size, name);
  return memory;
}

nb::StructureFactors* structure_factors_in_memory(const bp::object& amplitudes, const bp::object& strongest,
                                                  const scitbx::vec3<int>& low, const scitbx::vec3<int>& size,
                                                  int n_channels) {
  const std::size_t reflections = std::size_t(size[0]) * size[1] * size[2];
  const std::size_t n = reflections * n_channels + nb::structure_factors_padding;
  const auto values = memory_of(amplitudes, "d", n, "amplitudes");
  const auto most = memory_of(strongest, "f", reflections, "strongest");
  const auto both = std::make_shared<std::pair<std::shared_ptr<const void>, std::shared_ptr<const void>>>(values, most);
  return new nb::StructureFactors({{low[0], low[1], low[2]},
                                   {size[0], size[1], size[2]},
                                   n_channels,
                                   static_cast<const double*>(values->buf),
                                   static_cast<const float*>(most->buf),
                                   both});
}

}  // namespace

void wrap_structure_factors() {
  using namespace boost::python;
  class_<nb::StructureFactors>("StructureFactors", no_init)
      .def("__init__", make_constructor(make_structure_factors, default_call_policies(),
                                        (arg("channels"), arg("default_amplitude"), arg("F000"))))
      .def("__init__",
           make_constructor(structure_factors_in_memory, default_call_policies(),
                            (arg("amplitudes"), arg("strongest"), arg("low"), arg("size"), arg("n_channels"))));
}

// Memory of the host for NumPy, which asks an object for __array_interface__ and keeps the object alive.
#ifndef NANOBRAGG_KOKKOS_EXT_HOST_ARRAY_H
#define NANOBRAGG_KOKKOS_EXT_HOST_ARRAY_H

#include <boost/python.hpp>

#include <cstddef>
#include <memory>
#include <string>

struct HostArray {
  std::shared_ptr<const void> values;
  std::size_t size;
  std::string type;  // in NumPy's notation

  boost::python::dict array_interface() const {
    boost::python::dict d;
    d["version"] = 3;
    d["shape"] = boost::python::make_tuple(size);
    d["typestr"] = type;
    d["data"] = boost::python::make_tuple(reinterpret_cast<std::size_t>(values.get()), false);
    return d;
  }
};

#endif

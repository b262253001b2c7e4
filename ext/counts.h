// The counts of an image, and how NumPy is to read them.
#ifndef NANOBRAGG_KOKKOS_EXT_COUNTS_H
#define NANOBRAGG_KOKKOS_EXT_COUNTS_H

#include <cstddef>
#include <string>

#include <nanobragg_kokkos/core/response/readout.h>

#include "host_array.h"

struct Counts {
  nanobragg::Counts counts;
  std::size_t size;
  std::string type;  // in NumPy's notation

  HostArray on_host() const;  // waits for the counts
};

#endif

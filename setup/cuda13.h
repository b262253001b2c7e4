// Included before everything else where Kokkos is compiled by CUDA 13 or later.
//
// CUDA 13 gave two functions new signatures; Kokkos 4.7.0 calls them by the old ones. These overloads take
// the old arguments and pass them on. They change nothing for other versions of either.
#ifndef NANOBRAGG_KOKKOS_SETUP_CUDA13_H
#define NANOBRAGG_KOKKOS_SETUP_CUDA13_H

#if defined(__CUDACC__)
#include <cuda_runtime_api.h>

#if CUDART_VERSION >= 13000

// No data comes with the dependencies: that is what the old function meant.
inline cudaError_t cudaGraphAddDependencies(cudaGraph_t graph, const cudaGraphNode_t* from, const cudaGraphNode_t* to,
                                            size_t count) {
  return cudaGraphAddDependencies(graph, from, to, static_cast<const cudaGraphEdgeData*>(nullptr), count);
}

// The old function took the number of a device, or cudaCpuDeviceId for the host.
inline cudaError_t cudaMemPrefetchAsync(const void* pointer, size_t bytes, int device, cudaStream_t stream) {
  cudaMemLocation place{};
  place.type = device == cudaCpuDeviceId ? cudaMemLocationTypeHost : cudaMemLocationTypeDevice;
  place.id = device == cudaCpuDeviceId ? 0 : device;
  return cudaMemPrefetchAsync(pointer, bytes, place, 0u, stream);
}

#endif
#endif
#endif

// Python's lock, while the core computes.
#ifndef NANOBRAGG_KOKKOS_EXT_WITHOUT_GIL_H
#define NANOBRAGG_KOKKOS_EXT_WITHOUT_GIL_H

#include <boost/python.hpp>

#include <atomic>
#include <stdexcept>

// Lets other Python threads run while the core computes.  Once the interpreter has begun to exit there is no such time.
class WithoutGIL {
 public:
  WithoutGIL() {
    if (exiting) throw std::runtime_error("the Kokkos runtime has ended: the interpreter is exiting");
    ++away;
    state_ = PyEval_SaveThread();
  }
  ~WithoutGIL() {
    PyEval_RestoreThread(state_);
    --away;
  }
  WithoutGIL(const WithoutGIL&) = delete;
  WithoutGIL& operator=(const WithoutGIL&) = delete;

  static inline bool exiting = false;      // changed with the GIL held
  static inline std::atomic<int> away{0};  // threads that compute, or wait to come back

 private:
  PyThreadState* state_;
};

#endif

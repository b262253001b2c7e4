// Half-open ranges of whole numbers: of sources, of pixels along an axis, of places in a list.
#ifndef NANOBRAGG_KOKKOS_CORE_MATH_RANGE_H
#define NANOBRAGG_KOKKOS_CORE_MATH_RANGE_H

#include <nanobragg_kokkos/core/math/vector.h>

namespace nanobragg {

// begin … end - 1
struct Range {
  int begin, end;
  NANOBRAGG_FUNCTION int size() const { return end - begin; }
  NANOBRAGG_FUNCTION bool empty() const { return begin >= end; }
  NANOBRAGG_FUNCTION int middle() const { return (begin + end) / 2; }
  NANOBRAGG_FUNCTION bool contains(int i) const { return i >= begin && i < end; }
};

// Returns the first number of a range for which `holds` is true, its end if there is none; where `holds` is true it
// must be so for all numbers that follow.
template <class Holds>
NANOBRAGG_FUNCTION int first_where(Range range, const Holds& holds) {
  while (range.begin < range.end) {
    const int middle = range.middle();
    if (holds(middle))
      range.end = middle;
    else
      range.begin = middle + 1;
  }
  return range.begin;
}

}  // namespace nanobragg
#endif

// The little that these tests need of a framework: named tests, checks that report what they compared, a count.
#ifndef NANOBRAGG_KOKKOS_TESTS_CORE_CHECK_H
#define NANOBRAGG_KOKKOS_TESTS_CORE_CHECK_H

#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

struct Test {
  std::string name;
  std::function<void()> body;
};

inline std::vector<Test>& all_tests() {
  static std::vector<Test> tests;
  return tests;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Register {
  Register(const char* name, std::function<void()> body) { all_tests().push_back({name, std::move(body)}); }
};

#define TEST(name)                                    \
  static void name();                                 \
  static const Register register_##name(#name, name); \
  static void name()

inline void check_close(double got, double want, double tolerance, const char* what, const char* file, int line) {
  if (std::abs(got - want) <= tolerance) return;  // false for NaN
  ++failures();
  std::printf("%s:%d: %s is %.17g, expected %.17g within %g\n", file, line, what, got, want, tolerance);
}

#define CHECK_CLOSE(got, want, tolerance) check_close(got, want, tolerance, #got, __FILE__, __LINE__)
#define CHECK(condition) check_close((condition) ? 1 : 0, 1, 0, #condition, __FILE__, __LINE__)

#define CHECK_THROWS(expression, Exception)                                                   \
  do {                                                                                        \
    bool thrown = false;                                                                      \
    try {                                                                                     \
      expression;                                                                             \
    } catch (const Exception&) {                                                              \
      thrown = true;                                                                          \
    }                                                                                         \
    check_close(thrown ? 1 : 0, 1, 0, #expression " throws " #Exception, __FILE__, __LINE__); \
  } while (false)

#endif

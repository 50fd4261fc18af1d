// System calls without libc: no errno, no cancellation point, no lock, no thread-local storage. For code that runs
// between clone and exec (shim/monitor/child_*, spawn.cc) and for pause. Gives the kernel's value: -errno on failure.
#pragma once

#include <asm/unistd.h>

namespace podshim::sys {

inline long raw6(long number, long a, long b, long c, long d, long e, long f) noexcept {
#if defined(__x86_64__)
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
#else
#error "no system call stub for this architecture"
#endif
}

namespace raw_detail {
template <typename T>
inline long word(T* p) noexcept {
  return reinterpret_cast<long>(p);
}
inline long word(decltype(nullptr)) noexcept { return 0; }
template <typename T>
inline long word(T v) noexcept {
  return static_cast<long>(v);
}
}  // namespace raw_detail

// raw(__NR_openat, AT_FDCWD, path, flags): pointers and integers as they come, missing arguments are 0.
template <typename A = long, typename B = long, typename C = long, typename D = long, typename E = long,
          typename F = long>
inline long raw(long number, A a = 0, B b = 0, C c = 0, D d = 0, E e = 0, F f = 0) noexcept {
  using raw_detail::word;
  return raw6(number, word(a), word(b), word(c), word(d), word(e), word(f));
}

}  // namespace podshim::sys

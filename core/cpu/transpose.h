// SPDX-License-Identifier: Apache-2.0
// Transposes between the row-major and the column-major order of a block, four by four.
#ifndef MILLRACE_CORE_CPU_TRANSPOSE_H_
#define MILLRACE_CORE_CPU_TRANSPOSE_H_

#include <cstddef>
#include <cstring>

namespace millrace::cpu {

// to[c * to_stride + r] = from[r * from_stride + c] for r < rows, c < cols. No alignment asked for.
inline void Transpose(const float* from, std::ptrdiff_t from_stride, int rows, int cols, float* to,
                      std::ptrdiff_t to_stride) {
  typedef float Four __attribute__((vector_size(16)));
  typedef int Index __attribute__((vector_size(16)));
  const auto load = [](const float* p) {
    Four v;
    std::memcpy(&v, p, sizeof v);
    return v;
  };
  const auto store = [](float* p, Four v) { std::memcpy(p, &v, sizeof v); };
  int r = 0;
  for (; r + 4 <= rows; r += 4) {
    int c = 0;
    for (; c + 4 <= cols; c += 4) {
      const float* f = from + r * from_stride + c;
      const Four a0 = load(f), a1 = load(f + from_stride), a2 = load(f + 2 * from_stride),
                 a3 = load(f + 3 * from_stride);
      const Four b0 = __builtin_shuffle(a0, a1, Index{0, 4, 1, 5});
      const Four b1 = __builtin_shuffle(a0, a1, Index{2, 6, 3, 7});
      const Four b2 = __builtin_shuffle(a2, a3, Index{0, 4, 1, 5});
      const Four b3 = __builtin_shuffle(a2, a3, Index{2, 6, 3, 7});
      float* t = to + c * to_stride + r;
      store(t, __builtin_shuffle(b0, b2, Index{0, 1, 4, 5}));
      store(t + to_stride, __builtin_shuffle(b0, b2, Index{2, 3, 6, 7}));
      store(t + 2 * to_stride, __builtin_shuffle(b1, b3, Index{0, 1, 4, 5}));
      store(t + 3 * to_stride, __builtin_shuffle(b1, b3, Index{2, 3, 6, 7}));
    }
    for (; c < cols; ++c)
      for (int i = 0; i < 4; ++i) to[c * to_stride + r + i] = from[(r + i) * from_stride + c];
  }
  for (; r < rows; ++r)
    for (int c = 0; c < cols; ++c) to[c * to_stride + r] = from[r * from_stride + c];
}

}  // namespace millrace::cpu

#endif  // MILLRACE_CORE_CPU_TRANSPOSE_H_

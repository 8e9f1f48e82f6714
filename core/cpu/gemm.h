// SPDX-License-Identifier: Apache-2.0
// The one matrix product of the CPU backend: C[m, n] = start + sum_k A(m, k) B[k, n], n along the
// SIMD lanes. A is read element by element at any strides and broadcast; B and C are contiguous and
// aligned in n. Forward passes (n = rows of the block), input adjoints (A transposed by its
// strides) and weight adjoints (k = rows, n = inputs) are all this product over tiles whose k and n
// ranges follow the triangle of a masked layer. The sum over k runs in ascending order for every
// element.
#ifndef MILLRACE_CORE_CPU_GEMM_H_
#define MILLRACE_CORE_CPU_GEMM_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include "core/cpu/pack.h"
#include "core/math/activation.h"

// Of lambdas that hold a tile's accumulators, which would live in memory were they called.
#define MILLRACE_INLINE __attribute__((always_inline))

namespace millrace::gemm {

// Accumulators of a tile fill the register file: 6 x 4 of 32 registers, 6 x 2 of 16.
inline constexpr int kTileRows = 6;
inline constexpr int kTilePacks = Pack::kWidth == 16 ? 4 : 2;

struct Operands {
  const float* a;
  std::ptrdiff_t a_m, a_k;
  const float* b;
  std::ptrdiff_t b_k;
  float* c;
  std::ptrdiff_t c_m;
};

// The sum goes over the k range again and again, with B moved on by each number in turn, and A goes
// on from range to range.
struct MovedOperands : Operands {
  std::span<const std::ptrdiff_t> b_moves;
};

constexpr std::array<std::ptrdiff_t, 1> MovesOf(const Operands&) { return {0}; }
inline std::span<const std::ptrdiff_t> MovesOf(const MovedOperands& o) { return o.b_moves; }

// What becomes of a finished sum, given what C held before.
template <typename Function>
struct Write {  // c = f(sum + bias[m])
  const float* bias = nullptr;
  Pack operator()(int m, Pack sum, Pack) const {
    return Function::Value(bias == nullptr ? sum : sum + Pack(bias[m]));
  }
};

template <typename Function>
struct Accumulate {  // c = f(c + sum)
  Pack operator()(int, Pack sum, Pack c) const { return Function::Value(c + sum); }
};

struct AccumulateScaled {  // c = c + sign * sum
  float sign;
  Pack operator()(int, Pack sum, Pack c) const { return c + Pack(sign) * sum; }
};

// use(0), use(1), .. use(kCount - 1), as if written so: accumulators of a loop would live in
// memory.
template <int kCount, typename Use>
[[gnu::always_inline]] inline void Unrolled(const Use& use) {
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) MILLRACE_INLINE {
    (use(std::integral_constant<int, kIndex>{}), ...);
  }
  (std::make_integer_sequence<int, kCount>{});
}

// Never a part of its caller, where its accumulators would compete for registers.
template <int kM, int kN, typename SomeOperands, typename Finish>
[[gnu::noinline]] void Tile(const SomeOperands& operands, int m, int n, int k_begin, int k_end,
                            const Finish& finish) {
  const SomeOperands o = operands;  // no store can alias a copy
  Pack sum[kM][kN];
  Unrolled<kM>([&](auto i) MILLRACE_INLINE {
    Unrolled<kN>([&](auto j) MILLRACE_INLINE { sum[i][j] = Pack(0.0f); });
  });
  const float* a = o.a + m * o.a_m + k_begin * o.a_k;
  for (const std::ptrdiff_t move : MovesOf(o)) {
    const float* b = o.b + move + k_begin * o.b_k + n;
#pragma GCC unroll 2
    for (int k = k_begin; k < k_end; ++k, a += o.a_k, b += o.b_k) {
      Pack column[kN];
      Unrolled<kN>([&](auto j) MILLRACE_INLINE { column[j] = Pack::Load(b + j * Pack::kWidth); });
      Unrolled<kM>([&](auto i) MILLRACE_INLINE {
        const Pack weight(a[i * o.a_m]);
        Unrolled<kN>([&](auto j) MILLRACE_INLINE { sum[i][j].v += weight.v * column[j].v; });
      });
    }
  }
  Unrolled<kM>([&](auto i) MILLRACE_INLINE {
    float* const c = o.c + (m + i) * o.c_m + n;
    Unrolled<kN>([&](auto j) MILLRACE_INLINE {
      finish(m + i, sum[i][j], Pack::Load(c + j * Pack::kWidth)).Store(c + j * Pack::kWidth);
    });
  });
}

template <int kM, typename SomeOperands, typename Finish>
inline void TileRow(const SomeOperands& o, int m, int n_begin, int n_end, int k_begin, int k_end,
                    const Finish& finish) {
  int n = n_begin;
  for (; n + kTilePacks * Pack::kWidth <= n_end; n += kTilePacks * Pack::kWidth)
    Tile<kM, kTilePacks>(o, m, n, k_begin, k_end, finish);
  if constexpr (kTilePacks > 2)
    for (; n + 2 * Pack::kWidth <= n_end; n += 2 * Pack::kWidth)
      Tile<kM, 2>(o, m, n, k_begin, k_end, finish);
  for (; n < n_end; n += Pack::kWidth) Tile<kM, 1>(o, m, n, k_begin, k_end, finish);
}

struct Range {
  int begin = 0;
  int end = 0;
};

// Rows [m_begin, m_end) of C. `k_range(m, count)` and `n_range(m, count)` give the ranges of a tile
// of `count` rows from m; n ranges are multiples of the pack's width.
template <typename SomeOperands, typename KRange, typename NRange, typename Finish>
inline void MultiplyAny(const SomeOperands& o, int m_begin, int m_end, const KRange& k_range,
                        const NRange& n_range, const Finish& finish) {
  const auto run = [&]<int kM>(int m) {
    const Range k = k_range(m, kM);
    const Range n = n_range(m, kM);
    TileRow<kM>(o, m, n.begin, n.end, k.begin, std::max(k.begin, k.end), finish);
  };
  // No more tiles than it takes, none much lower than the others.
  int m = m_begin;
  for (int tiles = (m_end - m_begin + kTileRows - 1) / kTileRows; tiles > 0; --tiles) {
    const int rows = (m_end - m + tiles - 1) / tiles;
    static_assert(kTileRows == 6, "the cases below");
    switch (rows) {
      case 6:
        run.template operator()<6>(m);
        break;
      case 5:
        run.template operator()<5>(m);
        break;
      case 4:
        run.template operator()<4>(m);
        break;
      case 3:
        run.template operator()<3>(m);
        break;
      case 2:
        run.template operator()<2>(m);
        break;
      case 1:
        run.template operator()<1>(m);
        break;
    }
    m += rows;
  }
}

template <typename KRange, typename NRange, typename Finish>
inline void Multiply(const Operands& o, int m_begin, int m_end, const KRange& k_range,
                     const NRange& n_range, const Finish& finish) {
  MultiplyAny(o, m_begin, m_end, k_range, n_range, finish);
}

template <typename KRange, typename NRange, typename Finish>
inline void MultiplyMoved(const MovedOperands& o, int m_begin, int m_end, const KRange& k_range,
                          const NRange& n_range, const Finish& finish) {
  MultiplyAny(o, m_begin, m_end, k_range, n_range, finish);
}

}  // namespace millrace::gemm

#undef MILLRACE_INLINE

#endif  // MILLRACE_CORE_CPU_GEMM_H_

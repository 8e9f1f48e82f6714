// SPDX-License-Identifier: Apache-2.0
// Sums over pixels of products of planes: sums[m, n] += <a_m, b_n>, what the weights of a
// convolution get. Pixels lie along the SIMD lanes, which a gradient of few channels would not
// fill.
#ifndef MILLRACE_CORE_CPU_PLANE_PRODUCTS_H_
#define MILLRACE_CORE_CPU_PLANE_PRODUCTS_H_

#include <algorithm>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include "core/cpu/gemm.h"
#include "core/cpu/pack.h"

namespace millrace::cpu {

// Rows of pixels of some planes: row y of plane m stands at data[m] + y * stride, `length` floats,
// whole packs, long.
struct PlaneRows {
  std::span<const float* const> planes;
  std::ptrdiff_t stride;
};

// Adds to each lane the one whose number differs in bit kBit, for all lower bits as well: at last
// every lane holds the sum of all.
template <int kBit, int... kLane>
inline Pack FoldLanes(Pack p, std::integer_sequence<int, kLane...> lanes) {
  p.v += __builtin_shuffle(p.v, Pack::Ints{(kLane ^ kBit)...});
  if constexpr (kBit > 1) return FoldLanes<kBit / 2>(p, lanes);
  return p;
}
inline float SumLanes(Pack p) {
  return FoldLanes<Pack::kWidth / 2>(p, std::make_integer_sequence<int, Pack::kWidth>{}).v[0];
}

// Of kM planes of a and kN of b. Never a part of its caller, as gemm::Tile.
template <int kM, int kN>
[[gnu::noinline]] void PlaneTile(const float* const* a, const float* const* b,
                                 std::ptrdiff_t a_stride, std::ptrdiff_t b_stride, int y_begin,
                                 int y_end, int length, float* sums, std::ptrdiff_t ld) {
  Pack sum[kM][kN];
  gemm::Unrolled<kM>([&](auto i) __attribute__((always_inline)) {
    gemm::Unrolled<kN>([&](auto j) __attribute__((always_inline)) { sum[i][j] = Pack(0.0f); });
  });
  const float* a_plane[kM];
  const float* b_plane[kN];
  for (int i = 0; i < kM; ++i) a_plane[i] = a[i];
  for (int j = 0; j < kN; ++j) b_plane[j] = b[j];
  for (int y = y_begin; y < y_end; ++y) {
    const std::ptrdiff_t a_row = y * a_stride, b_row = y * b_stride;
    for (int v = 0; v < length; v += Pack::kWidth) {
      Pack column[kN];
      gemm::Unrolled<kN>([&](auto j) __attribute__((always_inline)) {
        column[j] = Pack::Load(b_plane[j] + b_row + v);
      });
      gemm::Unrolled<kM>([&](auto i) __attribute__((always_inline)) {
        Pack value = Pack::Load(a_plane[i] + a_row + v);
        asm("" : "+v"(value.v));  // one load, not one for each product
        gemm::Unrolled<kN>([&](auto j) __attribute__((always_inline)) {
          sum[i][j].v += value.v * column[j].v;
        });
      });
    }
  }
  gemm::Unrolled<kM>([&](auto i) __attribute__((always_inline)) {
    gemm::Unrolled<kN>([&](auto j) __attribute__((always_inline)) {
      sums[i * ld + j] += SumLanes(sum[i][j]);
    });
  });
}

// Calls use(first, integral_constant count) for parts of [0, count), none larger than kMost and
// none much smaller than the others.
template <int kMost, typename Use>
void ForParts(int count, const Use& use) {
  int first = 0;
  for (int parts = (count + kMost - 1) / kMost; parts > 0; --parts) {
    const int size = (count - first + parts - 1) / parts;
    [&]<int... kSize>(std::integer_sequence<int, kSize...>) {
      ((size == kSize + 1 ? use(first, std::integral_constant<int, kSize + 1>{}) : void()), ...);
    }
    (std::make_integer_sequence<int, kMost>{});
    first += size;
  }
}

// sums [a.planes, b.planes], rows `ld` apart, of `rows` rows of pixels. Rows are taken in groups
// whose planes stay in the first cache while a tile runs.
inline void AddPlaneProducts(const PlaneRows& a, const PlaneRows& b, int rows, int length,
                             float* sums, std::ptrdiff_t ld) {
  constexpr int kFloatsOfGroup = 1024;
  const int group = std::max(1, kFloatsOfGroup / length);
  for (int y = 0; y < rows; y += group) {
    const int end = std::min(rows, y + group);
    ForParts<gemm::kTileRows>(static_cast<int>(a.planes.size()), [&](int m, auto m_count) {
      ForParts<gemm::kTilePacks>(static_cast<int>(b.planes.size()), [&](int n, auto n_count) {
        PlaneTile<m_count, n_count>(a.planes.data() + m, b.planes.data() + n, a.stride, b.stride, y,
                                    end, length, sums + m * ld + n, ld);
      });
    });
  }
}

}  // namespace millrace::cpu

#endif  // MILLRACE_CORE_CPU_PLANE_PRODUCTS_H_

// SPDX-License-Identifier: Apache-2.0
// A SIMD register of floats, on the compiler's own vector types. Exactly as wide as the registers
// of the instruction set compiled for. Its overloads of the functions in core/math/scalar.h let
// every formula of core/math run on it. Error bounds are against exact values over the stated range
// (tests/core/cpu/pack_test.cc).
#ifndef MILLRACE_CORE_CPU_PACK_H_
#define MILLRACE_CORE_CPU_PACK_H_

#include <cstdint>
#include <cstring>

namespace millrace {

struct Pack {
#if defined(__AVX512F__)
  static constexpr int kWidth = 16;
#elif defined(__AVX__)
  static constexpr int kWidth = 8;
#else
  static constexpr int kWidth = 4;
#endif
  typedef float Floats __attribute__((vector_size(kWidth * 4), may_alias));
  typedef std::int32_t Ints __attribute__((vector_size(kWidth * 4), may_alias));

  Floats v;

  Pack() = default;
  Pack(Floats values) : v(values) {}                   // NOLINT(google-explicit-constructor)
  explicit Pack(float value) : v(value - Floats{}) {}  // folds; 0 + value would not, for -0

  static Pack Load(const float* aligned) { return *reinterpret_cast<const Floats*>(aligned); }
  void Store(float* aligned) const { *reinterpret_cast<Floats*>(aligned) = v; }
};

struct PackMask {
  Pack::Ints v;
};

inline Pack operator+(Pack a, Pack b) { return a.v + b.v; }
inline Pack operator-(Pack a, Pack b) { return a.v - b.v; }
inline Pack operator*(Pack a, Pack b) { return a.v * b.v; }
inline Pack operator/(Pack a, Pack b) { return a.v / b.v; }
inline Pack operator-(Pack a) { return -a.v; }
inline PackMask operator>(Pack a, Pack b) { return {a.v > b.v}; }
inline PackMask operator<(Pack a, Pack b) { return {a.v < b.v}; }
inline PackMask operator>=(Pack a, Pack b) { return {a.v >= b.v}; }
inline Pack Select(PackMask mask, Pack a, Pack b) { return mask.v ? a.v : b.v; }
inline bool Any(PackMask mask) {
  bool any = false;
  for (int i = 0; i < Pack::kWidth; ++i) any |= mask.v[i] != 0;
  return any;
}

namespace pack_internal {

inline Pack::Ints Bits(Pack x) { return reinterpret_cast<Pack::Ints>(x.v); }
inline Pack FromBits(Pack::Ints bits) { return reinterpret_cast<Pack::Floats>(bits); }
inline Pack ToFloat(Pack::Ints n) { return __builtin_convertvector(n, Pack::Floats); }
inline Pack::Ints ToInt(Pack x) { return __builtin_convertvector(x.v, Pack::Ints); }
// The nearest integer of |x| < 2^22.
inline Pack Round(Pack x) {
  const Pack magic(12582912.0f);
  return (x + magic) - magic;
}

}  // namespace pack_internal

inline Pack Abs(Pack x) { return pack_internal::FromBits(pack_internal::Bits(x) & 0x7fffffff); }

inline Pack Sqrt(Pack x) {
  Pack root;
  for (int i = 0; i < Pack::kWidth; ++i) root.v[i] = __builtin_sqrtf(x.v[i]);
  return root;
}

// e^x within 2 ulp on [-87.3, 88.3]; clamped to the ends outside, so always finite and positive;
// NaN stays NaN. Cody and Waite reduction, degree 6 in pairs (Estrin): short chains.
inline Pack Exp(Pack x) {
  using namespace pack_internal;
  const PackMask low = x < Pack(-87.3f);
  const PackMask high = x > Pack(88.3f);
  x = Select(high, Pack(88.3f), Select(low, Pack(-87.3f), x));
  const Pack n = Round(x * Pack(1.44269504088896341f));
  Pack r = x - n * Pack(0.693359375f);
  r = r - n * Pack(-2.12194440e-4f);
  const Pack r2 = r * r;
  const Pack p0 = Pack(1.9875691500e-4f) * r + Pack(1.3981999507e-3f);
  const Pack p1 = Pack(8.3334519073e-3f) * r + Pack(4.1665795894e-2f);
  const Pack p2 = Pack(1.6666665459e-1f) * r + Pack(5.0000001201e-1f);
  const Pack p = ((p0 * r2 + p1) * r2 + p2) * r2 + r + Pack(1.0f);
  return p * FromBits((ToInt(n) + 127) << 23);
}

// ln x within 2 ulp for normal x > 0; -inf at 0, +inf at +inf, NaN below 0 and at NaN. Degree 8 on
// [sqrt(1/2), sqrt(2)).
inline Pack Log(Pack x) {
  using namespace pack_internal;
  const Pack::Ints bits = Bits(x);
  Pack m = FromBits((bits & 0x007fffff) | 0x3f000000);  // [0.5, 1)
  Pack e = ToFloat(((bits >> 23) & 0xff) - 126);
  const PackMask low = m < Pack(0.707106781186547524f);
  e = e - Select(low, Pack(1.0f), Pack(0.0f));
  m = Select(low, m + m, m) - Pack(1.0f);
  const Pack m2 = m * m;
  Pack p(7.0376836292e-2f);
  p = p * m + Pack(-1.1514610310e-1f);
  p = p * m + Pack(1.1676998740e-1f);
  p = p * m + Pack(-1.2420140846e-1f);
  p = p * m + Pack(1.4249322787e-1f);
  p = p * m + Pack(-1.6668057665e-1f);
  p = p * m + Pack(2.0000714765e-1f);
  p = p * m + Pack(-2.4999993993e-1f);
  p = p * m + Pack(3.3333331174e-1f);
  // One product a sum: contracted, it has one value.
  Pack y = m2 * (p * m - Pack(0.5f)) + m;
  y = y + e * Pack(-2.12194440e-4f);
  y = y + e * Pack(0.693359375f);
  y = Select(x > Pack(__FLT_MAX__), x, y);
  y = Select(x > Pack(0.0f), y, Pack(__builtin_nanf("")));
  return Select(x >= Pack(0.0f), Select(x > Pack(0.0f), y, Pack(-__builtin_inff())), y);
}

// The cube root of every float within 1 ulp, denormals too; infinities and NaN stay. Two Halley
// steps from a third of the exponent, on a number scaled away from overflow.
inline Pack Cbrt(Pack x) {
  using namespace pack_internal;
  const Pack magnitude = Abs(x);
  const PackMask small = magnitude < Pack(0x1p-90f);
  const PackMask large = magnitude > Pack(0x1p90f);
  const Pack a =
      magnitude * Select(small, Pack(0x1p90f), Select(large, Pack(0x1p-90f), Pack(1.0f)));
  Pack y = FromBits(ToInt(ToFloat(Bits(a)) * Pack(1.0f / 3.0f)) + 709958130);
  for (int step = 0; step < 2; ++step) {
    const Pack cube = y * y * y;
    y = y - y * ((cube - a) / (cube + cube + a));
  }
  y = y * Select(small, Pack(0x1p-30f), Select(large, Pack(0x1p30f), Pack(1.0f)));
  y = Select(x < Pack(0.0f), -y, y);
  const PackMask finite = Pack(__FLT_MAX__) >= magnitude;
  return Select(magnitude > Pack(0.0f), Select(finite, y, x), x);
}

// tanh x within 3 ulp.
inline Pack Tanh(Pack x) {
  const Pack a = Abs(x);
  const Pack x2 = x * x;
  Pack p(-5.70498872745e-3f);
  p = p * x2 + Pack(2.06390887954e-2f);
  p = p * x2 + Pack(-5.37397155531e-2f);
  p = p * x2 + Pack(1.33314422036e-1f);
  p = p * x2 + Pack(-3.33332819422e-1f);
  const Pack small = p * x2 * x + x;
  const Pack e = Exp(a + a);
  const Pack magnitude = Pack(1.0f) - Pack(2.0f) / (e + Pack(1.0f));
  const Pack large = Select(x < Pack(0.0f), -magnitude, magnitude);
  return Select(a < Pack(0.625f), small, large);
}

namespace pack_internal {

// sin(2 pi x) of x moved on by `quarters` quarter turns; |x| < 2^20.
inline Pack Turn(Pack x, int quarters) {
  const Pack k = Round(x * Pack(4.0f));
  const Pack angle = (x - k * Pack(0.25f)) * Pack(6.28318530717958648f);  // [-pi/4, pi/4]
  const Pack a2 = angle * angle;
  Pack sine(-1.9515295891e-4f);
  sine = sine * a2 + Pack(8.3321608736e-3f);
  sine = sine * a2 + Pack(-1.6666654611e-1f);
  sine = sine * a2 * angle + angle;
  Pack cosine(2.443315711809948e-5f);
  cosine = cosine * a2 + Pack(-1.388731625493765e-3f);
  cosine = cosine * a2 + Pack(4.166664568298827e-2f);
  cosine = (cosine * a2 - Pack(0.5f)) * a2 + Pack(1.0f);
  const Pack::Ints quadrant = ToInt(k) + quarters;
  const Pack value = (quadrant & 1) == 0 ? sine.v : cosine.v;
  return FromBits(Bits(value) ^ ((quadrant & 2) << 30));
}

}  // namespace pack_internal

// Absolute error below 2e-7.
inline Pack SinTurn(Pack x) { return pack_internal::Turn(x, 0); }
inline Pack CosTurn(Pack x) { return pack_internal::Turn(x, 1); }

}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_PACK_H_

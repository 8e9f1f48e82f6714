// SPDX-License-Identifier: Apache-2.0
// Scalar bijections column by column, and the base density.
#include <array>

#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"
#include "core/math/affine.h"
#include "core/math/log_tails.h"
#include "core/math/normal.h"

namespace millrace {

using cpu::AddTo;
using cpu::Column;
using cpu::PaddedRows;
using cpu::ToPack;

namespace {

bool IsLogTails(ScalarBijection bijection) {
  return bijection.kind == ScalarBijection::Kind::kLogTails;
}

// Whether any row of a column lies where the logarithm is: few do.
bool HasLogTail(const float* column, int padded_rows) {
  Pack largest(0.0f);
  for (int r = 0; r < padded_rows; r += Pack::kWidth) {
    const Pack size = Abs(Pack::Load(column + r));
    largest = Select(size > largest, size, largest);
  }
  bool any = false;
  for (int i = 0; i < Pack::kWidth; ++i) any |= largest.v[i] > kLogTailsBegin;
  return any;
}

template <typename Map>
void MapLogTails(const Map& map, Matrix x, Vector log_det) {
  for (int c = 0; c < x.cols; ++c) {
    float* column = Column(x, c);
    if (!HasLogTail(column, PaddedRows(x))) continue;
    for (int r = 0; r < PaddedRows(x); r += Pack::kWidth) {
      const Mapped<Pack> z = map(Pack::Load(column + r));
      z.value.Store(column + r);
      AddTo(log_det.data + r, z.log_det);
    }
  }
}

template <typename Adjoint>
void LogTailsBars(const Adjoint& adjoint, ConstMatrix x, ConstVector log_det_bar, Matrix grad) {
  for (int c = 0; c < grad.cols; ++c) {
    if (!HasLogTail(Column(x, c), PaddedRows(x))) continue;
    float* bar = Column(grad, c);
    for (int r = 0; r < PaddedRows(grad); r += Pack::kWidth)
      adjoint(Pack::Load(Column(x, c) + r), Pack::Load(bar + r), ToPack(log_det_bar.data + r))
          .Store(bar + r);
  }
}

}  // namespace

void CpuKernels::BijectionForward(ScalarBijection bijection, ConstMatrix theta, Matrix x,
                                  Vector log_det) const {
  if (IsLogTails(bijection))
    return MapLogTails([](Pack v) { return LogTailsForward(v); }, x, log_det);
  for (int c = 0; c < x.cols; ++c) {
    float* column = Column(x, c);
    const float* t = Column(theta, 2 * c);
    const float* a = Column(theta, 2 * c + 1);
    for (int r = 0; r < PaddedRows(x); r += Pack::kWidth) {
      const Mapped<Pack> z =
          AffineForward(Pack::Load(column + r), Pack::Load(t + r), Pack::Load(a + r));
      z.value.Store(column + r);
      AddTo(log_det.data + r, z.log_det);
    }
  }
}

void CpuKernels::BijectionInverse(ScalarBijection bijection, ConstMatrix theta, Matrix z,
                                  Vector log_det) const {
  if (IsLogTails(bijection))
    return MapLogTails([](Pack v) { return LogTailsInverse(v); }, z, log_det);
  for (int c = 0; c < z.cols; ++c) {
    float* column = Column(z, c);
    const float* t = Column(theta, 2 * c);
    const float* a = Column(theta, 2 * c + 1);
    for (int r = 0; r < PaddedRows(z); r += Pack::kWidth) {
      const Mapped<Pack> x =
          AffineInverse(Pack::Load(column + r), Pack::Load(t + r), Pack::Load(a + r));
      x.value.Store(column + r);
      AddTo(log_det.data + r, x.log_det);
    }
  }
}

void CpuKernels::BijectionAdjoint(ScalarBijection bijection, ConstMatrix theta, ConstMatrix x,
                                  ConstVector log_det_bar, Matrix grad, Matrix theta_bar) const {
  if (IsLogTails(bijection))
    return LogTailsBars([](auto... v) { return LogTailsAdjoint(v...); }, x, log_det_bar, grad);
  for (int c = 0; c < grad.cols; ++c) {
    const float* a = Column(theta, 2 * c + 1);
    for (int r = 0; r < PaddedRows(grad); r += Pack::kWidth) {
      const AffineBar<Pack> bar =
          AffineAdjoint(Pack::Load(Column(x, c) + r), Pack::Load(a + r),
                        Pack::Load(Column(grad, c) + r), ToPack(log_det_bar.data + r));
      bar.x.Store(Column(grad, c) + r);
      bar.t.Store(Column(theta_bar, 2 * c) + r);
      bar.a.Store(Column(theta_bar, 2 * c + 1) + r);
    }
  }
}

void CpuKernels::BijectionAdjointSolve(ScalarBijection bijection, ConstMatrix theta, ConstMatrix x,
                                       ConstVector log_det_bar, Matrix grad,
                                       Matrix theta_bar) const {
  if (IsLogTails(bijection))
    return LogTailsBars([](auto... v) { return LogTailsAdjointSolve(v...); }, x, log_det_bar, grad);
  for (int c = 0; c < grad.cols; ++c) {
    const float* a_column = Column(theta, 2 * c + 1);
    for (int r = 0; r < PaddedRows(grad); r += Pack::kWidth) {
      const Pack a = Pack::Load(a_column + r);
      const Pack z_bar = AffineAdjointSolve(a, Pack::Load(Column(grad, c) + r));
      const AffineBar<Pack> bar =
          AffineAdjoint(Pack::Load(Column(x, c) + r), a, z_bar, ToPack(log_det_bar.data + r));
      z_bar.Store(Column(grad, c) + r);
      bar.t.Store(Column(theta_bar, 2 * c) + r);
      bar.a.Store(Column(theta_bar, 2 * c + 1) + r);
    }
  }
}

void CpuKernels::LogScalePenaltyAdjoint(ScalarBijection, ConstMatrix theta, ConstVector log_det_bar,
                                        double penalty, Matrix theta_bar) const {
  const Pack weight(static_cast<float>(penalty));
  for (int c = 1; c < theta.cols; c += 2) {
    const float* a = Column(theta, c);
    float* a_bar = Column(theta_bar, c);
    for (int r = 0; r < PaddedRows(theta); r += Pack::kWidth) {
      const Pack added =
          millrace::LogScalePenaltyAdjoint(Pack::Load(a + r), ToPack(log_det_bar.data + r), weight);
      (Pack::Load(a_bar + r) + added).Store(a_bar + r);
    }
  }
}

void CpuKernels::Broadcast(Slice slice, Weights weights, Matrix theta) const {
  const float* values = cpu::Data(weights, slice);
  for (int c = 0; c < theta.cols; ++c) std::fill_n(Column(theta, c), PaddedRows(theta), values[c]);
}

void CpuKernels::BroadcastAdjoint(Slice slice, ConstMatrix theta_bar, float sign,
                                  Gradients gradients) const {
  float* bar = cpu::Data(gradients, slice);
  for (int c = 0; c < theta_bar.cols; ++c)
    bar[c] += sign * cpu::SumRows(Column(theta_bar, c), theta_bar.rows);
}

void CpuKernels::NormalLogDensity(ConstMatrix z, Vector log_p) const {
  constexpr double kHalfLogTwoPi = 0.91893853320467274178;
  for (int c = 0; c < z.cols; ++c) {
    const float* column = Column(z, c);
    for (int r = 0; r < PaddedRows(z); ++r) {
      const double value = column[r];
      log_p.data[r] -= 0.5 * value * value + kHalfLogTwoPi;
    }
  }
}

void CpuKernels::NormalLogDensityAdjoint(ConstMatrix z, ConstVector log_p_bar, Matrix grad) const {
  for (int c = 0; c < z.cols; ++c)
    for (int r = 0; r < PaddedRows(z); r += Pack::kWidth)
      (-Pack::Load(Column(z, c) + r) * ToPack(log_p_bar.data + r)).Store(Column(grad, c) + r);
}

void CpuKernels::SampleNormal(std::uint64_t seed, std::uint64_t first_row, double temperature,
                              Matrix z) const {
  const Pack scale(static_cast<float>(temperature));
  for (int quad = 0; 4 * quad < z.cols; ++quad) {
    for (int r = 0; r < PaddedRows(z); r += Pack::kWidth) {
      std::array<Pack, 4> words;
      for (int i = 0; i < Pack::kWidth; ++i) {
        const auto w = NormalWords(seed, first_row + r + i, static_cast<std::uint32_t>(quad));
        for (int k = 0; k < 4; ++k) words[k].v[i] = static_cast<float>(w[k]);
      }
      const NormalPair<Pack> low = BoxMuller(words[0], words[1]);
      const NormalPair<Pack> high = BoxMuller(words[2], words[3]);
      const std::array<Pack, 4> normals = {low.first, low.second, high.first, high.second};
      for (int k = 0; k < 4 && 4 * quad + k < z.cols; ++k)
        (normals[k] * scale).Store(Column(z, 4 * quad + k) + r);
    }
  }
}

}  // namespace millrace

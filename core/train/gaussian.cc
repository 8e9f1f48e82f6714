// SPDX-License-Identifier: Apache-2.0
#include "core/train/gaussian.h"

#include <cmath>
#include <cstddef>

#include "core/base/cholesky.h"
#include "core/score/log_sum.h"

namespace millrace {

absl::StatusOr<Gaussian> Gaussian::Fit(const ColumnModel& columns, RowsView<const double> rows,
                                       std::stop_token stop) {
  Gaussian gaussian(columns);
  const auto dim = static_cast<std::size_t>(columns.dim());
  const auto n = static_cast<double>(rows.rows);
  std::vector<double> centred(dim), sum(dim), covariance(dim * dim);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    gaussian.Centre(rows.row(r), ColumnModel::kBinCentres, centred);
    for (std::size_t i = 0; i < dim; ++i) sum[i] += centred[i];
  }
  for (std::size_t i = 0; i < dim; ++i) gaussian.mean_[i] = sum[i] / n;
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    if (stop.stop_requested()) return absl::CancelledError("training was cancelled");
    gaussian.Centre(rows.row(r), ColumnModel::kBinCentres, centred);
    for (std::size_t i = 0; i < dim; ++i)
      for (std::size_t j = 0; j <= i; ++j) covariance[i * dim + j] += centred[i] * centred[j];
  }
  for (double& entry : covariance) entry /= n;
  for (std::size_t i = 0; i < dim; ++i) {
    const Column& column = columns.columns()[columns.active()[i]];
    covariance[i * dim + i] += BinVariance(column.bin_width, column.deviation);
  }
  gaussian.inverse_root_ = InverseCholesky(covariance, columns.dim());
  for (std::size_t i = 0; i < dim; ++i)
    gaussian.log_scale_ += std::log(gaussian.inverse_root_[i * dim + i]) - 0.91893853320467274178;
  return gaussian;
}

void Gaussian::Centre(std::span<const double> row, int offset, std::span<double> out) const {
  for (int i = 0; i < columns_.dim(); ++i) {
    const int c = columns_.active()[i];
    const Column& column = columns_.columns()[c];
    double value = row[c];
    if (column.bin_width > 0.0) value += (columns_.Position(i, offset) - 0.5) * column.bin_width;
    out[i] = (value - column.mean) / column.deviation - mean_[i];
  }
}

double Gaussian::LogDensity(std::span<const double> centred) const {
  const std::size_t dim = mean_.size();
  double squares = 0.0;
  for (std::size_t i = 0; i < dim; ++i) {
    double z = 0.0;
    for (std::size_t j = 0; j <= i; ++j) z += inverse_root_[i * dim + j] * centred[j];
    squares += z * z;
  }
  return log_scale_ - 0.5 * squares;
}

std::vector<double> Gaussian::LogProb(RowsView<const double> rows) const {
  std::vector<double> log_prob(static_cast<std::size_t>(rows.rows));
  std::vector<double> centred(mean_.size()), of_offsets(columns_.num_offsets());
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (int k = 0; k < columns_.num_offsets(); ++k) {
      Centre(rows.row(r), k, centred);
      of_offsets[k] = LogDensity(centred);
    }
    log_prob[r] = LogMeanExp(of_offsets) - columns_.log_unit();
  }
  return log_prob;
}

}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
#include "core/train/shrinkage.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/base/cholesky.h"
#include "core/base/status_macros.h"

namespace millrace {
namespace {

constexpr double kGrid[] = {0.0, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0};
// A Gaussian of `dim` columns and n rows is about dim / (4 n) nats a row and column worse than one
// of endless rows.
constexpr std::int64_t kEnoughRowsPerColumn = 100;
constexpr std::int64_t kParts = 5;
constexpr int kManyColumns = 128;  // from which one fold has to do
constexpr double kMostWork = 4e10;

absl::Status CheckStop(const std::stop_token& stop) {
  return stop.stop_requested() ? absl::CancelledError("training was cancelled") : absl::OkStatus();
}

struct Part {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t size() const { return end - begin; }
};

// Sum of (x - centre)(x - centre)^T over a part's rows, [dim, dim], lower triangle.
absl::StatusOr<std::vector<double>> ScatterOf(RowsView<const float> rows, Part part,
                                              std::span<const double> centre,
                                              const std::stop_token& stop) {
  const auto dim = static_cast<std::size_t>(rows.cols);
  std::vector<double> scatter(dim * dim), centred(dim);
  for (std::int64_t r = part.begin; r < part.end; ++r) {
    MILLRACE_RETURN_IF_ERROR(CheckStop(stop));
    for (std::size_t i = 0; i < dim; ++i) centred[i] = rows.row(r)[i] - centre[i];
    for (std::size_t i = 0; i < dim; ++i)
      for (std::size_t j = 0; j <= i; ++j) scatter[i * dim + j] += centred[i] * centred[j];
  }
  return scatter;
}

std::vector<double> MeanOf(RowsView<const float> rows, Part left_out) {
  std::vector<double> mean(static_cast<std::size_t>(rows.cols));
  const auto n = static_cast<double>(rows.rows - left_out.size());
  for (std::int64_t r = 0; r < rows.rows; ++r)
    if (r < left_out.begin || r >= left_out.end)
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += rows.row(r)[i] / n;
  return mean;
}

// Sum over `n` rows of their log-density under a Gaussian at the centre they are scattered about,
// less a constant: with W = covariance^(-1/2), n log|W| - tr(W S W^T) / 2.
double LogDensity(std::span<const double> scatter, std::int64_t n,
                  std::span<const double> covariance, int dim) {
  const auto d = static_cast<std::size_t>(dim);
  const std::vector<double> w = InverseCholesky(covariance, dim);
  double sum = 0.0;
  std::vector<double> product(d);  // row i of W S
  for (std::size_t i = 0; i < d; ++i) {
    sum += static_cast<double>(n) * std::log(w[i * d + i]);
    std::ranges::fill(product, 0.0);
    for (std::size_t k = 0; k <= i; ++k)
      for (std::size_t j = 0; j <= k; ++j) {
        const double entry = scatter[k * d + j];
        product[j] += w[i * d + k] * entry;
        if (j < k) product[k] += w[i * d + j] * entry;
      }
    for (std::size_t k = 0; k <= i; ++k) sum -= 0.5 * product[k] * w[i * d + k];
  }
  return sum;
}

// Adds to sums[k] the log-density of the part's rows under the Gaussian of the others, shrunk by
// kGrid[k].
absl::Status AddFold(RowsView<const float> rows, Part part, const std::stop_token& stop,
                     std::span<double> sums) {
  const std::vector<double> mean = MeanOf(rows, part);
  MILLRACE_ASSIGN_OR_RETURN(const std::vector<double> inside, ScatterOf(rows, part, mean, stop));
  MILLRACE_ASSIGN_OR_RETURN(std::vector<double> outside,
                            ScatterOf(rows, {0, part.begin}, mean, stop));
  MILLRACE_ASSIGN_OR_RETURN(const std::vector<double> after,
                            ScatterOf(rows, {part.end, rows.rows}, mean, stop));
  const auto n = static_cast<double>(rows.rows - part.size());
  for (std::size_t i = 0; i < outside.size(); ++i) outside[i] = (outside[i] + after[i]) / n;
  for (std::size_t k = 0; k < std::size(kGrid); ++k) {
    MILLRACE_RETURN_IF_ERROR(CheckStop(stop));
    std::vector<double> covariance = outside;
    Shrink(kGrid[k], rows.cols, covariance);
    sums[k] += LogDensity(inside, part.size(), covariance, rows.cols);
  }
  return absl::OkStatus();
}

}  // namespace

void Shrink(double shrinkage, int dim, std::span<double> covariance) {
  for (int i = 0; i < dim; ++i)
    for (int j = 0; j < dim; ++j)
      if (i != j) covariance[static_cast<std::size_t>(i) * dim + j] *= 1.0 - shrinkage;
}

absl::StatusOr<double> ChooseShrinkage(RowsView<const float> rows, std::stop_token stop) {
  const double work = static_cast<double>(rows.rows) * rows.cols * rows.cols;
  if (rows.cols == 1 || rows.rows < 3 || rows.rows >= kEnoughRowsPerColumn * rows.cols ||
      work > kMostWork)
    return 0.0;
  const std::int64_t parts = std::min(kParts, rows.rows);
  const std::int64_t folds = rows.cols <= kManyColumns ? parts : 1;
  double sums[std::size(kGrid)] = {};
  for (std::int64_t part = 0; part < folds; ++part)
    MILLRACE_RETURN_IF_ERROR(
        AddFold(rows, {rows.rows * part / parts, rows.rows * (part + 1) / parts}, stop, sums));
  return kGrid[std::ranges::max_element(sums) - std::begin(sums)];
}

}  // namespace millrace

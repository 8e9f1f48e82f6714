// SPDX-License-Identifier: Apache-2.0
#include "core/examples/train_vae.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/math/uniform.h"

namespace millrace::examples {
namespace {

constexpr std::uint32_t kBatchStream = 1;

}  // namespace

void TrainVae(RowsView<const float> rows, const VaeTraining& training, const VaeProgress& progress,
              Vae& vae) {
  Rows<float> batch(training.batch_size, rows.cols);
  for (int step = 0; step < training.steps; ++step) {
    const std::uint64_t first = static_cast<std::uint64_t>(step) * training.batch_size;
    for (int b = 0; b < training.batch_size; ++b) {
      const double u = UniformAt(training.seed, kBatchStream, first + b, 0);
      const auto chosen = static_cast<std::int64_t>(u * static_cast<double>(rows.rows));
      std::ranges::copy(rows.row(chosen), batch.view().row(b).begin());
    }
    double elbo = 0.0;
    for (const ElboTerms& terms : vae.ComputeGradient(batch.view(), training.seed, first))
      elbo += terms.elbo() / training.batch_size;
    const double done = static_cast<double>(step) / training.steps;
    vae.Step(training.learning_rate * 0.5 * (1.0 + std::cos(std::numbers::pi * done)));
    if (progress) progress(step + 1, elbo);
  }
}

ElboEstimate EstimateElbo(RowsView<const float> rows, std::uint64_t seed, Vae& vae) {
  constexpr std::int64_t kBlock = 128;
  const auto n = static_cast<double>(rows.rows);
  ElboEstimate mean;
  double squares = 0.0;
  for (std::int64_t first = 0; first < rows.rows; first += kBlock) {
    const auto block = rows.Slice(first, std::min(kBlock, rows.rows - first));
    for (const ElboTerms& terms : vae.Evaluate(block, seed, static_cast<std::uint64_t>(first))) {
      mean.elbo += terms.elbo() / n;
      mean.log_likelihood += terms.log_likelihood / n;
      mean.divergence += terms.divergence() / n;
      squares += terms.elbo() * terms.elbo() / n;
    }
  }
  mean.standard_error = std::sqrt(std::max(0.0, squares - mean.elbo * mean.elbo) / n);
  return mean;
}

}  // namespace millrace::examples

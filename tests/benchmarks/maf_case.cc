// SPDX-License-Identifier: Apache-2.0
#include "tests/benchmarks/maf_case.h"

#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include "core/base/check.h"
#include "core/conditioners/made.h"
#include "core/math/uniform.h"

namespace millrace {

constexpr int kLayers = 5;

MafCase::MafCase(std::vector<int> hidden_sizes, int dim, std::int64_t rows, int threads)
    : hidden_sizes_(std::move(hidden_sizes)),
      backend_(CreateCpuBackend({.threads = threads})),
      flow_(*Flow::Create({.dim = dim,
                           .seed = 1,
                           .stack = StackSpec{.layers = kLayers, .hidden_sizes = hidden_sizes_}})),
      rows_(rows, dim),
      image_(rows, dim),
      log_prob_(static_cast<std::size_t>(rows)) {
  TrainState start;
  start.parameters = flow_->InitialParameters();
  const double scale = 0.2 / std::sqrt(hidden_sizes_.back());
  for (const ParameterLayout::Entry& entry : flow_->layout().entries()) {
    if (entry.name.find("output.weight") == std::string::npos) continue;
    for (int o = 0; o < entry.slice.rows; ++o) {
      float* row =
          &start.parameters[entry.slice.offset + static_cast<std::size_t>(o) * entry.slice.ld];
      const int used = UsedInputs(o);
      for (int i = 0; i < used; ++i)
        row[i] = static_cast<float>((UniformAt(3, 1, o, i) - 0.5) * scale);
    }
  }
  for (std::int64_t r = 0; r < rows; ++r)
    for (int c = 0; c < dim; ++c)
      rows_(r, c) = static_cast<float>(4.0 * UniformAt(2, 1, r, c) - 2.0);
  weights_ = *backend_->Upload(flow_, start.parameters.span());
  session_ = *backend_->StartTraining(flow_, start);
}

void MafCase::LogProb() {
  MILLRACE_CHECK(backend_->LogProb(*weights_, rows_.view(), {}, log_prob_, {}).ok());
}

void MafCase::Forward() {
  MILLRACE_CHECK(backend_->Forward(*weights_, rows_.view(), {}, image_.view(), log_prob_, {}).ok());
}

void MafCase::Inverse() {
  MILLRACE_CHECK(backend_->Inverse(*weights_, rows_.view(), {}, image_.view(), log_prob_, {}).ok());
}

void MafCase::Sample() {
  MILLRACE_CHECK(backend_->Sample(*weights_, 1, 0, 1.0, {}, rows_.view(), {}, {}).ok());
}

void MafCase::TrainStep() {
  MILLRACE_CHECK(std::isfinite(session_->ComputeGradient(rows_.view(), {}).loss));
  session_->Step({.learning_rate = 1e-6});
}

int MafCase::UsedInputs(int output) const {
  int used = 0;
  for (int degree : Made::Degrees(hidden_sizes_.back(), rows_.cols(), 0))
    used += degree <= output / 2;
  return used;
}

double MafCase::Products() const {
  const int dim = rows_.cols();
  double products = 0.0;
  std::vector<int> inputs(static_cast<std::size_t>(dim));
  for (int c = 0; c < dim; ++c) inputs[c] = c + 1;  // degrees of the columns
  for (int size : hidden_sizes_) {
    const std::vector<int> units = Made::Degrees(size, dim, 0);
    for (int unit : units)
      for (int input : inputs) products += input <= unit;
    inputs = units;
  }
  for (int o = 0; o < 2 * dim; ++o) products += UsedInputs(o);
  return kLayers * products;
}

}  // namespace millrace

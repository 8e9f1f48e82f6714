// SPDX-License-Identifier: Apache-2.0
// From rows to a trained Vae, and its ELBO on other rows.
#ifndef MILLRACE_CORE_EXAMPLES_TRAIN_VAE_H_
#define MILLRACE_CORE_EXAMPLES_TRAIN_VAE_H_

#include <cstdint>
#include <functional>

#include "core/base/rows.h"
#include "core/examples/vae.h"

namespace millrace::examples {

struct VaeTraining {
  int steps = 50000;
  int batch_size = 128;
  double learning_rate = 2e-3;  // falls to 0 along half a cosine
  std::uint64_t seed = 1;       // of the batches and of the posterior's noise
};

// Called after each step, from 1, with the mean ELBO of its batch before it.
using VaeProgress = std::function<void(int step, double elbo)>;

// Each step sees a batch drawn from the rows with replacement. `progress` may be empty.
void TrainVae(RowsView<const float> rows, const VaeTraining& training, const VaeProgress& progress,
              Vae& vae);

// Means over rows, one sample of the posterior each.
struct ElboEstimate {
  double elbo = 0.0;
  double standard_error = 0.0;  // of elbo
  double log_likelihood = 0.0;
  double divergence = 0.0;  // of the posterior from the prior
};
ElboEstimate EstimateElbo(RowsView<const float> rows, std::uint64_t seed, Vae& vae);

}  // namespace millrace::examples

#endif  // MILLRACE_CORE_EXAMPLES_TRAIN_VAE_H_

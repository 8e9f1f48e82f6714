// SPDX-License-Identifier: Apache-2.0
// A variational autoencoder of binary rows (Kingma, Welling 2014) with a flow in each of the two
// places that can take one:
//
//   ln p(x) >= ELBO(x) = E_q [ ln p(x | z) + ln p(z) - ln q(z | x) ]
//
//   q(z | x)  z_0 = mu(x) + sigma(x) eps, eps ~ N(0, I), then z = f(z_0; h(x)) with the inverse
//             autoregressive flow f (Kingma et al. 2016); mu, sigma and h are the encoder's outputs
//             ln q(z | x) = ln N(eps) - sum ln sigma - ln|det df/dz_0|
//   p(z)      an autoregressive flow (Chen et al. 2017)
//   p(x | z)  one Bernoulli a pixel, with the decoder's logits
//
// A flow without layers leaves the normal that it starts from: with both empty this is the plain
// VAE.
#ifndef MILLRACE_CORE_EXAMPLES_VAE_H_
#define MILLRACE_CORE_EXAMPLES_VAE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/rows.h"
#include "core/conditioners/network.h"
#include "core/cpu/cpu_kernels.h"
#include "core/examples/adam.h"
#include "core/flow/flow.h"

namespace millrace::examples {

struct VaeSpec {
  int pixels = 64;
  int latent = 8;                                 // columns of z
  int context = 32;                               // columns of h
  std::vector<int> hidden_sizes = {128, 128};     // of encoder and decoder
  std::vector<int> flow_hidden_sizes = {64, 64};  // of each flow layer's network
  int posterior_layers = 0;
  int prior_layers = 0;
  std::uint64_t seed = 1;
};

// Of one row at one sample z of q, in nats.
struct ElboTerms {
  double log_likelihood = 0.0;  // ln p(x | z)
  double log_prior = 0.0;       // ln p(z)
  double log_posterior = 0.0;   // ln q(z | x)

  double divergence() const { return log_posterior - log_prior; }
  double elbo() const { return log_likelihood - divergence(); }
};

// Not thread-safe. Rows x are of 0 and 1, [n, pixels]; a batch is one block and should have about a
// hundred. Row r of a batch draws the noise of (seed, first_row + r).
class Vae {
 public:
  // INVALID_ARGUMENT or RESOURCE_EXHAUSTED where a flow cannot be made so.
  static absl::StatusOr<std::unique_ptr<Vae>> Create(const VaeSpec& spec);

  std::vector<ElboTerms> Evaluate(RowsView<const float> x, std::uint64_t seed,
                                  std::uint64_t first_row);
  // The same, and the gradient of the mean of -ELBO over the rows for these samples.
  std::vector<ElboTerms> ComputeGradient(RowsView<const float> x, std::uint64_t seed,
                                         std::uint64_t first_row);
  // A step of Adam with the last gradient.
  void Step(double learning_rate);

  // The probability of each pixel given z ~ p(z): [rows, pixels].
  Rows<float> Sample(int rows, std::uint64_t seed);

  // What has parameters of its own.
  enum Part { kNetworks, kPosterior, kPrior };
  Trainable& part(Part part) { return parts_[part]; }
  const ParameterLayout& layout(Part part) const;

 private:
  struct Batch;

  Vae(const VaeSpec& spec, std::shared_ptr<const Flow> posterior,
      std::shared_ptr<const Flow> prior);
  Trainable InitialNetworks() const;

  Batch NewBatch(RowsView<const float> x);
  Pass PassOf(Part part, Tape* tape);
  std::vector<ElboTerms> Forward(RowsView<const float> x, std::uint64_t seed,
                                 std::uint64_t first_row, Tape* tape, Batch& batch);
  void Backward(Tape& tape, const Batch& batch);

  const VaeSpec spec_;
  ParameterLayout layout_;  // of both networks
  const Network encoder_;
  const Network decoder_;
  const std::shared_ptr<const Flow> posterior_;
  const std::shared_ptr<const Flow> prior_;
  std::array<Trainable, 3> parts_;
  CpuKernels kernels_;
  Arena arena_;
};

}  // namespace millrace::examples

#endif  // MILLRACE_CORE_EXAMPLES_VAE_H_

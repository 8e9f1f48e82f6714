// SPDX-License-Identifier: Apache-2.0
#include "core/examples/vae.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "core/base/status_macros.h"

namespace millrace::examples {
namespace {

// z_0 = mu + sigma eps as a bijection of eps: theta = (mu, ln sigma) of each column.
constexpr ScalarBijection kGaussian = {ScalarBijection::Kind::kAffine};

NetworkSpec EncoderOf(const VaeSpec& spec) {
  return {.inputs = spec.pixels,
          .outputs = 2 * spec.latent + spec.context,
          .hidden_sizes = spec.hidden_sizes,
          .activation = Activation::kElu};
}

NetworkSpec DecoderOf(const VaeSpec& spec) {
  return {.inputs = spec.latent,
          .outputs = spec.pixels,
          .hidden_sizes = spec.hidden_sizes,
          .activation = Activation::kElu};
}

FlowSpec FlowOf(const VaeSpec& spec, Architecture architecture, int layers, int context) {
  StackSpec stack;
  stack.architecture = architecture;
  stack.layers = layers;
  stack.hidden_sizes = spec.flow_hidden_sizes;
  stack.activation = Activation::kElu;
  return {.dim = spec.latent, .context_dim = context, .seed = spec.seed, .stack = stack};
}

Vector Constant(Arena& arena, int rows, double value) {
  const Vector v = arena.NewVector(rows);
  std::fill_n(v.data, RoundUp(rows, kRowAlign), 0.0);
  std::fill_n(v.data, rows, value);
  return v;
}

// ln p(x) of each row under one Bernoulli a pixel. The logits become the derivative of ln p(x) with
// respect to them.
std::vector<double> BernoulliLogLikelihood(RowsView<const float> x, RowsView<float> logits) {
  std::vector<double> log_p(static_cast<std::size_t>(x.rows), 0.0);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (int c = 0; c < x.cols; ++c) {
      const float a = logits(r, c);
      const float e = std::exp(-std::fabs(a));
      const float probability = (a < 0.0f ? e : 1.0f) / (1.0f + e);
      log_p[r] += x(r, c) * a - std::max(a, 0.0f) - std::log1p(e);
      logits(r, c) = x(r, c) - probability;
    }
  }
  return log_p;
}

}  // namespace

// One batch on its way through the model: what Forward leaves for Backward.
struct Vae::Batch {
  Matrix x;           // [rows, pixels]
  Matrix theta;       // of kGaussian: [rows, 2 latent], the encoder's first outputs
  Matrix h;           // [rows, context], its others
  Matrix encoded;     // theta and h
  Matrix noise;       // eps: [rows, latent]
  Matrix z;           // [rows, latent]
  Matrix z_of_prior;  // z as the prior's LogProb left it
  Matrix logits;      // [rows, pixels]
  Rows<float> slope;  // of ln p(x | z) along the logits
};

absl::StatusOr<std::unique_ptr<Vae>> Vae::Create(const VaeSpec& spec) {
  MILLRACE_ASSIGN_OR_RETURN(
      auto posterior,
      Flow::Create(FlowOf(spec, Architecture::kIaf, spec.posterior_layers, spec.context)));
  MILLRACE_ASSIGN_OR_RETURN(auto prior,
                            Flow::Create(FlowOf(spec, Architecture::kMaf, spec.prior_layers, 0)));
  return std::unique_ptr<Vae>(new Vae(spec, std::move(posterior), std::move(prior)));
}

Vae::Vae(const VaeSpec& spec, std::shared_ptr<const Flow> posterior,
         std::shared_ptr<const Flow> prior)
    : spec_(spec),
      encoder_(EncoderOf(spec), {}, "encoder.", layout_),
      decoder_(DecoderOf(spec), {}, "decoder.", layout_),
      posterior_(std::move(posterior)),
      prior_(std::move(prior)),
      parts_{InitialNetworks(), Trainable(posterior_->InitialParameters()),
             Trainable(prior_->InitialParameters())},
      arena_(kernels_.element_size()) {}

Trainable Vae::InitialNetworks() const {
  ParameterValues values(layout_.size());
  encoder_.Initialise(2 * spec_.seed, values.span());
  decoder_.Initialise(2 * spec_.seed + 1, values.span());
  return Trainable(std::move(values));
}

const ParameterLayout& Vae::layout(Part part) const {
  if (part == kNetworks) return layout_;
  return part == kPosterior ? posterior_->layout() : prior_->layout();
}

Pass Vae::PassOf(Part part, Tape* tape) {
  Trainable& trained = parts_[part];
  return {.kernels = kernels_,
          .arena = arena_,
          .weights = {trained.values.data()},
          .gradients = {trained.gradient.data()},
          .tape = tape};
}

Vae::Batch Vae::NewBatch(RowsView<const float> x) {
  arena_.Reset();
  const auto block = [&](int cols) { return arena_.NewMatrix(static_cast<int>(x.rows), cols); };
  Batch batch;
  batch.x = block(spec_.pixels);
  kernels_.Load(x.data, batch.x);
  batch.encoded = block(2 * spec_.latent + spec_.context);
  batch.theta = batch.encoded.Columns(0, 2 * spec_.latent);
  batch.h = batch.encoded.Columns(2 * spec_.latent, spec_.context);
  for (Matrix* m : {&batch.noise, &batch.z, &batch.z_of_prior}) *m = block(spec_.latent);
  batch.logits = block(spec_.pixels);
  batch.slope = Rows<float>(x.rows, spec_.pixels);
  return batch;
}

std::vector<ElboTerms> Vae::Forward(RowsView<const float> x, std::uint64_t seed,
                                    std::uint64_t first_row, Tape* tape, Batch& batch) {
  const int rows = batch.x.rows;
  Pass networks = PassOf(kNetworks, tape);
  Pass posterior = PassOf(kPosterior, tape);
  Pass prior = PassOf(kPrior, tape);

  encoder_.Forward(networks, batch.x, batch.encoded);
  posterior.context = batch.h;

  // z_0 = mu + sigma eps; z = f(z_0; h). A flow's Inverse is the way from noise to samples.
  const Vector log_noise = Constant(arena_, rows, 0.0);
  const Vector log_sigma = Constant(arena_, rows, 0.0);
  const Vector log_det = arena_.NewVector(rows);
  posterior_->base().Sample(posterior, seed, first_row, 1.0, batch.noise);
  posterior_->base().LogDensity(posterior, batch.noise, log_noise);
  kernels_.Copy(batch.noise, batch.z);
  kernels_.BijectionForward(kGaussian, batch.theta, batch.z, log_sigma);
  posterior_->Inverse(posterior, batch.z, log_det);

  const Vector log_prior = arena_.NewVector(rows);
  kernels_.Copy(batch.z, batch.z_of_prior);
  prior_->LogProb(prior, batch.z_of_prior, log_prior);

  decoder_.Forward(networks, batch.z, batch.logits);
  kernels_.Store(batch.logits, batch.slope.data());
  const std::vector<double> log_likelihood = BernoulliLogLikelihood(x, batch.slope.view());

  std::vector<ElboTerms> terms(rows);
  for (int r = 0; r < rows; ++r)
    terms[r] = {.log_likelihood = log_likelihood[r],
                .log_prior = log_prior.data[r],
                .log_posterior = log_noise.data[r] - log_sigma.data[r] - log_det.data[r]};
  return terms;
}

// The loss is the mean of -ELBO. Each part undoes its step of Forward, last first, as the tape
// demands; what several steps say of z is added up in z_bar.
void Vae::Backward(Tape& tape, const Batch& batch) {
  const int rows = batch.x.rows;
  const ConstVector minus_share = Constant(arena_, rows, -1.0 / rows);
  Pass networks = PassOf(kNetworks, &tape);
  Pass posterior = PassOf(kPosterior, &tape);
  Pass prior = PassOf(kPrior, &tape);
  const Matrix z_bar = arena_.NewMatrix(rows, spec_.latent);
  kernels_.Fill(0.0, z_bar);

  const std::span slope(batch.slope.data(), static_cast<std::size_t>(rows) * spec_.pixels);
  std::vector<float> logits_bar(slope.begin(), slope.end());
  for (float& bar : logits_bar) bar /= static_cast<float>(-rows);
  kernels_.Load(logits_bar.data(), batch.logits);
  decoder_.Backward(networks, batch.z, batch.logits, 1.0f, z_bar);

  prior_->LogProbBackward(prior, batch.z_of_prior, minus_share);  // becomes dL/dz
  kernels_.Add(batch.z_of_prior, z_bar);

  // ln q falls as the log-dets rise: their derivative is that of the ELBO.
  const Matrix encoded_bar = arena_.NewMatrix(rows, batch.encoded.cols);
  kernels_.Fill(0.0, encoded_bar);
  posterior.context = batch.h;
  posterior.context_bar = encoded_bar.Columns(batch.theta.cols, batch.h.cols);
  for (const auto& transform : posterior_->transforms())  // Inverse ended with the first
    transform->InverseBackward(posterior, z_bar, minus_share);
  kernels_.BijectionAdjoint(kGaussian, batch.theta, batch.noise, minus_share, z_bar,
                            encoded_bar.Columns(0, batch.theta.cols));

  const Matrix x_bar = arena_.NewMatrix(rows, spec_.pixels);
  kernels_.Fill(0.0, x_bar);
  encoder_.Backward(networks, batch.x, encoded_bar, 1.0f, x_bar);
}

std::vector<ElboTerms> Vae::Evaluate(RowsView<const float> x, std::uint64_t seed,
                                     std::uint64_t first_row) {
  Batch batch = NewBatch(x);
  return Forward(x, seed, first_row, /*tape=*/nullptr, batch);
}

std::vector<ElboTerms> Vae::ComputeGradient(RowsView<const float> x, std::uint64_t seed,
                                            std::uint64_t first_row) {
  for (Trainable& part : parts_) part.ClearGradient();
  Batch batch = NewBatch(x);
  Tape tape;
  std::vector<ElboTerms> terms = Forward(x, seed, first_row, &tape, batch);
  Backward(tape, batch);
  return terms;
}

void Vae::Step(double learning_rate) {
  for (Trainable& part : parts_) part.Step(learning_rate);
}

Rows<float> Vae::Sample(int rows, std::uint64_t seed) {
  arena_.Reset();
  Pass prior = PassOf(kPrior, /*tape=*/nullptr);
  Pass networks = PassOf(kNetworks, /*tape=*/nullptr);
  const Matrix z = arena_.NewMatrix(rows, spec_.latent);
  prior_->Sample(prior, seed, 0, z, arena_.NewVector(rows));
  const Matrix logits = arena_.NewMatrix(rows, spec_.pixels);
  decoder_.Forward(networks, z, logits);
  Rows<float> pixels(rows, spec_.pixels);
  kernels_.Store(logits, pixels.data());
  for (float& p : std::span(pixels.data(), static_cast<std::size_t>(rows) * spec_.pixels))
    p = 1.0f / (1.0f + std::exp(-p));
  return pixels;
}

}  // namespace millrace::examples

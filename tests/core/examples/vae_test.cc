// SPDX-License-Identifier: Apache-2.0
// The VAE with flows: its gradient, that its posterior is a density, and that it learns.
#include "core/examples/vae.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "core/examples/digits.h"
#include "core/examples/train_vae.h"
#include "core/math/uniform.h"
#include "tests/support/data_folder.h"

namespace millrace::examples {
namespace {

constexpr std::uint64_t kSeed = 5;

struct Flows {
  std::string name;
  int posterior_layers;
  int prior_layers;
  friend std::ostream& operator<<(std::ostream& out, const Flows& f) { return out << f.name; }
};

class VaeTest : public testing::TestWithParam<Flows> {
 protected:
  std::unique_ptr<Vae> NewVae() const {
    VaeSpec spec;
    spec.pixels = kDigitPixels;
    spec.posterior_layers = GetParam().posterior_layers;
    spec.prior_layers = GetParam().prior_layers;
    auto vae = Vae::Create(spec);
    EXPECT_TRUE(vae.ok()) << vae.status();
    return *std::move(vae);
  }
};

// Rows whose pixels are on where a ramp of random direction exceeds a random level: four numbers
// say all about one.
Rows<float> Ramps(int rows) {
  Rows<float> ramps(rows, kDigitPixels);
  for (int r = 0; r < rows; ++r) {
    const auto u = [&](std::uint32_t c) { return 2.0 * UniformAt(kSeed, 1, r, c) - 1.0; };
    for (int p = 0; p < kDigitPixels; ++p) {
      const int row = p / kDigitSide, column = p % kDigitSide;
      const double y = row - 3.5, x = column - 3.5;
      ramps(r, p) = u(0) * x + u(1) * y + u(2) * x * y / 4.0 > u(3) ? 1.0f : 0.0f;
    }
  }
  return ramps;
}

// ln p of the rows under one Bernoulli a pixel that knows the frequencies of `known` alone: what a
// VAE has that makes nothing of z.
double IndependentPixels(RowsView<const float> known, RowsView<const float> rows) {
  double total = 0.0;
  for (int p = 0; p < rows.cols; ++p) {
    double on = 0.5;
    for (std::int64_t r = 0; r < known.rows; ++r) on += known(r, p);
    const double frequency = on / (static_cast<double>(known.rows) + 1.0);
    for (std::int64_t r = 0; r < rows.rows; ++r)
      total += std::log(rows(r, p) > 0.5f ? frequency : 1.0 - frequency);
  }
  return total / static_cast<double>(rows.rows);
}

double MeanElbo(const std::vector<ElboTerms>& terms) {
  double sum = 0.0;
  for (const ElboTerms& t : terms) sum += t.elbo();
  return sum / static_cast<double>(terms.size());
}

// A model a little way along its training, so that no part is at its special start.
void Train(int steps, Vae& vae) {
  TrainVae(Ramps(512).view(), {.steps = steps, .batch_size = 64, .seed = kSeed}, {}, vae);
}

// A range of a part's parameters.
struct Range {
  Vae::Part part;
  std::size_t begin;
  std::size_t end;
};

// Each part, and what of the encoder computes h alone, whose share of a whole gradient is small.
std::vector<Range> Ranges(const Vae& vae) {
  std::vector<Range> ranges;
  for (const Vae::Part part : {Vae::kNetworks, Vae::kPosterior, Vae::kPrior})
    if (vae.layout(part).size() > 0) ranges.push_back({part, 0, vae.layout(part).size()});
  for (const ParameterLayout::Entry& entry : vae.layout(Vae::kNetworks).entries()) {
    if (entry.name != "encoder.output.weight" || vae.layout(Vae::kPosterior).size() == 0) continue;
    const std::size_t end = entry.slice.offset + entry.slice.extent();
    const auto context = static_cast<std::size_t>(VaeSpec().context);
    ranges.push_back({Vae::kNetworks, end - context * entry.slice.ld, end});
  }
  return ranges;
}

// Along the gradient g of a range of parameters, the loss has the slope |g|.
TEST_P(VaeTest, GradientIsTheSlopeOfTheElbo) {
  const std::unique_ptr<Vae> vae = NewVae();
  Train(100, *vae);
  const Rows<float> rows = Ramps(100);
  const double here = MeanElbo(vae->ComputeGradient(rows.view(), kSeed, 0));
  EXPECT_EQ(MeanElbo(vae->Evaluate(rows.view(), kSeed, 0)), here);
  for (const Range& range : Ranges(*vae)) {
    Trainable& part = vae->part(range.part);
    double norm = 0.0;
    for (std::size_t i = range.begin; i < range.end; ++i)
      norm += double{part.gradient[i]} * part.gradient[i];
    norm = std::sqrt(norm);
    ASSERT_GT(norm, 0.02);
    constexpr double kStep = 5e-3;
    const auto elbo_at = [&](double distance) {
      const ParameterValues kept = part.values;
      for (std::size_t i = range.begin; i < range.end; ++i)
        part.values[i] += static_cast<float>(distance * part.gradient[i] / norm);
      const double elbo = MeanElbo(vae->Evaluate(rows.view(), kSeed, 0));
      part.values = kept;
      return elbo;
    };
    const double slope = (elbo_at(-kStep) - elbo_at(kStep)) / (2.0 * kStep);
    EXPECT_NEAR(slope, norm, 1e-3 * norm);
  }
}

// E_q [p(z) / q(z | x)] = 1 for every x: it would not be with a wrong log-determinant.
TEST_P(VaeTest, PosteriorAndPriorAreDensities) {
  const std::unique_ptr<Vae> vae = NewVae();
  Train(20, *vae);
  constexpr int kRepeats = 400;
  const Rows<float> rows = Ramps(128);
  double sum = 0.0, squares = 0.0;
  for (int i = 0; i < kRepeats; ++i) {
    for (const ElboTerms& t : vae->Evaluate(rows.view(), kSeed, std::uint64_t{128} * i)) {
      const double weight = std::exp(-t.divergence());
      sum += weight;
      squares += weight * weight;
    }
  }
  const double n = 128.0 * kRepeats;
  const double mean = sum / n;
  const double error = std::sqrt((squares / n - mean * mean) / n);
  EXPECT_LT(error, 0.005);
  EXPECT_NEAR(mean, 1.0, 4.0 * error);
}

TEST_P(VaeTest, ElboOfDigitsRises) {
  const auto path = DataFolder() / "images" / "train-images-idx3-ubyte.gz";
  const absl::StatusOr<Rows<float>> digits = ReadDigits(path.string());
  if (absl::IsNotFound(digits.status())) GTEST_SKIP() << digits.status();
  ASSERT_TRUE(digits.ok()) << digits.status();
  const auto known = digits->view().Slice(0, 50000);
  const auto held_out = digits->view().Slice(59000, 1000);
  const std::unique_ptr<Vae> vae = NewVae();
  // At first every pixel is as likely on as off, and q is p.
  EXPECT_NEAR(EstimateElbo(held_out, kSeed, *vae).elbo, -kDigitPixels * std::log(2.0), 1e-3);
  TrainVae(known, {.steps = 600, .batch_size = 64}, {}, *vae);
  EXPECT_GT(EstimateElbo(held_out, kSeed, *vae).elbo, IndependentPixels(known, held_out) + 0.5);
  const Rows<float> samples = vae->Sample(16, kSeed);
  for (int p = 0; p < kDigitPixels; ++p) EXPECT_TRUE(samples(0, p) > 0.0f && samples(0, p) < 1.0f);
}

INSTANTIATE_TEST_SUITE_P(Flows, VaeTest,
                         testing::Values(Flows{"None", 0, 0}, Flows{"Posterior", 3, 0},
                                         Flows{"Prior", 0, 3}, Flows{"Both", 2, 2}),
                         [](const auto& flows) { return flows.param.name; });

}  // namespace
}  // namespace millrace::examples

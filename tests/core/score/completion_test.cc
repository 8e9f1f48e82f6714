// SPDX-License-Identifier: Apache-2.0
// Completions against conditionals that are known.
#include "core/score/completion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/score/density.h"
#include "tests/support/random_parameters.h"

namespace millrace {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// z = W x + b with z standard normal: a Gaussian of precision W'W about -W^-1 b.
std::shared_ptr<Model> GaussianModel() {
  auto model = std::make_shared<Model>();
  model->columns = *ColumnModel::FromColumns({{.name = "a", .center = 10.0, .scale = 4.0},
                                              {.name = "b", .center = -1.0, .scale = 0.5},
                                              {.name = "c"}});
  model->spec.dim = 3;
  model->spec.chain = std::vector<LayerSpec>{{.linear = LinearLayer{}}};
  const auto flow = *Flow::Create(model->spec);
  model->parameters = AsFloats(RandomParameters(*flow, 5));
  return model;
}

// W and b of the flow, by its own Encode, in the user's units.
struct Affine {
  double w[3][3];
  double b[3];
};
Affine AffineOf(const Density& density) {
  Rows<double> points(4, 3);
  for (int i = 0; i < 3; ++i) points(1 + i, i) = 1.0;
  const Rows<double> z = *density.Encode(points.view(), {});
  Affine map{};
  for (int k = 0; k < 3; ++k) {
    map.b[k] = z(0, k);
    for (int i = 0; i < 3; ++i) map.w[k][i] = z(1 + i, k) - z(0, k);
  }
  return map;
}

// Of columns 0 and 2 given column 1: mean and covariance. The exponent is |W x + b|^2 / 2, so the
// precision is that of W's columns 0 and 2.
struct Conditional {
  double mean[2];
  double covariance[2][2];
};
Conditional ConditionalOf(const Affine& map, double observed) {
  const int m[2] = {0, 2};
  double precision[2][2] = {}, pull[2] = {};
  for (int k = 0; k < 3; ++k)
    for (int i = 0; i < 2; ++i) {
      pull[i] -= map.w[k][m[i]] * (map.b[k] + map.w[k][1] * observed);
      for (int j = 0; j < 2; ++j) precision[i][j] += map.w[k][m[i]] * map.w[k][m[j]];
    }
  const double det = precision[0][0] * precision[1][1] - precision[0][1] * precision[1][0];
  Conditional c{};
  c.covariance[0][0] = precision[1][1] / det;
  c.covariance[1][1] = precision[0][0] / det;
  c.covariance[0][1] = c.covariance[1][0] = -precision[0][1] / det;
  for (int i = 0; i < 2; ++i)
    c.mean[i] = c.covariance[i][0] * pull[0] + c.covariance[i][1] * pull[1];
  return c;
}

class GaussianCompletionTest : public testing::Test {
 protected:
  GaussianCompletionTest() : backend_(CreateCpuBackend({.threads = 2})) {
    density_ = *Density::Create(GaussianModel(), *backend_);
  }
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<const Density> density_;
};

TEST_F(GaussianCompletionTest, TheMostLikelyIsTheConditionalMean) {
  Rows<double> rows(3, 3);
  for (int r = 0; r < 3; ++r) {
    rows(r, 0) = rows(r, 2) = kNaN;
    rows(r, 1) = -1.0 + 0.4 * r;
  }
  const auto done = density_->Complete(rows.view(), {}, {});
  ASSERT_TRUE(done.ok()) << done.status();
  const Affine map = AffineOf(*density_);
  for (int r = 0; r < 3; ++r) {
    const Conditional expected = ConditionalOf(map, rows(r, 1));
    EXPECT_TRUE(done->converged[r]);
    EXPECT_EQ(done->rows(r, 1), rows(r, 1));
    EXPECT_NEAR(done->rows(r, 0), expected.mean[0], 2e-3 * std::sqrt(expected.covariance[0][0]));
    EXPECT_NEAR(done->rows(r, 2), expected.mean[1], 2e-3 * std::sqrt(expected.covariance[1][1]));
    EXPECT_EQ(done->log_prob[r], density_->LogProb(done->rows.view().Slice(r, 1), {})->log_prob[0]);
  }
  EXPECT_TRUE(done->acceptance.empty());
}

TEST_F(GaussianCompletionTest, DrawsHaveTheConditionalMeanAndCovariance) {
  constexpr int kDraws = 4000;
  Rows<double> rows(1, 3);
  rows(0, 0) = rows(0, 2) = kNaN;
  rows(0, 1) = -0.3;
  const auto done = density_->Complete(rows.view(), {.draws = kDraws, .steps = 100}, {});
  ASSERT_TRUE(done.ok()) << done.status();
  const Conditional expected = ConditionalOf(AffineOf(*density_), -0.3);
  const int m[2] = {0, 2};
  double mean[2] = {}, covariance[2][2] = {}, acceptance = 0.0;
  for (int k = 0; k < kDraws; ++k) {
    EXPECT_EQ(done->rows(k, 1), -0.3);
    acceptance += done->acceptance[k] / kDraws;
    for (int i = 0; i < 2; ++i) mean[i] += done->rows(k, m[i]) / kDraws;
  }
  for (int k = 0; k < kDraws; ++k)
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 2; ++j)
        covariance[i][j] +=
            (done->rows(k, m[i]) - mean[i]) * (done->rows(k, m[j]) - mean[j]) / kDraws;
  EXPECT_GT(acceptance, 0.3);
  EXPECT_LT(acceptance, 0.95);
  const double error = 5.0 / std::sqrt(kDraws);  // five deviations of independent draws
  for (int i = 0; i < 2; ++i) {
    const double deviation = std::sqrt(expected.covariance[i][i]);
    EXPECT_NEAR(mean[i], expected.mean[i], error * deviation);
    for (int j = 0; j < 2; ++j)
      EXPECT_NEAR(covariance[i][j], expected.covariance[i][j],
                  error * 1.5 * deviation * std::sqrt(expected.covariance[j][j]));
  }
  for (int k = 0; k < 5; ++k)
    EXPECT_EQ(done->log_prob[k], density_->LogProb(done->rows.view().Slice(k, 1), {})->log_prob[0]);
}

// Nothing known: samples of the model, and its mode.
TEST_F(GaussianCompletionTest, ARowOfWhichNothingIsKnown) {
  Rows<double> rows(1, 3);
  for (int c = 0; c < 3; ++c) rows(0, c) = kNaN;
  const auto mode = density_->Complete(rows.view(), {}, {});
  ASSERT_TRUE(mode.ok()) << mode.status();
  const Rows<double> z = *density_->Encode(mode->rows.view(), {});
  for (int c = 0; c < 3; ++c) EXPECT_NEAR(z(0, c), 0.0, 3e-3);
  const auto draws = density_->Complete(rows.view(), {.draws = 2000}, {});
  ASSERT_TRUE(draws.ok()) << draws.status();
  EXPECT_EQ(draws->acceptance[7], 1.0);
  const Rows<double> latent = *density_->Encode(draws->rows.view(), {});
  for (int c = 0; c < 3; ++c) {
    double mean = 0.0, square = 0.0;
    for (int k = 0; k < 2000; ++k) {
      mean += latent(k, c) / 2000;
      square += latent(k, c) * latent(k, c) / 2000;
    }
    EXPECT_NEAR(mean, 0.0, 0.12);
    EXPECT_NEAR(square, 1.0, 0.16);
  }
}

}  // namespace
}  // namespace millrace

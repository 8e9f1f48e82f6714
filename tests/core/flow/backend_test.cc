// SPDX-License-Identifier: Apache-2.0
// The processor's backend: what it promises about threads, batches and cancellation, to the bit.
#include <gtest/gtest.h>

#include <cmath>
#include <stop_token>
#include <thread>
#include <vector>

#include "tests/core/flow/backend_fixture.h"
#include "tests/support/engines.h"

namespace millrace {
namespace {

TEST_F(BackendTest, ThreadsChangeNoBitOfARowsResults) {
  const auto one = NewBackend(1);
  const std::vector<double> log_prob = LogProbOf(*one, 0, kRows);
  const Output sample = SampleOf(*one, 0, kRows);
  for (const int threads : {2, 3, 8}) {
    const auto many = NewBackend(threads);
    ExpectSameBits<double>(LogProbOf(*many, 0, kRows), log_prob);
    const Output other = SampleOf(*many, 0, kRows);
    ExpectSameBits<double>(other.values, sample.values);
    ExpectSameBits<float>(All(other.rows), All(sample.rows));
  }
}

TEST_F(BackendTest, ARowAloneIsTheSameRowInAnyBatch) {
  const auto backend = NewBackend(2);
  const std::vector<double> log_prob = LogProbOf(*backend, 0, kRows);
  const Output sample = SampleOf(*backend, 0, kRows);
  for (const int count : {1, 2, 16, 63, 64, 65}) {
    for (int begin = 0; begin + count <= kRows; begin += 61) {
      ExpectSameBits<double>(LogProbOf(*backend, begin, count),
                             std::span(log_prob).subspan(begin, count));
      const Output part = SampleOf(*backend, begin, count);
      ExpectSameBits<double>(part.values,
                             std::span<const double>(sample.values).subspan(begin, count));
      ExpectSameBits<float>(All(part.rows),
                            All(sample.rows).subspan(begin * flow_->dim(), count * flow_->dim()));
    }
  }
}

TEST_F(BackendTest, AgreesWithThePlainKernels) {
  const auto backend = NewBackend(2);
  const Point point = ExactPoint();
  const std::vector<double> log_prob = LogProbOf(*backend, 0, kRows);
  const std::vector<double> exact = LogProb(*PlainEngine().kernels, *flow_, point);
  for (int r = 0; r < kRows; ++r)
    EXPECT_NEAR(log_prob[r], exact[r], 1e-4 * std::max(1.0, std::fabs(exact[r])));

  Rows<float> z(kRows, flow_->dim()), back(kRows, flow_->dim());
  std::vector<double> log_det(kRows), back_log_det(kRows);
  const auto weights = Upload(*backend);
  ASSERT_TRUE(backend->Forward(*weights, x_.view(), context_.view(), z.view(), log_det, {}).ok());
  ASSERT_TRUE(
      backend->Inverse(*weights, z.view(), context_.view(), back.view(), back_log_det, {}).ok());
  const Image image = Apply(*PlainEngine().kernels, *flow_, Direction::kForward, point);
  for (int r = 0; r < kRows; ++r) {
    EXPECT_NEAR(log_det[r], image.log_det[r], 1e-4);
    EXPECT_NEAR(back_log_det[r], -log_det[r], 1e-3);
    for (int c = 0; c < flow_->dim(); ++c) {
      EXPECT_NEAR(z(r, c), image.rows(r, c), 1e-4 * std::max(1.0, MaxAbs(Values(image.rows))));
      EXPECT_NEAR(back(r, c), x_(r, c), 1e-3);
    }
  }
}

TEST_F(BackendTest, SamplesCarryTheirLogProb) {
  const auto backend = NewBackend(2);
  const Output sample = SampleOf(*backend, 0, kRows);
  std::vector<double> log_prob(kRows);
  ASSERT_TRUE(
      backend->LogProb(*Upload(*backend), sample.rows.view(), context_.view(), log_prob, {}).ok());
  for (int r = 0; r < kRows; ++r) EXPECT_NEAR(sample.values[r], log_prob[r], 2e-3);
}

// With a linear layer in front, too, where nothing stands above the diagonal of its U.
class ChainTermsTest : public BackendTest, public testing::WithParamInterface<bool> {};

TEST_P(ChainTermsTest, SplitATriangularDensity) {
  const auto backend = NewBackend(2);
  const StackSpec maf{.layers = 2,
                      .hidden_sizes = {24, 24},
                      .mixing = Mixing::kNone,
                      .act_norm = true,
                      .whiten = GetParam()};
  const auto flow = *Flow::Create({.dim = 7, .context_dim = kContext, .seed = 5, .stack = maf});
  ParameterValues parameters = AsFloats(RandomParameters(*flow, 3));
  for (const ParameterLayout::Entry& entry : flow->layout().entries())
    if (entry.name.ends_with("lu.upper"))
      std::fill_n(parameters.data() + entry.slice.offset, entry.slice.extent(), 0.0f);
  const auto weights = *backend->Upload(flow, parameters.span());
  const auto terms_of = [&](const Rows<float>& x) {
    Rows<double> terms(kRows, 7);
    EXPECT_TRUE(backend->ChainTerms(*weights, x.view(), context_.view(), terms.view(), {}).ok());
    return terms;
  };
  const Rows<double> terms = terms_of(x_);
  std::vector<double> log_prob(kRows);
  ASSERT_TRUE(backend->LogProb(*weights, x_.view(), context_.view(), log_prob, {}).ok());
  for (int r = 0; r < kRows; ++r) {
    double sum = 0.0;
    for (int c = 0; c < 7; ++c) sum += terms(r, c);
    EXPECT_NEAR(sum, log_prob[r], 1e-9 * std::max(1.0, std::fabs(log_prob[r])));
  }
  // log p(x_i | x_<i) does not depend on later columns, and does on its own.
  for (int moved = 0; moved < 7; ++moved) {
    Rows<float> x = x_;
    for (int r = 0; r < kRows; ++r) x(r, moved) += 1.0f;
    const Rows<double> other = terms_of(x);
    for (int r = 0; r < kRows; ++r) {
      for (int c = 0; c < moved; ++c) ASSERT_EQ(other(r, c), terms(r, c)) << moved << " " << c;
      ASSERT_NE(other(r, moved), terms(r, moved));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Whiten, ChainTermsTest, testing::Bool());

TEST_F(BackendTest, ChainTermsNeedColumnOrder) {
  const auto backend = NewBackend(1);
  Rows<double> terms(kRows, flow_->dim());
  EXPECT_EQ(
      backend->ChainTerms(*Upload(*backend), x_.view(), context_.view(), terms.view(), {}).code(),
      absl::StatusCode::kFailedPrecondition);
}

TEST_F(BackendTest, RefusesAContextOfAnotherWidth) {
  const auto backend = NewBackend(1);
  std::vector<double> log_prob(kRows);
  const Rows<float> wide(kRows, kContext + 1);
  const absl::Status status =
      backend->LogProb(*Upload(*backend), x_.view(), wide.view(), log_prob, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
}

TEST_F(BackendTest, MomentsAreThoseOfTheRows) {
  const auto backend = NewBackend(2);
  const Moments moments =
      *backend->ComputeMoments(*flow_, parameters_.span(), 0, x_.view(), context_.view(), {});
  for (int i = 0; i < flow_->dim(); ++i) {
    double mean = 0.0;
    for (int r = 0; r < kRows; ++r) mean += static_cast<double>(x_(r, i)) / kRows;
    EXPECT_NEAR(moments.mean[i], mean, 1e-12);
  }
  for (int i = 0; i < flow_->dim(); ++i)
    for (int j = 0; j < flow_->dim(); ++j) {
      double covariance = 0.0;
      for (int r = 0; r < kRows; ++r)
        covariance += (x_(r, i) - moments.mean[i]) * (x_(r, j) - moments.mean[j]) / kRows;
      EXPECT_NEAR(moments.covariance[i * flow_->dim() + j], covariance, 1e-12);
    }
}

TEST_F(BackendTest, StopsWhenAsked) {
  std::stop_source source;
  source.request_stop();
  for (const int threads : {1, 4}) {
    const auto backend = NewBackend(threads);
    std::vector<double> log_prob(kRows);
    EXPECT_EQ(
        backend
            ->LogProb(*Upload(*backend), x_.view(), context_.view(), log_prob, source.get_token())
            .code(),
        absl::StatusCode::kCancelled);
  }
}

TEST_F(BackendTest, NoRowsIsNoWork) {
  const auto backend = NewBackend(2);
  EXPECT_TRUE(LogProbOf(*backend, 0, 0).empty());
  EXPECT_TRUE(SampleOf(*backend, 0, 0).values.empty());
}

TEST_F(BackendTest, ManyCallersShareOneBackend) {
  const auto backend = NewBackend(3);
  const std::vector<double> expected = LogProbOf(*backend, 0, kRows);
  const Output sample = SampleOf(*backend, 0, 100);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int i = 0; i < 5; ++i) {
        ExpectSameBits<double>(LogProbOf(*backend, 0, kRows), expected);
        ExpectSameBits<double>(SampleOf(*backend, 0, 100).values, sample.values);
      }
    });
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
// The processor's backend: what it promises about threads, batches and cancellation, to the bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
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
  for (const bool wanted : {true, false}) {
    const Moments moments = *backend->ComputeMoments(x_.view(), wanted, {});
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
        EXPECT_NEAR(moments.covariance[i * flow_->dim() + j], wanted || i == j ? covariance : 0.0,
                    1e-12);
      }
  }
}

// Bit for bit, wherever the way is interrupted and however many threads go it.
TEST_F(BackendTest, RowsAdvanceToTheLatentSpaceInAnyNumberOfParts) {
  const int transforms = static_cast<int>(flow_->transforms().size());
  const auto backend = NewBackend(1);
  Rows<float> z(kRows, flow_->dim());
  std::vector<double> log_det(kRows);
  ASSERT_TRUE(
      backend->Forward(*Upload(*backend), x_.view(), context_.view(), z.view(), log_det, {}).ok());
  for (const int threads : {1, 3}) {
    for (const int part : {1, 4, transforms}) {
      Rows<float> rows = x_;
      for (int t = 0; t < transforms; t += part)
        ASSERT_TRUE(NewBackend(threads)
                        ->Advance(*flow_, parameters_.span(), t, std::min(t + part, transforms),
                                  context_.view(), rows.view(), {})
                        .ok());
      ExpectSameBits<float>(All(rows), All(z));
    }
  }
  Rows<float> rows = x_;
  EXPECT_EQ(backend->Advance(*flow_, parameters_.span(), 0, 1, {}, rows.view(), {}).code(),
            absl::StatusCode::kInvalidArgument);
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

// Every row is asked for once, in blocks that begin at multiples of kRowAlign; what a block's host
// adds as log_det is in its values; a block that is not wanted is not taken.
TEST_F(BackendTest, BatchesArePulledBlockByBlock) {
  for (const int threads : {1, 3}) {
    const auto backend = NewBackend(threads);
    const std::vector<double> expected = LogProbOf(*backend, 0, kRows);
    std::vector<double> values(kRows, 0.0);
    std::vector<std::atomic<int>> loaded(kRows);
    constexpr std::int64_t kUnwanted = 200;  // the row whose block is passed over
    std::atomic<int> passed_over = 0;
    const auto load = [&](const RowBlock& block) {
      EXPECT_EQ(block.first % kRowAlign, 0);
      for (int r = 0; r < block.count; ++r) {
        std::ranges::copy(x_.view().row(block.first + r), block.x + r * x_.cols());
        std::ranges::copy(context_.view().row(block.first + r), block.context + r * kContext);
        EXPECT_EQ(block.log_det[r], 0.0);
        block.log_det[r] = static_cast<double>(block.first + r);
        ++loaded[block.first + r];
      }
      if (kUnwanted < block.first || kUnwanted >= block.first + block.count) return true;
      passed_over = block.count;
      return false;
    };
    const auto take = [&](const BlockResult& result) {
      std::ranges::copy(result.values, values.begin() + result.first);
    };
    ASSERT_TRUE(backend->LogProb(*Upload(*backend), kRows, load, take, {}).ok());
    for (const auto& times : loaded) EXPECT_EQ(times, 1);
    int left_out = 0;
    for (int r = 0; r < kRows; ++r) {
      if (values[r] == 0.0)
        ++left_out;
      else
        EXPECT_EQ(values[r], expected[r] + r);
    }
    EXPECT_GT(left_out, 0);
    EXPECT_EQ(left_out, passed_over);
  }
}

// Callers' code runs with the floating point of the standard, whatever kernels run with.
TEST_F(BackendTest, DenormalsCountWhereRowsAreLoadedAndTaken) {
  const auto backend = NewBackend(2);
  const volatile double tiny = 1e-310;
  std::atomic<int> lost = 0;
  const auto look = [&] { lost += tiny * 0.5 == 0.0 || tiny == 0.0 ? 1 : 0; };
  const auto load = [&](const RowBlock& block) {
    look();
    std::fill_n(block.x, block.count * x_.cols(), 0.0f);
    std::fill_n(block.context, block.count * kContext, 0.0f);
    return true;
  };
  const auto take = [&](const BlockResult&) { look(); };
  ASSERT_TRUE(backend->LogProb(*Upload(*backend), kRows, load, take, {}).ok());
  ASSERT_TRUE(backend->Inverse(*Upload(*backend), kRows, load, take, {}).ok());
  EXPECT_EQ(lost, 0);
}

TEST_F(BackendTest, SamplesOfOneBlockHaveKeysOfTheirOwn) {
  const auto backend = NewBackend(2);
  const auto weights = Upload(*backend);
  std::vector<SampleKey> keys;
  for (std::uint64_t r = 0; r < kRows; ++r)
    keys.push_back({r % 5, 1000 - 3 * r, 0.5 + 0.001 * static_cast<double>(r)});
  Rows<float> rows(kRows, flow_->dim());
  std::vector<double> log_prob(kRows);
  const auto load = [&](const SampleBlock& block) {
    std::ranges::copy(std::span(keys).subspan(block.first, block.keys.size()), block.keys.begin());
    std::copy_n(context_.data() + block.first * kContext, block.keys.size() * kContext,
                block.context);
    return true;
  };
  const auto take = [&](const BlockResult& result) {
    std::copy_n(result.rows.data, result.rows.rows * rows.cols(),
                rows.data() + result.first * rows.cols());
    std::ranges::copy(result.values, log_prob.begin() + result.first);
  };
  ASSERT_TRUE(
      backend->Sample(*weights, kRows, load, take, Backend::SampleValues::kLogProb, {}).ok());
  for (int r = 0; r < kRows; r += 7) {
    const auto [seed, row, temperature] = keys[r];
    Output alone{Rows<float>(1, flow_->dim()), std::vector<double>(1)};
    ASSERT_TRUE(backend
                    ->Sample(*weights, seed, row, temperature, context_.view().Slice(r, 1),
                             alone.rows.view(), alone.values, {})
                    .ok());
    ExpectSameBits<float>(All(alone.rows), All(rows).subspan(r * rows.cols(), rows.cols()));
    EXPECT_EQ(alone.values[0], log_prob[r]);
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

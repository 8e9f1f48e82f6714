// SPDX-License-Identifier: Apache-2.0
#include "core/cpu/moments.h"

#include <gtest/gtest.h>

#include <stop_token>
#include <vector>

#include "core/math/uniform.h"

namespace millrace {
namespace {

Rows<float> SomeRows(std::int64_t n, int dim) {
  Rows<float> rows(n, dim);
  for (std::int64_t r = 0; r < n; ++r)
    for (int c = 0; c < dim; ++c)
      rows(r, c) = static_cast<float>(UniformAt(2, 1, static_cast<std::uint64_t>(r), c) +
                                      (c > 0 ? 0.5 * rows(r, c - 1) : 100.0));
  return rows;
}

TEST(MomentsTest, AreMeansAndCovarianceAtEveryWidth) {
  Lanes lanes(2);
  for (const int dim : {1, 31, 32, 33, 70}) {
    const Rows<float> rows = SomeRows(50, dim);
    const auto moments = MomentsOf(rows.view(), true, lanes, {});
    ASSERT_TRUE(moments.ok());
    std::vector<double> mean(dim);
    for (int r = 0; r < 50; ++r)
      for (int c = 0; c < dim; ++c) mean[c] += rows(r, c) / 50.0;
    for (int i = 0; i < dim; ++i) {
      EXPECT_NEAR(moments->mean[i], mean[i], 1e-12);
      for (int j = 0; j < dim; ++j) {
        double expected = 0.0;
        for (int r = 0; r < 50; ++r)
          expected += (rows(r, i) - mean[i]) * (rows(r, j) - mean[j]) / 50.0;
        EXPECT_NEAR(moments->covariance[i * dim + j], expected, 1e-12) << i << " " << j;
      }
    }
  }
}

TEST(MomentsTest, VariancesAloneAreTheSame) {
  Lanes lanes(2);
  const Rows<float> rows = SomeRows(50, 70);
  const Moments all = *MomentsOf(rows.view(), true, lanes, {});
  const Moments alone = *MomentsOf(rows.view(), false, lanes, {});
  EXPECT_EQ(alone.mean, all.mean);
  for (int i = 0; i < 70; ++i)
    for (int j = 0; j < 70; ++j)
      EXPECT_EQ(alone.covariance[i * 70 + j], i == j ? all.covariance[i * 70 + j] : 0.0);
}

TEST(MomentsTest, ThreadsChangeNoBit) {
  const Rows<float> rows = SomeRows(300, 100);
  Lanes one(1);
  const Moments expected = *MomentsOf(rows.view(), true, one, {});
  for (const int threads : {2, 5}) {
    Lanes many(threads);
    const Moments moments = *MomentsOf(rows.view(), true, many, {});
    EXPECT_EQ(moments.mean, expected.mean);
    EXPECT_EQ(moments.covariance, expected.covariance);
  }
}

TEST(MomentsTest, StopWhenAsked) {
  std::stop_source source;
  source.request_stop();
  Lanes lanes(2);
  EXPECT_EQ(MomentsOf(SomeRows(10, 3).view(), true, lanes, source.get_token()).status().code(),
            absl::StatusCode::kCancelled);
}

TEST(MomentsTest, NoRowsHaveNone) {
  Lanes lanes(1);
  const Moments moments = *MomentsOf(SomeRows(0, 2).view(), true, lanes, {});
  EXPECT_EQ(moments.mean, std::vector<double>(2));
  EXPECT_EQ(moments.covariance, std::vector<double>(4));
}

}  // namespace
}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
#include "core/score/calibration.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace millrace {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const std::vector<double> kLogProbs = {-5, -3, -3, -1, 0, 2, 2, 2, 7};  // n = 9

TEST(TailProbabilityTest, CountsRowsAtOrBelow) {
  const struct {
    double log_prob;
    double expected;
  } cases[] = {{-kInfinity, 0.1}, {-5.1, 0.1}, {-5, 0.2}, {-4, 0.2}, {-3, 0.4},          {0, 0.6},
               {1.9, 0.6},        {2, 0.9},    {7, 1.0},  {99, 1.0}, {std::nan(""), 0.1}};
  for (const auto& c : cases) EXPECT_DOUBLE_EQ(TailProbability(kLogProbs, c.log_prob), c.expected);
  EXPECT_EQ(TailProbability({}, 3.0), 1.0);
}

TEST(CheckRateTest, RefusesWhatTheRowsCannotResolve) {
  for (const double rate : {0.0, 1.0, -0.1, 1.5, kInfinity, std::nan("")})
    EXPECT_EQ(CheckRate(kLogProbs, rate).code(), absl::StatusCode::kInvalidArgument) << rate;
  EXPECT_EQ(CheckRate(kLogProbs, 0.099).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CheckRate({}, 0.5).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(CheckRate(kLogProbs, 0.1).ok());
  EXPECT_TRUE(CheckRate(kLogProbs, 0.999).ok());
}

// Below the threshold exactly the rows whose tail probability is at most the rate.
TEST(ThresholdTest, AgreesWithTailProbability) {
  for (double rate = 0.1; rate < 1.0; rate += 0.01) {
    const double threshold = Threshold(kLogProbs, rate);
    for (double x = -6; x < 8; x += 0.25)
      EXPECT_EQ(x < threshold, TailProbability(kLogProbs, x) <= rate) << x << " at rate " << rate;
  }
  EXPECT_EQ(Threshold(kLogProbs, 0.1), -5);
  EXPECT_EQ(Threshold(kLogProbs, 0.2), -3);
  EXPECT_EQ(Threshold(kLogProbs, 0.3), -3);  // tied rows stand together
}

}  // namespace
}  // namespace millrace

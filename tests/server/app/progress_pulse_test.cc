// SPDX-License-Identifier: Apache-2.0
#include "server/app/progress_pulse.h"

#include <cmath>

#include "gtest/gtest.h"

namespace millrace {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1000);

absl::Time At(int milliseconds) { return kStart + absl::Milliseconds(milliseconds); }

TrainProgress Epoch(int epoch) {
  TrainProgress progress;
  progress.epoch = epoch;
  progress.elapsed = absl::Seconds(epoch);
  progress.eta = absl::Milliseconds(300);
  return progress;
}

TEST(ProgressPulse, SpeaksUpBeforeTheFirstEpochEnds) {
  ProgressPulse pulse(kStart);
  EXPECT_FALSE(pulse.Take(At(799)));
  const auto progress = pulse.Take(At(800));
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->epoch, 0);
  EXPECT_TRUE(std::isnan(progress->train_nats));
  EXPECT_TRUE(std::isnan(progress->validation_nats));
  EXPECT_TRUE(std::isnan(progress->best_validation_nats));
  EXPECT_EQ(progress->elapsed, absl::Milliseconds(800));
  EXPECT_EQ(progress->eta, absl::InfiniteDuration()) << "not known";
}

TEST(ProgressPulse, SendsNewsSoonButNotTooOften) {
  ProgressPulse pulse(kStart);
  pulse.Update(Epoch(1), At(10));
  EXPECT_FALSE(pulse.Take(At(199)));
  ASSERT_TRUE(pulse.Take(At(200)));
  pulse.Update(Epoch(2), At(210));
  pulse.Update(Epoch(3), At(220));
  EXPECT_FALSE(pulse.Take(At(399)));
  const auto latest = pulse.Take(At(400));
  ASSERT_TRUE(latest);
  EXPECT_EQ(latest->epoch, 3);
}

TEST(ProgressPulse, RepeatsTheLatestWithItsTimesCarriedForward) {
  ProgressPulse pulse(kStart);
  pulse.Update(Epoch(1), At(0));
  ASSERT_TRUE(pulse.Take(At(200)));
  EXPECT_FALSE(pulse.Take(At(999)));
  const auto again = pulse.Take(At(1000));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->epoch, 1);
  EXPECT_EQ(again->elapsed, absl::Seconds(2));
  EXPECT_EQ(again->eta, absl::ZeroDuration());
}

}  // namespace
}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
#include "server/app/query.h"

#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "server/app/work_queue.h"
#include "tests/server/support/own_status.h"

namespace millrace {
namespace {

class RecordingMetrics : public Metrics {
 public:
  void Computed(const std::string& model, std::uint64_t version, const Computation& c) override {
    const std::lock_guard lock(mutex);
    computed.push_back(model + "/" + std::to_string(version) + "/" + std::to_string(c.rows));
  }
  std::mutex mutex;
  std::vector<std::string> computed;
};

class QueryTest : public testing::Test {
 protected:
  absl::Status Run(std::function<absl::Status()> compute,
                   absl::Time deadline = absl::InfiniteFuture()) {
    std::promise<absl::Status> done;
    queue_.Submit(
        {.operation = Operation::kScore,
         .model = model_,
         .rows = 5,
         .deadline = deadline,
         .stop = {},
         .compute = std::move(compute),
         .done = [&done](const absl::Status& status) { done.set_value(OwnStatus(status)); }});
    return done.get_future().get();
  }

  RecordingMetrics metrics_;
  WorkQueue queue_{{}, {}, 1, metrics_};
  ModelHandle model_ = std::make_shared<ServedModel>(
      ServedModel{.name = "moons", .version = 3, .state = absl::OkStatus(), .density = nullptr});
};

TEST_F(QueryTest, ComputesAndCounts) {
  EXPECT_TRUE(Run([] { return absl::OkStatus(); }).ok());
  EXPECT_EQ(metrics_.computed, std::vector<std::string>{"moons/3/5"});
}

TEST_F(QueryTest, PassesErrorsOnAndDoesNotCountThem) {
  EXPECT_EQ(Run([] { return absl::InvalidArgumentError("row 3"); }),
            absl::InvalidArgumentError("row 3"));
  EXPECT_TRUE(metrics_.computed.empty());
}

TEST_F(QueryTest, ExceptionsEndAtTheWall) {
  EXPECT_TRUE(absl::IsInternal(Run([]() -> absl::Status { throw std::runtime_error("x"); })));
  EXPECT_TRUE(absl::IsInternal(Run([]() -> absl::Status { throw 42; })));
  EXPECT_TRUE(absl::IsResourceExhausted(Run([]() -> absl::Status { throw std::bad_alloc(); })));
}

TEST(CheckStillWantedTest, Table) {
  const absl::Time now = absl::FromUnixSeconds(1000);
  const absl::Duration second = absl::Seconds(1);
  EXPECT_TRUE(CheckStillWanted(now, now + second, false).ok());
  EXPECT_TRUE(CheckStillWanted(now, absl::InfiniteFuture(), false).ok());
  EXPECT_TRUE(absl::IsCancelled(CheckStillWanted(now, now + second, true)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(CheckStillWanted(now, now, false)));
  // A deadline that passes also requests the stop: it is the deadline that counts.
  EXPECT_TRUE(absl::IsDeadlineExceeded(CheckStillWanted(now, now - second, true)));
}

TEST(GivenUpFromTest, ALittleBeforeTheDeadline) {
  const absl::Time start = absl::UnixEpoch();
  EXPECT_EQ(GivenUpFrom(start, start + absl::Seconds(30)), start + absl::Milliseconds(29690));
  EXPECT_EQ(GivenUpFrom(start, start + absl::Milliseconds(50)), start + absl::Microseconds(39500));
  EXPECT_EQ(GivenUpFrom(start, start + absl::Milliseconds(5)), start);
  EXPECT_EQ(GivenUpFrom(start, absl::InfiniteFuture()), absl::InfiniteFuture());
}

TEST_F(QueryTest, ACancellationByTheDeadlineIsADeadline) {
  const auto cancelled = [] {
    absl::SleepFor(absl::Milliseconds(20));
    return absl::CancelledError("stopped");
  };
  EXPECT_TRUE(absl::IsDeadlineExceeded(Run(cancelled, absl::Now() + absl::Milliseconds(5))));
  EXPECT_TRUE(absl::IsCancelled(Run(cancelled)));
}

TEST_F(QueryTest, ARefusalIsDoneToo) {
  queue_.Drain();
  EXPECT_TRUE(absl::IsUnavailable(Run([] { return absl::OkStatus(); })));
}

}  // namespace
}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
#include "server/app/training_jobs.h"

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "core/cpu/cpu_backend.h"
#include "gtest/gtest.h"
#include "tests/server/support/small_model.h"
#include "tests/server/support/temp_folder.h"

namespace millrace {
namespace {

using Result = absl::StatusOr<ModelHandle>;

class TrainingJobsTest : public testing::Test {
 protected:
  TrainingJobsTest() { repository_ = *ModelRepository::Open(folder_.path(), *backend_, metrics_); }

  // Whose trainings are all this one.
  std::unique_ptr<TrainingJobs> Jobs(int max_trainings, Training train) {
    train_ = std::move(train);
    return std::make_unique<TrainingJobs>(max_trainings, *repository_, metrics_);
  }

  static absl::StatusOr<Model> AtOnce(const ProgressCallback&, const std::stop_token&) {
    return SmallModel();
  }

  static absl::StatusOr<Model> UntilStopped(const ProgressCallback&, const std::stop_token& stop) {
    while (!stop.stop_requested()) absl::SleepFor(absl::Milliseconds(1));
    return absl::CancelledError("stopped");
  }

  TrainingJobs::Job MakeJob(
      std::promise<Result>& done,
      std::function<void(const TrainProgress&)> on_progress = [](const TrainProgress&) {}) {
    TrainingJobs::Job job;
    job.train = train_;
    job.on_progress = std::move(on_progress);
    job.on_done = [&done](Result result) { done.set_value(std::move(result)); };
    return job;
  }

  Training train_;
  TempFolder folder_;
  Metrics metrics_;
  const std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 1});
  std::unique_ptr<ModelRepository> repository_;
};

TEST_F(TrainingJobsTest, TrainsAndPublishes) {
  std::promise<Result> done;
  auto jobs = Jobs(1, [](const ProgressCallback& progress, const std::stop_token& stop) {
    return AtOnce(progress, stop);
  });
  auto slot = jobs->Reserve("moons", {});
  ASSERT_TRUE(slot.ok());
  jobs->Start(*std::move(slot), MakeJob(done));
  const Result result = done.get_future().get();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((*result)->version, 1U);
  EXPECT_TRUE(repository_->Get("moons", 1).ok());
}

TEST_F(TrainingJobsTest, OneTrainingANameAndSoManyAtOnce) {
  auto jobs = Jobs(2, AtOnce);
  auto first = jobs->Reserve("a", {});
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(absl::IsAborted(jobs->Reserve("a", {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(jobs->Reserve("../a", {}).status()));
  auto second = jobs->Reserve("b", {});
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(absl::IsUnavailable(jobs->Reserve("c", {}).status()));
  *first = {};
  EXPECT_TRUE(jobs->Reserve("a", {}).ok());
}

TEST_F(TrainingJobsTest, TheNameIsFreeWhenItIsDone) {
  auto jobs = Jobs(1, AtOnce);
  for (std::uint64_t version = 1; version <= 20; ++version) {
    auto slot = jobs->Reserve("moons", {});
    ASSERT_TRUE(slot.ok()) << slot.status();
    std::promise<Result> done;
    jobs->Start(*std::move(slot), MakeJob(done));
    EXPECT_EQ((*done.get_future().get())->version, version);
  }
}

TEST_F(TrainingJobsTest, ACancelledTrainingPublishesNothing) {
  auto jobs = Jobs(1, UntilStopped);
  std::stop_source stop;
  std::promise<Result> done;
  jobs->Start(*jobs->Reserve("moons", stop), MakeJob(done));
  stop.request_stop();
  EXPECT_TRUE(absl::IsCancelled(done.get_future().get().status()));
  EXPECT_TRUE(absl::IsNotFound(repository_->Get("moons", 0).status()));
}

TEST_F(TrainingJobsTest, AStopThatComesAfterTheLastStepPublishesNothing) {
  std::stop_source stop;
  auto jobs = Jobs(
      1, [stop](const ProgressCallback&, const std::stop_token&) mutable -> absl::StatusOr<Model> {
        stop.request_stop();
        return SmallModel();
      });
  std::promise<Result> done;
  jobs->Start(*jobs->Reserve("moons", stop), MakeJob(done));
  EXPECT_TRUE(absl::IsCancelled(done.get_future().get().status()));
  EXPECT_TRUE(absl::IsNotFound(repository_->Get("moons", 0).status()));
}

TEST_F(TrainingJobsTest, ExceptionsEndAtTheWall) {
  auto jobs = Jobs(1, [](const ProgressCallback&, const std::stop_token&) -> absl::StatusOr<Model> {
    throw std::runtime_error("x");
  });
  std::promise<Result> done;
  jobs->Start(*jobs->Reserve("moons", {}), MakeJob(done));
  EXPECT_TRUE(absl::IsInternal(done.get_future().get().status()));
  EXPECT_TRUE(jobs->Reserve("moons", {}).ok());
}

TEST_F(TrainingJobsTest, ShutdownEndsTrainingsAndTakesNoMore) {
  auto jobs = Jobs(2, UntilStopped);
  std::promise<Result> a, b;
  jobs->Start(*jobs->Reserve("a", {}), MakeJob(a));
  jobs->Start(*jobs->Reserve("b", {}), MakeJob(b));
  std::stop_source uploading;
  EXPECT_TRUE(absl::IsUnavailable(jobs->Reserve("c", uploading).status()));
  jobs->Shutdown();
  EXPECT_TRUE(absl::IsUnavailable(a.get_future().get().status()));
  EXPECT_TRUE(absl::IsUnavailable(b.get_future().get().status()));
  EXPECT_TRUE(absl::IsUnavailable(jobs->Reserve("d", {}).status()));
}

TEST_F(TrainingJobsTest, StopWaitsForNoTraining) {
  std::promise<void> started, release;
  auto jobs =
      Jobs(1, [&](const ProgressCallback&, const std::stop_token&) -> absl::StatusOr<Model> {
        started.set_value();
        release.get_future().wait();
        return absl::CancelledError("stopped");
      });
  std::stop_source stop;
  std::promise<Result> done;
  jobs->Start(*jobs->Reserve("moons", stop), MakeJob(done));
  started.get_future().wait();
  jobs->Stop();
  EXPECT_TRUE(stop.stop_requested());
  EXPECT_TRUE(absl::IsUnavailable(jobs->Reserve("other", {}).status()));
  release.set_value();
  EXPECT_TRUE(absl::IsUnavailable(done.get_future().get().status()));
}

TEST_F(TrainingJobsTest, ShutdownStopsWhoStillUploads) {
  auto jobs = Jobs(1, AtOnce);
  std::stop_source uploading;
  auto slot = jobs->Reserve("a", uploading);
  jobs->Shutdown();
  EXPECT_TRUE(uploading.stop_requested());
  std::promise<Result> done;
  jobs->Start(*std::move(slot), MakeJob(done));
  EXPECT_TRUE(absl::IsUnavailable(done.get_future().get().status()));
}

TEST_F(TrainingJobsTest, ASlotMayOutliveTheJobs) {
  auto jobs = Jobs(1, AtOnce);
  auto slot = jobs->Reserve("a", {});
  jobs.reset();
  *slot = {};
}

TEST_F(TrainingJobsTest, ProgressComesInOrderAndNeverAfterTheEnd) {
  auto jobs = Jobs(
      1, [](const ProgressCallback& progress, const std::stop_token&) -> absl::StatusOr<Model> {
        for (int epoch = 1; epoch <= 100; ++epoch) {
          TrainProgress news;
          news.epoch = epoch;
          progress(news);
          absl::SleepFor(absl::Milliseconds(6));
        }
        return SmallModel();
      });
  std::atomic<bool> ended{false};
  std::atomic<int> messages{0};
  std::int64_t last = 0;
  std::promise<Result> done;
  TrainingJobs::Job job = MakeJob(done, [&](const TrainProgress& progress) {
    EXPECT_FALSE(ended.load());
    EXPECT_GE(progress.epoch, last);
    last = progress.epoch;
    messages.fetch_add(1);
  });
  job.on_done = [&](Result result) {
    ended.store(true);
    done.set_value(std::move(result));
  };
  jobs->Start(*jobs->Reserve("moons", {}), std::move(job));
  EXPECT_TRUE(done.get_future().get().ok());
  EXPECT_GE(messages.load(), 1);
  EXPECT_LE(messages.load(), 10);
}

}  // namespace
}  // namespace millrace

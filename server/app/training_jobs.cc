// SPDX-License-Identifier: Apache-2.0
#include "server/app/training_jobs.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"
#include "server/app/exception_wall.h"
#include "server/app/log.h"
#include "server/app/progress_pulse.h"

namespace millrace {

// Names being trained, with what stops each. Slots share it, so that they may outlive the jobs.
struct TrainingJobs::Registry {
  std::mutex mutex;
  std::map<std::string, std::stop_source> active;  // guarded by mutex
  bool closed = false;                             // guarded by mutex
};

struct TrainingJobs::Place {
  Place(std::shared_ptr<Registry> r, std::string n, std::stop_source s)
      : registry(std::move(r)), name(std::move(n)), stop(std::move(s)) {}
  ~Place() {
    const std::lock_guard lock(registry->mutex);
    registry->active.erase(name);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  const std::shared_ptr<Registry> registry;
  const std::string name;
  const std::stop_source stop;
};

struct TrainingJobs::Running {
  Running(std::shared_ptr<Place> p, Job j)
      : place(std::move(p)), job(std::move(j)), pulse(absl::Now()) {}

  std::shared_ptr<Place> place;
  Job job;
  std::mutex mutex;     // held while on_progress runs
  ProgressPulse pulse;  // guarded by mutex
  bool ended = false;   // guarded by mutex
};

TrainingJobs::TrainingJobs(int max_trainings, ModelRepository& repository, Metrics& metrics)
    : repository_(repository), metrics_(metrics), registry_(std::make_shared<Registry>()) {
  for (int i = 0; i < max_trainings; ++i) workers_.emplace_back([this] { Work(); });
  pulse_ = std::jthread([this](const std::stop_token& stop) { Pulse(stop); });
}

TrainingJobs::~TrainingJobs() { Shutdown(); }

absl::StatusOr<TrainingJobs::Slot> TrainingJobs::Reserve(const std::string& name,
                                                         std::stop_source stop) {
  MILLRACE_RETURN_IF_ERROR(repository_.CheckMayPublish(name));
  const std::lock_guard lock(registry_->mutex);
  if (registry_->closed) return absl::UnavailableError("the server is shutting down");
  if (registry_->active.contains(name)) {
    return absl::AbortedError(absl::StrCat("another training of model ", name, " is running"));
  }
  if (registry_->active.size() >= workers_.size()) {
    return absl::UnavailableError(absl::StrCat(
        registry_->active.size(), " trainings are running (--max_trainings); retry later"));
  }
  registry_->active.emplace(name, stop);
  return Slot(std::make_shared<Place>(registry_, name, std::move(stop)));
}

void TrainingJobs::Start(Slot slot, Job job) {
  auto running = std::make_shared<Running>(std::move(slot.place_), std::move(job));
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) waiting_.push_back(std::exchange(running, nullptr));
  }
  wake_.notify_all();
  if (running == nullptr) return;
  running->place.reset();
  running->job.on_done(absl::UnavailableError("the server is shutting down"));
}

void TrainingJobs::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return !waiting_.empty() || closed_; });
    if (waiting_.empty()) return;
    const std::shared_ptr<Running> running = std::move(waiting_.front());
    waiting_.pop_front();
    running_.push_back(running);
    metrics_.TrainingsRunning(static_cast<int>(running_.size()));
    lock.unlock();
    wake_.notify_all();  // the pulse

    absl::StatusOr<ModelHandle> result = Train(*running);
    {
      const std::lock_guard no_progress(running->mutex);
      running->ended = true;
    }
    metrics_.TrainingEnded(running->place->name);

    lock.lock();
    std::erase(running_, running);
    metrics_.TrainingsRunning(static_cast<int>(running_.size()));
    lock.unlock();
    running->place.reset();  // whoever hears that it is done may train the name again
    running->job.on_done(std::move(result));
    lock.lock();
  }
}

absl::StatusOr<ModelHandle> TrainingJobs::Train(Running& running) {
  const std::string& name = running.place->name;
  const std::stop_token stop = running.place->stop.get_token();
  Log(LogLevel::kInfo, "training started", {{"model", name}});
  const auto progress = [&](const TrainProgress& news) {
    metrics_.TrainingLoss(name, -news.train_nats, -news.validation_nats);
    const std::lock_guard lock(running.mutex);
    running.pulse.Update(news, absl::Now());
  };
  ModelHandle published;
  absl::Status status = BehindExceptionWall([&]() -> absl::Status {
    MILLRACE_ASSIGN_OR_RETURN(Model model, running.job.train(progress, stop));
    running.job.train = nullptr;
    if (stop.stop_requested()) return absl::CancelledError("training was cancelled");
    MILLRACE_ASSIGN_OR_RETURN(published, repository_.Publish(name, std::move(model)));
    metrics_.ModelReport(name, published->version, published->density->model().report);
    return absl::OkStatus();
  });
  if (status.ok()) {
    Log(LogLevel::kInfo, "training published", {{"model", name}, {"version", published->version}});
    return published;
  }
  {
    const std::lock_guard lock(registry_->mutex);
    if (registry_->closed && absl::IsCancelled(status)) {
      status = absl::UnavailableError("the server is shutting down");
    }
  }
  Log(LogLevel::kWarning, "training failed",
      {{"model", name}, {"reason", status.ToString(absl::StatusToStringMode::kWithNoExtraData)}});
  return status;
}

void TrainingJobs::Pulse(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    wake_.wait(lock, stop, [this] { return !running_.empty(); });
    const std::vector<std::shared_ptr<Running>> all = running_;
    lock.unlock();
    for (const auto& running : all) {
      const std::lock_guard progress(running->mutex);
      if (running->ended) continue;
      if (const auto news = running->pulse.Take(absl::Now())) running->job.on_progress(*news);
    }
    lock.lock();
    wake_.wait_for(lock, stop, absl::ToChronoMilliseconds(ProgressPulse::kTick),
                   [] { return false; });
  }
}

void TrainingJobs::Stop() {
  std::map<std::string, std::stop_source> active;
  {
    const std::lock_guard lock(registry_->mutex);
    registry_->closed = true;
    active = registry_->active;
  }
  for (auto& [name, stop] : active) stop.request_stop();
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  wake_.notify_all();
}

void TrainingJobs::Shutdown() {
  Stop();
  workers_.clear();
  pulse_ = {};
}

}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
// Trainings, each on a thread of its own, that end in the publication of a model.
#ifndef MILLRACE_SERVER_APP_TRAINING_JOBS_H_
#define MILLRACE_SERVER_APP_TRAINING_JOBS_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "core/train/train_model.h"
#include "server/app/metrics.h"
#include "server/app/model_repository.h"

namespace millrace {

// Makes a model: TrainModel, FitDensity or Distill with all they need.
using Training =
    std::function<absl::StatusOr<Model>(const ProgressCallback& progress, std::stop_token stop)>;

// Thread-safe.
class TrainingJobs {
  struct Place;

 public:
  // At most `max_trainings` >= 1 at once. `repository` and `metrics` outlive the jobs.
  TrainingJobs(int max_trainings, ModelRepository& repository, Metrics& metrics);
  ~TrainingJobs();  // as Shutdown

  // The right to train one name, held from the first word of a request to the end of its training.
  // Destroying it gives it back.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&&) = default;
    Slot& operator=(Slot&&) = default;
    bool held() const { return place_ != nullptr; }

   private:
    friend class TrainingJobs;
    explicit Slot(std::shared_ptr<Place> place) : place_(std::move(place)) {}
    std::shared_ptr<Place> place_;
  };

  // `stop` ends this training; the server requests it too, at Stop. As
  // ModelRepository::CheckMayPublish; ABORTED when this name is being trained, UNAVAILABLE when too
  // many are or the server ends.
  absl::StatusOr<Slot> Reserve(const std::string& name, std::stop_source stop);

  struct Job {
    Training train;  // called once, on a thread of ours, and destroyed with what it holds
    // On a thread of ours; returns soon. Figures are NaN before the first epoch ends.
    std::function<void(const TrainProgress&)> on_progress;
    // Called exactly once, after the last on_progress. CANCELLED when stopped, UNAVAILABLE when the
    // server ended; else as `train` and ModelRepository::Publish. Throws nothing.
    std::function<void(absl::StatusOr<ModelHandle>)> on_done;
  };
  // Starts at once: a slot is a thread. After Stop only on_done is called, before this returns.
  void Start(Slot slot, Job job);

  // Stops all trainings and takes no more; does not wait.
  void Stop();
  // As Stop; waits for every on_done.
  void Shutdown();

 private:
  struct Running;
  struct Registry;

  void Work();
  void Pulse(const std::stop_token& stop);
  absl::StatusOr<ModelHandle> Train(Running& running);

  ModelRepository& repository_;
  Metrics& metrics_;
  const std::shared_ptr<Registry> registry_;  // who trains what; outlived by no slot

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<std::shared_ptr<Running>> waiting_;  // guarded by mutex_, as the next two
  std::vector<std::shared_ptr<Running>> running_;
  bool closed_ = false;
  std::vector<std::jthread> workers_;
  std::jthread pulse_;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_TRAINING_JOBS_H_

// SPDX-License-Identifier: Apache-2.0
// What the caller of Train sends: a spec, then the table in chunks.
#ifndef MILLRACE_SERVER_RPC_TRAIN_UPLOAD_H_
#define MILLRACE_SERVER_RPC_TRAIN_UPLOAD_H_

#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "core/train/train_model.h"
#include "millrace/v1/train_messages.pb.h"
#include "server/app/app.h"
#include "server/app/training_jobs.h"
#include "server/rpc/training_table.h"

namespace millrace {

// Not thread-safe.
class TrainUpload {
 public:
  // `app` outlives the upload; `stop` is the call's.
  TrainUpload(const App& app, std::stop_source stop)
      : app_(app), stop_(std::move(stop)), table_(app.config.limits) {}

  // Takes the next message; the spec reserves the place of the training. INVALID_ARGUMENT for what
  // is malformed or out of turn; else as TrainingJobs::Reserve, ReadTrainSpec,
  // TrainingTable::Append and CheckWidth.
  absl::Status Take(const v1::TrainRequest& message);
  // INVALID_ARGUMENT unless a training can start on what has come.
  absl::Status CheckComplete() const;
  // What to tell the caller then.
  v1::TrainAccepted Accepted() const;

  // The place of the training; none before the spec, or where it was refused.
  TrainingJobs::Slot TakeSlot() { return std::move(slot_); }
  // What to train, its callbacks unset.
  TrainingJobs::Job TakeJob();

 private:
  absl::Status TakeSpec(const v1::TrainSpec& spec);

  const App& app_;
  const std::stop_source stop_;
  TrainingJobs::Slot slot_;
  std::string name_;
  TrainRequest request_;
  TrainingTable table_;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_TRAIN_UPLOAD_H_

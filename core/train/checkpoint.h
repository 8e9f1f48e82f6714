// SPDX-License-Identifier: Apache-2.0
// Keeps a training run's state in a file, so that a run that was cut short goes on bit for bit.
#ifndef MILLRACE_CORE_TRAIN_CHECKPOINT_H_
#define MILLRACE_CORE_TRAIN_CHECKPOINT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/rows.h"
#include "core/exec/parameters.h"
#include "core/flow/flow_spec.h"
#include "core/train/fit.h"
#include "core/train/train_model.h"

namespace millrace {

// Does nothing when the request names no path. Not thread-safe.
class Checkpoint {
 public:
  // Remembers what the run is about: a checkpoint of another table, spec or choice of options is
  // not taken for this run's.
  Checkpoint(const TrainRequest& request, const FlowSpec& spec, const FitOptions& options,
             RowsView<const double> rows);

  // Fills `state` from the file when there is one. FAILED_PRECONDITION when it belongs to another
  // run, DATA_LOSS when it is damaged.
  absl::Status Resume(const ParameterLayout& layout, FitState& state) const;

  // Writes `state`, durably, when the interval since the last time is over.
  absl::Status Keep(const FitState& state);

  // The run is over: the file is of no more use.
  void Remove() const;

 private:
  std::string path_;
  absl::Duration interval_;
  absl::Time last_;
  std::string fingerprint_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_CHECKPOINT_H_

// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/train_upload.h"

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "server/rpc/train_spec.h"

namespace millrace {

absl::Status TrainUpload::Take(const v1::TrainRequest& message) {
  switch (message.message_case()) {
    case v1::TrainRequest::kSpec:
      return TakeSpec(message.spec());
    case v1::TrainRequest::kChunk:
      if (!slot_.held())
        return InvalidArgument("chunk", "the first message", "a spec before any chunk");
      MILLRACE_RETURN_IF_ERROR(table_.Append(message.chunk()));
      return CheckWidth(request_, table_.cols(), app_.config.limits);
    case v1::TrainRequest::MESSAGE_NOT_SET:
      break;
  }
  return InvalidArgument("message", "nothing", "a spec or a chunk");
}

absl::Status TrainUpload::TakeSpec(const v1::TrainSpec& spec) {
  if (slot_.held())
    return InvalidArgument("spec", "a second spec", "one spec, as the first message");
  MILLRACE_ASSIGN_OR_RETURN(slot_, app_.trainings.Reserve(spec.name(), stop_));
  name_ = spec.name();
  MILLRACE_ASSIGN_OR_RETURN(request_, ReadTrainSpec(spec, app_.config.limits));
  return absl::OkStatus();
}

absl::Status TrainUpload::CheckComplete() const {
  if (!slot_.held()) return InvalidArgument("spec", "nothing", "a spec, as the first message");
  if (table_.rows() == 0) return InvalidArgument("chunk", "nothing", "at least one chunk of rows");
  if (table_.rows() < kMinRows) {
    return InvalidArgument("chunk", absl::StrCat(table_.rows(), " rows"),
                           absl::StrCat("a table of at least ", kMinRows, " rows"));
  }
  return absl::OkStatus();
}

v1::TrainAccepted TrainUpload::Accepted() const {
  v1::TrainAccepted accepted;
  accepted.set_name(name_);
  accepted.set_rows(static_cast<std::uint64_t>(table_.rows()));
  accepted.set_cols(static_cast<std::uint32_t>(table_.cols()));
  return accepted;
}

TrainingJobs::Job TrainUpload::TakeJob() {
  TrainingJobs::Job job;
  job.train = [request = std::move(request_), columns = table_.cols(), values = table_.TakeValues(),
               &backend = app_.backend](const ProgressCallback& progress, std::stop_token stop) {
    const RowsView<const double> rows{values.data(),
                                      static_cast<std::int64_t>(values.size()) / columns, columns};
    return TrainModel(request, rows, backend, progress, std::move(stop));
  };
  return job;
}

}  // namespace millrace

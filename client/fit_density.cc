// SPDX-License-Identifier: Apache-2.0
// Client::FitDensity.
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/client.h"
#include "client/wire.h"

namespace millrace::client {
namespace {

using FitStream = grpc::ClientReaderWriter<v1::FitDensityRequest, v1::FitDensityResponse>;

absl::Status CheckValues(const DensityValues& values, const Table& points) {
  if (absl::Status status = CheckTable(values.gradient); !status.ok()) return status;
  if (std::ssize(values.log_density) == points.rows && values.gradient.rows == points.rows &&
      values.gradient.cols == points.cols)
    return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the density gave ", values.log_density.size(),
                                                 " values and a gradient of ", values.gradient.rows,
                                                 " x ", values.gradient.cols, " for ", points.rows,
                                                 " points of ", points.cols, " columns"));
}

// Evaluates the density at the points and sends what it is there. An error is the density's.
absl::Status Answer(const v1::DensityPoints& points, const DensityFunction& density,
                    FitStream& stream) {
  if (!density) return absl::InternalError("the server sent points to a client without a density");
  const absl::StatusOr<Table> rows = FromMatrix(points.rows());
  if (!rows.ok()) return rows.status();
  const absl::StatusOr<DensityValues> values = density(*rows);
  if (!values.ok()) return values.status();
  if (absl::Status status = CheckValues(*values, *rows); !status.ok()) return status;
  v1::FitDensityRequest request;
  v1::DensityValues& answer = *request.mutable_values();
  answer.set_id(points.id());
  answer.mutable_log_density()->Assign(values->log_density.begin(), values->log_density.end());
  *answer.mutable_gradient() = ToMatrix(values->gradient, 0, rows->rows);
  stream.Write(request);  // where it fails, the call's status says why
  return absl::OkStatus();
}

// The event in the words of a training; none for points.
std::optional<v1::TrainResponse> ToTraining(const v1::FitDensityResponse& event) {
  v1::TrainResponse response;
  switch (event.event_case()) {
    case v1::FitDensityResponse::kAccepted:
      *response.mutable_accepted() = event.accepted();
      return response;
    case v1::FitDensityResponse::kProgress:
      *response.mutable_progress() = event.progress();
      return response;
    case v1::FitDensityResponse::kDone:
      *response.mutable_done() = event.done();
      return response;
    default:
      return std::nullopt;
  }
}

}  // namespace

absl::StatusOr<v1::TrainDone> Client::FitDensity(const v1::FitDensitySpec& spec,
                                                 const DensityFunction& density,
                                                 const TrainObserver& observer,
                                                 const CallOptions& call_options) const {
  Call call(call_options, options_.train_timeout);
  const std::unique_ptr<FitStream> stream = density_->FitDensity(&call.context());
  v1::FitDensityRequest first;
  *first.mutable_spec() = spec;
  if (density) first.mutable_spec()->mutable_client();
  stream->Write(first);

  std::optional<v1::TrainDone> done;
  absl::Status fault;
  v1::FitDensityResponse event;
  while (fault.ok() && stream->Read(&event)) {
    if (event.has_points()) fault = Answer(event.points(), density, *stream);
    if (event.has_done()) done = event.done();
    if (const auto news = ToTraining(event); news && observer) observer(*news);
  }
  if (!fault.ok()) call.context().TryCancel();
  const grpc::Status status = stream->Finish();
  if (!fault.ok()) return fault;
  if (!status.ok()) return FromGrpc(status, options_.target);
  if (!done) return absl::InternalError("the server ended the fit without a result");
  return *std::move(done);
}

}  // namespace millrace::client

// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/call.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "server/app/log.h"
#include "server/app/query.h"
#include "server/rpc/status.h"

namespace millrace {

Call::Call(const RpcMethod& method, grpc::CallbackServerContext* context, Metrics& metrics,
           absl::Duration longest)
    : method_(method), context_(context), metrics_(metrics), start_(absl::Now()) {
  metrics_.RpcStarted(method_);
  deadline_ = std::min(absl::FromChrono(context->deadline()), start_ + longest);
}

void Call::StopAtDeadline() {
  if (deadline_ == absl::FromChrono(context_->deadline())) return;  // gRPC cancels the call
  alarm_.emplace();
  alarm_->Set(absl::ToChronoTime(deadline_), [stop = stop_](bool expired) mutable {
    if (expired) stop.request_stop();
  });
}

void Call::Uses(Operation operation, ModelHandle model) {
  operation_ = operation;
  model_ = std::move(model);
}

grpc::Status Call::End(absl::Status status) {
  const absl::Time now = absl::Now();
  status = WithDeadline(std::move(status), now, GivenUpFrom(start_, deadline_));
  metrics_.RpcHandled(method_, status.code(), now - start_);
  if (model_ != nullptr) {
    metrics_.QueryEnded(model_->name, model_->version, operation_, status.code());
  }
  if (!status.ok()) {
    const bool ours = absl::IsInternal(status) || absl::IsDataLoss(status);
    Log(ours ? LogLevel::kError : LogLevel::kInfo, "call failed",
        {{"method", method_.method},
         {"code", absl::StatusCodeToString(status.code())},
         {"message", status.message()},
         {"peer", context_->peer()},
         {"seconds", absl::ToDoubleSeconds(now - start_)}});
  }
  return ToGrpcStatus(status);
}

}  // namespace millrace

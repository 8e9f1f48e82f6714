// SPDX-License-Identifier: Apache-2.0
// What every RPC needs and no handler should repeat: metrics, deadline, cancellation, the log of
// failures.
#ifndef MILLRACE_SERVER_RPC_CALL_H_
#define MILLRACE_SERVER_RPC_CALL_H_

#include <optional>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/alarm.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/app/app.h"
#include "server/app/metrics.h"
#include "server/app/model_repository.h"

namespace millrace {

// One RPC from its start to its status. Thread-safe but for Uses, which comes before any query
// runs.
class Call {
 public:
  // `longest` caps the deadline that the client gave, if any.
  Call(const RpcMethod& method, grpc::CallbackServerContext* context, Metrics& metrics,
       absl::Duration longest);

  absl::Time deadline() const { return deadline_; }
  // Requested when the client cancels or leaves, its own deadline passes, or after StopAtDeadline
  // the one above.
  std::stop_source stop() const { return stop_; }
  // For work that may last: an alarm costs as much as a small request. Once, before it begins.
  void StopAtDeadline();
  void Cancel() { stop_.request_stop(); }

  void Received() { metrics_.RpcMessageReceived(method_); }
  void Sent() { metrics_.RpcMessageSent(method_); }
  // From here on the call counts among those of this model.
  void Uses(Operation operation, ModelHandle model);

  // Counts the call, logs a failure, and gives what Finish wants. Once.
  grpc::Status End(absl::Status status);

 private:
  const RpcMethod& method_;
  grpc::CallbackServerContext* const context_;
  Metrics& metrics_;
  const absl::Time start_;
  absl::Time deadline_;
  std::stop_source stop_;
  std::optional<grpc::Alarm> alarm_;  // for a deadline that is ours, not the client's
  Operation operation_ = Operation::kLogProb;
  ModelHandle model_;
};

// The reactor of a unary RPC; deletes itself. Whoever holds it calls End exactly once and does not
// touch it afterwards.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(const RpcMethod& method, grpc::CallbackServerContext* context, const App& app)
      : call_(method, context, app.metrics, app.config.max_deadline) {
    call_.Received();
  }

  Call& call() { return call_; }
  void End(absl::Status status) {
    if (status.ok()) call_.Sent();
    Finish(call_.End(std::move(status)));
  }

 private:
  // Called where gRPC is: the two below do less than a hop to its executor would.
  bool InternalInlineable() override { return true; }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

  Call call_;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_CALL_H_

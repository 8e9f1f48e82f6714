// SPDX-License-Identifier: Apache-2.0
// One call on the wire: its deadline, its cancellation, its errors. Internal to the client.
#ifndef MILLRACE_CLIENT_CALL_H_
#define MILLRACE_CLIENT_CALL_H_

#include <grpcpp/client_context.h>

#include <functional>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/options.h"
#include "client/status.h"

namespace millrace::client {

// The context of one call. Cancelled while it lives when options.stop is requested.
class Call {
 public:
  Call(const CallOptions& options, absl::Duration default_timeout)
      : on_stop_(options.stop, [this] { context_.TryCancel(); }) {
    const absl::Duration timeout = options.timeout.value_or(default_timeout);
    if (timeout < absl::InfiniteDuration()) {
      context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    }
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  grpc::ClientContext& context() { return context_; }

 private:
  grpc::ClientContext context_;
  std::stop_callback<std::function<void()>> on_stop_;
};

// Runs one unary method of a generated stub.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Unary(
    Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
    const Request& request, const ClientOptions& options, const CallOptions& call_options) {
  Call call(call_options, options.timeout);
  Response response;
  const grpc::Status status = (stub.*method)(&call.context(), request, &response);
  if (!status.ok()) return FromGrpc(status, options.target);
  return response;
}

}  // namespace millrace::client

#endif  // MILLRACE_CLIENT_CALL_H_

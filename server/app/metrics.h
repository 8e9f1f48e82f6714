// SPDX-License-Identifier: Apache-2.0
// What happens in the server, as typed events. Implementations turn them into metrics
// (server/metrics).
#ifndef MILLRACE_SERVER_APP_METRICS_H_
#define MILLRACE_SERVER_APP_METRICS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/model.h"

namespace millrace {

// What a query asks of a model.
enum class Operation {
  kLogProb,
  kSample,
  kInterpolate,
  kScore,
  kEncode,
  kDecode,
  kComplete,
  kCreateAttributeVector,
  kManipulate
};

// The operation in metrics and logs: "log_prob", "sample", …
absl::string_view OperationName(Operation operation);

// A method of a service, in the words of the gRPC metrics of other languages. Static texts.
struct RpcMethod {
  absl::string_view type;     // "unary", "server_stream", "bidi_stream"
  absl::string_view service;  // "millrace.v1.DensityService"
  absl::string_view method;   // "LogProb"
};

// Thread-safe; calls return soon and never fail. The default implementations do nothing.
class Metrics {
 public:
  virtual ~Metrics() = default;

  // RPCs: Started once, any number of messages, Handled once.
  virtual void RpcStarted(const RpcMethod&) {}
  virtual void RpcMessageReceived(const RpcMethod&) {}
  virtual void RpcMessageSent(const RpcMethod&) {}
  virtual void RpcHandled(const RpcMethod&, absl::StatusCode, absl::Duration) {}

  // Queries to models that exist.
  struct Computation {
    Operation operation;
    std::int64_t rows;
    absl::Duration queued;
    absl::Duration computed;
  };
  // A query, or one chunk of it, was computed.
  virtual void Computed(const std::string& /*model*/, std::uint64_t /*version*/,
                        const Computation&) {}
  // So many queries of one kind were computed at once; those that are never batched are not told.
  virtual void BatchComputed(const std::string& /*model*/, std::uint64_t /*version*/, Operation,
                             std::int64_t /*queries*/) {}
  // A query ended with this status.
  virtual void QueryEnded(const std::string& /*model*/, std::uint64_t /*version*/, Operation,
                          absl::StatusCode) {}
  virtual void QueueDepth(std::int64_t /*requests*/) {}

  // Models.
  virtual void ModelLoaded(const std::string& /*model*/, std::uint64_t /*version*/) {}
  // What the training of a version that is loaded came to.
  virtual void ModelReport(const std::string& /*model*/, std::uint64_t /*version*/,
                           const TrainingReport&) {}
  virtual void ModelUnloaded(const std::string& /*model*/, std::uint64_t /*version*/) {}
  virtual void ModelLoadFailed() {}

  // Training.
  virtual void TrainingsRunning(int /*count*/) {}
  // Mean negative log-densities of a training under way, which has no version yet: nats a row in
  // standardised units; NaN where not known yet.
  virtual void TrainingLoss(const std::string& /*model*/, double /*train*/, double /*validation*/) {
  }
  virtual void TrainingEnded(const std::string& /*model*/) {}
};

inline absl::string_view OperationName(Operation operation) {
  switch (operation) {
    case Operation::kLogProb:
      return "log_prob";
    case Operation::kSample:
      return "sample";
    case Operation::kInterpolate:
      return "interpolate";
    case Operation::kScore:
      return "score";
    case Operation::kEncode:
      return "encode";
    case Operation::kDecode:
      return "decode";
    case Operation::kComplete:
      return "complete";
    case Operation::kCreateAttributeVector:
      return "create_attribute_vector";
    case Operation::kManipulate:
      return "manipulate";
  }
  return "unknown";
}

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_METRICS_H_

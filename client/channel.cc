// SPDX-License-Identifier: Apache-2.0
#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "millrace/v1/density_service.pb.h"
#include "millrace/v1/model_service.pb.h"

namespace millrace::client {
namespace {

constexpr int kMaxAttempts = 5;  // gRPC takes no more

std::string MethodName(const char* service, const char* method) {
  return absl::StrFormat(R"({"service":"%s","method":"%s"})", service, method);
}

std::string IdempotentMethods() {
  const char* density = "millrace.v1.DensityService";
  const char* models = "millrace.v1.ModelService";
  return absl::StrJoin({MethodName(density, "LogProb"), MethodName(density, "Sample"),
                        MethodName(density, "Interpolate"), MethodName(density, "Score"),
                        MethodName(density, "Encode"), MethodName(density, "Decode"),
                        MethodName(density, "Complete"), MethodName(density, "Manipulate"),
                        MethodName(models, "GetModel"), MethodName(models, "ListModels")},
                       ",");
}

std::string Seconds(absl::Duration duration) {
  return absl::StrFormat("%.6fs", std::max(1e-6, absl::ToDoubleSeconds(duration)));
}

}  // namespace

std::string ServiceConfig(const ClientOptions& options) {
  const int attempts = std::min(options.max_attempts, kMaxAttempts);
  if (attempts < 2) return "{}";
  return absl::StrFormat(
      R"({"methodConfig":[{"name":[%s],"retryPolicy":{"maxAttempts":%d,"initialBackoff":"%s",)"
      R"("maxBackoff":"%s","backoffMultiplier":2,"retryableStatusCodes":["UNAVAILABLE"]}}]})",
      IdempotentMethods(), attempts, Seconds(options.initial_backoff),
      Seconds(options.max_backoff));
}

std::shared_ptr<grpc::Channel> MakeChannel(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(ServiceConfig(options));
  arguments.SetMaxReceiveMessageSize(options.max_reply_bytes);
  // A request must fit the buffer from which gRPC repeats it.
  arguments.SetInt(GRPC_ARG_PER_RPC_RETRY_BUFFER_SIZE, 64 << 20);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 10000);
  return grpc::CreateCustomChannel(
      options.target,
      options.credentials ? options.credentials : grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace millrace::client

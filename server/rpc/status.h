// SPDX-License-Identifier: Apache-2.0
// The one place where statuses become gRPC's.
#ifndef MILLRACE_SERVER_RPC_STATUS_H_
#define MILLRACE_SERVER_RPC_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"

namespace millrace {

// Same code; the message cut to what a trailer holds; an ErrorStatus
// (proto/millrace/v1/error.proto) in the details, with an ErrorDetail where the status carries one.
grpc::Status ToGrpcStatus(const absl::Status& status);

// Names `field` as the culprit of an INVALID_ARGUMENT that does not say.
absl::Status WithDefaultField(absl::Status status, absl::string_view field);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_STATUS_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CHANNEL_H_
#define MILLRACE_CLIENT_CHANNEL_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "client/options.h"

namespace millrace::client {

// The gRPC service config (JSON) with the retry policy of `options` for every method that changes
// nothing.
std::string ServiceConfig(const ClientOptions& options);

// A channel to options.target; connects on first use.
std::shared_ptr<grpc::Channel> MakeChannel(const ClientOptions& options);

}  // namespace millrace::client

#endif  // MILLRACE_CLIENT_CHANNEL_H_

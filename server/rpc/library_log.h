// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_SERVER_RPC_LIBRARY_LOG_H_
#define MILLRACE_SERVER_RPC_LIBRARY_LOG_H_

namespace millrace {

// From here on what gRPC and protobuf log is written by Log, as events "grpc" and "protobuf". How
// much gRPC says is set by its variable GRPC_VERBOSITY. Before the first use of either.
void LogForLibraries();

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_LIBRARY_LOG_H_

// SPDX-License-Identifier: Apache-2.0
// Builds a flow with the installed core, and asks a port where nobody listens with the client.
#include <iostream>

#include "client/client.h"
#include "core/flow/flow.h"
#include "core/model.h"

int main() {
  millrace::FlowSpec spec;
  spec.dim = 3;
  spec.stack.emplace();
  const auto flow = millrace::Flow::Create(spec);
  if (!flow.ok() || (*flow)->InitialParameters().size() == 0) {
    std::cerr << "core: " << flow.status() << "\n";
    return 1;
  }

  millrace::client::ClientOptions options;
  options.target = "127.0.0.1:1";
  options.max_attempts = 1;
  const auto models = millrace::client::Client(options).ListModels();
  if (models.status().code() != absl::StatusCode::kUnavailable) {
    std::cerr << "client: UNAVAILABLE expected, not " << models.status() << "\n";
    return 1;
  }
  return 0;
}

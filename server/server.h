// SPDX-License-Identifier: Apache-2.0
// The whole server in one object: from a configuration to answered calls, and to a clean end.
#ifndef MILLRACE_SERVER_SERVER_H_
#define MILLRACE_SERVER_SERVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "core/flow/backend.h"
#include "server/app/build_info.h"
#include "server/app/config.h"

namespace millrace {

class Server {
 public:
  // Validates, loads the models, listens. `backend` outlives the server. INVALID_ARGUMENT for a bad
  // configuration, FAILED_PRECONDITION where an address cannot be listened on or the model
  // directory is taken; else as ModelRepository::Open.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Config& config, Backend& backend,
                                                       const BuildInfo& build);
  ~Server();  // as Stop, without delay or grace

  // Where the server listens; of interest when the configuration asked for port 0.
  int port() const;
  int metrics_port() const;  // 0: not exposed, or stopped

  // Ends gracefully; blocks. Health says NOT_SERVING; after drain_delay no new work is admitted and
  // trainings are cancelled; calls under way have shutdown_grace to end before they are cancelled.
  // A call that was cancelled ends when its computation next looks, at a block of rows or a step of
  // a training: that is what Stop may wait for beyond delay and grace.
  void Stop();

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_SERVER_H_

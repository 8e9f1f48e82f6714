// SPDX-License-Identifier: Apache-2.0
// millrace-server: the one place where a concrete backend is named.

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <thread>

#include "core/cpu/cpu_backend.h"
#include "server/app/log.h"
#include "server/flags.h"
#include "server/server.h"

namespace millrace {
namespace {

// Signals that end the server. Blocked in every thread, so that they are taken by WaitForSignal
// only.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);  // NOLINT: a reader of /metrics that leaves is no reason to die
  return signals;
}

int WaitForSignal(const sigset_t& signals) {
  int received = 0;
  sigwait(&signals, &received);
  return received;
}

int Fail(absl::string_view event, const absl::Status& status) {
  Log(LogLevel::kError, event, {{"reason", status.message()}});
  return 1;
}

int Main(int argc, char** argv) {
  const absl::StatusOr<Config> config = ConfigFromFlags(argc, argv);
  if (!config.ok()) return Fail("bad configuration", config.status());
  SetLogFormat(config->log_format);
  const sigset_t signals = BlockSignals();

  const std::unique_ptr<Backend> backend = CreateCpuBackend({.threads = config->compute_threads});
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(*config, *backend, MILLRACE_VERSION);
  if (!server.ok()) return Fail("cannot start", server.status());
  Log(LogLevel::kInfo, "serving",
      {{"address", config->address},
       {"port", (*server)->port()},
       {"metrics_address", config->metrics_address},
       {"metrics_port", (*server)->metrics_port()},
       {"model_dir", config->model_dir},
       {"version", MILLRACE_VERSION}});

  Log(LogLevel::kInfo, "stopping", {{"signal", WaitForSignal(signals)}});
  std::thread([signals] {
    Log(LogLevel::kWarning, "stopped at once", {{"signal", WaitForSignal(signals)}});
    _exit(1);
  }).detach();
  (*server)->Stop();
  Log(LogLevel::kInfo, "stopped");
  return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) { return millrace::Main(argc, argv); }

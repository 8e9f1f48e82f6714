// SPDX-License-Identifier: Apache-2.0
// millrace-server: the one place where a concrete backend is named.

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_join.h"
#include "core/cpu/cpu_backend.h"
#include "server/app/log.h"
#include "server/flags.h"
#include "server/rpc/library_log.h"
#include "server/server.h"

namespace millrace {
namespace {

// Signals that end the server. Blocked in every thread, so that they are taken by TakeSignals only.
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

// What the next signal means.
enum class Phase { kLoading, kServing, kStopping };

// The first signal is handed to `stop`, unless nothing is served yet: then it ends the process, and
// nothing is lost by that. The second always does.
void TakeSignals(const sigset_t& signals, std::atomic<Phase>& phase, std::promise<int>& stop) {
  int signal = WaitForSignal(signals);
  if (phase.exchange(Phase::kStopping) == Phase::kLoading) {
    Log(LogLevel::kInfo, "stopped before serving", {{"signal", signal}});
    _exit(0);
  }
  stop.set_value(signal);
  signal = WaitForSignal(signals);
  Log(LogLevel::kWarning, "stopped at once", {{"signal", signal}});
  _exit(1);
}

int Fail(absl::string_view event, const absl::Status& status) {
  Log(LogLevel::kError, event, {{"reason", status.message()}});
  return 1;
}

int Main(int argc, char** argv) {
  const BuildInfo build{.version = MILLRACE_VERSION, .instruction_set = CpuInstructionSet()};
  const absl::StatusOr<Config> config = ConfigFromFlags(argc, argv, build);
  if (!config.ok()) return Fail("bad configuration", config.status());
  SetLogFormat(config->log_format);
  LogForLibraries();
  if (const absl::Status valid = Validate(*config); !valid.ok())
    return Fail("bad configuration", valid);
  if (const std::vector<std::string> unknown = UnknownVariables(); !unknown.empty()) {
    Log(LogLevel::kWarning, "environment variables that are no flag's",
        {{"variables", absl::StrJoin(unknown, " ")}});
  }
  // Static: the thread that takes signals may outlive this function.
  static std::atomic<Phase> phase = Phase::kLoading;
  static std::promise<int> stop;
  std::thread([signals = BlockSignals()] { TakeSignals(signals, phase, stop); }).detach();

  const std::unique_ptr<Backend> backend = CreateCpuBackend({.threads = config->compute_threads});
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(*config, *backend, build);
  if (!server.ok()) return Fail("cannot start", server.status());
  // Where a signal came before, its taker ends the process: the wait below has no end.
  Phase loading = Phase::kLoading;
  phase.compare_exchange_strong(loading, Phase::kServing);
  Log(LogLevel::kInfo, "serving",
      {{"address", config->address},
       {"port", (*server)->port()},
       {"metrics_address", config->metrics_address},
       {"metrics_port", (*server)->metrics_port()},
       {"model_dir", config->model_dir},
       {"version", build.version},
       {"instruction_set", build.instruction_set}});

  Log(LogLevel::kInfo, "stopping", {{"signal", stop.get_future().get()}});
  (*server)->Stop();
  Log(LogLevel::kInfo, "stopped");
  return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) { return millrace::Main(argc, argv); }

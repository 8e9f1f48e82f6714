// SPDX-License-Identifier: Apache-2.0
#include "server/flags.h"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"

namespace millrace {
namespace {

const Config& Defaults() {
  static const auto* const defaults = new Config;
  return *defaults;
}

}  // namespace

// For flags: "text" and "json".
bool AbslParseFlag(absl::string_view text, LogFormat* format, std::string* error) {
  if (text == "text" || text == "json") {
    *format = text == "json" ? LogFormat::kJson : LogFormat::kText;
    return true;
  }
  *error = "must be text or json";
  return false;
}

std::string AbslUnparseFlag(LogFormat format) {
  return format == LogFormat::kJson ? "json" : "text";
}

}  // namespace millrace

using millrace::Defaults;

ABSL_FLAG(
    std::string, address, Defaults().address,
    "Where to listen for gRPC, host:port. There is no encryption and no authentication: keep it "
    "on loopback or behind a proxy.");
ABSL_FLAG(std::string, metrics_address, Defaults().metrics_address,
          "Where Prometheus finds /metrics, host:port. Empty: nowhere.");
ABSL_FLAG(bool, reflection, Defaults().reflection,
          "Whether to describe the API to tools such as grpcurl.");
ABSL_FLAG(
    std::string, model_dir, Defaults().model_dir,
    "The folder of the models, <name>/<version>/model.safetensors. Made where it is absent; all "
    "versions in it are loaded at start.");
ABSL_FLAG(
    int, compute_threads, Defaults().compute_threads,
    "Threads that one large request or a training may use. 0: the CPU quota of the container, "
    "else all cores.");
ABSL_FLAG(
    int, worker_threads, Defaults().worker_threads,
    "Requests that are computed at once, but for those that --max_inline_products lets through.");
ABSL_FLAG(int, max_trainings, Defaults().max_trainings, "Trainings at once; more are UNAVAILABLE.");
ABSL_FLAG(std::int64_t, max_message_bytes, Defaults().limits.max_message_bytes,
          "Largest message, in either direction.");
ABSL_FLAG(std::int64_t, max_request_rows, Defaults().limits.max_request_rows,
          "Most rows of one request, other than Train and Sample.");
ABSL_FLAG(
    std::int64_t, max_request_evaluations, Defaults().limits.max_request_evaluations,
    "Most evaluations of the flow for one such request: 1 for a row, 8 where a column's values "
    "have bins; 400 times the columns that vary for a row whose conditional contributions are "
    "asked for.");
ABSL_FLAG(std::int64_t, max_columns, Defaults().limits.max_columns, "Most columns of a table.");
ABSL_FLAG(std::int64_t, max_sample_rows, Defaults().limits.max_sample_rows,
          "Most rows of one Sample.");
ABSL_FLAG(int, max_sample_streams, Defaults().max_sample_streams,
          "Open Sample calls; more are UNAVAILABLE.");
ABSL_FLAG(int, max_log_prob_streams, Defaults().max_log_prob_streams,
          "Open StreamLogProb calls; more are UNAVAILABLE.");
ABSL_FLAG(std::int64_t, max_train_rows, Defaults().limits.max_train_rows,
          "Most rows of a training table.");
ABSL_FLAG(std::int64_t, max_train_bytes, Defaults().limits.max_train_bytes,
          "Largest training table, as 8-byte numbers.");
ABSL_FLAG(std::int64_t, max_parameters, Defaults().limits.max_parameters,
          "Most parameters of a flow that is to be trained.");
ABSL_FLAG(std::int64_t, max_queue_requests, Defaults().queue.max_queries,
          "Requests that may wait; more are UNAVAILABLE.");
ABSL_FLAG(
    std::int64_t, max_queue_evaluations, Defaults().queue.max_cost.evaluations,
    "Evaluations of the flow that may wait, counted as for --max_request_evaluations; more are "
    "UNAVAILABLE.");
ABSL_FLAG(std::int64_t, max_queue_bytes, Defaults().queue.max_cost.bytes,
          "Bytes of the requests that may wait; more are UNAVAILABLE.");
ABSL_FLAG(
    std::int64_t, max_batch_evaluations, Defaults().batch.max_evaluations,
    "Evaluations of the flow up to which requests that wait for one model and operation are "
    "computed at once, counted as for --max_request_evaluations; answers do not depend on it. At "
    "most 1: each alone.");
ABSL_FLAG(
    std::int64_t, max_inline_products, Defaults().max_inline_products,
    "Products that a request of at most 16 evaluations may take to be computed where it arrives, "
    "sooner than a worker wakes: its evaluations of the flow times the flow's parameters. Answers "
    "do not depend on it. 0: none.");
ABSL_FLAG(absl::Duration, max_deadline, Defaults().max_deadline,
          "Longest time for one call other than Train, FitDensity and StreamLogProb, whatever the "
          "caller allows.");
ABSL_FLAG(
    absl::Duration, upload_idle_timeout, Defaults().upload_idle_timeout,
    "Longest wait for the next message of a table that is sent to Train, for the values of a "
    "density from a caller of FitDensity, or for a caller of StreamLogProb to send rows or take "
    "a reply; beyond: DEADLINE_EXCEEDED.");
ABSL_FLAG(absl::Duration, keepalive_time, Defaults().keepalive_time,
          "A connection that is silent for so long is asked for a sign of life.");
ABSL_FLAG(absl::Duration, keepalive_timeout, Defaults().keepalive_timeout,
          "A connection that gives none for so long is closed, its calls are cancelled.");
ABSL_FLAG(absl::Duration, drain_delay, Defaults().drain_delay,
          "After SIGTERM: how long to go on working while health says NOT_SERVING, so that load "
          "balancers notice.");
ABSL_FLAG(
    absl::Duration, shutdown_grace, Defaults().shutdown_grace,
    "After that: how long calls under way may take to end before they are cancelled. Trainings "
    "are cancelled at once.");
ABSL_FLAG(millrace::LogFormat, log_format, Defaults().log_format, "Lines on stderr: text or json.");

namespace millrace {
namespace {

constexpr absl::string_view kVariablePrefix = "MILLRACE_";

struct FlagGroup {
  const char* title;
  std::vector<const char*> names;
};

const std::vector<FlagGroup>& FlagGroups() {
  static const auto* const groups = new std::vector<FlagGroup>{
      {"Network", {"address", "metrics_address", "reflection"}},
      {"Models and threads",
       {"model_dir", "compute_threads", "worker_threads", "max_batch_evaluations",
        "max_inline_products", "max_trainings"}},
      {"Limits of one request (beyond: RESOURCE_EXHAUSTED)",
       {"max_message_bytes", "max_request_rows", "max_request_evaluations", "max_columns",
        "max_sample_rows", "max_train_rows", "max_train_bytes", "max_parameters"}},
      {"Limits of the server (beyond: UNAVAILABLE)",
       {"max_queue_requests", "max_queue_evaluations", "max_queue_bytes", "max_sample_streams",
        "max_log_prob_streams"}},
      {"Limits of time (beyond: DEADLINE_EXCEEDED, or the connection is closed)",
       {"max_deadline", "upload_idle_timeout", "keepalive_time", "keepalive_timeout"}},
      {"Shutdown and logs", {"drain_delay", "shutdown_grace", "log_format"}}};
  return *groups;
}

std::string VariableOf(absl::string_view flag) {
  return absl::StrCat(kVariablePrefix, absl::AsciiStrToUpper(flag));
}

std::string Wrapped(const std::string& text, const std::string& indent) {
  constexpr std::size_t kWidth = 88;
  std::string out;
  std::size_t column = kWidth;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (column + 1 + word.size() > kWidth) {
      absl::StrAppend(&out, out.empty() ? "" : "\n", indent, word);
      column = indent.size() + word.size();
    } else {
      absl::StrAppend(&out, " ", word);
      column += 1 + word.size();
    }
  }
  return out;
}

[[noreturn]] void PrintHelp() {
  std::printf("%s\n", std::string(absl::ProgramUsageMessage()).c_str());
  for (const FlagGroup& group : FlagGroups()) {
    std::printf("\n%s\n", group.title);
    for (const char* name : group.names) {
      const absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
      std::printf("  --%s (%s)\n%s\n", name,
                  flag->DefaultValue().empty() ? "empty" : flag->DefaultValue().c_str(),
                  Wrapped(flag->Help(), "      ").c_str());
    }
  }
  std::exit(0);
}

absl::Status ReadEnvironment() {
  for (const FlagGroup& group : FlagGroups()) {
    for (const char* name : group.names) {
      const std::string variable = VariableOf(name);
      const char* value =
          std::getenv(variable.c_str());  // NOLINT(concurrency-mt-unsafe): one thread yet
      if (value == nullptr) continue;
      std::string error;
      if (!absl::FindCommandLineFlag(name)->ParseFrom(value, &error)) {
        return InvalidArgument(variable, value, absl::StrCat("a value of --", name, ": ", error));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Config> ConfigFromFlags(int argc, char** argv, const BuildInfo& build) {
  absl::SetProgramUsageMessage(
      "millrace-server trains, keeps and serves densities over gRPC.\n\n"
      "Usage: millrace-server [--flag=value ...]\n\n"
      "Every flag may also be set in the environment, --model_dir as MILLRACE_MODEL_DIR; the flag "
      "wins.\nDefaults are in brackets. Times are written 500ms, 10s, 5m.");
  absl::FlagsUsageConfig usage;
  usage.version_string = [build] {
    return absl::StrCat("millrace-server ", build.version, " for ", build.instruction_set, "\n");
  };
  absl::SetFlagsUsageConfig(usage);
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (argument == "--help" || argument == "-help" || argument == "-h") PrintHelp();
  }
  MILLRACE_RETURN_IF_ERROR(ReadEnvironment());
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) return InvalidArgument("command line", rest[1], "flags only; see --help");

  Config config;
  config.address = absl::GetFlag(FLAGS_address);
  config.metrics_address = absl::GetFlag(FLAGS_metrics_address);
  config.model_dir = absl::GetFlag(FLAGS_model_dir);
  config.compute_threads = absl::GetFlag(FLAGS_compute_threads);
  config.worker_threads = absl::GetFlag(FLAGS_worker_threads);
  config.max_trainings = absl::GetFlag(FLAGS_max_trainings);
  config.max_sample_streams = absl::GetFlag(FLAGS_max_sample_streams);
  config.max_log_prob_streams = absl::GetFlag(FLAGS_max_log_prob_streams);
  config.limits = {.max_message_bytes = absl::GetFlag(FLAGS_max_message_bytes),
                   .max_request_rows = absl::GetFlag(FLAGS_max_request_rows),
                   .max_request_evaluations = absl::GetFlag(FLAGS_max_request_evaluations),
                   .max_columns = absl::GetFlag(FLAGS_max_columns),
                   .max_sample_rows = absl::GetFlag(FLAGS_max_sample_rows),
                   .max_train_rows = absl::GetFlag(FLAGS_max_train_rows),
                   .max_train_bytes = absl::GetFlag(FLAGS_max_train_bytes),
                   .max_parameters = absl::GetFlag(FLAGS_max_parameters)};
  config.queue = {.max_queries = absl::GetFlag(FLAGS_max_queue_requests),
                  .max_cost = {.evaluations = absl::GetFlag(FLAGS_max_queue_evaluations),
                               .bytes = absl::GetFlag(FLAGS_max_queue_bytes)}};
  config.batch.max_evaluations = absl::GetFlag(FLAGS_max_batch_evaluations);
  config.max_inline_products = absl::GetFlag(FLAGS_max_inline_products);
  config.max_deadline = absl::GetFlag(FLAGS_max_deadline);
  config.upload_idle_timeout = absl::GetFlag(FLAGS_upload_idle_timeout);
  config.keepalive_time = absl::GetFlag(FLAGS_keepalive_time);
  config.keepalive_timeout = absl::GetFlag(FLAGS_keepalive_timeout);
  config.drain_delay = absl::GetFlag(FLAGS_drain_delay);
  config.shutdown_grace = absl::GetFlag(FLAGS_shutdown_grace);
  config.reflection = absl::GetFlag(FLAGS_reflection);
  config.log_format = absl::GetFlag(FLAGS_log_format);
  return config;
}

std::vector<std::string> UnknownVariables() {
  // Read by other programs of Millrace: the client, and the tests.
  std::set<std::string> known = {"MILLRACE_SERVER", "MILLRACE_BIN", "MILLRACE_DATA",
                                 "MILLRACE_REQUIRE_DATA", "MILLRACE_QUICKSTART_DIR"};
  for (const FlagGroup& group : FlagGroups()) {
    for (const char* name : group.names) known.insert(VariableOf(name));
  }
  std::vector<std::string> unknown;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string name(*variable, std::strcspn(*variable, "="));
    if (absl::StartsWith(name, kVariablePrefix) && !known.contains(name)) unknown.push_back(name);
  }
  return unknown;
}

}  // namespace millrace

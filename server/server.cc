// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/status_macros.h"
#include "core/train/train_model.h"
#include "grpc/grpc.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "server/app/app.h"
#include "server/metrics/metrics_endpoint.h"
#include "server/metrics/prometheus_metrics.h"
#include "server/rpc/density_service.h"
#include "server/rpc/model_service.h"

namespace millrace {
namespace {

constexpr int kMaxStreamsOfConnection = 1024;

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

// The models that List gives for `name`.
template <typename Visit>
void ForEachModel(const ModelRepository& repository, const std::string& name, const Visit& visit) {
  std::string token;
  do {
    const absl::StatusOr<ModelRepository::Page> page = repository.List(name, 0, token);
    if (!page.ok()) return;
    for (const ModelHandle& model : page->models) visit(*model);
    token = page->next_token;
  } while (!token.empty());
}

void TellReports(const ModelRepository& repository, Metrics& metrics) {
  ForEachModel(repository, "", [&](const ServedModel& latest) {
    ForEachModel(repository, latest.name, [&](const ServedModel& served) {
      if (!served.state.ok()) return;
      metrics.ModelReport(served.name, served.version, served.density->model().report);
    });
  });
}

}  // namespace

// In the order of construction; what comes later uses what comes earlier.
struct Server::Parts {
  Parts(const Config& c, const BuildInfo& build) : config(c), metrics(build) {}

  const Config config;
  PrometheusMetrics metrics;
  std::unique_ptr<ModelRepository> repository;
  std::unique_ptr<WorkQueue> queue;
  std::unique_ptr<TrainingJobs> trainings;
  std::unique_ptr<DensityService> density_service;
  std::unique_ptr<ModelService> model_service;
  std::unique_ptr<MetricsEndpoint> metrics_endpoint;
  std::unique_ptr<grpc::Server> grpc;
  int port = 0;
  bool stopped = false;

  absl::Status Listen();
  void Stop(absl::Duration delay, absl::Duration grace);
};

absl::Status Server::Parts::Listen() {
  grpc::EnableDefaultHealthCheckService(true);
  if (config.reflection) grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(static_cast<int>(config.limits.max_message_bytes));
  // A port that another server holds is an error, not a share of its calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // A peer that vanished without a word is noticed, also by a call that sends it nothing.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(config.keepalive_time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(config.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsOfConnection);
  builder.AddListeningPort(config.address, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(density_service.get());
  builder.RegisterService(model_service.get());
  grpc = builder.BuildAndStart();
  if (grpc == nullptr || port == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen on --address=", config.address,
                     " (already in use, or no address of this machine)"));
  }
  auto* health = grpc->GetHealthCheckService();
  health->SetServingStatus(v1::DensityService::service_full_name(), true);
  health->SetServingStatus(v1::ModelService::service_full_name(), true);
  return absl::OkStatus();
}

void Server::Parts::Stop(absl::Duration delay, absl::Duration grace) {
  if (std::exchange(stopped, true)) return;
  if (grpc != nullptr) {
    grpc->GetHealthCheckService()->SetServingStatus(false);
    absl::SleepFor(delay);
    queue->Drain();
    trainings->Stop();
    grpc->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  }
  if (trainings != nullptr) trainings->Shutdown();
  if (queue != nullptr) queue->Shutdown();
  metrics_endpoint.reset();
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() { parts_->Stop(absl::ZeroDuration(), absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Config& config, Backend& backend,
                                                      const BuildInfo& build) {
  MILLRACE_RETURN_IF_ERROR(Validate(config));
  std::unique_ptr<Server> server(new Server(std::make_unique<Parts>(config, build)));
  Parts& parts = *server->parts_;
  MILLRACE_ASSIGN_OR_RETURN(parts.repository,
                            ModelRepository::Open(config.model_dir, backend, parts.metrics));
  TellReports(*parts.repository, parts.metrics);
  parts.queue =
      std::make_unique<WorkQueue>(config.queue, config.batch, config.worker_threads, parts.metrics);
  parts.trainings =
      std::make_unique<TrainingJobs>(config.max_trainings, *parts.repository, parts.metrics);
  const App app{.config = parts.config,
                .backend = backend,
                .metrics = parts.metrics,
                .repository = *parts.repository,
                .queue = *parts.queue,
                .trainings = *parts.trainings};
  parts.density_service = std::make_unique<DensityService>(app);
  parts.model_service = std::make_unique<ModelService>(app);
  if (!config.metrics_address.empty()) {
    MILLRACE_ASSIGN_OR_RETURN(parts.metrics_endpoint,
                              MetricsEndpoint::Open(config.metrics_address, parts.metrics));
  }
  MILLRACE_RETURN_IF_ERROR(parts.Listen());
  return server;
}

int Server::port() const { return parts_->port; }
int Server::metrics_port() const {
  return parts_->metrics_endpoint == nullptr ? 0 : parts_->metrics_endpoint->port();
}

void Server::Stop() { parts_->Stop(parts_->config.drain_delay, parts_->config.shutdown_grace); }

}  // namespace millrace

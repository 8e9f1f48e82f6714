// SPDX-License-Identifier: Apache-2.0
#include "server/metrics/prometheus_metrics.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace millrace {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Labels;

const prometheus::Histogram::BucketBoundaries& SecondsBuckets() {
  static const auto* const buckets = new prometheus::Histogram::BucketBoundaries{
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  return *buckets;
}

const prometheus::Histogram::BucketBoundaries& BatchBuckets() {
  static const auto* const buckets =
      new prometheus::Histogram::BucketBoundaries{1, 2, 4, 8, 16, 32, 64};
  return *buckets;
}

// Codes as Go's gRPC library spells them, which dashboards know.
std::string CodeName(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return "OK";
    case absl::StatusCode::kCancelled:
      return "Canceled";
    case absl::StatusCode::kInvalidArgument:
      return "InvalidArgument";
    case absl::StatusCode::kDeadlineExceeded:
      return "DeadlineExceeded";
    case absl::StatusCode::kNotFound:
      return "NotFound";
    case absl::StatusCode::kAlreadyExists:
      return "AlreadyExists";
    case absl::StatusCode::kPermissionDenied:
      return "PermissionDenied";
    case absl::StatusCode::kResourceExhausted:
      return "ResourceExhausted";
    case absl::StatusCode::kFailedPrecondition:
      return "FailedPrecondition";
    case absl::StatusCode::kAborted:
      return "Aborted";
    case absl::StatusCode::kOutOfRange:
      return "OutOfRange";
    case absl::StatusCode::kUnimplemented:
      return "Unimplemented";
    case absl::StatusCode::kInternal:
      return "Internal";
    case absl::StatusCode::kUnavailable:
      return "Unavailable";
    case absl::StatusCode::kDataLoss:
      return "DataLoss";
    case absl::StatusCode::kUnauthenticated:
      return "Unauthenticated";
    default:
      return "Unknown";
  }
}

Labels MethodLabels(const RpcMethod& method) {
  return {{"grpc_type", std::string(method.type)},
          {"grpc_service", std::string(method.service)},
          {"grpc_method", std::string(method.method)}};
}

Labels ModelLabels(const std::string& model, std::uint64_t version, Operation operation) {
  return {{"model", model},
          {"version", absl::StrCat(version)},
          {"op", std::string(OperationName(operation))}};
}

prometheus::Family<prometheus::Counter>& CounterFamily(prometheus::Registry& registry,
                                                       const std::string& name,
                                                       const std::string& help) {
  return BuildCounter().Name(name).Help(help).Register(registry);
}

prometheus::Family<prometheus::Histogram>& HistogramFamily(prometheus::Registry& registry,
                                                           const std::string& name,
                                                           const std::string& help) {
  return BuildHistogram().Name(name).Help(help).Register(registry);
}

prometheus::Family<prometheus::Gauge>& GaugeFamily(prometheus::Registry& registry,
                                                   const std::string& name,
                                                   const std::string& help) {
  return BuildGauge().Name(name).Help(help).Register(registry);
}

prometheus::Gauge& SingleGauge(prometheus::Registry& registry, const std::string& name,
                               const std::string& help) {
  return GaugeFamily(registry, name, help).Add({});
}

// The series of `key`, made with `labels()` where it is new.
template <typename Metric, typename Key, typename MakeLabels, typename... Arguments>
Metric& Series(SeriesOf<Metric, Key>& of, const Key& key, const MakeLabels& labels,
               const Arguments&... arguments) {
  Metric*& series = of.series[key];
  if (series == nullptr) series = &of.family->Add(labels(), arguments...);
  return *series;
}

}  // namespace

PrometheusMetrics::PrometheusMetrics(const BuildInfo& build)
    : registry_(std::make_shared<prometheus::Registry>()),
      model_requests_(CounterFamily(*registry_, "millrace_requests_total",
                                    "Requests to a model by operation and status.")),
      model_rows_(CounterFamily(*registry_, "millrace_rows_total", "Rows computed.")),
      model_queued_(HistogramFamily(*registry_, "millrace_queue_seconds",
                                    "Time that computed requests, or chunks of them, waited.")),
      model_computed_(HistogramFamily(*registry_, "millrace_compute_seconds",
                                      "Time that requests, or chunks of them, were computed, each "
                                      "with its whole batch.")),
      model_batches_(HistogramFamily(*registry_, "millrace_batch_requests",
                                     "Requests, or chunks of them, that were computed at once.")),
      model_loss_(GaugeFamily(*registry_, "millrace_model_loss",
                              "Mean negative log-density of a version at the end of its training, "
                              "nats a row in standardised units.")),
      train_loss_(GaugeFamily(*registry_, "millrace_train_loss",
                              "Mean negative log-density of the last epoch of the name's latest "
                              "training, nats a row in standardised units.")),
      queue_depth_(SingleGauge(*registry_, "millrace_queue_depth", "Requests that wait.")),
      train_jobs_(SingleGauge(*registry_, "millrace_train_jobs", "Trainings that run.")),
      models_loaded_(
          SingleGauge(*registry_, "millrace_models_loaded", "Model versions that serve.")),
      load_failures_(CounterFamily(*registry_, "millrace_model_load_failures_total",
                                   "Model versions that could not be loaded.")
                         .Add({})) {
  prometheus::Registry& registry = *registry_;
  started_.family = &CounterFamily(registry, "grpc_server_started_total", "RPCs started.");
  received_.family =
      &CounterFamily(registry, "grpc_server_msg_received_total", "Messages received from clients.");
  sent_.family =
      &CounterFamily(registry, "grpc_server_msg_sent_total", "Messages sent to clients.");
  handled_.family =
      &CounterFamily(registry, "grpc_server_handled_total", "RPCs completed, by status code.");
  handling_.family = &HistogramFamily(registry, "grpc_server_handling_seconds",
                                      "Time from an RPC's start to its end.");
  BuildGauge()
      .Name("millrace_build_info")
      .Help("1, labelled with the version of the program and the instruction set of its library.")
      .Register(registry)
      .Add({{"version", build.version}, {"instruction_set", build.instruction_set}})
      .Set(1);
}

void PrometheusMetrics::RpcStarted(const RpcMethod& method) {
  const std::lock_guard lock(mutex_);
  Series(started_, {method.service, method.method}, [&] {
    return MethodLabels(method);
  }).Increment();
}

void PrometheusMetrics::RpcMessageReceived(const RpcMethod& method) {
  const std::lock_guard lock(mutex_);
  Series(received_, {method.service, method.method}, [&] {
    return MethodLabels(method);
  }).Increment();
}

void PrometheusMetrics::RpcMessageSent(const RpcMethod& method) {
  const std::lock_guard lock(mutex_);
  Series(sent_, {method.service, method.method}, [&] { return MethodLabels(method); }).Increment();
}

void PrometheusMetrics::RpcHandled(const RpcMethod& method, absl::StatusCode code,
                                   absl::Duration seconds) {
  const std::lock_guard lock(mutex_);
  Series(handled_, {method.service, method.method, code}, [&] {
    Labels labels = MethodLabels(method);
    labels["grpc_code"] = CodeName(code);
    return labels;
  }).Increment();
  Series(
      handling_, {method.service, method.method}, [&] { return MethodLabels(method); },
      SecondsBuckets())
      .Observe(absl::ToDoubleSeconds(seconds));
}

PrometheusMetrics::ModelSeries::OfOperation& PrometheusMetrics::SeriesOfOperation(
    const ModelVersion& key, ModelSeries& series, Operation operation) {
  auto [entry, is_new] = series.operations.try_emplace(operation);
  if (is_new) {
    const Labels labels = ModelLabels(key.first, key.second, operation);
    entry->second = {&model_rows_.Add(labels), &model_queued_.Add(labels, SecondsBuckets()),
                     &model_computed_.Add(labels, SecondsBuckets())};
  }
  return entry->second;
}

void PrometheusMetrics::Computed(const std::string& model, std::uint64_t version,
                                 const Computation& computation) {
  const std::lock_guard lock(mutex_);
  const auto found = models_.find({model, version});
  if (found == models_.end()) return;
  ModelSeries::OfOperation& series =
      SeriesOfOperation(found->first, found->second, computation.operation);
  series.rows->Increment(static_cast<double>(computation.rows));
  series.queued->Observe(absl::ToDoubleSeconds(computation.queued));
  series.computed->Observe(absl::ToDoubleSeconds(computation.computed));
}

void PrometheusMetrics::BatchComputed(const std::string& model, std::uint64_t version,
                                      Operation operation, std::int64_t queries) {
  const std::lock_guard lock(mutex_);
  const auto found = models_.find({model, version});
  if (found == models_.end()) return;
  prometheus::Histogram*& batches = found->second.batches[operation];
  if (batches == nullptr)
    batches = &model_batches_.Add(ModelLabels(model, version, operation), BatchBuckets());
  batches->Observe(static_cast<double>(queries));
}

void PrometheusMetrics::QueryEnded(const std::string& model, std::uint64_t version,
                                   Operation operation, absl::StatusCode code) {
  const std::lock_guard lock(mutex_);
  const auto found = models_.find({model, version});
  if (found == models_.end()) return;
  prometheus::Counter*& counter = found->second.requests[{operation, code}];
  if (counter == nullptr) {
    Labels labels = ModelLabels(model, version, operation);
    labels["status"] = CodeName(code);
    counter = &model_requests_.Add(labels);
  }
  counter->Increment();
}

void PrometheusMetrics::QueueDepth(std::int64_t requests) {
  queue_depth_.Set(static_cast<double>(requests));
}

void PrometheusMetrics::ModelLoaded(const std::string& model, std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  models_.try_emplace({model, version});
  models_loaded_.Set(static_cast<double>(models_.size()));
}

void PrometheusMetrics::ModelReport(const std::string& model, std::uint64_t version,
                                    const TrainingReport& report) {
  const std::pair<absl::string_view, const Nats&> splits[] = {
      {"train", report.fit}, {"validation", report.validation}, {"held_out", report.held_out}};
  const std::lock_guard lock(mutex_);
  const auto found = models_.find({model, version});
  if (found == models_.end()) return;
  for (const auto& [split, nats] : splits) {
    if (nats.rows == 0 || !std::isfinite(nats.mean)) continue;
    prometheus::Gauge*& loss = found->second.losses[split];
    if (loss == nullptr) {
      loss = &model_loss_.Add(
          {{"model", model}, {"version", absl::StrCat(version)}, {"split", std::string(split)}});
    }
    loss->Set(-nats.mean);
  }
}

void PrometheusMetrics::ModelUnloaded(const std::string& model, std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  const auto found = models_.find({model, version});
  if (found == models_.end()) return;
  for (const auto& [operation, series] : found->second.operations) {
    model_rows_.Remove(series.rows);
    model_queued_.Remove(series.queued);
    model_computed_.Remove(series.computed);
  }
  for (const auto& [operation, batches] : found->second.batches) model_batches_.Remove(batches);
  for (const auto& [key, counter] : found->second.requests) model_requests_.Remove(counter);
  for (const auto& [split, loss] : found->second.losses) model_loss_.Remove(loss);
  models_.erase(found);
  models_loaded_.Set(static_cast<double>(models_.size()));
  if (!IsLoaded(model)) RemoveLoss(model);
}

void PrometheusMetrics::ModelLoadFailed() { load_failures_.Increment(); }

void PrometheusMetrics::TrainingsRunning(int count) { train_jobs_.Set(count); }

void PrometheusMetrics::TrainingLoss(const std::string& model, double train, double validation) {
  if (!std::isfinite(train) && !std::isfinite(validation)) return;  // not known yet
  const std::lock_guard lock(mutex_);
  auto [entry, is_new] = losses_.try_emplace(model);
  if (is_new) {
    entry->second = {&train_loss_.Add({{"model", model}, {"split", "train"}}),
                     &train_loss_.Add({{"model", model}, {"split", "validation"}})};
  }
  // A gauge that once held NaN spoils every sum over it.
  if (std::isfinite(train)) entry->second.first->Set(train);
  if (std::isfinite(validation)) entry->second.second->Set(validation);
}

void PrometheusMetrics::TrainingEnded(const std::string& model) {
  const std::lock_guard lock(mutex_);
  if (!IsLoaded(model)) RemoveLoss(model);
}

void PrometheusMetrics::RemoveLoss(const std::string& model) {
  const auto found = losses_.find(model);
  if (found == losses_.end()) return;
  train_loss_.Remove(found->second.first);
  train_loss_.Remove(found->second.second);
  losses_.erase(found);
}

bool PrometheusMetrics::IsLoaded(const std::string& model) const {
  const auto found = models_.lower_bound({model, 0});
  return found != models_.end() && found->first.first == model;
}

}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
// Events of the server as Prometheus metrics. The names stand in the .cc, and nowhere else.
#ifndef MILLRACE_SERVER_METRICS_PROMETHEUS_METRICS_H_
#define MILLRACE_SERVER_METRICS_PROMETHEUS_METRICS_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/string_view.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/app/build_info.h"
#include "server/app/metrics.h"

namespace millrace {

// A family whose series are made at their first use and found again without building labels.
template <typename Metric, typename Key>
struct SeriesOf {
  prometheus::Family<Metric>* family = nullptr;
  std::map<Key, Metric*> series;
};

// Thread-safe. Series of a model version exist from its load to its deletion: events of versions
// that are not loaded are passed over, so that a name that a client made up never becomes a label.
class PrometheusMetrics final : public Metrics {
 public:
  explicit PrometheusMetrics(const BuildInfo& build);

  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }

  void RpcStarted(const RpcMethod& method) override;
  void RpcMessageReceived(const RpcMethod& method) override;
  void RpcMessageSent(const RpcMethod& method) override;
  void RpcHandled(const RpcMethod& method, absl::StatusCode code, absl::Duration seconds) override;

  void Computed(const std::string& model, std::uint64_t version,
                const Computation& computation) override;
  void BatchComputed(const std::string& model, std::uint64_t version, Operation operation,
                     std::int64_t queries) override;
  void QueryEnded(const std::string& model, std::uint64_t version, Operation operation,
                  absl::StatusCode code) override;
  void QueueDepth(std::int64_t requests) override;

  void ModelLoaded(const std::string& model, std::uint64_t version) override;
  void ModelReport(const std::string& model, std::uint64_t version,
                   const TrainingReport& report) override;
  void ModelUnloaded(const std::string& model, std::uint64_t version) override;
  void ModelLoadFailed() override;

  void TrainingsRunning(int count) override;
  void TrainingLoss(const std::string& model, double train, double validation) override;
  void TrainingEnded(const std::string& model) override;

 private:
  using ModelVersion = std::pair<std::string, std::uint64_t>;
  // Series of one version: by operation, and by operation and status.
  struct ModelSeries {
    struct OfOperation {
      prometheus::Counter* rows = nullptr;
      prometheus::Histogram* queued = nullptr;
      prometheus::Histogram* computed = nullptr;
    };
    std::map<Operation, OfOperation> operations;
    std::map<Operation, prometheus::Histogram*> batches;  // of operations that are batched
    std::map<std::pair<Operation, absl::StatusCode>, prometheus::Counter*> requests;
    std::map<absl::string_view, prometheus::Gauge*> losses;  // by split
  };
  using MethodName = std::pair<absl::string_view, absl::string_view>;  // service, method

  ModelSeries::OfOperation& SeriesOfOperation(const ModelVersion& key, ModelSeries& series,
                                              Operation operation);
  void RemoveLoss(const std::string& model);
  bool IsLoaded(const std::string& model) const;

  const std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Family<prometheus::Counter>& model_requests_;
  prometheus::Family<prometheus::Counter>& model_rows_;
  prometheus::Family<prometheus::Histogram>& model_queued_;
  prometheus::Family<prometheus::Histogram>& model_computed_;
  prometheus::Family<prometheus::Histogram>& model_batches_;
  prometheus::Family<prometheus::Gauge>& model_loss_;
  prometheus::Family<prometheus::Gauge>& train_loss_;
  prometheus::Gauge& queue_depth_;
  prometheus::Gauge& train_jobs_;
  prometheus::Gauge& models_loaded_;
  prometheus::Counter& load_failures_;

  std::mutex mutex_;  // guards everything below
  SeriesOf<prometheus::Counter, MethodName> started_;
  SeriesOf<prometheus::Counter, MethodName> received_;
  SeriesOf<prometheus::Counter, MethodName> sent_;
  SeriesOf<prometheus::Histogram, MethodName> handling_;
  SeriesOf<prometheus::Counter, std::tuple<absl::string_view, absl::string_view, absl::StatusCode>>
      handled_;
  std::map<ModelVersion, ModelSeries> models_;
  std::map<std::string, std::pair<prometheus::Gauge*, prometheus::Gauge*>> losses_;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_METRICS_PROMETHEUS_METRICS_H_

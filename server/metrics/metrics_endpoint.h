// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_SERVER_METRICS_METRICS_ENDPOINT_H_
#define MILLRACE_SERVER_METRICS_METRICS_ENDPOINT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/metrics/process_metrics.h"
#include "server/metrics/prometheus_metrics.h"

namespace prometheus {
class Exposer;
}  // namespace prometheus

namespace millrace {

// Answers GET /metrics over HTTP with the server's metrics and those of the process, on threads of
// its own, until destroyed, which waits for replies under way.
class MetricsEndpoint {
 public:
  // FAILED_PRECONDITION where the address (see ParseHostPort) cannot be listened on.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Open(const std::string& address,
                                                               const PrometheusMetrics& metrics);
  ~MetricsEndpoint();

  // Where it listens; of interest when the address asked for port 0.
  int port() const;

 private:
  MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer, std::string host,
                  const PrometheusMetrics& metrics);

  const std::string host_;
  const std::shared_ptr<ProcessMetrics> process_metrics_ = std::make_shared<ProcessMetrics>();
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_METRICS_METRICS_ENDPOINT_H_

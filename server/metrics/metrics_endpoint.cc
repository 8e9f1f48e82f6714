// SPDX-License-Identifier: Apache-2.0
#include "server/metrics/metrics_endpoint.h"

#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "prometheus/exposer.h"

namespace millrace {

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Open(
    const std::string& address, const PrometheusMetrics& metrics) {
  std::unique_ptr<prometheus::Exposer> exposer;
  try {
    exposer = std::make_unique<prometheus::Exposer>(address);
  } catch (const std::exception& exception) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen on --metrics_address=", address,
                     " (already in use, or no address of this machine): ", exception.what()));
  }
  return std::unique_ptr<MetricsEndpoint>(new MetricsEndpoint(std::move(exposer), metrics));
}

MetricsEndpoint::MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer,
                                 const PrometheusMetrics& metrics)
    : exposer_(std::move(exposer)) {
  exposer_->RegisterCollectable(metrics.registry());
  exposer_->RegisterCollectable(process_metrics_);
}

MetricsEndpoint::~MetricsEndpoint() = default;

int MetricsEndpoint::port() const {
  const std::vector<int> ports = exposer_->GetListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

}  // namespace millrace

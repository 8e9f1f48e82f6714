// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_SERVER_METRICS_PROCESS_METRICS_H_
#define MILLRACE_SERVER_METRICS_PROCESS_METRICS_H_

#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace millrace {

// The process_* metrics that Prometheus clients of all languages export, read from /proc/self at
// each scrape; what cannot be read is left out. Thread-safe.
class ProcessMetrics final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_METRICS_PROCESS_METRICS_H_

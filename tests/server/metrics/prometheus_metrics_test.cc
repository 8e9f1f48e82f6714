// SPDX-License-Identifier: Apache-2.0
#include "server/metrics/prometheus_metrics.h"

#include <limits>
#include <map>
#include <string>

#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "server/metrics/process_metrics.h"

namespace millrace {
namespace {

constexpr RpcMethod kScore{"unary", "millrace.v1.DensityService", "Score"};

std::string Text(const PrometheusMetrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.registry()->Collect());
}

testing::AssertionResult Has(const std::string& text, const std::string& line) {
  if (text.find(line + "\n") != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no line " << line << " in\n" << text;
}

TEST(PrometheusMetrics, CountsRpcsUnderTheNamesOfTheEcosystem) {
  PrometheusMetrics metrics({.version = "1.2.3", .instruction_set = "x86-64-v3"});
  for (int i = 0; i < 2; ++i) {
    metrics.RpcStarted(kScore);
    metrics.RpcMessageReceived(kScore);
  }
  metrics.RpcMessageSent(kScore);
  metrics.RpcHandled(kScore, absl::StatusCode::kOk, absl::Milliseconds(1));
  metrics.RpcHandled(kScore, absl::StatusCode::kInvalidArgument, absl::Milliseconds(1));
  const std::string text = Text(metrics);
  const std::string labels =
      "grpc_method=\"Score\",grpc_service=\"millrace.v1.DensityService\",grpc_type=\"unary\"";
  EXPECT_TRUE(Has(text, "grpc_server_started_total{" + labels + "} 2"));
  EXPECT_TRUE(Has(text, "grpc_server_msg_received_total{" + labels + "} 2"));
  EXPECT_TRUE(Has(text, "grpc_server_msg_sent_total{" + labels + "} 1"));
  EXPECT_TRUE(Has(text, "grpc_server_handled_total{grpc_code=\"OK\"," + labels + "} 1"));
  EXPECT_TRUE(
      Has(text, "grpc_server_handled_total{grpc_code=\"InvalidArgument\"," + labels + "} 1"));
  EXPECT_TRUE(Has(text, "grpc_server_handling_seconds_count{" + labels + "} 2"));
  EXPECT_TRUE(Has(text, "millrace_build_info{instruction_set=\"x86-64-v3\",version=\"1.2.3\"} 1"));
}

TEST(PrometheusMetrics, SeriesOfAModelLiveAsLongAsTheModel) {
  PrometheusMetrics metrics({});
  metrics.ModelLoaded("moons", 1);
  metrics.ModelLoaded("moons", 2);
  EXPECT_TRUE(Has(Text(metrics), "millrace_models_loaded 2"));
  metrics.Computed("moons", 1,
                   {Operation::kScore, 5, absl::Milliseconds(1), absl::Milliseconds(2)});
  metrics.Computed("moons", 1,
                   {Operation::kScore, 7, absl::Milliseconds(1), absl::Milliseconds(2)});
  metrics.BatchComputed("moons", 1, Operation::kScore, 3);
  metrics.BatchComputed("moons", 1, Operation::kScore, 2);
  metrics.QueryEnded("moons", 1, Operation::kScore, absl::StatusCode::kOk);
  const std::string labels = "model=\"moons\",op=\"score\",version=\"1\"";
  const std::string status = "model=\"moons\",op=\"score\",status=\"OK\",version=\"1\"";
  EXPECT_TRUE(Has(Text(metrics), "millrace_rows_total{" + labels + "} 12"));
  EXPECT_TRUE(Has(Text(metrics), "millrace_queue_seconds_count{" + labels + "} 2"));
  EXPECT_TRUE(Has(Text(metrics), "millrace_compute_seconds_count{" + labels + "} 2"));
  EXPECT_TRUE(Has(Text(metrics), "millrace_batch_requests_sum{" + labels + "} 5"));
  EXPECT_TRUE(Has(Text(metrics), "millrace_batch_requests_count{" + labels + "} 2"));
  EXPECT_TRUE(Has(Text(metrics), "millrace_requests_total{" + status + "} 1"));

  TrainingReport report;
  report.fit = {.rows = 80, .mean = -1.0};
  report.validation = {.rows = 10, .mean = std::numeric_limits<double>::quiet_NaN()};
  report.held_out = {.rows = 10, .mean = 2.0};
  metrics.ModelReport("moons", 1, report);
  const std::string of_version = "{model=\"moons\",split=\"held_out\",version=\"1\"}";
  EXPECT_TRUE(Has(Text(metrics), "millrace_model_loss" + of_version + " -2"));
  EXPECT_TRUE(
      Has(Text(metrics), "millrace_model_loss{model=\"moons\",split=\"train\",version=\"1\"} 1"));
  EXPECT_EQ(Text(metrics).find("millrace_model_loss{model=\"moons\",split=\"validation\""),
            std::string::npos);  // never NaN

  metrics.TrainingLoss("moons", 1.5, 2.5);
  metrics.ModelUnloaded("moons", 1);
  EXPECT_EQ(Text(metrics).find("millrace_model_loss{"), std::string::npos);
  EXPECT_EQ(Text(metrics).find("op=\"score\""), std::string::npos);
  EXPECT_TRUE(Has(Text(metrics), "millrace_train_loss{model=\"moons\",split=\"train\"} 1.5"));
  metrics.ModelUnloaded("moons", 2);
  metrics.ModelUnloaded("moons", 2);
  EXPECT_EQ(Text(metrics).find("moons"), std::string::npos);
  EXPECT_TRUE(Has(Text(metrics), "millrace_models_loaded 0"));
}

TEST(PrometheusMetrics, NoEventBringsAnUnknownModelIn) {
  PrometheusMetrics metrics({});
  metrics.Computed("ghost", 1,
                   {Operation::kScore, 5, absl::Milliseconds(1), absl::Milliseconds(2)});
  metrics.BatchComputed("ghost", 1, Operation::kScore, 3);
  metrics.QueryEnded("ghost", 1, Operation::kScore, absl::StatusCode::kOk);
  TrainingReport report;
  report.fit.rows = 1;
  metrics.ModelReport("ghost", 1, report);
  metrics.ModelUnloaded("ghost", 1);
  metrics.TrainingLoss("ghost", 1.0, 1.0);
  metrics.TrainingEnded("ghost");  // failed: no version was published
  EXPECT_EQ(Text(metrics).find("ghost"), std::string::npos);
}

TEST(PrometheusMetrics, ALossIsNeverNan) {
  PrometheusMetrics metrics({});
  metrics.ModelLoaded("moons", 1);
  metrics.TrainingLoss("moons", 1.5, 2.5);
  metrics.TrainingLoss("moons", std::numeric_limits<double>::quiet_NaN(),
                       std::numeric_limits<double>::infinity());
  EXPECT_TRUE(Has(Text(metrics), "millrace_train_loss{model=\"moons\",split=\"train\"} 1.5"));
  EXPECT_TRUE(Has(Text(metrics), "millrace_train_loss{model=\"moons\",split=\"validation\"} 2.5"));
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  metrics.TrainingLoss("new", kUnknown, kUnknown);
  EXPECT_FALSE(Has(Text(metrics), "model=\"new\"")) << "nor 0 before an epoch has ended";
}

TEST(ProcessMetrics, ReadsThisProcess) {
  std::map<std::string, double> values;
  for (const prometheus::MetricFamily& family : ProcessMetrics().Collect()) {
    const prometheus::ClientMetric& metric = family.metric.front();
    values[family.name] = metric.counter.value + metric.gauge.value;
  }
  EXPECT_GT(values["process_resident_memory_bytes"], 1e6);
  EXPECT_GE(values["process_virtual_memory_bytes"], values["process_resident_memory_bytes"]);
  EXPECT_GT(values["process_start_time_seconds"], 1.6e9);
  EXPECT_GE(values["process_threads"], 1.0);
  EXPECT_GE(values["process_open_fds"], 3.0);
  EXPECT_GE(values["process_max_fds"], values["process_open_fds"]);
  EXPECT_TRUE(values.contains("process_cpu_seconds_total"));
}

}  // namespace
}  // namespace millrace

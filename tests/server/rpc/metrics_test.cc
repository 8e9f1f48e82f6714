// SPDX-License-Identifier: Apache-2.0
// Exact counts at /metrics after a known history of calls.

#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

testing::AssertionResult Has(const std::string& text, const std::string& line) {
  if (text.find("\n" + line + "\n") != std::string::npos ||
      text.find("\n" + line + "\r") != std::string::npos) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "no line " << line << " in\n" << text;
}

void LogProb(InProcessServer& server, const std::string& name, std::uint32_t rows) {
  v1::LogProbRequest request;
  request.set_name(name);
  *request.mutable_rows() = SmallRows(rows);
  v1::LogProbResponse response;
  grpc::ClientContext context;
  server.density().LogProb(&context, request, &response);
}

std::string Method(const std::string& type, const std::string& method) {
  return "grpc_method=\"" + method + "\",grpc_service=\"millrace.v1.DensityService\",grpc_type=\"" +
         type + "\"";
}

// Of queries that workers compute, and of brief ones computed where they arrive.
class QueryMetrics : public testing::TestWithParam<std::int64_t> {};
INSTANTIATE_TEST_SUITE_P(All, QueryMetrics, testing::Values(0, Config::kMostInlineProducts));

TEST_P(QueryMetrics, CountExactly) {
  InProcessServer server([](Config& config) {
    ExposeMetrics(config);
    config.max_inline_products = GetParam();
  });
  for (int i = 0; i < 3; ++i) LogProb(server, "small", 10);
  LogProb(server, "ghost", 10);
  LogProb(server, "small", 0);
  {
    v1::SampleRequest request;
    request.set_name("small");
    request.set_count(100);
    request.set_chunk_rows(30);
    grpc::ClientContext context;
    const auto stream = server.density().Sample(&context, request);
    v1::SampleResponse chunk;
    while (stream->Read(&chunk)) {
    }
    EXPECT_TRUE(stream->Finish().ok());
  }
  EXPECT_TRUE(
      Train(server.density(), TrainMessages(QuickSpec("moons"), {QuickTable(), QuickTable()}))
          .ok());

  const std::string text = server.Metrics();
  const std::string log_prob = Method("unary", "LogProb");
  EXPECT_TRUE(Has(text, "grpc_server_started_total{" + log_prob + "} 5"));
  EXPECT_TRUE(Has(text, "grpc_server_msg_received_total{" + log_prob + "} 5"));
  EXPECT_TRUE(Has(text, "grpc_server_msg_sent_total{" + log_prob + "} 3"));
  EXPECT_TRUE(Has(text, "grpc_server_handled_total{grpc_code=\"OK\"," + log_prob + "} 3"));
  EXPECT_TRUE(Has(text, "grpc_server_handled_total{grpc_code=\"NotFound\"," + log_prob + "} 1"));
  EXPECT_TRUE(
      Has(text, "grpc_server_handled_total{grpc_code=\"InvalidArgument\"," + log_prob + "} 1"));
  EXPECT_TRUE(Has(text, "grpc_server_handling_seconds_count{" + log_prob + "} 5"));
  const std::string sample = Method("server_stream", "Sample");
  EXPECT_TRUE(Has(text, "grpc_server_handled_total{grpc_code=\"OK\"," + sample + "} 1"));
  EXPECT_TRUE(Has(text, "grpc_server_msg_sent_total{" + sample + "} 4"));
  const std::string train = Method("bidi_stream", "Train");
  EXPECT_TRUE(Has(text, "grpc_server_handled_total{grpc_code=\"OK\"," + train + "} 1"));
  EXPECT_TRUE(Has(text, "grpc_server_msg_received_total{" + train + "} 3"));

  EXPECT_TRUE(Has(
      text,
      "millrace_requests_total{model=\"small\",op=\"log_prob\",status=\"OK\",version=\"1\"} 3"));
  EXPECT_TRUE(
      Has(text,
          "millrace_requests_total{model=\"small\",op=\"log_prob\",status=\"InvalidArgument\","
          "version=\"1\"} 1"));
  EXPECT_TRUE(Has(text, "millrace_rows_total{model=\"small\",op=\"log_prob\",version=\"1\"} 30"));
  EXPECT_TRUE(
      Has(text,
          "millrace_requests_total{model=\"small\",op=\"sample\",status=\"OK\",version=\"1\"} 1"));
  EXPECT_TRUE(Has(text, "millrace_rows_total{model=\"small\",op=\"sample\",version=\"1\"} 100"));
  EXPECT_TRUE(
      Has(text, "millrace_queue_seconds_count{model=\"small\",op=\"sample\",version=\"1\"} 4"));
  EXPECT_TRUE(
      Has(text, "millrace_compute_seconds_count{model=\"small\",op=\"sample\",version=\"1\"} 4"));
  EXPECT_TRUE(Has(text, "millrace_models_loaded 2"));
  EXPECT_TRUE(Has(text, "millrace_queue_depth 0"));
  EXPECT_TRUE(Has(text, "millrace_train_jobs 0"));
  EXPECT_TRUE(Has(text, "millrace_build_info{instruction_set=\"abacus\",version=\"0.0.0\"} 1"));
  EXPECT_NE(text.find("millrace_train_loss{model=\"moons\",split=\"train\"}"), std::string::npos);
  // Of the version trained above, and of the one that was loaded.
  EXPECT_NE(text.find("\nmillrace_model_loss{model=\"moons\",split=\"held_out\",version=\"1\"}"),
            std::string::npos);
  EXPECT_TRUE(Has(text, "millrace_model_loss{model=\"small\",split=\"held_out\",version=\"1\"} 4"));
  EXPECT_NE(text.find("process_resident_memory_bytes"), std::string::npos);
  EXPECT_EQ(text.find("ghost"), std::string::npos);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    // The exposer's own summary of scrapes is NaN before the first.
    if (!line.starts_with("millrace_")) continue;
    EXPECT_EQ(line.find(" Nan"), std::string::npos) << line;
  }
}

TEST(Metrics, ADeletedModelLeavesNoSeries) {
  InProcessServer server(ExposeMetrics);
  LogProb(server, "small", 10);
  v1::DeleteModelRequest request;
  request.set_name("small");
  request.set_all_versions(true);
  v1::DeleteModelResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server.models().DeleteModel(&context, request, &response).ok());
  EXPECT_EQ(server.Metrics().find("small"), std::string::npos);
  EXPECT_TRUE(Has(server.Metrics(), "millrace_models_loaded 0"));
}

}  // namespace
}  // namespace millrace

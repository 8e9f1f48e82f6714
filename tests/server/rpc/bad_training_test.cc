// SPDX-License-Identifier: Apache-2.0
// What a client can get wrong when it trains; see tests/server/support/bad_input.h.

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/support/bad_input.h"

namespace millrace {
namespace {

using grpc::StatusCode;

constexpr auto kInvalid = StatusCode::INVALID_ARGUMENT;
constexpr auto kTooMuch = StatusCode::RESOURCE_EXHAUSTED;

grpc::Status TrainSpecOf(InProcessServer& server, const Spoil<v1::TrainSpec>& spoil) {
  v1::TrainSpec spec = QuickSpec("bad");
  spoil(spec);
  return Train(server.density(), TrainMessages(spec, {QuickTable()}));
}

grpc::Status TrainTable(InProcessServer& server, const std::vector<v1::Matrix>& chunks) {
  return Train(server.density(), TrainMessages(QuickSpec("bad"), chunks));
}

v1::Matrix Constant(double value) { return MakeMatrix(100, 2, std::vector<double>(200, value)); }

std::vector<BadCall> TrainCases() {
  const auto table = [](const std::string& what, StatusCode code, const std::string& field,
                        const std::vector<v1::Matrix>& chunks) {
    return BadCall{what, code, field, [chunks](auto& s) { return TrainTable(s, chunks); }};
  };
  v1::Matrix nan = QuickTable(50);
  const double not_a_number = NAN;
  nan.mutable_raw_f64_le()->replace(8 * 7, 8, reinterpret_cast<const char*>(&not_a_number), 8);
  v1::Matrix truncated = QuickTable(50);
  truncated.mutable_raw_f64_le()->resize(13);
  return {
      {"nothing at all", kInvalid, "spec", [](auto& s) { return Train(s.density(), {}); }},
      {"an empty message", kInvalid, "message",
       [](auto& s) { return Train(s.density(), {v1::TrainRequest()}); }},
      {"a chunk before the spec", kInvalid, "chunk",
       [](auto& s) {
         v1::TrainRequest chunk;
         *chunk.mutable_chunk() = QuickTable();
         return Train(s.density(), {chunk});
       }},
      {"two specs", kInvalid, "spec",
       [](auto& s) {
         auto messages = TrainMessages(QuickSpec("bad"), {QuickTable()});
         messages.insert(messages.begin(), messages.front());
         return Train(s.density(), messages);
       }},
      {"training under a path", kInvalid, "name",
       [](auto& s) { return TrainSpecOf(s, [](auto& r) { r.set_name("../bad"); }); }},
      {"a spec that contradicts itself", kInvalid, "columns[0].lower_bound",
       [](auto& s) {
         return TrainSpecOf(s, [](auto& r) {
           r.add_columns()->set_name("a");
           r.mutable_columns(0)->set_lower_bound(2);
           r.mutable_columns(0)->set_upper_bound(1);
         });
       }},
      {"fractions that leave nothing to fit", kInvalid, "options.calibration_fraction",
       [](auto& s) {
         return TrainSpecOf(s, [](auto& r) {
           r.mutable_options()->set_validation_fraction(0.5);
           r.mutable_options()->set_calibration_fraction(0.45);
         });
       }},
      {"a residual flow of unequal layers", kInvalid, "flow.stack.hidden_sizes",
       [](auto& s) {
         return TrainSpecOf(s, [](auto& r) {
           v1::StackSpec* maf = r.mutable_flow()->mutable_stack();
           maf->clear_hidden_sizes();
           for (const std::uint32_t size : {8U, 9U, 8U}) maf->add_hidden_sizes(size);
           maf->set_residual(true);
         });
       }},
      {"a spec for another width", kInvalid, "columns",
       [](auto& s) { return TrainSpecOf(s, [](auto& r) { r.add_columns()->set_name("only"); }); }},
      {"a flow of too many parameters", kTooMuch, "flow",
       [](auto& s) {
         return TrainSpecOf(s, [](auto& r) {
           v1::StackSpec* maf = r.mutable_flow()->mutable_stack();
           maf->set_layers(5);
           maf->set_hidden_sizes(0, 8192);
           maf->add_hidden_sizes(8192);
         });
       }},
      table("a spec without a table", kInvalid, "chunk", {}),
      table("a table of one row", kInvalid, "chunk", {QuickTable(1)}),
      table("a table of seven rows", kInvalid, "chunk", {QuickTable(7)}),
      table("an empty chunk", kInvalid, "chunk.rows", {MakeMatrix(0, 2, {})}),
      table("constant data", kInvalid, "chunk", {Constant(3.0)}),
      table("chunks of two widths", kInvalid, "chunk.cols",
            {QuickTable(50), MakeMatrix(1, 3, {1, 2, 3})}),
      table("NaN in the second chunk", kInvalid, "chunk", {QuickTable(50), nan}),
      table("a truncated chunk", kInvalid, "chunk.raw_f64_le", {truncated}),
      table("too many rows", kTooMuch, "chunk", {QuickTable(1001), QuickTable(1000)}),
      table("too many bytes", kTooMuch, "chunk",
            {MakeMatrix(600, 8, std::vector<double>(4800, 1.0))}),
      table("too many columns", kTooMuch, "chunk.cols",
            {MakeMatrix(1, 9, std::vector<double>(9, 1.0))}),
  };
}

TEST(BadInput, Training) { ExpectRefused(TrainCases()); }

TEST(BadInput, NamesTheRowOfTheWholeTable) {
  InProcessServer server;
  v1::Matrix bad = QuickTable(3);
  const double infinite = INFINITY;
  bad.mutable_raw_f64_le()->replace(8 * 3, 8, reinterpret_cast<const char*>(&infinite), 8);
  const grpc::Status train = TrainTable(server, {QuickTable(50), bad});
  EXPECT_EQ(DetailOf(train).row(), 51U);  // counted over all chunks
  EXPECT_EQ(DetailOf(train).column(), 1U);
  EXPECT_EQ(DetailOf(train).value(), "inf");
}

TEST(BadInput, AWrongSpecFailsWithoutWaitingForChunks) {
  InProcessServer server;
  grpc::ClientContext context;
  const auto stream = server.density().Train(&context);
  v1::TrainRequest message;
  message.mutable_spec()->set_name("UPPER");
  EXPECT_TRUE(stream->Write(message));
  v1::TrainResponse event;
  EXPECT_FALSE(stream->Read(&event));  // ends although our side is open
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
// What a client can get wrong when it asks a model, or about models; see
// tests/server/support/bad_input.h.

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "tests/server/support/bad_input.h"

namespace millrace {
namespace {

using grpc::StatusCode;

constexpr auto kInvalid = StatusCode::INVALID_ARGUMENT;
constexpr auto kTooMuch = StatusCode::RESOURCE_EXHAUSTED;

v1::Matrix WithValue(double value) { return MakeMatrix(2, 4, {0, 10, 7, 0.5, 0, value, 7, 0.5}); }

std::vector<BadCall> LogProbCases() {
  const auto named = [](const std::string& what, StatusCode code, const std::string& name) {
    return BadCall{what, code, "name",
                   [name](auto& s) { return LogProb(s, [&](auto& r) { r.set_name(name); }); }};
  };
  const auto rows = [](const std::string& what, StatusCode code, const std::string& field,
                       const v1::Matrix& m) {
    return BadCall{what, code, field,
                   [m](auto& s) { return LogProb(s, [&](auto& r) { *r.mutable_rows() = m; }); }};
  };
  v1::Matrix truncated = SmallRows(2);
  truncated.mutable_raw_f64_le()->pop_back();
  v1::Matrix huge = SmallRows(1);
  huge.set_rows(std::numeric_limits<std::uint32_t>::max());
  v1::Matrix huge_cols = SmallRows(1);
  huge_cols.set_cols(std::numeric_limits<std::uint32_t>::max());
  v1::Matrix no_data;
  no_data.set_rows(1);
  no_data.set_cols(4);
  v1::Matrix short_floats = no_data;
  short_floats.mutable_floats()->add_values(1);
  v1::Matrix empty_doubles = no_data;
  empty_doubles.mutable_doubles();
  v1::Matrix float32 = no_data;
  float32.set_raw_f32_le(std::string(15, '\0'));
  return {
      named("no name", kInvalid, ""),
      named("an unknown model", StatusCode::NOT_FOUND, "ghost"),
      named("a path", kInvalid, "../../etc/passwd"),
      named("a path below", kInvalid, "small/1"),
      named("a NUL", kInvalid, std::string("sm\0ll", 5)),
      named("10,000 characters", kInvalid, std::string(10'000, 'a')),
      named("upper case", kInvalid, "Small"),
      named("a newline", kInvalid, "small\nlevel=error"),
      {"an unknown version", StatusCode::NOT_FOUND, "version",
       [](auto& s) { return LogProb(s, [](auto& r) { r.set_version(99); }); }},
      {"a huge version", StatusCode::NOT_FOUND, "version",
       [](auto& s) { return LogProb(s, [](auto& r) { r.set_version(~0ULL); }); }},
      {"no rows at all", kInvalid, "rows.rows",
       [](auto& s) { return LogProb(s, [](auto& r) { r.clear_rows(); }); }},
      rows("zero rows", kInvalid, "rows.rows", MakeMatrix(0, 4, {})),
      rows("zero columns", kInvalid, "rows.cols", MakeMatrix(3, 0, {})),
      rows("too few columns", kInvalid, "rows.cols", MakeMatrix(1, 3, {0, 10, 7})),
      rows("too many columns", kInvalid, "rows.cols", MakeMatrix(1, 5, {0, 10, 7, 0.5, 1})),
      rows("NaN", kInvalid, "rows", WithValue(NAN)),
      rows("infinity", kInvalid, "rows", WithValue(INFINITY)),
      rows("minus infinity", kInvalid, "rows", WithValue(-INFINITY)),
      rows("a truncated matrix", kInvalid, "rows.raw_f64_le", truncated),
      rows("truncated floats", kInvalid, "rows.raw_f32_le", float32),
      rows("too few floats", kInvalid, "rows.floats", short_floats),
      rows("no doubles", kInvalid, "rows.doubles", empty_doubles),
      rows("no data", kInvalid, "rows.data", no_data),
      rows("a huge row count", kTooMuch, "rows.rows", huge),
      rows("a huge column count", kTooMuch, "rows.cols", huge_cols),
      rows("too many rows", kTooMuch, "rows.rows", SmallRows(1001)),
      {"a message above the limit", kTooMuch, "",
       [](auto& s) { return LogProb(s, [](auto& r) { *r.mutable_rows() = SmallRows(40'000); }); }},
      {"too few column names", kInvalid, "column_names",
       [](auto& s) { return LogProb(s, [](auto& r) { r.add_column_names("x"); }); }},
      {"an unknown column name", kInvalid, "column_names",
       [](auto& s) {
         return LogProb(s, [](auto& r) {
           for (const char* n : {"x", "y", "k", "w"}) r.add_column_names(n);
         });
       }},
      {"a repeated column name", kInvalid, "column_names[3]",
       [](auto& s) {
         return LogProb(s, [](auto& r) {
           for (const char* n : {"x", "y", "k", "x"}) r.add_column_names(n);
         });
       }},
  };
}

std::vector<BadCall> OtherQueryCases() {
  const auto out_of_support = MakeMatrix(2, 4, {0, 10, 7, 0.5, 0, 10, 8, 0.5});
  return {
      {"a rate of 0", kInvalid, "false_positive_rate",
       [](auto& s) { return Score(s, [](auto& r) { r.set_false_positive_rate(0); }); }},
      {"a rate of 1", kInvalid, "false_positive_rate",
       [](auto& s) { return Score(s, [](auto& r) { r.set_false_positive_rate(1); }); }},
      {"a rate of NaN", kInvalid, "false_positive_rate",
       [](auto& s) { return Score(s, [](auto& r) { r.set_false_positive_rate(NAN); }); }},
      {"a rate that 99 rows cannot resolve", StatusCode::FAILED_PRECONDITION, "false_positive_rate",
       [](auto& s) { return Score(s, [](auto& r) { r.set_false_positive_rate(0.001); }); }},
      {"unknown contributions", kInvalid, "contributions",
       [](auto& s) {
         return Score(s, [](auto& r) { r.set_contributions(static_cast<v1::Contributions>(9)); });
       }},
      {"more contributions than one request may have computed", kTooMuch, "rows.rows",
       [](auto& s) {
         return Score(s, [](auto& r) {
           *r.mutable_rows() = SmallRows(833);
           r.set_contributions(v1::CONTRIBUTIONS_CONDITIONAL);
         });
       }},
      {"one step", kInvalid, "steps",
       [](auto& s) { return Interpolate(s, [](auto& r) { r.set_steps(1); }); }},
      {"a step too many", kInvalid, "steps",
       [](auto& s) { return Interpolate(s, [](auto& r) { r.set_steps(10'001); }); }},
      {"minus one steps", kInvalid, "steps",
       [](auto& s) {
         return Interpolate(s, [](auto& r) { r.set_steps(static_cast<std::uint32_t>(-1)); });
       }},
      {"three ends", kInvalid, "rows.rows",
       [](auto& s) { return Interpolate(s, [](auto& r) { *r.mutable_rows() = SmallRows(3); }); }},
      {"an end out of support", kInvalid, "rows",
       [=](auto& s) {
         return Interpolate(s, [&](auto& r) { *r.mutable_rows() = out_of_support; });
       }},
      {"an unknown method", kInvalid, "method",
       [](auto& s) {
         return Interpolate(s,
                            [](auto& r) { r.set_method(static_cast<v1::InterpolationMethod>(7)); });
       }},
      {"a row out of support to encode", kInvalid, "rows",
       [=](auto& s) { return Encode(s, [&](auto& r) { *r.mutable_rows() = out_of_support; }); }},
      {"NaN to encode", kInvalid, "rows",
       [](auto& s) { return Encode(s, [](auto& r) { *r.mutable_rows() = WithValue(NAN); }); }},
      {"latents of the table's width", kInvalid, "latents.cols",
       [](auto& s) {
         return Decode(s, [](auto& r) { *r.mutable_latents() = MakeMatrix(1, 4, {0, 0, 0, 0}); });
       }},
      {"a latent NaN", kInvalid, "latents",
       [](auto& s) {
         return Decode(s, [](auto& r) { *r.mutable_latents() = MakeMatrix(1, 3, {0, NAN, 0}); });
       }},
      {"no latents", kInvalid, "latents.rows",
       [](auto& s) { return Decode(s, [](auto& r) { r.clear_latents(); }); }},
      {"no samples", kInvalid, "count",
       [](auto& s) { return Sample(s, [](auto& r) { r.set_count(0); }); }},
      {"minus one samples", kTooMuch, "count",
       [](auto& s) {
         return Sample(s, [](auto& r) { r.set_count(static_cast<std::uint64_t>(-1)); });
       }},
      {"too many samples", kTooMuch, "count",
       [](auto& s) { return Sample(s, [](auto& r) { r.set_count(5001); }); }},
      {"a negative temperature", kInvalid, "temperature",
       [](auto& s) { return Sample(s, [](auto& r) { r.set_temperature(-1); }); }},
      {"a temperature of NaN", kInvalid, "temperature",
       [](auto& s) { return Sample(s, [](auto& r) { r.set_temperature(NAN); }); }},
      {"an infinite temperature", kInvalid, "temperature",
       [](auto& s) { return Sample(s, [](auto& r) { r.set_temperature(INFINITY); }); }},
      {"samples of a ghost", StatusCode::NOT_FOUND, "name",
       [](auto& s) { return Sample(s, [](auto& r) { r.set_name("ghost"); }); }},
  };
}

grpc::Status List(InProcessServer& server, const Spoil<v1::ListModelsRequest>& spoil) {
  v1::ListModelsRequest request;
  spoil(request);
  grpc::ClientContext context;
  v1::ListModelsResponse response;
  return server.models().ListModels(&context, request, &response);
}

grpc::Status Delete(InProcessServer& server, const std::string& name, std::uint64_t version,
                    bool all) {
  v1::DeleteModelRequest request;
  request.set_name(name);
  request.set_version(version);
  request.set_all_versions(all);
  grpc::ClientContext context;
  v1::DeleteModelResponse response;
  return server.models().DeleteModel(&context, request, &response);
}

std::vector<BadCall> ModelServiceCases() {
  return {
      {"a ghost's description", StatusCode::NOT_FOUND, "name",
       [](auto& s) { return Get(s, "ghost", 0); }},
      {"a path's description", kInvalid, "name", [](auto& s) { return Get(s, "..", 0); }},
      {"a negative page", kInvalid, "page_size",
       [](auto& s) { return List(s, [](auto& r) { r.set_page_size(-1); }); }},
      {"a made-up token", kInvalid, "page_token",
       [](auto& s) { return List(s, [](auto& r) { r.set_page_token("AAAA"); }); }},
      {"a list of a ghost", StatusCode::NOT_FOUND, "name",
       [](auto& s) { return List(s, [](auto& r) { r.set_name("ghost"); }); }},
      {"a deletion of nothing", kInvalid, "version",
       [](auto& s) { return Delete(s, "small", 0, false); }},
      {"a deletion of one and all", kInvalid, "version",
       [](auto& s) { return Delete(s, "small", 1, true); }},
      {"a deletion of a ghost", StatusCode::NOT_FOUND, "name",
       [](auto& s) { return Delete(s, "ghost", 1, false); }},
      {"a deletion of a path", kInvalid, "name",
       [](auto& s) { return Delete(s, "../small", 0, true); }},
  };
}

TEST(BadInput, LogProb) { ExpectRefused(LogProbCases()); }
TEST(BadInput, OtherQueries) { ExpectRefused(OtherQueryCases()); }
TEST(BadInput, ModelService) { ExpectRefused(ModelServiceCases()); }

TEST(BadInput, NamesRowColumnAndValue) {
  InProcessServer server;
  const grpc::Status rows = LogProb(server, [](auto& r) { *r.mutable_rows() = WithValue(NAN); });
  EXPECT_EQ(DetailOf(rows).row(), 1U);
  EXPECT_EQ(DetailOf(rows).column(), 1U);
  EXPECT_EQ(DetailOf(rows).value(), "nan");
}

TEST(BadInput, UndecodableBytesAreAnErrorAndNoMore) {
  InProcessServer server;
  const std::string garbage[] = {std::string("\xff\xff\xff\xff\xff", 5),
                                 std::string("\x0a\xff\x7f", 3), std::string(1000, '\x08'),
                                 std::string("\x0a\x02\xc3\x28", 4)};
  for (const std::string& bytes : garbage) {
    for (const char* method : {"LogProb", "Sample", "Train", "NoSuchMethod"}) {
      grpc::GenericStub stub(server.channel());
      grpc::ClientContext context;
      grpc::CompletionQueue queue;
      const grpc::Slice slice(bytes);
      const auto call =
          stub.PrepareUnaryCall(&context, std::string("/millrace.v1.DensityService/") + method,
                                grpc::ByteBuffer(&slice, 1), &queue);
      call->StartCall();
      grpc::ByteBuffer answer;
      grpc::Status status;
      call->Finish(&answer, &status, nullptr);
      void* tag = nullptr;
      bool ok = false;
      EXPECT_TRUE(queue.Next(&tag, &ok));
      EXPECT_FALSE(status.ok()) << method;
      queue.Shutdown();
      while (queue.Next(&tag, &ok)) {
      }
    }
    EXPECT_TRUE(LogProb(server, [](auto&) {}).ok());
  }
}

}  // namespace
}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
// What a client can get wrong, sent through real calls: each gets its code and names its field, and
// the same server answers a good request afterwards.

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

using grpc::StatusCode;

struct Case {
  std::string what;
  StatusCode code;
  std::string field;
  std::function<grpc::Status(InProcessServer&)> call;
};

// Calls that are good until spoiled.

template <typename Request>
using Spoil = std::function<void(Request&)>;

grpc::Status LogProb(InProcessServer& s, const Spoil<v1::LogProbRequest>& spoil) {
  v1::LogProbRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(3);
  spoil(request);
  grpc::ClientContext context;
  v1::LogProbResponse response;
  return s.density().LogProb(&context, request, &response);
}

grpc::Status Score(InProcessServer& s, const Spoil<v1::ScoreRequest>& spoil) {
  v1::ScoreRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(3);
  spoil(request);
  grpc::ClientContext context;
  v1::ScoreResponse response;
  return s.density().Score(&context, request, &response);
}

grpc::Status Interpolate(InProcessServer& s, const Spoil<v1::InterpolateRequest>& spoil) {
  v1::InterpolateRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(2);
  request.set_steps(5);
  spoil(request);
  grpc::ClientContext context;
  v1::InterpolateResponse response;
  return s.density().Interpolate(&context, request, &response);
}

grpc::Status Encode(InProcessServer& s, const Spoil<v1::EncodeRequest>& spoil) {
  v1::EncodeRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(3);
  spoil(request);
  grpc::ClientContext context;
  v1::EncodeResponse response;
  return s.density().Encode(&context, request, &response);
}

grpc::Status Decode(InProcessServer& s, const Spoil<v1::DecodeRequest>& spoil) {
  v1::DecodeRequest request;
  request.set_name("small");
  *request.mutable_latents() = MakeMatrix(1, 3, {0, 0, 0});
  spoil(request);
  grpc::ClientContext context;
  v1::DecodeResponse response;
  return s.density().Decode(&context, request, &response);
}

grpc::Status Sample(InProcessServer& s, const Spoil<v1::SampleRequest>& spoil) {
  v1::SampleRequest request;
  request.set_name("small");
  request.set_count(3);
  spoil(request);
  grpc::ClientContext context;
  const auto stream = s.density().Sample(&context, request);
  v1::SampleResponse chunk;
  while (stream->Read(&chunk)) {
  }
  return stream->Finish();
}

grpc::Status TrainSpecOf(InProcessServer& s, const Spoil<v1::TrainSpec>& spoil) {
  v1::TrainSpec spec = QuickSpec("bad");
  spoil(spec);
  return Train(s.density(), TrainMessages(spec, {QuickTable()}));
}

grpc::Status TrainTable(InProcessServer& s, const std::vector<v1::Matrix>& chunks) {
  return Train(s.density(), TrainMessages(QuickSpec("bad"), chunks));
}

grpc::Status Get(InProcessServer& s, const std::string& name, std::uint64_t version) {
  v1::GetModelRequest request;
  request.set_name(name);
  request.set_version(version);
  grpc::ClientContext context;
  v1::GetModelResponse response;
  return s.models().GetModel(&context, request, &response);
}

grpc::Status List(InProcessServer& s, const Spoil<v1::ListModelsRequest>& spoil) {
  v1::ListModelsRequest request;
  spoil(request);
  grpc::ClientContext context;
  v1::ListModelsResponse response;
  return s.models().ListModels(&context, request, &response);
}

grpc::Status Delete(InProcessServer& s, const std::string& name, std::uint64_t version, bool all) {
  v1::DeleteModelRequest request;
  request.set_name(name);
  request.set_version(version);
  request.set_all_versions(all);
  grpc::ClientContext context;
  v1::DeleteModelResponse response;
  return s.models().DeleteModel(&context, request, &response);
}

v1::Matrix WithValue(double value) { return MakeMatrix(2, 4, {0, 10, 7, 0.5, 0, value, 7, 0.5}); }

v1::Matrix Constant(double value) { return MakeMatrix(100, 2, std::vector<double>(200, value)); }

// The table.

std::vector<Case> LogProbCases() {
  constexpr auto kInvalid = StatusCode::INVALID_ARGUMENT;
  constexpr auto kTooMuch = StatusCode::RESOURCE_EXHAUSTED;
  const auto named = [](const std::string& what, StatusCode code, const std::string& name) {
    return Case{what, code, "name",
                [name](auto& s) { return LogProb(s, [&](auto& r) { r.set_name(name); }); }};
  };
  const auto rows = [](const std::string& what, StatusCode code, const std::string& field,
                       const v1::Matrix& m) {
    return Case{what, code, field,
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

std::vector<Case> OtherQueryCases() {
  constexpr auto kInvalid = StatusCode::INVALID_ARGUMENT;
  constexpr auto kTooMuch = StatusCode::RESOURCE_EXHAUSTED;
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

std::vector<Case> TrainCases() {
  constexpr auto kInvalid = StatusCode::INVALID_ARGUMENT;
  constexpr auto kTooMuch = StatusCode::RESOURCE_EXHAUSTED;
  const auto table = [](const std::string& what, StatusCode code, const std::string& field,
                        const std::vector<v1::Matrix>& chunks) {
    return Case{what, code, field, [chunks](auto& s) { return TrainTable(s, chunks); }};
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
      {"a residual flow of unequal layers", kInvalid, "flow.maf.hidden_sizes",
       [](auto& s) {
         return TrainSpecOf(s, [](auto& r) {
           v1::MafSpec* maf = r.mutable_flow()->mutable_maf();
           maf->clear_hidden_sizes();
           for (const std::uint32_t size : {8U, 9U, 8U}) maf->add_hidden_sizes(size);
           maf->set_residual(true);
         });
       }},
      {"a spec for another width", kInvalid, "columns",
       [](auto& s) { return TrainSpecOf(s, [](auto& r) { r.add_columns()->set_name("only"); }); }},
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

void ExpectGoodCallsWork(InProcessServer& server) {
  EXPECT_TRUE(LogProb(server, [](auto&) {}).ok());
  EXPECT_TRUE(Score(server, [](auto&) {}).ok());
  EXPECT_TRUE(Interpolate(server, [](auto&) {}).ok());
  EXPECT_TRUE(Encode(server, [](auto&) {}).ok());
  EXPECT_TRUE(Decode(server, [](auto&) {}).ok());
  EXPECT_TRUE(Sample(server, [](auto&) {}).ok());
}

void RunCases(const std::vector<Case>& cases) {
  InProcessServer server;
  ExpectGoodCallsWork(server);
  for (const Case& test : cases) {
    SCOPED_TRACE(test.what);
    const grpc::Status status = test.call(server);
    EXPECT_EQ(status.error_code(), test.code) << status.error_message();
    EXPECT_FALSE(status.error_message().empty());
    if (!test.field.empty()) {
      EXPECT_EQ(DetailOf(status).field(), test.field) << status.error_message();
    }
    EXPECT_TRUE(LogProb(server, [](auto&) {}).ok());
  }
  ExpectGoodCallsWork(server);
  EXPECT_EQ(Get(server, "bad", 0).error_code(), StatusCode::NOT_FOUND);  // nothing was published
}

TEST(BadInput, LogProb) { RunCases(LogProbCases()); }
TEST(BadInput, OtherQueries) { RunCases(OtherQueryCases()); }
TEST(BadInput, Training) { RunCases(TrainCases()); }

TEST(BadInput, NamesRowColumnAndValue) {
  InProcessServer server;
  const grpc::Status rows = LogProb(server, [](auto& r) { *r.mutable_rows() = WithValue(NAN); });
  EXPECT_EQ(DetailOf(rows).row(), 1U);
  EXPECT_EQ(DetailOf(rows).column(), 1U);
  EXPECT_EQ(DetailOf(rows).value(), "nan");
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

// SPDX-License-Identifier: Apache-2.0
// What a client can get wrong about conditions; see tests/server/support/bad_input.h.

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "core/io/model_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/support/bad_input.h"
#include "tests/server/support/conditional_model.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

constexpr auto kInvalid = grpc::StatusCode::INVALID_ARGUMENT;
constexpr auto kTooMuch = grpc::StatusCode::RESOURCE_EXHAUSTED;

void AddModel(Config& config) {
  const std::string folder = config.model_dir + "/given/1";
  std::filesystem::create_directories(folder);
  EXPECT_TRUE(SaveModel(ConditionalModel(), folder + "/model.safetensors").ok());
}

// A good request to the conditional model.
template <typename Request>
void MakeGood(Request& request) {
  request.set_name("given");
  *request.mutable_context() = MakeMatrix(1, 2, {0.5, 2});
}

// A call of each method whose context is `context`.
std::vector<BadCall> WithContext(const std::string& what, grpc::StatusCode code,
                                 const std::string& field, const v1::Matrix& context) {
  const auto spoil = [context](auto& request) {
    MakeGood(request);
    *request.mutable_context() = context;
  };
  return {{what + " (LogProb)", code, field, [=](auto& s) { return LogProb(s, spoil); }},
          {what + " (Score)", code, field, [=](auto& s) { return Score(s, spoil); }},
          {what + " (Interpolate)", code, field, [=](auto& s) { return Interpolate(s, spoil); }},
          {what + " (Encode)", code, field, [=](auto& s) { return Encode(s, spoil); }},
          {what + " (Decode)", code, field, [=](auto& s) { return Decode(s, spoil); }},
          {what + " (Sample)", code, field, [=](auto& s) { return Sample(s, spoil); }}};
}

std::vector<BadCall> ContextCases() {
  v1::Matrix no_data;
  no_data.set_rows(1);
  no_data.set_cols(2);
  std::vector<BadCall> all;
  for (const auto& calls : {
           WithContext("one column", kInvalid, "context.cols", MakeMatrix(1, 1, {0.5})),
           WithContext("three columns", kInvalid, "context.cols", MakeMatrix(1, 3, {0.5, 2, 1})),
           WithContext("no rows", kInvalid, "context.rows", MakeMatrix(0, 2, {})),
           WithContext("no data", kInvalid, "context.data", no_data),
           WithContext("NaN", kInvalid, "context", MakeMatrix(1, 2, {NAN, 2})),
           WithContext("infinity", kInvalid, "context", MakeMatrix(1, 2, {-INFINITY, 2})),
           WithContext("an unknown category", kInvalid, "context", MakeMatrix(1, 2, {0.5, 3})),
           WithContext("too many rows", kTooMuch, "context.rows",
                       MakeMatrix(1001, 2, std::vector<double>(2002, 1.0))),
       })
    all.insert(all.end(), calls.begin(), calls.end());
  return all;
}

std::vector<BadCall> ShapeCases() {
  const v1::Matrix two = MakeMatrix(2, 2, {0.5, 2, 0.5, 2});
  const auto names = [](const std::string& what, const std::string& field,
                        const std::vector<std::string>& list) {
    return BadCall{what, kInvalid, field, [list](auto& s) {
                     return LogProb(s, [&](auto& r) {
                       MakeGood(r);
                       *r.mutable_context_column_names() = {list.begin(), list.end()};
                     });
                   }};
  };
  const auto two_rows = [two](auto& r) {
    MakeGood(r);
    *r.mutable_context() = two;
  };
  const auto missing = [](auto& r) { r.set_name("given"); };
  const auto superfluous = [two](auto& r) { *r.mutable_context() = two; };
  return {
      {"a missing context", kInvalid, "context", [=](auto& s) { return LogProb(s, missing); }},
      {"scores without", kInvalid, "context", [=](auto& s) { return Score(s, missing); }},
      {"a path without", kInvalid, "context", [=](auto& s) { return Interpolate(s, missing); }},
      {"latents without", kInvalid, "context", [=](auto& s) { return Encode(s, missing); }},
      {"rows without", kInvalid, "context", [=](auto& s) { return Decode(s, missing); }},
      {"samples without", kInvalid, "context", [=](auto& s) { return Sample(s, missing); }},
      {"a context too many", kInvalid, "context", [=](auto& s) { return LogProb(s, superfluous); }},
      {"scores with", kInvalid, "context", [=](auto& s) { return Score(s, superfluous); }},
      {"a path with", kInvalid, "context", [=](auto& s) { return Interpolate(s, superfluous); }},
      {"latents with", kInvalid, "context", [=](auto& s) { return Encode(s, superfluous); }},
      {"rows with", kInvalid, "context", [=](auto& s) { return Decode(s, superfluous); }},
      {"samples with", kInvalid, "context", [=](auto& s) { return Sample(s, superfluous); }},
      {"two conditions of three rows", kInvalid, "context.rows",
       [=](auto& s) { return LogProb(s, two_rows); }},
      {"two conditions of a path", kInvalid, "context.rows",
       [=](auto& s) { return Interpolate(s, two_rows); }},
      {"two conditions of one latent point", kInvalid, "context.rows",
       [=](auto& s) { return Decode(s, two_rows); }},
      {"samples of too many conditions in all", kTooMuch, "count",
       [=](auto& s) {
         return Sample(s, [&](auto& r) {
           two_rows(r);
           r.set_count(2501);
         });
       }},
      {"a number of samples that overflows", kTooMuch, "count",
       [=](auto& s) {
         return Sample(s, [&](auto& r) {
           two_rows(r);
           r.set_count(std::uint64_t{1} << 63);
         });
       }},
      names("too few names", "context_column_names", {"c"}),
      names("an unknown name", "context_column_names", {"c", "x"}),
      names("a repeated name", "context_column_names[1]", {"c", "c"}),
      {"names without a context", kInvalid, "context_column_names",
       [](auto& s) { return LogProb(s, [](auto& r) { r.add_context_column_names("c"); }); }},
      {"a bad second condition of samples", kInvalid, "context",
       [](auto& s) {
         return Sample(s, [](auto& r) {
           MakeGood(r);
           *r.mutable_context() = MakeMatrix(2, 2, {0.5, 2, 0.5, 4});
         });
       }},
  };
}

std::vector<BadCall> TrainingCases() {
  const auto columns = [](const std::string& what, const std::string& field,
                          const Spoil<v1::TrainSpec>& spoil) {
    return BadCall{what, kInvalid, field, [spoil](auto& s) {
                     v1::TrainSpec spec = QuickSpec("bad");
                     for (const char* name : {"c", "x"}) spec.add_columns()->set_name(name);
                     spec.mutable_columns(0)->set_role(v1::COLUMN_ROLE_CONDITION);
                     spoil(spec);
                     return Train(s.density(), TrainMessages(spec, {QuickTable()}));
                   }};
  };
  return {
      columns("nothing but conditions", "columns",
              [](auto& r) { r.mutable_columns(1)->set_role(v1::COLUMN_ROLE_CONDITION); }),
      columns("an unknown role", "columns[1].role",
              [](auto& r) { r.mutable_columns(1)->set_role(static_cast<v1::ColumnRole>(7)); }),
      columns("a categorical feature", "columns[1].type",
              [](auto& r) { r.mutable_columns(1)->set_type(v1::COLUMN_TYPE_CATEGORICAL); }),
      columns("a discrete condition", "columns[0].type",
              [](auto& r) { r.mutable_columns(0)->set_type(v1::COLUMN_TYPE_DISCRETE); }),
      columns("a bounded condition", "columns[0].upper_bound",
              [](auto& r) { r.mutable_columns(0)->set_upper_bound(9); }),
      columns("a condition with bins", "columns[0].bin_width",
              [](auto& r) { r.mutable_columns(0)->set_bin_width(9); }),
  };
}

TEST(ConditionalBadInput, Contexts) { ExpectRefused(ContextCases(), AddModel); }
TEST(ConditionalBadInput, Shapes) { ExpectRefused(ShapeCases(), AddModel); }
TEST(ConditionalBadInput, Training) { ExpectRefused(TrainingCases()); }

TEST(ConditionalBadInput, NamesRowColumnAndWhatIsKnown) {
  InProcessServer server(AddModel);
  const grpc::Status status = LogProb(server, [](auto& r) {
    MakeGood(r);
    *r.mutable_context() = MakeMatrix(3, 2, {0.5, 2, 0.5, 2.5, 0.5, 1});
  });
  const v1::ErrorDetail detail = DetailOf(status);
  EXPECT_EQ(detail.row(), 1U);
  EXPECT_EQ(detail.column(), 1U);
  EXPECT_EQ(detail.value(), "2.5");
  EXPECT_EQ(detail.expected(), "a category of 'label': 1, 2, 5");
  EXPECT_THAT(DetailOf(LogProb(server, [](auto& r) { r.set_name("given"); })).expected(),
              HasSubstr("'c', 'label'"));
}

TEST(ConditionalBadInput, TheConditionsOfASampleAreBounded) {
  InProcessServer server([](Config& config) {
    AddModel(config);
    config.limits.max_request_rows = 200'000;
    config.limits.max_message_bytes = 16 << 20;
    config.limits.max_sample_rows = 1'000'000;
  });
  const auto sample = [&](std::uint32_t conditions) {
    return Sample(server, [&](auto& r) {
      MakeGood(r);
      r.set_count(1);
      *r.mutable_context() =
          MakeMatrix(conditions, 2, std::vector<double>(std::size_t{conditions} * 2, 1.0));
    });
  };
  EXPECT_TRUE(sample(65'536).ok());
  const grpc::Status status = sample(65'537);
  EXPECT_EQ(status.error_code(), kTooMuch);
  EXPECT_EQ(DetailOf(status).field(), "context.rows");
}

}  // namespace
}  // namespace millrace

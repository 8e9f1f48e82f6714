// SPDX-License-Identifier: Apache-2.0
// Options that are wrong, and the exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "client/cli/io/file_error.h"
#include "tests/client/cli/commands.h"

namespace millrace::cli {
namespace {

using ::testing::HasSubstr;

TEST_F(Commands, WrongUsageIsSeenBeforeAnythingRuns) {
  for (const char* arguments :
       {"log-prob moons:x t.csv", "log-prob moons:0 t.csv", "sample moons", "sample moons -n -1",
        "sample moons -n 1 --seed -1", "train moons t.csv --layers -1",
        "score moons t.csv --contributions all", "train moons t.csv --max-duration soon",
        "train moons t.csv --timeout -1s", "interpolate moons t.csv --rows 1",
        "log-prob moons t.csv --delimiter ab", "log-prob moons t.csv --format xml"}) {
    EXPECT_EQ(Run(arguments).code(), absl::StatusCode::kFailedPrecondition) << arguments;
  }
  EXPECT_EQ(server_.calls, 0);
}

TEST_F(Commands, AWholeNumberIsTakenAsItStandsOrRefused) {
  const struct {
    const char* arguments;
    const char* says;
  } cases[] = {
      {"generate two-moons -n 99999999999999999999",
       "--count: is '99999999999999999999', not a whole number from 1 to 9223372036854775807"},
      {"generate two-moons -n 1 --seed 99999999999999999999",
       "--seed: is '99999999999999999999', not a whole number from 0 to 18446744073709551615"},
      {"generate two-moons -n 1e3", "--count: is '1e3', not a whole number from 1 to"},
      {"sample moons -n 18446744073709551616", "--count: is '18446744073709551616'"},
      {"sample moons -n 1 --seed 1.5", "--seed: is '1.5'"},
      {"interpolate moons t.csv --steps 4294967298", "--steps: is '4294967298'"},
      {"train moons t.csv --batch-size 4294967296",
       "--batch-size: is '4294967296', not a whole number from 0 to 4294967295"},
      {"train moons t.csv --seed 18446744073709551616", "--seed: is '18446744073709551616'"},
      {"train moons t.csv --hidden 64,1e2", "--hidden: is '1e2'"},
      {"train moons t.csv --hidden 1,,", "--hidden: is '1,,', which has an empty entry"},
      {"train moons t.csv --discrete a,", "--discrete: is 'a,', which has an empty entry"},
  };
  for (const auto& [arguments, says] : cases) {
    const absl::Status status = Run(arguments, !std::string(arguments).starts_with("generate"));
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << arguments;
    EXPECT_THAT(std::string(status.message()), HasSubstr(says));
  }
  std::uint64_t seed = 0;
  server_.sample = [&](auto&, const auto& request, auto&) {
    seed = request.seed();
    return grpc::Status::CANCELLED;
  };
  (void)Run("sample moons -n 1 --seed 18446744073709551615");
  EXPECT_EQ(seed, 18446744073709551615u);
}

TEST_F(Commands, AFlowFileStandsAlone) {
  const std::string file =
      folder_.Write("flow.json", R"({"chain": {"layers": [{"planar": {}}, {"radial": {}}]}})");
  const std::string train = "train moons " + folder_.Write("t.csv", "a,b\n1,2\n") + " --flow-file ";
  for (const char* other : {"--flow realnvp", "--hidden 8", "--layers 2", "--base logistic",
                            "--heavy-tails no", "--bound 3"}) {
    const absl::Status status = Run(train + file + " " + other);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << other;
    const std::string flag(other, std::string(other).find(' '));
    EXPECT_THAT(std::string(status.message()),
                ::testing::AllOf(HasSubstr("--flow-file"), HasSubstr("exclude"), HasSubstr(flag)));
  }
  EXPECT_THAT(std::string(Run(train + folder_.Write("no.json", "{\"chains\": 1}")).message()),
              HasSubstr("not a FlowSpec in JSON"));
  EXPECT_THAT(std::string(Run(train + "missing.json").message()), HasSubstr("cannot be read"));
  EXPECT_EQ(server_.calls, 0);

  v1::TrainSpec spec;
  server_.train = [&](auto&, auto& stream) {
    v1::TrainRequest request;
    if (stream.Read(&request)) spec = request.spec();
    return grpc::Status::CANCELLED;
  };
  (void)Run(train + file + " --seed 3");
  ASSERT_EQ(spec.flow().chain().layers_size(), 2);
  EXPECT_TRUE(spec.flow().chain().layers(1).has_radial());
  EXPECT_EQ(spec.options().seed(), 3u);
}

TEST(ExitCode, TellsServersFromFiles) {
  EXPECT_EQ(ExitCode(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCode(absl::NotFoundError("no model")), 1);
  EXPECT_EQ(ExitCode(FileError("t.csv", "is empty")), 3);
  EXPECT_EQ(ExitCode(absl::UnavailableError("nobody")), 4);
  EXPECT_EQ(ExitCode(absl::DeadlineExceededError("late")), 4);
}

}  // namespace
}  // namespace millrace::cli

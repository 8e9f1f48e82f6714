// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/table_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "client/cli/io/file_error.h"
#include "client/cli/io/png_writer.h"
#include "client/cli/io/table_reader.h"
#include "tests/client/cli/files.h"

namespace millrace::cli {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();

class Writer : public ::testing::Test {
 protected:
  // What the file holds after writing `values` in two parts.
  std::string Write(const std::string& name, Format format, std::vector<OutputColumn> columns,
                    const std::vector<double>& values) {
    const std::size_t half = values.size() / columns.size() / 2 * columns.size();
    auto writer = OpenWriter(folder_.Path(name), format, std::move(columns));
    EXPECT_TRUE(writer.ok()) << writer.status();
    EXPECT_TRUE((*writer)->Write(std::span(values).first(half)).ok());
    EXPECT_TRUE((*writer)->Write(std::span(values).subspan(half)).ok());
    EXPECT_TRUE((*writer)->Close().ok());
    return folder_.Read(name);
  }
  TempFolder folder_;
};

TEST_F(Writer, Csv) {
  EXPECT_EQ(Write("t.csv", Format::kAuto, {{"x"}, {"a \"b\", c"}, {"flag", true}},
                  {0.1, -kInf, 1, 1e300, 2, 0}),
            "x,\"a \"\"b\"\", c\",flag\n0.1,-inf,1\n1e+300,2,0\n");
}

TEST_F(Writer, JsonLines) {
  EXPECT_EQ(Write("t.jsonl", Format::kAuto, {{"z"}, {"a\"b"}, {"flag", true}},
                  {0.1, -kInf, 1, 0.30000000000000004, 2, 0}),
            "{\"z\":0.1,\"a\\\"b\":null,\"flag\":true}\n"
            "{\"z\":0.30000000000000004,\"a\\\"b\":2.0,\"flag\":false}\n");
}

TEST_F(Writer, JsonSurvivesNamesThatAreNotUtf8) {
  EXPECT_EQ(Write("t.jsonl", Format::kAuto, {{"\xff"}}, {1}), "{\"\xef\xbf\xbd\":1.0}\n");
}

TEST_F(Writer, NpyAsNumpyWritesIt) {
  const std::string bytes = Write("t.npy", Format::kAuto, {{"x"}, {"y"}}, {1, 2, 3, 4});
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\0", 8));
  EXPECT_EQ(bytes.size(), 128u + 32u);
  EXPECT_EQ(bytes[127], '\n');
  EXPECT_THAT(bytes, HasSubstr("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }"));
  auto reader = OpenTable(folder_.Path("t.npy"), {});
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_THAT((*reader)->Read(5)->values, ::testing::ElementsAre(1, 2, 3, 4));
}

TEST_F(Writer, TheFormatAskedForWins) {
  EXPECT_EQ(Write("t.npy", Format::kCsv, {{"x"}}, {1, 2}), "x\n1\n2\n");
}

TEST_F(Writer, CsvReadsBackBitForBit) {
  const std::vector<double> values = {1.0 / 3, 4.9e-324, -1.7976931348623157e308, 0.1 + 0.2};
  Write("t.csv", Format::kAuto, {{"x"}, {"y"}}, values);
  EXPECT_EQ((*OpenTable(folder_.Path("t.csv"), {}))->Read(5)->values, values);
}

TEST_F(Writer, WhatAFileHeldStaysUntilSomethingIsWritten) {
  const std::string path = folder_.Write("t.csv", "before\n");
  { auto unused = OpenPngWriter(path, {1, 1, 1}); }
  EXPECT_EQ(folder_.Read("t.csv"), "before\n");
  EXPECT_EQ(Write("t.csv", Format::kAuto, {{"x"}}, {1, 2}), "x\n1\n2\n");
  { auto unused = OpenPngWriter(folder_.Path("new.png"), {1, 1, 1}); }
  EXPECT_FALSE(std::filesystem::exists(folder_.Path("new.png")));
  { auto unused = OpenPngWriter("/dev/null", {1, 1, 1}); }
  EXPECT_TRUE(std::filesystem::exists("/dev/null"));
}

TEST_F(Writer, SaysWhereItCannotWrite) {
  const auto none = OpenWriter(folder_.Path("no/such/t.csv"), Format::kAuto, {{"x"}});
  EXPECT_TRUE(IsFileError(none.status()));
  EXPECT_EQ(none.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("no/such/t.csv: cannot write"));
  EXPECT_FALSE(OpenWriter(folder_.Path("t.csv.gz"), Format::kAuto, {{"x"}}).ok());
  auto full = OpenWriter("/dev/full", Format::kCsv, {{"x"}});
  ASSERT_TRUE(full.ok()) << full.status();
  absl::Status status = (*full)->Write(std::vector<double>(100, 1.0));
  status.Update((*full)->Close());
  EXPECT_THAT(std::string(status.message()), HasSubstr("No space left"));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(IsFileError(status));
}

}  // namespace
}  // namespace millrace::cli

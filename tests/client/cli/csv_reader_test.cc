// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "client/cli/io/file_error.h"
#include "client/cli/io/number.h"
#include "client/cli/io/table_reader.h"
#include "tests/client/cli/files.h"

namespace millrace::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Csv : public ::testing::Test {
 protected:
  // The whole table, or the first error on the way.
  absl::StatusOr<client::Table> Read(const std::string& text, const ReadOptions& options = {}) {
    return ReadPath(folder_.Write("t.csv", text), options);
  }
  absl::StatusOr<client::Table> ReadPath(const std::string& path, const ReadOptions& options = {}) {
    auto reader = OpenTable(path, options);
    if (!reader.ok()) return reader.status();
    client::Table all{(*reader)->column_names(), 0, (*reader)->cols(), {}};
    while (true) {
      auto piece = (*reader)->Read(2);
      if (!piece.ok()) return piece.status();
      if (piece->rows == 0) return all;
      EXPECT_LE(piece->rows, 2);
      all.rows += piece->rows;
      all.values.insert(all.values.end(), piece->values.begin(), piece->values.end());
    }
  }
  // The error's message without the folder.
  std::string Error(const std::string& text, const ReadOptions& options = {}) {
    return Error(Read(text, options).status());
  }
  static std::string Error(const absl::Status& status) {
    EXPECT_TRUE(IsFileError(status)) << status;
    const std::string message(status.message());
    return message.substr(message.find("t.csv"));
  }
  TempFolder folder_;
};

TEST_F(Csv, ReadsNumbersBelowAHeader) {
  const auto table = Read("x,y\n1,2.5\n-3e2,+4\n.5,6.\n");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->column_names, ElementsAre("x", "y"));
  EXPECT_EQ(table->rows, 3);
  EXPECT_THAT(table->values, ElementsAre(1, 2.5, -300, 4, 0.5, 6));
}

TEST_F(Csv, TellsAHeaderByItsFields) {
  EXPECT_THAT(Read("1,2\n3,4\n")->column_names, IsEmpty());
  EXPECT_THAT(Read("a,b\n3,4\n")->column_names, ElementsAre("a", "b"));
  EXPECT_THAT(Read("2001,2002\n3,4\n", {.header = Header::kYes})->column_names,
              ElementsAre("2001", "2002"));
  EXPECT_EQ(Error("a,b\n3,4\n", {.header = Header::kNo}), "t.csv:1:1: 'a' is not a number");
  // A line with numbers is a row, so the word in it is a fault and not a name.
  EXPECT_EQ(Error("1,abc\n3,4\n"), "t.csv:1:2: 'abc' is not a number");
}

TEST_F(Csv, TakesWhatOtherProgramsWrite) {
  EXPECT_THAT(Read("\xef\xbb\xbfx,y\r\n1,2\r\n3,4")->values, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Read("\xef\xbb\xbfx,y\r\n1,2\r\n")->column_names, ElementsAre("x", "y"));
  EXPECT_THAT(Read("1, 2\n 3 ,\t4\n\n\r\n")->values, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Read("1;2\n3;4\n")->values, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Read("a\tb\n3\t4\n")->values, ElementsAre(3, 4));
  EXPECT_THAT(Read("1|2\n", {.delimiter = '|'})->values, ElementsAre(1, 2));
  EXPECT_THAT(Read("7\n8\n")->values, ElementsAre(7, 8));
}

TEST_F(Csv, ReadsQuotedFields) {
  const auto table = Read("\"a,b\",\"say \"\"c\"\"\"\n\"1\",2\n");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->column_names, ElementsAre("a,b", "say \"c\""));
  EXPECT_THAT(table->values, ElementsAre(1, 2));
  EXPECT_THAT(Read("1, \"2\" \n \"3\" ,4\n")->values, ElementsAre(1, 2, 3, 4));
}

TEST_F(Csv, RefusesQuotesInTheWrongPlace) {
  EXPECT_EQ(Error("a,b\n\"1\"2,2\n"),
            "t.csv:2:1: '1' goes on with '2' after its closing quote; ',' or the end of the line "
            "must follow (column 'a')");
  EXPECT_EQ(Error("1;\"2\" x\n"),
            "t.csv:1:2: '2' goes on with 'x' after its closing quote; ';' or the end of the line "
            "must follow");
  for (const char* text : {"1,2\n3,4\"\n", "1,2\n3,4\"5\"\n"}) {
    EXPECT_THAT(Error(text), ::testing::StartsWith("t.csv:2:2: ")) << text;
    EXPECT_THAT(Error(text), HasSubstr("has a quote within; the whole field must be quoted"));
  }
  EXPECT_THAT(Read("\"1\",\"\"\"\",\"\"\r\n2,,\"a\"\n", {.columns = {"0"}})->values,
              ElementsAre(1, 2));
}

TEST_F(Csv, CountsLinesThroughFieldsOfSeveralLines) {
  const std::string text = "\"two\nlines\",note\n1,\"a\nb\"\n2,c\nbad,d\n";
  EXPECT_EQ(Error(text, {.columns = {"two\nlines"}}),
            "t.csv:6:1: 'bad' is not a number (column 'two\\nlines')");
  auto reader =
      OpenTable(folder_.Write("t.csv", "a,note\n1,\"a\nb\"\n2,c\n3,d\n"), {.columns = {"a"}});
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE((*reader)->Read(10).ok());
  EXPECT_THAT((*reader)->Location(0), EndsWith("t.csv:2"));
  EXPECT_THAT((*reader)->Location(1), EndsWith("t.csv:4"));
  EXPECT_THAT((*reader)->Location(2), EndsWith("t.csv:5"));
}

TEST_F(Csv, NamesLineAndFieldOfAFault) {
  EXPECT_EQ(Error("x,y\n1,2\n3,4o\n"), "t.csv:3:2: '4o' is not a number (column 'y')");
  EXPECT_EQ(Error("x,y\n1,\n"), "t.csv:2:2: '' is empty, not a number (column 'y')");
  EXPECT_EQ(Error("1,2\n3,nan\n"), "t.csv:2:2: 'nan' is not a finite number");
  EXPECT_EQ(Error("1,2\n1e999,3\n"), "t.csv:2:1: '1e999' is not a finite number");
  EXPECT_EQ(Error("1,2\n3\n"), "t.csv:2: 1 fields where the first line has 2");
  EXPECT_EQ(Error("1,2\n3,4,5\n"), "t.csv:2: 3 fields where the first line has 2");
  EXPECT_EQ(Error("1,2\n\n3,4\n"), "t.csv:2: an empty line");
  EXPECT_EQ(Error("1,2\n3,\"4\n5,6\n"), "t.csv:2:2: '4\\n5,6' opens a quote that is never closed");
  EXPECT_EQ(Error("x,x\n1,2\n"), "t.csv:1:2: 'x' is the name of two columns (column 'x')");
  EXPECT_EQ(Error(std::string("1,2\n3,4\0\n", 9)), "t.csv:2:2: '4\\000' is not a number");
  EXPECT_EQ(Error("1\n" + std::string(100, 'z')),
            "t.csv:2:1: '" + std::string(40, 'z') + "...' is not a number");
}

TEST_F(Csv, NamesTextThatItDoesNotRead) {
  const std::string utf16("1\0,\0002\0\n\0", 8);
  for (const std::string& text : {utf16, "\xff\xfe" + utf16, std::string("\xfe\xff\0001", 4)}) {
    EXPECT_EQ(Error(text), "t.csv: is text in UTF-16; UTF-8 is needed");
  }
  EXPECT_EQ(Error("x,y\r1,2\r3,4\r"),
            "t.csv: has lines that end in CR alone; LF or CRLF is needed");
  EXPECT_THAT(Read("1,2\r")->values, ElementsAre(1, 2));
}

TEST_F(Csv, RefusesTablesWithoutRows) {
  EXPECT_EQ(Error(""), "t.csv: is empty");
  EXPECT_EQ(Error("\n\n"), "t.csv: is empty");
  EXPECT_EQ(Error("\xef\xbb\xbf"), "t.csv: is empty");
  EXPECT_EQ(Error("x,y\n"), "t.csv: has a header but no rows");
}

TEST_F(Csv, PicksColumns) {
  const std::string text = "time,x,y\n12:00,1,2\n13:00,3,4\n";
  const auto table = Read(text, {.columns = {"y", "x"}});
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->column_names, ElementsAre("y", "x"));
  EXPECT_THAT(table->values, ElementsAre(2, 1, 4, 3));
  EXPECT_THAT(Read(text, {.columns = {"2"}})->column_names, ElementsAre("y"));
  EXPECT_EQ(Error(text, {.columns = {"z"}}), "t.csv: no column 'z'; there are time, x, y");
  EXPECT_EQ(Error(text, {.columns = {"x", "1"}}), "t.csv: column '1' is asked for twice");
  EXPECT_EQ(Error("1,2\n", {.columns = {"2"}}), "t.csv: no column '2'; there are columns 0 to 1");
}

TEST_F(Csv, ReadsGzipAndSeesItCutOffOrDamaged) {
  std::string text = "x,y\n";
  for (int i = 0; i < 20000; ++i)
    text += std::to_string(i) + "," + std::to_string(i * i % 977) + "\n";
  const std::string path = folder_.WriteGzip("t.csv", text);
  const auto table = ReadPath(path);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->rows, 20000);

  std::string bytes = folder_.Read("t.csv");
  const std::string cut = bytes.substr(0, bytes.size() / 2);
  EXPECT_THAT(Error(cut), HasSubstr("cut off"));
  EXPECT_THAT(Error(bytes.substr(0, bytes.size() - 3)), HasSubstr("cut off"));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x55);
  EXPECT_FALSE(Read(bytes).ok());
}

TEST_F(Csv, ReadsEveryMemberOfAGzipFileAndNothingElse) {
  folder_.WriteGzip("a.gz", "x,y\n1,2\n3,");
  folder_.WriteGzip("b.gz", "4\n");
  folder_.WriteGzip("none.gz", "");
  const std::string a = folder_.Read("a.gz");
  const std::string b = folder_.Read("b.gz");
  EXPECT_THAT(Read(a + folder_.Read("none.gz") + b)->values, ElementsAre(1, 2, 3, 4));
  for (const std::string& rest : {std::string("5,6\n"), std::string(8, '\0'), b.substr(1)}) {
    EXPECT_EQ(Error(a + b + rest), "t.csv: the gzip stream is followed by bytes that are not gzip");
  }
  EXPECT_THAT(Error(a + b.substr(0, b.size() - 1)), HasSubstr("cut off"));
  EXPECT_THAT(Error(a + b.substr(0, 1)), HasSubstr("cut off"));
  EXPECT_EQ(Read(a.substr(0, a.size() / 2)).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(Csv, RefusesWhatIsNoFile) {
  const absl::Status none = ReadPath(folder_.Path("none.csv")).status();
  EXPECT_EQ(none.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(IsFileError(none));
  EXPECT_THAT(std::string(none.message()), HasSubstr("No such file"));
  EXPECT_THAT(std::string(ReadPath(folder_.Path("")).status().message()),
              HasSubstr("holds no file whose name ends in .png"));
}

TEST(ParseNumber, IsStrictAndKeepsEveryBit) {
  double value = 0;
  for (const char* text :
       {"", " ", "-", "+", "+-1", "1.5x", "0x10", "1,5", "1 2", "e5", "--1", "1e", "."}) {
    EXPECT_FALSE(ParseNumber(text, value)) << text;
  }
  ASSERT_TRUE(ParseNumber("0.1", value));
  EXPECT_EQ(value, 0.1);
  ASSERT_TRUE(ParseNumber("4.9e-324", value));
  EXPECT_EQ(value, 4.9e-324);
  ASSERT_TRUE(ParseNumber("1e-400", value));
  EXPECT_EQ(value, 0);
  EXPECT_EQ(FormatNumber(0.1), "0.1");
  EXPECT_EQ(FormatNumber(-1.0 / 3), "-0.3333333333333333");
  EXPECT_EQ(FormatNumber(-std::numeric_limits<double>::infinity()), "-inf");
  for (const double sign : {1.0, -1.0})
    EXPECT_EQ(FormatNumber(std::copysign(std::nan(""), sign)), "nan");
}

}  // namespace
}  // namespace millrace::cli

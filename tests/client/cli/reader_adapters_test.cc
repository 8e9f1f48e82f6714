// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/reader_adapters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/client/cli/files.h"

namespace millrace::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class Adapters : public ::testing::Test {
 protected:
  NamedReader Open(const std::string& name, const std::string& bytes) {
    auto reader = OpenTable(folder_.Write(name, bytes), {});
    EXPECT_TRUE(reader.ok()) << reader.status();
    return {name, *std::move(reader)};
  }
  // Three images of 1 x 2 x 1.
  NamedReader Images() { return Open("i.idx", Idx({3, 1, 2}, "abcdef")); }

  absl::StatusOr<client::Table> Joined(NamedReader rows, NamedReader labels) {
    auto reader = JoinLabels(std::move(rows), std::move(labels));
    return reader.ok() ? ReadAll(**reader) : reader.status();
  }
  absl::StatusOr<client::Table> Taken(NamedReader rows, const RowRange& range) {
    auto reader = TakeRows(std::move(rows), range);
    return reader.ok() ? ReadAll(**reader) : reader.status();
  }
  TempFolder folder_;
};

TEST_F(Adapters, LabelsAreTheLastColumn) {
  for (const auto& [name, bytes] :
       {std::pair<std::string, std::string>{"l.idx", Idx({3}, "\1\2\3")},
        std::pair<std::string, std::string>{"l.csv", "digit\n1\n2\n3\n"},
        std::pair<std::string, std::string>{
            "l.npy", Npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }", "\1\2\3")}}) {
    auto reader = JoinLabels(Images(), Open(name, bytes));
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_THAT((*reader)->column_names(), ElementsAre("x0", "x1", "label"));
    EXPECT_EQ((*reader)->cols(), 3);
    EXPECT_EQ((*reader)->rows(), 3);
    EXPECT_EQ((*reader)->image_shape(), (ImageShape{1, 2, 1}));
    EXPECT_THAT(ReadAll(**reader)->values, ElementsAre(97, 98, 1, 99, 100, 2, 101, 102, 3)) << name;
    EXPECT_THAT((*reader)->Location(1), EndsWith("i.idx, row 1"));
  }
  EXPECT_THAT(Joined(Open("t.csv", "a\n7\n"), Open("l.csv", "5\n"))->column_names,
              ElementsAre("a", "label"));
}

TEST_F(Adapters, AsManyLabelsAsRows) {
  EXPECT_EQ(ErrorOf(Joined(Images(), Open("l.idx", Idx({2}, "ab")))),
            "l.idx: holds 2 labels for the 3 rows of i.idx");
  EXPECT_EQ(ErrorOf(Joined(Images(), Open("l.idx", Idx({4}, "abcd")))),
            "l.idx: holds 4 labels for the 3 rows of i.idx");
  // Where the numbers are known at the end only.
  for (const int count : {1, 2, 4, 5, 9}) {
    std::string labels;
    for (int i = 0; i < count; ++i) labels += "1\n";
    EXPECT_EQ(ErrorOf(Joined(Images(), Open("l.csv", labels))),
              absl::StrCat("l.csv: holds ", count, " labels for the 3 rows of i.idx"));
  }
  EXPECT_EQ(ErrorOf(Joined(Open("t.csv", "1\n2\n3\n4\n5\n6\n"), Open("l.idx", Idx({1}, "a")))),
            "l.idx: holds 1 labels for the 6 rows of t.csv");
}

TEST_F(Adapters, LabelsAreOneColumnOfAnotherName) {
  EXPECT_EQ(ErrorOf(Joined(Images(), Open("l.csv", "1,2\n"))),
            "l.csv: has 2 columns; labels are a single one");
  EXPECT_THAT(ErrorOf(Joined(Open("t.csv", "a,label\n1,2\n"), Open("l.csv", "1\n"))),
              HasSubstr("t.csv: has a column 'label' itself"));
}

TEST_F(Adapters, TakesRowsOfEveryKindOfTable) {
  const auto csv = [&] { return Open("t.csv", "a\n0\n1\n2\n3\n4\n5\n6\n"); };
  EXPECT_THAT(Taken(csv(), {0, 3})->values, ElementsAre(0, 1, 2));
  EXPECT_THAT(Taken(csv(), {2, 3})->values, ElementsAre(2));
  EXPECT_THAT(Taken(csv(), {4})->values, ElementsAre(4, 5, 6));
  EXPECT_THAT(Taken(csv(), {3, 7})->column_names, ElementsAre("a"));
  EXPECT_THAT(Taken(Images(), {1, 2})->values, ElementsAre(99, 100));
  EXPECT_THAT(Taken(Images(), {2})->values, ElementsAre(101, 102));
  auto reader = TakeRows(csv(), {5, 6});
  EXPECT_THAT((*reader)->Location(0), EndsWith("t.csv"));
  ASSERT_TRUE((*reader)->Read(1).ok());
  EXPECT_THAT((*reader)->Location(0), EndsWith("t.csv:7"));
  reader = TakeRows(Images(), {1});
  EXPECT_EQ((*reader)->rows(), 2);
  EXPECT_EQ((*reader)->image_shape(), (ImageShape{1, 2, 1}));
}

TEST_F(Adapters, SkipsManyRows) {
  std::string text;
  for (int i = 0; i < 10000; ++i) text += absl::StrCat(i, "\n");
  EXPECT_THAT(Taken(Open("t.csv", text), {9998})->values, ElementsAre(9998, 9999));
}

TEST_F(Adapters, RowsThatAreNotThere) {
  const auto csv = [&] { return Open("t.csv", "a\n0\n1\n2\n"); };
  EXPECT_EQ(ErrorOf(Taken(csv(), {1, 4})), "t.csv: has 3 rows, too few for rows 1:4");
  EXPECT_EQ(ErrorOf(Taken(csv(), {3})), "t.csv: has 3 rows, too few for rows 3:");
  EXPECT_EQ(ErrorOf(Taken(csv(), {7, 8})), "t.csv: has 3 rows, too few for rows 7:8");
  EXPECT_EQ(ErrorOf(TakeRows(Images(), {1, 4})), "i.idx: has 3 rows, too few for rows 1:4");
  EXPECT_EQ(ErrorOf(TakeRows(Images(), {std::numeric_limits<std::int64_t>::max()})),
            "i.idx: has 3 rows, too few for rows 9223372036854775807:");
}

TEST(ParseRowRange, TakesBothSidesOrOne) {
  const auto is = [](const std::string& text, std::int64_t begin, std::optional<std::int64_t> end) {
    const auto range = ParseRowRange(text);
    return range.ok() && range->begin == begin && range->end == end;
  };
  EXPECT_TRUE(is("3:7", 3, 7));
  EXPECT_TRUE(is(":7", 0, 7));
  EXPECT_TRUE(is("3:", 3, std::nullopt));
  EXPECT_TRUE(is(":", 0, std::nullopt));
  for (const char* text : {"", "3", "7:3", "3:3", "-1:3", "0:-1", "a:3", "3:a", "1:2:3", "1.5:2",
                           "99999999999999999999:"}) {
    EXPECT_THAT(std::string(ParseRowRange(text).status().message()), HasSubstr("not BEGIN:END"))
        << text;
  }
}

TEST(ParseImageShape, TakesTwoOrThreeSizes) {
  EXPECT_EQ(*ParseImageShape("28x27"), (ImageShape{28, 27, 1}));
  EXPECT_EQ(*ParseImageShape("32x31x3"), (ImageShape{32, 31, 3}));
  for (const char* text : {"", "28", "28x", "0x3", "3x-1", "3x3x2", "3x3x3x3", "1025x1024",
                           "1048576x1048576", "99999999999x1", "axb"}) {
    EXPECT_THAT(std::string(ParseImageShape(text).status().message()),
                HasSubstr("not HEIGHTxWIDTH"))
        << text;
  }
}

}  // namespace
}  // namespace millrace::cli

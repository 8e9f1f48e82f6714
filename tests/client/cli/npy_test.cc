// SPDX-License-Identifier: Apache-2.0
// .npy and .npz.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <numeric>

#include "client/cli/io/table_reader.h"
#include "tests/client/cli/files.h"

namespace millrace::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

std::string Header(const std::string& type, const std::string& shape, bool fortran = false) {
  return "{'descr': '" + type + "', 'fortran_order': " + (fortran ? "True" : "False") +
         ", 'shape': (" + shape + "), }";
}

class NpyFile : public ::testing::Test {
 protected:
  absl::StatusOr<client::Table> Read(const std::string& bytes, const ReadOptions& options = {}) {
    return ReadAll(folder_.Write("a.npy", bytes), options);
  }
  template <typename T>
  void ExpectReads(const std::string& type, const std::vector<T>& values) {
    const auto table =
        Read(Npy(Header(type, "1, " + std::to_string(values.size())), Bytes(values)));
    ASSERT_TRUE(table.ok()) << type << ": " << table.status();
    EXPECT_EQ(table->values, std::vector<double>(values.begin(), values.end())) << type;
  }
  TempFolder folder_;
};

TEST_F(NpyFile, ReadsEveryNumberType) {
  ExpectReads<double>("<f8", {0.1, -2, 1e300});
  ExpectReads<float>("<f4", {0.5f, -2, 1e30f});
  ExpectReads<std::int8_t>("|i1", {-128, 0, 127});
  ExpectReads<std::uint8_t>("|u1", {0, 200, 255});
  ExpectReads<std::uint8_t>("|b1", {0, 1, 1});
  ExpectReads<std::int16_t>("<i2", {-30000, 0, 7});
  ExpectReads<std::uint16_t>("<u2", {65535, 0, 7});
  ExpectReads<std::int32_t>("<i4", {-2000000000, 0, 7});
  ExpectReads<std::uint32_t>("<u4", {4000000000u, 0, 7});
  ExpectReads<std::int64_t>("<i8", {-(std::int64_t{1} << 53), 0, 7});
  ExpectReads<std::uint64_t>("<u8", {std::uint64_t{1} << 63, 0, 7});
}

TEST_F(NpyFile, ReadsHalvesAndBigEndian) {
  // 1, -2, the smallest and the largest half.
  const auto halves =
      Read(Npy(Header("<f2", "4,"), Bytes<std::uint16_t>({0x3c00, 0xc000, 1, 0x7bff})));
  ASSERT_TRUE(halves.ok()) << halves.status();
  EXPECT_THAT(halves->values, ElementsAre(1, -2, 0x1p-24, 65504));
  const auto big = Read(Npy(Header(">i4", "2,"), std::string("\0\0\1\0\xff\xff\xff\xff", 8)));
  ASSERT_TRUE(big.ok()) << big.status();
  EXPECT_THAT(big->values, ElementsAre(256, -1));
}

TEST_F(NpyFile, ReadsBothOrdersAndOneDimension) {
  const std::vector<double> elements = {1, 2, 3, 4, 5, 6};
  EXPECT_THAT(Read(Npy(Header("<f8", "3, 2"), Bytes(elements)))->values,
              ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(Read(Npy(Header("<f8", "3, 2", true), Bytes(elements)))->values,
              ElementsAre(1, 4, 2, 5, 3, 6));
  const auto column = Read(Npy(Header("<f8", "6,"), Bytes(elements)));
  EXPECT_EQ(column->cols, 1);
  EXPECT_EQ(column->rows, 6);
}

TEST_F(NpyFile, ImagesAreRowsOfPixels) {
  std::vector<std::uint8_t> pixels(2 * 2 * 3 * 3);
  std::iota(pixels.begin(), pixels.end(), std::uint8_t{200});
  const std::vector<double> expected(pixels.begin(), pixels.end());
  const struct {
    const char* dims;
    ImageShape shape;
  } cases[] = {{"2, 2, 9", {2, 9, 1}}, {"2, 2, 3, 3", {2, 3, 3}}, {"2, 6, 3, 1", {6, 3, 1}}};
  for (const auto& [dims, shape] : cases) {
    const std::string path = folder_.Write("a.npy", Npy(Header("|u1", dims), Bytes(pixels)));
    const auto reader = OpenTable(path, {});
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_EQ((*reader)->image_shape(), shape) << dims;
    EXPECT_EQ((*reader)->rows(), 2);
    EXPECT_EQ((*reader)->cols(), 18);
    EXPECT_EQ(ReadAll(**reader)->values, expected) << dims;
    EXPECT_EQ((*OpenTable(path, {.columns = {"17", "0"}}))->image_shape(), std::nullopt);
    EXPECT_THAT(ReadAll(path, {.columns = {"17", "0"}})->values, ElementsAre(217, 200, 235, 218));
  }
  const auto table =
      OpenTable(folder_.Write("t.npy", Npy(Header("|u1", "2, 18"), Bytes(pixels))), {});
  EXPECT_EQ((*table)->image_shape(), std::nullopt);
}

// Element (n, y, x, c) of an array 2 x 2 x 3 x 3 in Fortran order is 100 n + 9 y + 3 x + c.
TEST_F(NpyFile, ImagesInFortranOrder) {
  std::vector<std::uint8_t> elements;
  for (int c = 0; c < 3; ++c)
    for (int x = 0; x < 3; ++x)
      for (int y = 0; y < 2; ++y)
        for (int n = 0; n < 2; ++n)
          elements.push_back(static_cast<std::uint8_t>(100 * n + 9 * y + 3 * x + c));
  const std::string bytes = Npy(Header("|u1", "2, 2, 3, 3", true), Bytes(elements));
  std::vector<double> expected(36);
  std::iota(expected.begin(), expected.begin() + 18, 0);
  std::iota(expected.begin() + 18, expected.end(), 100);
  EXPECT_EQ(Read(bytes)->values, expected);
  EXPECT_THAT(Read(bytes, {.columns = {"17", "4"}})->values, ElementsAre(17, 4, 117, 104));
}

TEST_F(NpyFile, PicksColumnsByNumber) {
  const std::string bytes = Npy(Header("<f8", "2, 3"), Bytes<double>({1, 2, 3, 4, 5, 6}));
  EXPECT_THAT(Read(bytes, {.columns = {"2", "0"}})->values, ElementsAre(3, 1, 6, 4));
  EXPECT_THAT(ErrorOf(Read(bytes, {.columns = {"3"}})), HasSubstr("columns 0 to 2"));
}

TEST_F(NpyFile, SaysWhichElementIsNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "3, 2"), Bytes<double>({1, 2, 3, 4, 5, nan})))),
              EndsWith("a.npy, row 2, column 1: nan is not a finite number"));
}

TEST_F(NpyFile, RefusesWhatIsDamagedOrNoTable) {
  const std::string elements = Bytes<double>({1, 2, 3, 4});
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "3, 2"), elements))),
              HasSubstr("ends before the 3 x 2"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "1, 2"), elements))), HasSubstr("goes on after"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<c16", "1, 2"), elements))), HasSubstr("'<c16'"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("|O", "4,"), elements))), HasSubstr("'|O'"));
  EXPECT_THAT(
      ErrorOf(Read(Npy(Header("<f8", "1, 1, 2, 2, 1"), elements))),
      EndsWith("a.npy: is an array of 5 dimensions; a table has rows and columns, images have "
               "n x height x width or n x height x width x channels"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "1, 1, 2, 2"), elements))),
              EndsWith("is 1 x 1 x 2 x 2; images of 1 or 3 channels are read, the channels last"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "2, 0, 2"), ""))),
              HasSubstr("is 2 x 0 x 2; at least"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "2, 2, 2"), elements))),
              EndsWith("ends before the 2 x 2 x 2 elements that its header declares"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", ""), elements))), HasSubstr("0 dimensions"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "0, 2"), ""))), HasSubstr("is 0 x 2"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "-1, 2"), elements))), HasSubstr("no shape"));
  EXPECT_THAT(ErrorOf(Read(Npy("{'descr': '<f8'}", elements))), HasSubstr("no fortran_order"));
  EXPECT_THAT(ErrorOf(Read(Npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (4,)}",
                               elements))),
              HasSubstr("not plain numbers"));
  EXPECT_THAT(ErrorOf(Read(Npy("", elements))), HasSubstr("not plain numbers"));
  EXPECT_THAT(ErrorOf(Read("\x93NUMPY")), HasSubstr("ends within its header"));
  EXPECT_THAT(ErrorOf(Read(std::string("\x93NUMPY\x01\0\xff\xff{", 11))),
              HasSubstr("ends within its header"));
  EXPECT_THAT(ErrorOf(Read(std::string("\x93NUMPY\x02\0\xff\xff\xff\xff", 12))),
              HasSubstr("header of 4294967295 bytes"));
}

// Sizes that would take more memory than there is, were they believed.
TEST_F(NpyFile, HugeDeclaredSizesCostNothing) {
  const std::string elements = Bytes<double>({1, 2});
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "4611686018427387904, 16"), elements))),
              HasSubstr("more than can exist"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "99999999999999999999, 1"), elements))),
              HasSubstr("no shape"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "1, 1099511627776"), elements))),
              HasSubstr("columns"));
  EXPECT_THAT(
      ErrorOf(Read(Npy(Header("<f8", "1, 4611686018427387904, 4611686018427387904, 3"), elements))),
      HasSubstr("columns"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "1099511627776, 2"), elements))),
              HasSubstr("ends before"));
  EXPECT_THAT(ErrorOf(Read(Npy(Header("<f8", "1099511627776, 2", true), elements))),
              HasSubstr("ends before"));
}

TEST_F(NpyFile, ReadsArchives) {
  const std::string x = Npy(Header("<f8", "2, 2"), Bytes<double>({1, 2, 3, 4}));
  const std::string y = Npy(Header("|u1", "2,"), Bytes<std::uint8_t>({0, 1}));
  const std::string both = folder_.WriteZip("b.npz", {{"X.npy", x}, {"y.npy", y}});
  EXPECT_THAT(ReadAll(both)->values, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ReadAll(both, {.key = "y"})->values, ElementsAre(0, 1));
  EXPECT_THAT(ErrorOf(ReadAll(both, {.key = "z"})),
              EndsWith("no array 'z'; the archive holds: X, y"));
  EXPECT_THAT(ReadAll(folder_.WriteZip("one.npz", {{"y.npy", y}}))->values, ElementsAre(0, 1));
  EXPECT_THAT(ErrorOf(ReadAll(folder_.WriteZip("two.npz", {{"a.npy", x}, {"y.npy", y}}))),
              HasSubstr("choose one with --key; the archive holds: a, y"));
  EXPECT_THAT(OpenTable(both, {}).value()->Location(3), EndsWith("b.npz[X], row 3"));
  const std::string empty = std::string("PK\x05\x06", 4) + std::string(18, '\0');
  EXPECT_THAT(ErrorOf(ReadAll(folder_.Write("empty.npz", empty))), EndsWith("holds no .npy array"));
  EXPECT_THAT(ErrorOf(ReadAll(folder_.WriteZip("text.npz", {{"X.csv", "1,2"}}))),
              EndsWith("holds no .npy array"));
}

TEST_F(NpyFile, SeesArchivesCutOffOrDamaged) {
  std::vector<double> values(20000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i * i % 10007);
  const std::string path =
      folder_.WriteZip("b.npz", {{"X.npy", Npy(Header("<f8", "20000, 1"), Bytes(values))}});
  ASSERT_TRUE(ReadAll(path).ok());
  const std::string bytes = folder_.Read("b.npz");
  for (const std::size_t size : {std::size_t{5}, bytes.size() / 2, bytes.size() - 5}) {
    EXPECT_FALSE(ReadAll(folder_.Write("cut.npz", bytes.substr(0, size))).ok()) << size;
  }
  std::string damaged = bytes;
  for (std::size_t i = 0; i < 8; ++i) damaged[bytes.size() / 2 + i] ^= 0x55;
  EXPECT_FALSE(ReadAll(folder_.Write("damaged.npz", damaged)).ok());
  EXPECT_FALSE(ReadAll(folder_.WriteZip("text.npz", {{"X.npy", "no array"}})).ok());
}

}  // namespace
}  // namespace millrace::cli

// SPDX-License-Identifier: Apache-2.0
// IDX files, the format of MNIST.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>

#include "client/cli/io/table_reader.h"
#include "tests/client/cli/files.h"

namespace millrace::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class IdxFile : public ::testing::Test {
 protected:
  absl::StatusOr<client::Table> Read(const std::string& bytes, const ReadOptions& options = {}) {
    return ReadAll(folder_.Write("a.idx", bytes), options);
  }
  TempFolder folder_;
};

std::string Pixels(int count) {
  std::string pixels(static_cast<std::size_t>(count), '\0');
  std::iota(pixels.begin(), pixels.end(), '\xe0');
  return pixels;
}

std::vector<double> Numbers(int count) {
  std::vector<double> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0xe0);
  return numbers;
}

TEST_F(IdxFile, LabelsAreOneColumn) {
  const auto labels = Read(Idx({3}, std::string("\x07\0\xff", 3)));
  ASSERT_TRUE(labels.ok()) << labels.status();
  EXPECT_EQ(labels->cols, 1);
  EXPECT_THAT(labels->values, ElementsAre(7, 0, 255));
  EXPECT_EQ((*OpenTable(folder_.Path("a.idx"), {}))->image_shape(), std::nullopt);
}

TEST_F(IdxFile, ImagesAreRowsOfPixels) {
  const struct {
    std::vector<std::uint32_t> dims;
    ImageShape shape;
  } cases[] = {{{2, 3, 4}, {3, 4, 1}}, {{2, 2, 2, 3}, {2, 2, 3}}, {{2, 6, 2, 1}, {6, 2, 1}}};
  for (const auto& [dims, shape] : cases) {
    const std::string bytes = Idx(dims, Pixels(24));
    for (const std::string& path :
         {folder_.Write("a.idx", bytes), folder_.WriteGzip("a.gz", bytes)}) {
      const auto reader = OpenTable(path, {});
      ASSERT_TRUE(reader.ok()) << reader.status();
      EXPECT_EQ((*reader)->image_shape(), shape);
      EXPECT_EQ((*reader)->rows(), 2);
      EXPECT_EQ(ReadAll(**reader)->values, Numbers(24));
      EXPECT_THAT((*reader)->Location(1), EndsWith(", row 1"));
    }
  }
}

TEST_F(IdxFile, TwoDimensionsAreATable) {
  const std::string bytes = Idx({2, 3}, Pixels(6));
  EXPECT_EQ(Read(bytes)->values, Numbers(6));
  EXPECT_EQ((*OpenTable(folder_.Path("a.idx"), {}))->image_shape(), std::nullopt);
  EXPECT_THAT(Read(bytes, {.columns = {"2"}})->values, ElementsAre(226, 229));
}

// Rows arrive as they are asked for: an end too early is seen where it is reached.
TEST_F(IdxFile, ReadsNoFurtherThanAsked) {
  const std::string path = folder_.Write("a.idx", Idx({3, 2, 2}, Pixels(10)));
  const auto reader = OpenTable(path, {});
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->Read(2)->values, Numbers(8));
  EXPECT_THAT(ErrorOf((*reader)->Read(1)),
              EndsWith("a.idx: ends before the 3 x 2 x 2 elements that its header declares"));
}

TEST_F(IdxFile, RefusesWhatIsDamagedOrNoTable) {
  EXPECT_THAT(ErrorOf(Read(Idx({2, 2, 2}, Pixels(9)))),
              EndsWith("a.idx: goes on after the elements "
                       "that its header declares"));
  EXPECT_THAT(
      ErrorOf(Read(Idx({2, 2}, Pixels(4), 0x0d))),
      EndsWith("a.idx: is an IDX file of element type 0x0D; unsigned bytes (0x08) are read"));
  EXPECT_THAT(ErrorOf(Read(Idx({2, 2}, Pixels(4), 0xfe))),
              HasSubstr("like an IDX file, but 0xFE is no type"));
  EXPECT_THAT(ErrorOf(Read(Idx({}, ""))), HasSubstr("is an array of 0 dimensions"));
  EXPECT_THAT(ErrorOf(Read(Idx({1, 1, 1, 1, 1}, "a"))), HasSubstr("is an array of 5 dimensions"));
  EXPECT_THAT(ErrorOf(Read(Idx(std::vector<std::uint32_t>(255, 1), "a"))),
              HasSubstr("is an array of 255 dimensions"));
  EXPECT_THAT(ErrorOf(Read(Idx({1, 3, 2, 2}, Pixels(12)))),
              EndsWith("is 1 x 3 x 2 x 2; images of 1 or 3 channels are read, the channels last"));
  EXPECT_THAT(ErrorOf(Read(Idx({0}, ""))), HasSubstr("is 0; at least one row"));
  EXPECT_THAT(ErrorOf(Read(Idx({2, 0, 2}, ""))), HasSubstr("is 2 x 0 x 2; at least one row"));
  EXPECT_THAT(ErrorOf(Read(Idx({1}, "a"), {.key = "X"})), HasSubstr("--key is for .npz"));
  const std::string whole = Idx({2, 2, 2}, Pixels(8));
  for (std::size_t size = 2; size < 16; ++size) {
    EXPECT_THAT(ErrorOf(Read(whole.substr(0, size))), EndsWith("ends within its IDX header"));
  }
}

TEST_F(IdxFile, OtherMagicIsNoText) {
  for (const std::string& magic :
       {std::string("\x01\0\x08\x03", 4), std::string("\x03\x08\0\0", 4)}) {
    EXPECT_THAT(ErrorOf(Read(magic + std::string(12, '\x01'))),
                EndsWith("a.idx: is no text, and neither .npy, .npz, IDX nor PNG"));
  }
}

// Sizes that would take more memory than there is, were they believed.
TEST_F(IdxFile, HugeDeclaredSizesCostNothing) {
  constexpr std::uint32_t kHuge = 0xffffffff;
  EXPECT_THAT(
      ErrorOf(Read(Idx({kHuge, kHuge, kHuge, kHuge}, "a"))),
      EndsWith("is 4294967295 x 4294967295 x 4294967295 x 4294967295; at least one row and 1 "
               "to 1048576 columns are needed"));
  EXPECT_THAT(ErrorOf(Read(Idx({1, 1 << 20, 1 << 20, 1}, "a"))), HasSubstr("columns are needed"));
  EXPECT_THAT(ErrorOf(Read(Idx({kHuge, 1024, 1024}, "a"))), HasSubstr("ends before the"));
  EXPECT_THAT(ErrorOf(Read(Idx({kHuge}, "a"))), HasSubstr("ends before the 4294967295 elements"));
}

}  // namespace
}  // namespace millrace::cli

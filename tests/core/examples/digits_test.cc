// SPDX-License-Identifier: Apache-2.0
#include "core/examples/digits.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace millrace::examples {
namespace {

class DigitsTest : public testing::Test {
 protected:
  ~DigitsTest() override { std::filesystem::remove(path_); }

  // An idx file of images of the given size.
  absl::StatusOr<Rows<float>> Read(int images, int height, int width, const std::string& pixels) {
    std::string bytes = {0, 0, 8, 3};
    for (const int size : {images, height, width})
      for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(size >> shift & 255);
    std::ofstream(path_, std::ios::binary) << bytes << pixels;
    return ReadDigits(path_.string());
  }

  const std::filesystem::path path_ = std::filesystem::path(testing::TempDir()) /
                                      testing::UnitTest::GetInstance()->current_test_info()->name();
};

// Of 12 pixels a side, cells are 1.5 x 1.5: pixel (0, 0) is 4/9 of its cell, pixel (0, 1) is 2/9 of
// two cells.
TEST_F(DigitsTest, CellsAreOnFromAQuarterOfInk) {
  std::string images(2 * 144, '\0');
  images[0] = '\xff';
  images[144 + 1] = '\xff';
  const auto digits = Read(2, 12, 12, images);
  ASSERT_TRUE(digits.ok()) << digits.status();
  ASSERT_EQ(digits->rows(), 2);
  for (int p = 0; p < kDigitPixels; ++p) {
    EXPECT_EQ((*digits)(0, p), p == 0 ? 1.0f : 0.0f) << p;
    EXPECT_EQ((*digits)(1, p), 0.0f) << p;
  }
}

TEST_F(DigitsTest, RowsAndColumnsStayApart) {
  std::string image(16 * 8, '\0');  // 16 high, 8 wide: two rows a cell
  image[2 * 8 + 5] = '\xff';        // row 2, column 5
  const auto digits = Read(1, 16, 8, image);
  ASSERT_TRUE(digits.ok()) << digits.status();
  for (int p = 0; p < kDigitPixels; ++p)
    EXPECT_EQ((*digits)(0, p), p == 1 * kDigitSide + 5 ? 1.0f : 0.0f) << p;
}

TEST_F(DigitsTest, WhatIsNoSuchFileIsRefused) {
  EXPECT_EQ(ReadDigits(path_.string()).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(path_) << "text";
  EXPECT_EQ(ReadDigits(path_.string()).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Read(1, 7, 8, std::string(56, '\0')).status().code(),
            absl::StatusCode::kInvalidArgument);
  // Promises more than it holds.
  const auto cut = Read(2'000'000'000, 8, 8, std::string(64, '\0'));
  EXPECT_EQ(cut.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace millrace::examples

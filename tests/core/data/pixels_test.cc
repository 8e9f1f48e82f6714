// SPDX-License-Identifier: Apache-2.0
// Columns that are pixels: integers from 0 to 255 that all go through one map.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/data/column_model.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

constexpr int kImages = 200;

std::vector<ColumnSpec> Pixels(int count) {
  std::vector<ColumnSpec> specs(count);
  for (int c = 0; c < count; ++c)
    specs[c] = {.name = absl::StrCat("p", c), .type = ColumnType::kPixel};
  return specs;
}

// A background that never changes, a column of few values and one of all.
Rows<double> Images() {
  Rows<double> rows(kImages, 3);
  for (int r = 0; r < kImages; ++r) {
    rows(r, 0) = 0.0;
    rows(r, 1) = 10.0 * std::floor(4.0 * UniformAt(1, 1, r, 1));
    rows(r, 2) = std::floor(256.0 * UniformAt(1, 1, r, 2));
  }
  return rows;
}

TEST(PixelsTest, AllHaveOneMapAndNoneIsConstant) {
  const auto model = ColumnModel::Fit(Pixels(3), Images().view());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->dim(), 3);
  EXPECT_EQ(model->log_unit(), 0.0);  // nats of the integers themselves
  for (const Column& column : model->columns()) {
    EXPECT_EQ(column.center, model->columns()[0].center);
    EXPECT_EQ(column.scale, model->columns()[0].scale);
    EXPECT_EQ(column.bin_width, 1.0);
  }
  // The model file's way back.
  const std::vector<Column> columns(model->columns().begin(), model->columns().end());
  EXPECT_TRUE(ColumnModel::FromColumns(columns).ok());
}

TEST(PixelsTest, ImagesThatAreAllTheSameAreRefused) {
  Rows<double> rows(kImages, 3);
  for (int r = 0; r < kImages; ++r)
    for (int c = 0; c < 3; ++c) rows(r, c) = 100.0 * c;
  const absl::Status status = ColumnModel::Fit(Pixels(3), rows.view()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(status).field, "rows");
  EXPECT_EQ(DetailOf(status).value, "all 3 columns are constant");
  rows(kImages - 1, 2) = 201.0;
  EXPECT_TRUE(ColumnModel::Fit(Pixels(3), rows.view()).ok());
}

// What the flow sees is logit(a + (1 - 2 a) (v + u) / 256), standardised.
void ExpectLogit(const ColumnModel& model, double margin) {
  const double center = model.columns()[0].center, scale = model.columns()[0].scale;
  for (const double value : {0.0, 1.0, 128.0, 255.0}) {
    Rows<double> row(1, 3);
    for (int c = 0; c < 3; ++c) row(0, c) = value;
    Rows<float> seen(1, 3);
    std::vector<double> log_det(1);
    std::vector<std::uint8_t> outside(1);
    model.ToModel(row.view(), ColumnModel::kBinCentres, seen.view(), log_det, outside);
    const double share = margin + (1.0 - 2.0 * margin) * (value + 0.5) / 256.0;
    EXPECT_EQ(outside[0], 0);
    EXPECT_NEAR(seen(0, 0), (std::log(share / (1.0 - share)) - center) / scale, 1e-5);
    EXPECT_NEAR(log_det[0],
                3.0 * std::log((1.0 - 2.0 * margin) / 256.0 / (share * (1.0 - share)) / scale),
                1e-9);
    Rows<double> back(1, 3);
    model.FromModel(seen.view(), back.view());
    for (int c = 0; c < 3; ++c) EXPECT_EQ(back(0, c), value);
  }
}

// Dinh et al. 2017, section 4.1.
TEST(PixelsTest, OfGreyImagesTheLogitIsThatOfRealNvp) {
  Rows<double> grey = Images();
  for (int r = 0; r < kImages; ++r) grey(r, 0) = 100.0;
  for (int r = 0; r < kImages; r += 8) grey(r, 1) = 0.0;  // together below a twentieth
  for (int r = 0; r < kImages; ++r) grey(r, 1) = std::max(grey(r, 1), r % 8 == 0 ? 0.0 : 1.0);
  ExpectLogit(*ColumnModel::Fit(Pixels(3), grey.view()), 0.05);
}

// Papamakarios et al. 2017, section 4.3.
TEST(PixelsTest, OfBlackAndWhiteImagesTheLogitIsThatOfMaf) {
  ExpectLogit(*ColumnModel::Fit(Pixels(3), Images().view()), 1e-6);
}

// Over many pixels an offset is uniform in the bins, as the noise of training is.
TEST(PixelsTest, OffsetsReachTheEndsOfBins) {
  constexpr int kPixels = 4000, kOffsets = 8;
  Rows<double> rows(2, kPixels);
  for (int c = 0; c < kPixels; ++c) {
    rows(0, c) = 0.0;
    rows(1, c) = 255.0;
  }
  const ColumnModel model = *ColumnModel::Fit(Pixels(kPixels), rows.view());
  ASSERT_EQ(model.num_offsets(), kOffsets);
  for (int k = 0; k < kOffsets; ++k) {
    double least = 1.0, sum = 0.0;
    for (int i = 0; i < kPixels; ++i) {
      const double u = model.Position(i, k);
      ASSERT_GT(u, 0.0);
      ASSERT_LT(u, 1.0);
      least = std::min(least, u);
      sum += u;
    }
    EXPECT_LT(least, 0.005) << k;
    EXPECT_NEAR(sum / kPixels, 0.5, 0.02) << k;
  }
  for (int i = 0; i < kPixels; ++i) {  // one in each eighth
    double sum = 0.0;
    for (int k = 0; k < kOffsets; ++k) sum += std::floor(kOffsets * model.Position(i, k));
    EXPECT_EQ(sum, 28.0) << i;
  }
}

// Noise stays within a bin of width 1, so that a uniform image has density 1 / 256 a pixel: 8 bits.
TEST(PixelsTest, OfUniformNoiseTheDensityIsEightBits) {
  const auto model = *ColumnModel::Fit(Pixels(1),
                                       [] {
                                         Rows<double> rows(256, 1);
                                         for (int r = 0; r < 256; ++r) rows(r, 0) = r;
                                         return rows;
                                       }()
                                           .view());
  double mass = 0.0;  // of the uniform density in the model's coordinates, summed over bins
  for (int v = 0; v < 256; ++v) {
    Rows<double> row(1, 1);
    row(0, 0) = v;
    for (int k = 0; k < model.num_offsets(); ++k) {
      Rows<float> seen(1, 1);
      std::vector<double> log_det(1);
      std::vector<std::uint8_t> outside(1);
      model.ToModel(row.view(), k, seen.view(), log_det, outside);
      const double t = model.columns()[0].center + seen(0, 0) * model.columns()[0].scale;
      const double share = 1.0 / (1.0 + std::exp(-t));
      const double density_of_t = share * (1.0 - share) / 0.9 * model.columns()[0].scale;
      mass += density_of_t * std::exp(log_det[0]) / model.num_offsets();
    }
  }
  EXPECT_NEAR(mass, 1.0, 1e-5);
  EXPECT_NEAR(-std::log(mass / 256.0) / std::numbers::ln2, 8.0, 1e-4);
}

TEST(PixelsTest, OtherNumbersAreRefusedByRowAndColumn) {
  for (const double wrong : {-1.0, 256.0, 0.5}) {
    Rows<double> rows = Images();
    rows(7, 1) = wrong;
    const absl::Status status = ColumnModel::Fit(Pixels(3), rows.view()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DetailOf(status).row, 7);
    EXPECT_EQ(DetailOf(status).column, 1);
  }
  std::vector<ColumnSpec> specs = Pixels(3);
  specs[2].bin_width = 1.0;
  EXPECT_EQ(DetailOf(ColumnModel::Fit(specs, Images().view()).status()).field,
            "columns[2].bin_width");
}

// However far out the flow draws.
TEST(PixelsTest, SamplesArePixels) {
  const auto model = *ColumnModel::Fit(Pixels(3), Images().view());
  for (const float latent : {-1e6f, -50.0f, -3.0f, 0.0f, 3.0f, 50.0f, 1e6f}) {
    Rows<float> drawn(1, 3);
    for (int c = 0; c < 3; ++c) drawn(0, c) = latent;
    Rows<double> row(1, 3);
    model.FromModel(drawn.view(), row.view());
    for (int c = 0; c < 3; ++c) {
      EXPECT_GE(row(0, c), 0.0);
      EXPECT_LE(row(0, c), 255.0);
      EXPECT_EQ(row(0, c), std::floor(row(0, c)));
    }
  }
}

TEST(PixelsTest, AnotherValueInAQueryIsOutOfSupport) {
  const auto model = *ColumnModel::Fit(Pixels(3), Images().view());
  for (const double wrong : {-1.0, 256.0, 300.0, 17.5}) {
    Rows<double> row(1, 3);
    for (int c = 0; c < 3; ++c) row(0, c) = wrong;
    Rows<float> seen(1, 3);
    std::vector<double> log_det(1);
    std::vector<std::uint8_t> outside(1);
    model.ToModel(row.view(), 0, seen.view(), log_det, outside);
    EXPECT_EQ(outside[0], 1) << wrong;
  }
}

}  // namespace
}  // namespace millrace

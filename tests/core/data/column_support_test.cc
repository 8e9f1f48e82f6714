// SPDX-License-Identifier: Apache-2.0
// Values at the edge of what a column may hold and beyond: bounds, lattices, far rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/core/data/every_kind.h"

namespace millrace {
namespace {

TEST(ColumnSupportTest, FromModelStaysInsideBoundsAndFinite) {
  const ColumnModel model = Fitted();
  for (const float t : {-1e30f, -50.f, 50.f, 1e30f, std::numeric_limits<float>::infinity()}) {
    Rows<float> x(1, model.dim());
    for (int i = 0; i < model.dim(); ++i) x(0, i) = t;
    Rows<double> back(1, 8);
    model.FromModel(x.view(), back.view());
    for (int c = 0; c < 8; ++c) {
      EXPECT_TRUE(std::isfinite(back(0, c))) << model.columns()[c].name << " at " << t;
      EXPECT_GT(back(0, c), model.columns()[c].lower.value_or(-kInfinity));
      EXPECT_LT(back(0, c), model.columns()[c].upper.value_or(kInfinity));
    }
    EXPECT_EQ(back(0, 4), std::nearbyint(back(0, 4)));
    EXPECT_EQ(back(0, 7), 0.1);
  }
}

TEST(ColumnSupportTest, FarRowsStayFinite) {
  const ColumnModel model = Fitted();
  Rows<double> row = Table(1);
  for (const double far : {1e5, 1e100, std::numeric_limits<double>::max()}) {
    for (const double sign : {-1.0, 1.0}) {
      row(0, 0) = sign * far;
      row(0, 2) = far;
      row(0, 3) = -far;
      const Scored s = ToModel(model, row.view(), 0);
      EXPECT_EQ(s.outside[0], 0);
      EXPECT_TRUE(std::isfinite(s.log_det[0]));
      for (int i = 0; i < model.dim(); ++i) EXPECT_LE(std::abs(s.x(0, i)), 7.2e8f);
    }
  }
}

// The logarithm that the map goes on as is undone, grows, and its slope counts.
TEST(ColumnSupportTest, FarRowsStayApart) {
  const ColumnModel model = Fitted();
  const Column& column = model.columns()[0];
  const double edge = column.center + 1e6 * column.scale;
  const double far[] = {0.999 * edge, 1.001 * edge, 1e30, 1e100, 1e300};
  for (const double sign : {-1.0, 1.0}) {
    float before = 0.0f;
    for (const double value : far) {
      Rows<double> row = Table(1);
      row(0, 0) = 1.0;
      const double inside = ToModel(model, row.view(), 0).log_det[0];
      row(0, 0) = sign * value;
      const Scored s = ToModel(model, row.view(), 0);
      Rows<double> back(1, 8);
      model.FromModel(s.x.view(), back.view());
      EXPECT_NEAR(back(0, 0) / row(0, 0), 1.0, 1e-4) << row(0, 0);
      EXPECT_GT(sign * s.x(0, 0), before) << row(0, 0);
      before = static_cast<float>(sign) * s.x(0, 0);
      const double distance = std::abs((row(0, 0) - column.center) / column.scale);
      EXPECT_NEAR(inside - s.log_det[0], std::log(std::max(1.0, distance / 1e6)), 1e-9)
          << row(0, 0);
    }
  }
}

TEST(ColumnSupportTest, TellsWhatLiesOutOfSupport) {
  const ColumnModel model = Fitted();
  const auto outside = [&](int column, double value) {
    Rows<double> row = Table(1);
    row(0, column) = value;
    const Scored s = ToModel(model, row.view(), 0);
    for (int i = 0; i < model.dim(); ++i) EXPECT_TRUE(std::isfinite(s.x(0, i)));
    return s.outside[0] != 0;
  };
  EXPECT_FALSE(outside(0, 1e4));
  EXPECT_TRUE(outside(1, 0.0));  // at a bound
  EXPECT_TRUE(outside(1, 1.2));
  EXPECT_TRUE(outside(2, -2.5));
  EXPECT_TRUE(outside(3, 5.0));
  EXPECT_FALSE(outside(4, 40));    // on the lattice, never seen
  EXPECT_FALSE(outside(4, 1.01));  // off a lattice that was only found: the bin's density
  EXPECT_TRUE(outside(5, 0));      // a lattice point at the bound
  EXPECT_TRUE(outside(7, 0.1001));
  EXPECT_FALSE(outside(7, 0.1f));  // the constant, through single precision
}

TEST(ColumnSupportTest, OnlyADeclaredLatticeExcludesWhatLiesBetween) {
  Rows<double> rows(40, 1);
  for (int r = 0; r < 40; ++r) rows(r, 0) = r % 4;
  for (const ColumnType type : {ColumnType::kAuto, ColumnType::kDiscrete}) {
    const ColumnSpec spec{.name = "a", .type = type};
    const ColumnModel model = *ColumnModel::Fit({&spec, 1}, rows.view());
    Rows<double> between(1, 1);
    between(0, 0) = 1.4;
    EXPECT_EQ(ToModel(model, between.view(), 0).outside[0] != 0, type == ColumnType::kDiscrete);
    Rows<double> point(1, 1);
    point(0, 0) = 1.0;
    if (type == ColumnType::kAuto) {
      EXPECT_EQ(ToModel(model, between.view(), 0).x(0, 0), ToModel(model, point.view(), 0).x(0, 0));
    }
  }
}

}  // namespace
}  // namespace millrace

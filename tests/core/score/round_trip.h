// SPDX-License-Identifier: Apache-2.0
// That a flow of images is a bijection, in single precision.
#ifndef MILLRACE_TESTS_CORE_SCORE_ROUND_TRIP_H_
#define MILLRACE_TESTS_CORE_SCORE_ROUND_TRIP_H_

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/data/column_transform.h"
#include "core/flow/backend.h"
#include "core/model.h"

namespace millrace {

// x and Inverse(Forward(x)) of images with noise in their bins, as training sees them: everything
// agrees within 1e-3 of what the flow sees, standardised logits, and of the range of a pixel, and
// all but one pixel in a thousand within 1e-3 of an intensity, of which that range has 256.
inline void ExpectReturn(const Model& model, Backend& backend, RowsView<const double> images) {
  constexpr double kWithin = 1e-3;
  const auto flow = *Flow::Create(model.spec);
  const auto weights = *backend.Upload(flow, model.parameters.span());
  Rows<float> x(images.rows, flow->dim()), z = x, back = x;
  model.columns.ToTraining(images, /*seed=*/3, /*first_row=*/0, x.view());
  std::vector<double> log_det(static_cast<std::size_t>(images.rows));
  ASSERT_TRUE(backend.Forward(*weights, x.view(), {}, z.view(), log_det, {}).ok());
  ASSERT_TRUE(backend.Inverse(*weights, z.view(), {}, back.view(), log_det, {}).ok());
  std::int64_t beyond = 0;
  for (int c = 0; c < x.cols(); ++c) {
    Column column = model.columns.columns()[model.columns.active()[c]];
    column.type = ColumnType::kContinuous;  // whose values are not rounded to integers
    for (std::int64_t r = 0; r < x.rows(); ++r) {
      const double there = x(r, c), returned = back(r, c);
      ASSERT_NEAR(returned, there, kWithin) << "image " << r << ", pixel " << c;
      const double off = std::fabs(FromModel(column, returned) - FromModel(column, there));
      ASSERT_LE(off / 256, kWithin) << "image " << r << ", pixel " << c;
      beyond += off > kWithin;
    }
  }
  EXPECT_LE(beyond, x.rows() * x.cols() / 1000);
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_CORE_SCORE_ROUND_TRIP_H_

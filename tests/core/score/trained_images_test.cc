// SPDX-License-Identifier: Apache-2.0
// Flows of images that were trained.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/cpu/cpu_backend.h"
#include "core/train/train_model.h"
#include "tests/core/score/round_trip.h"
#include "tests/support/stripes.h"

namespace millrace {
namespace {

// With four times the contrast: most pixels are black or white.
Rows<double> BlackAndWhite(Rows<double> images) {
  for (double* v = images.data(); v != images.data() + images.rows() * images.cols(); ++v)
    *v = std::clamp(128.0 + 4.0 * (*v - 128.0), 0.0, 255.0);
  return images;
}

void ExpectTrainedFlowsReturn(const Rows<double>& images, const Rows<double>& others,
                              double largest_bound) {
  for (const Architecture architecture : {Architecture::kGlow, Architecture::kRealNvpImage}) {
    TrainRequest request;
    request.flow.image = {8, 8, 1};
    request.flow.stack.architecture = architecture;
    request.flow.stack.layers = 2;
    request.flow.stack.levels = 2;
    request.flow.stack.hidden_sizes = {16, 16, 16};
    request.options.max_epochs = 20;
    const auto backend = CreateCpuBackend({.threads = 2});
    const auto model = TrainModel(request, images.view(), *backend, nullptr, {});
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_LT(*model->columns.columns()[0].upper, largest_bound);
    EXPECT_GT(model->report.best_epoch, 0);
    ExpectReturn(*model, *backend, images.view());
    ExpectReturn(*model, *backend, others.view());
  }
}

TEST(TrainedImagesTest, ComeBackFromLatentSpace) {
  ExpectTrainedFlowsReturn(Stripes(800, 1), Stripes(200, 2), 300.0);
}

// The logit is steep at their bounds, which lie 3e-4 of an intensity beyond the pixels' bins.
TEST(TrainedImagesTest, OfBlackAndWhiteComeBackFromLatentSpace) {
  ExpectTrainedFlowsReturn(BlackAndWhite(Stripes(800, 1)), BlackAndWhite(Stripes(200, 2)), 255.501);
}

}  // namespace
}  // namespace millrace

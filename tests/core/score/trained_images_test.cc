// SPDX-License-Identifier: Apache-2.0
// Flows of images that were trained.
#include <gtest/gtest.h>

#include "core/cpu/cpu_backend.h"
#include "core/train/train_model.h"
#include "tests/core/score/round_trip.h"
#include "tests/support/stripes.h"

namespace millrace {
namespace {

TEST(TrainedImagesTest, ComeBackFromLatentSpace) {
  for (const Architecture architecture : {Architecture::kGlow, Architecture::kRealNvpImage}) {
    TrainRequest request;
    request.flow.image = {8, 8, 1};
    request.flow.stack.architecture = architecture;
    request.flow.stack.layers = 2;
    request.flow.stack.levels = 2;
    request.flow.stack.hidden_sizes = {16, 16, 16};
    request.options.max_epochs = 20;
    const Rows<double> images = Stripes(800, 1);
    const auto backend = CreateCpuBackend({.threads = 2});
    const auto model = TrainModel(request, images.view(), *backend, nullptr, {});
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_GT(model->report.best_epoch, 0);
    ExpectReturn(*model, *backend, images.view());
    ExpectReturn(*model, *backend, Stripes(200, 2).view());
  }
}

}  // namespace
}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
// A trained Glow is a bijection of real images: digits go to latent space and back.
#include <gtest/gtest.h>
#include <zlib.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/train/train_model.h"
#include "tests/core/score/round_trip.h"
#include "tests/support/data_folder.h"

namespace millrace {
namespace {

constexpr int kSide = 28;
constexpr int kPixels = kSide * kSide;

// The first images of MNIST's training file; none where it is missing.
Rows<double> ReadDigits(const std::string& path, int images) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), &gzclose);
  std::array<unsigned char, 16> header;
  if (file == nullptr || gzread(file.get(), header.data(), header.size()) != 16) return {};
  std::vector<unsigned char> bytes(static_cast<std::size_t>(images) * kPixels);
  const auto size = static_cast<unsigned>(bytes.size());
  if (gzread(file.get(), bytes.data(), size) != static_cast<int>(size)) return {};
  Rows<double> rows(images, kPixels);
  std::copy(bytes.begin(), bytes.end(), rows.data());
  return rows;
}

TEST(TrainedDigitsTest, ComeBackFromLatentSpace) {
  constexpr int kFitted = 5000, kOthers = 1000;
  const std::filesystem::path path = DataFolder() / "images" / "train-images-idx3-ubyte.gz";
  const Rows<double> images = ReadDigits(path.string(), kFitted + kOthers);
  if (images.rows() == 0) GTEST_SKIP() << "without " << path;
  TrainRequest request;
  request.flow.image = {kSide, kSide, 1};
  request.flow.stack.layers = 8;
  request.flow.stack.hidden_sizes = {32, 32};
  request.options.max_epochs = 5;
  request.options.seed = 1;
  const auto backend = CreateCpuBackend();
  const auto model = TrainModel(request, images.view().Slice(0, kFitted), *backend, nullptr, {});
  ASSERT_TRUE(model.ok()) << model.status();
  const TrainingReport& report = model->report;
  const double bits = (report.log_unit - report.held_out.mean) / kPixels / std::log(2.0);
  EXPECT_LT(bits, 1.8) << "bits per pixel: hardly trained; 1.48 elsewhere";
  ExpectReturn(*model, *backend, images.view().Slice(0, kOthers));
  ExpectReturn(*model, *backend, images.view().Slice(kFitted, kOthers));
}

}  // namespace
}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/per_pixel.h"

#include <cstddef>

namespace millrace {

// Each column's share of the log-det, if the pass asks for it, is that of pixel p's channels.
Pass PerPixel::OfPixel(const Pass& pass, int p) const {
  Pass of_pixel = pass;
  if (!pass.column_log_det.empty())
    of_pixel.column_log_det = {pass.column_log_det[p].data, pass.column_log_det.size,
                               pass.column_log_det.count / pixels_, pixels_};
  return of_pixel;
}

void PerPixel::Forward(Pass& pass, Matrix x, Vector log_det) const {
  for (int p = 0; p < pixels_; ++p) {
    Pass of_pixel = OfPixel(pass, p);
    transform_->Forward(of_pixel, Pixel(x, p), log_det);
  }
}

void PerPixel::Inverse(Pass& pass, Matrix z, Vector log_det) const {
  for (int p = 0; p < pixels_; ++p) {
    Pass of_pixel = OfPixel(pass, p);
    transform_->Inverse(of_pixel, Pixel(z, p), log_det);
  }
}

void PerPixel::Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  for (int p = pixels_; p-- > 0;) transform_->Backward(pass, Pixel(grad, p), log_det_bar);
}

void PerPixel::InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  for (int p = pixels_; p-- > 0;) transform_->InverseBackward(pass, Pixel(grad, p), log_det_bar);
}

void PerPixel::InitialiseFromMoments(const Moments& moments, std::span<float> parameters) const {
  const std::size_t dim = moments.mean.size(), channels = dim / pixels_;
  Moments pooled{std::vector<double>(channels), std::vector<double>(channels * channels)};
  for (std::size_t i = 0; i < channels; ++i)
    for (int p = 0; p < pixels_; ++p) pooled.mean[i] += moments.mean[i * pixels_ + p] / pixels_;
  // The covariance of a pixel, and that of the pixels' means.
  for (std::size_t i = 0; i < channels; ++i)
    for (std::size_t j = 0; j < channels; ++j)
      for (int p = 0; p < pixels_; ++p) {
        const std::size_t a = i * pixels_ + p, b = j * pixels_ + p;
        pooled.covariance[i * channels + j] +=
            (moments.covariance[a * dim + b] +
             (moments.mean[a] - pooled.mean[i]) * (moments.mean[b] - pooled.mean[j])) /
            pixels_;
      }
  transform_->InitialiseFromMoments(pooled, parameters);
}

}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
// A transform of the channels of a pixel, the same for every pixel of an image: an invertible 1x1
// convolution (Kingma, Dhariwal 2018, section 3.2) is a linear layer per pixel, their ActNorm one
// of channels.
#ifndef MILLRACE_CORE_TRANSFORMS_PER_PIXEL_H_
#define MILLRACE_CORE_TRANSFORMS_PER_PIXEL_H_

#include <memory>
#include <utility>

#include "core/transforms/transform.h"

namespace millrace {

// Columns are those of an image, channel by channel.
class PerPixel final : public Transform {
 public:
  // `transform` is one of as many columns as there are channels.
  PerPixel(int pixels, std::unique_ptr<const Transform> transform)
      : pixels_(pixels), transform_(std::move(transform)) {}

  void Forward(Pass& pass, Matrix x, Vector log_det) const override;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override;
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void Initialise(std::uint64_t seed, std::span<float> parameters) const override {
    transform_->Initialise(seed, parameters);
  }
  bool WantsMoments() const override { return transform_->WantsMoments(); }
  bool WantsCovariance() const override { return transform_->WantsCovariance(); }
  // From the moments of a channel over all pixels.
  void InitialiseFromMoments(const Moments& moments, std::span<float> parameters) const override;
  void Constrain(std::span<float> parameters) const override { transform_->Constrain(parameters); }
  int UsesOfParameters() const override { return pixels_ * transform_->UsesOfParameters(); }
  bool IsTriangular(std::span<const float> parameters) const override {
    return transform_->IsTriangular(parameters);
  }

 private:
  Pass OfPixel(const Pass& pass, int p) const;
  // The channels of pixel p.
  Matrix Pixel(const Matrix& x, int p) const {
    return {x.buffer, x.offset + static_cast<std::ptrdiff_t>(p) * x.stride, x.rows,
            x.cols / pixels_, x.stride * pixels_};
  }

  const int pixels_;
  const std::unique_ptr<const Transform> transform_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_PER_PIXEL_H_

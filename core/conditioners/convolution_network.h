// SPDX-License-Identifier: Apache-2.0
// A network of convolutions that computes the parameters of a coupling of images: plain, as in Glow
// (Kingma, Dhariwal 2018, section 3.3), or residual, as in RealNVP (Dinh et al. 2017).
#ifndef MILLRACE_CORE_CONDITIONERS_CONVOLUTION_NETWORK_H_
#define MILLRACE_CORE_CONDITIONERS_CONVOLUTION_NETWORK_H_

#include <array>
#include <string>
#include <vector>

#include "core/conditioners/conditioner.h"

namespace millrace {

struct ConvolutionNetworkSpec {
  Grid grid;
  // Of the columns of an image, channel by channel, those whose bijections want parameters; the
  // network sees the others, and zeros for these. The planes it sees, and those it fills, are those
  // with such columns.
  std::vector<bool> moved;
  int parameters = 1;  // of each column that is moved
  // Channels, of at most 16 layers; residual: equal and of odd number; may be empty.
  std::vector<int> hidden_sizes;
  bool residual = false;
  bool weight_norm = false;  // of all layers (core/exec/weight_norm.h)
  Activation activation = Activation::kRelu;
};

//   plain:    a_1 = f(W_1 * x + b_1), 3x3; a_l = f(W_l * a_(l-1) + b_l), 1x1;
//             theta = W * a_L + b, 3x3
//   residual: h = W_1 * x + b_1; per block h += W' * f(W * f(h) + b) + b', all 3x3;
//             theta = W * f(h) + b, 1x1
//
// Nothing is put on a tape: the adjoint computes activations anew, so that training takes memory
// for those of one network at a time (decision 0017). Immutable, thread-safe.
class ConvolutionNetwork final : public Conditioner {
 public:
  // Adds its parameters to the layout under `prefix`.
  ConvolutionNetwork(const ConvolutionNetworkSpec& spec, const std::string& prefix,
                     ParameterLayout& layout);

  int inputs() const override { return static_cast<int>(in_columns_.size()); }
  int outputs() const override { return static_cast<int>(out_columns_.size()); }
  void Forward(Pass& pass, const ConstMatrix& x, const Matrix& theta) const override;
  void Backward(Pass& pass, const ConstMatrix& x, const ConstMatrix& theta_bar, float sign,
                const Matrix& x_bar) const override;
  void Initialise(std::uint64_t seed, std::span<float> parameters) const override;
  int UsesOfParameters() const override { return grid_.pixels(); }

 private:
  // Of the inputs and each hidden layer.
  static constexpr int kMaxHiddenLayers = 16;
  using Values = std::array<Matrix, kMaxHiddenLayers + 1>;

  int num_hidden() const { return static_cast<int>(layers_.size()) - 1; }
  // Whether hidden layer l ends a residual block: its sum is h.
  bool IsBlockEnd(int l) const { return residual_ && l % 2 == 0; }
  Values ComputeHidden(Pass& pass, const ConstMatrix& x) const;
  Matrix NewPlanes(Pass& pass, int rows, int channels) const;
  Matrix PlanesOf(Pass& pass, const ConstMatrix& columns, const std::vector<int>& places,
                  int channels) const;

  const Grid grid_;
  const bool residual_;
  const Activation activation_;
  std::vector<int> in_columns_;           // of framed planes, for each input
  std::vector<int> out_columns_;          // of framed planes, for each output
  std::vector<ConvolutionLayer> layers_;  // hidden layers, then the output
  std::vector<Slice> gains_;              // of each layer, or none
};

}  // namespace millrace

#endif  // MILLRACE_CORE_CONDITIONERS_CONVOLUTION_NETWORK_H_

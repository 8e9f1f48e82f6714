// SPDX-License-Identifier: Apache-2.0
#include "core/conditioners/convolution_network.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/exec/weight_norm.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

// The planes with columns that are moved, or with such that are not, numbered in order; -1: none.
std::vector<int> NumberPlanes(const std::vector<bool>& moved, int pixels, bool of_moved) {
  std::vector<int> number(moved.size() / pixels, -1);
  int next = 0;
  for (std::size_t c = 0; c < number.size(); ++c)
    for (int p = 0; p < pixels && number[c] < 0; ++p)
      if (moved[c * pixels + p] == of_moved) number[c] = next++;
  return number;
}

int CountPlanes(const std::vector<int>& number) {
  int count = 0;
  for (const int n : number) count += n >= 0;
  return count;
}

}  // namespace

ConvolutionNetwork::ConvolutionNetwork(const ConvolutionNetworkSpec& spec,
                                       const std::string& prefix, ParameterLayout& layout)
    : grid_(spec.grid), residual_(spec.residual), activation_(spec.activation) {
  const int pixels = grid_.pixels();
  const std::vector<int> in_planes = NumberPlanes(spec.moved, pixels, false);
  const std::vector<int> out_planes = NumberPlanes(spec.moved, pixels, true);
  for (std::size_t c = 0; c < spec.moved.size(); ++c) {
    const int channel = static_cast<int>(c) / pixels, pixel = static_cast<int>(c) % pixels;
    const int place = grid_.at(pixel / grid_.width, pixel % grid_.width);
    if (!spec.moved[c]) {
      in_columns_.push_back(in_planes[channel] * grid_.framed() + place);
      continue;
    }
    for (int p = 0; p < spec.parameters; ++p)
      out_columns_.push_back((out_planes[channel] * spec.parameters + p) * grid_.framed() + place);
  }
  const auto add = [&](const std::string& name, int size, int inputs, int outputs) {
    const int cols = size * size * inputs;
    Slice weight;
    if (spec.weight_norm) {
      const auto normalised = layout.AddNormalised(name + "weight", name + "gain", outputs, cols);
      weight = normalised.direction;
      gains_.push_back(normalised.gain);
    } else {
      weight = layout.Add(name + "weight", outputs, cols, /*decays=*/true);
    }
    layers_.push_back({size, weight, layout.Add(name + "bias", 1, outputs, /*decays=*/false)});
  };
  int inputs = CountPlanes(in_planes);
  for (std::size_t l = 0; l < spec.hidden_sizes.size(); ++l) {
    add(absl::StrCat(prefix, "hidden.", l, "."), l == 0 || residual_ ? 3 : 1, inputs,
        spec.hidden_sizes[l]);
    inputs = spec.hidden_sizes[l];
  }
  add(prefix + "output.", residual_ ? 1 : 3, inputs, CountPlanes(out_planes) * spec.parameters);
}

Matrix ConvolutionNetwork::NewPlanes(Pass& pass, int rows, int channels) const {
  return pass.arena.NewMatrix(rows, channels * grid_.framed());
}

// Framed planes that hold `columns` at `places` and zeros elsewhere.
Matrix ConvolutionNetwork::PlanesOf(Pass& pass, const ConstMatrix& columns,
                                    const std::vector<int>& places, int channels) const {
  const Matrix planes = NewPlanes(pass, columns.rows, channels);
  pass.kernels.Fill(0.0, planes);
  pass.kernels.Scatter(columns, places, planes);
  return planes;
}

// The planes of x, and what each hidden layer makes of them.
ConvolutionNetwork::Values ConvolutionNetwork::ComputeHidden(Pass& pass,
                                                             const ConstMatrix& x) const {
  const Kernels& kernels = pass.kernels;
  Values value = {PlanesOf(pass, x, in_columns_, layers_.front().inputs())};
  const Matrix h = residual_ ? NewPlanes(pass, x.rows, layers_[0].outputs()) : Matrix{};
  for (int l = 0; l < num_hidden(); ++l) {
    const Matrix& out = value[l + 1] = NewPlanes(pass, x.rows, layers_[l].outputs());
    kernels.Convolve(layers_[l], grid_, pass.weights, value[l], DenseStart::kBias,
                     IsBlockEnd(l) ? Activation::kIdentity : activation_, out);
    if (!IsBlockEnd(l)) continue;
    if (l > 0) kernels.Add(h, out);
    kernels.Copy(out, h);
    kernels.Activate(activation_, out);
  }
  return value;
}

void ConvolutionNetwork::Forward(Pass& pass, const ConstMatrix& x, const Matrix& theta) const {
  const Arena::Scope scope(pass.arena);
  const Values value = ComputeHidden(pass, x);
  const Matrix out = NewPlanes(pass, x.rows, layers_.back().outputs());
  pass.kernels.Convolve(layers_.back(), grid_, pass.weights, value[num_hidden()], DenseStart::kBias,
                        Activation::kIdentity, out);
  pass.kernels.Gather(out, out_columns_, theta);
}

void ConvolutionNetwork::Backward(Pass& pass, const ConstMatrix& x, const ConstMatrix& theta_bar,
                                  float sign, const Matrix& x_bar) const {
  const Arena::Scope scope(pass.arena);
  const Kernels& kernels = pass.kernels;
  const Values value = ComputeHidden(pass, x);
  Matrix bar = PlanesOf(pass, theta_bar, out_columns_, layers_.back().outputs());
  Matrix h_bar = {};  // of the sum that goes on past a block
  for (int l = num_hidden(); l >= 0; --l) {
    if (!pass.gradients.empty())
      kernels.ConvolveWeightAdjoint(layers_[l], grid_, value[l], bar, sign, pass.arena,
                                    pass.gradients);
    const Matrix in_bar = NewPlanes(pass, x.rows, layers_[l].inputs());
    kernels.ConvolveInputAdjoint(layers_[l], grid_, pass.weights, bar, /*accumulate=*/false,
                                 pass.arena, in_bar);
    if (l > 0) {
      kernels.ActivationAdjoint(activation_, value[l], in_bar);
      if (IsBlockEnd(l - 1)) {
        if (!h_bar.empty()) kernels.Add(h_bar, in_bar);
        h_bar = in_bar;
      }
    }
    bar = in_bar;
  }
  const Matrix columns = pass.arena.NewMatrix(x.rows, inputs());
  kernels.Gather(bar, in_columns_, columns);
  kernels.Add(columns, x_bar);
}

// Weights are drawn from (-bound, bound). The output is zero, and the second layer of a block
// small, so that the block is near the identity: where weights are normalised, their gains are.
void ConvolutionNetwork::Initialise(std::uint64_t seed, std::span<float> parameters) const {
  const bool normalised = !gains_.empty();
  for (int l = 0; l < num_hidden() + normalised; ++l) {
    const Slice& w = layers_[l].weight;
    const double usual = 1.0 / std::sqrt(w.cols);
    const double bound = l == num_hidden() ? 0.0 : IsBlockEnd(l) && l > 0 ? 1e-3 : usual;
    const double drawn = normalised ? usual : bound;
    for (int o = 0; o < w.rows; ++o) {
      const std::span<float> row = parameters.subspan(w.place(o, 0), w.cols);
      for (int k = 0; k < w.cols; ++k)
        row[k] = static_cast<float>(
            drawn * (2.0 * UniformAt(seed, static_cast<std::uint32_t>(l) + 1, o, k) - 1.0));
      if (normalised)
        parameters[gains_[l].place(0, o)] = static_cast<float>(bound / drawn * NormOf<float>(row));
    }
  }
}

}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
// Convolutions pixel by pixel, as their definition says.
#include <vector>

#include "tests/support/plain_kernels.h"
#include "tests/support/plain_views.h"

namespace millrace {
namespace {

// use(output, input, weight's column, pixel of the output, pixel of the input, the frame included)
template <typename Use>
void ForEachProduct(const ConvolutionLayer& layer, Grid grid, const Use& use) {
  const int reach = layer.size / 2;
  for (int o = 0; o < layer.outputs(); ++o)
    for (int y = 0; y < grid.height; ++y)
      for (int x = 0; x < grid.width; ++x)
        for (int t = 0; t < layer.taps(); ++t)
          for (int i = 0; i < layer.inputs(); ++i)
            use(o, i, t * layer.inputs() + i, grid.at(y, x),
                grid.at(y + t / layer.size - reach, x + t % layer.size - reach));
}

// Calls use(column) for the frames of all planes of m.
template <typename Use>
void ForEachFrameColumn(Grid grid, const ConstMatrix& m, const Use& use) {
  std::vector<bool> inside(grid.framed(), false);
  for (int y = 0; y < grid.height; ++y)
    for (int x = 0; x < grid.width; ++x) inside[grid.at(y, x)] = true;
  for (int c = 0; c < m.cols; ++c)
    if (!inside[c % grid.framed()]) use(c);
}

void ClearFrame(Grid grid, const Matrix& m) {
  ForEachFrameColumn(grid, m, [&](int c) {
    for (int r = 0; r < m.rows; ++r) At(m, r, c) = 0.0;
  });
}

}  // namespace

void PlainKernels::Convolve(const ConvolutionLayer& layer, Grid grid, Weights weights,
                            const ConstMatrix& in, DenseStart start, Activation activation,
                            const Matrix& out) const {
  const bool biased = start == DenseStart::kBias && layer.bias.rows > 0;
  for (int c = 0; c < out.cols && start != DenseStart::kAccumulate; ++c)
    for (int r = 0; r < out.rows; ++r)
      At(out, r, c) = biased ? At(weights, layer.bias, 0, c / grid.framed()) : 0.0;
  ForEachProduct(layer, grid, [&](int o, int i, int w, int to, int from) {
    for (int r = 0; r < out.rows; ++r)
      At(out, r, o * grid.framed() + to) +=
          At(weights, layer.weight, o, w) * At(in, r, i * grid.framed() + from);
  });
  Activate(activation, out);
  ClearFrame(grid, out);
}

void PlainKernels::ConvolveInputAdjoint(const ConvolutionLayer& layer, Grid grid, Weights weights,
                                        const ConstMatrix& out_bar, bool accumulate, Arena&,
                                        const Matrix& in_bar) const {
  if (!accumulate) Fill(0.0, in_bar);
  ForEachProduct(layer, grid, [&](int o, int i, int w, int to, int from) {
    for (int r = 0; r < in_bar.rows; ++r)
      At(in_bar, r, i * grid.framed() + from) +=
          At(weights, layer.weight, o, w) * At(out_bar, r, o * grid.framed() + to);
  });
  ClearFrame(grid, in_bar);
}

void PlainKernels::ConvolveWeightAdjoint(const ConvolutionLayer& layer, Grid grid,
                                         const ConstMatrix& in, const Matrix& out_bar, float sign,
                                         Arena&, Gradients gradients) const {
  ForEachProduct(layer, grid, [&](int o, int i, int w, int to, int from) {
    for (int r = 0; r < in.rows; ++r)
      At(gradients, layer.weight, o, w) +=
          sign * At(out_bar, r, o * grid.framed() + to) * At(in, r, i * grid.framed() + from);
  });
  if (layer.bias.rows == 0) return;
  for (int c = 0; c < out_bar.cols; ++c)
    for (int r = 0; r < out_bar.rows; ++r)
      At(gradients, layer.bias, 0, c / grid.framed()) += sign * At(out_bar, r, c);
}

}  // namespace millrace

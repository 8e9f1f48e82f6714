// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_EXEC_CONVOLUTION_LAYER_H_
#define MILLRACE_CORE_EXEC_CONVOLUTION_LAYER_H_

#include "core/exec/parameters.h"

namespace millrace {

// The pixels of a plane. What convolutions read and write are framed planes: matrices [rows,
// channels * framed()], channel by channel, in which a plane's pixels stand row by row within a
// frame one pixel wide. The frame is zero.
struct Grid {
  int height = 0;
  int width = 0;

  int pixels() const { return height * width; }
  // Columns of a framed plane, an odd number: planes at even distances would fall into few of a
  // cache's sets.
  int framed() const { return (height + 2) * (width + 2) | 1; }
  // Which of them is pixel (y, x); from -1 to height and width inclusive, the frame.
  int at(int y, int x) const { return (y + 1) * (width + 2) + x + 1; }

  friend bool operator==(const Grid&, const Grid&) = default;
};

// y[o](p) = b[o] + the sum over taps t and inputs i of W[o, t * inputs + i] x[i](p + t): the same
// for every pixel p. Taps are the size x size pixels around p, row by row.
struct ConvolutionLayer {
  int size = 3;  // 1 or 3
  Slice weight;  // [outputs, size * size * inputs]
  Slice bias;    // [1, outputs]; rows == 0: no bias

  int taps() const { return size * size; }
  int inputs() const { return weight.cols / taps(); }
  int outputs() const { return weight.rows; }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_CONVOLUTION_LAYER_H_

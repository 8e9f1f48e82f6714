// SPDX-License-Identifier: Apache-2.0
// The columns of an image, channel by channel and row by row within a channel: which of them a
// coupling moves, and how they are put into another order.
#ifndef MILLRACE_CORE_TRANSFORMS_IMAGE_COLUMNS_H_
#define MILLRACE_CORE_TRANSFORMS_IMAGE_COLUMNS_H_

#include <vector>

#include "core/exec/convolution_layer.h"

namespace millrace {

// Pixels with `channels` numbers each.
struct ImageColumns {
  Grid grid;
  int channels = 0;

  int count() const { return channels * grid.pixels(); }
  int at(int channel, int y, int x) const { return (channel * grid.height + y) * grid.width + x; }

  // moved[c] is true where column c is moved; `flip` exchanges kept and moved.
  // Pixels whose y + x is odd (Dinh et al. 2017, figure 3).
  std::vector<bool> Checkerboard(bool flip) const;
  // The second half of the channels; of an odd number, the smaller part.
  std::vector<bool> HalfOfChannels(bool flip) const;
  // The last row, where the height is odd, and the last column, where the width is.
  std::vector<bool> OddEdge() const;

  // Orders are those of a Permutation: column j is put together from column order[j].
  // From pixel by pixel, channels contiguous (HWC), which is how rows come.
  std::vector<int> FromPixels() const;
  // To the image without its odd edge, and the edge behind it.
  std::vector<int> EdgeLast() const;
  // To an image of half the height and width, both even, and four times the channels: channel 4 c +
  // 2 dy + dx is that of pixels (2 y + dy, 2 x + dx) (Dinh et al. 2017, section 3.6).
  std::vector<int> Squeezed() const;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_IMAGE_COLUMNS_H_

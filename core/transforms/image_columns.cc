// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/image_columns.h"

namespace millrace {
namespace {

// use(channel, y, x) in the order of the columns.
template <typename Use>
void ForEach(const ImageColumns& image, const Use& use) {
  for (int c = 0; c < image.channels; ++c)
    for (int y = 0; y < image.grid.height; ++y)
      for (int x = 0; x < image.grid.width; ++x) use(c, y, x);
}

}  // namespace

std::vector<bool> ImageColumns::Checkerboard(bool flip) const {
  std::vector<bool> moved;
  ForEach(*this, [&](int, int y, int x) { moved.push_back(((y + x) % 2 == 1) != flip); });
  return moved;
}

std::vector<bool> ImageColumns::HalfOfChannels(bool flip) const {
  std::vector<bool> moved;
  ForEach(*this, [&](int c, int, int) { moved.push_back((c >= (channels + 1) / 2) != flip); });
  return moved;
}

std::vector<bool> ImageColumns::OddEdge() const {
  std::vector<bool> edge;
  ForEach(*this, [&](int, int y, int x) {
    edge.push_back(y >= grid.height / 2 * 2 || x >= grid.width / 2 * 2);
  });
  return edge;
}

std::vector<int> ImageColumns::FromPixels() const {
  std::vector<int> order;
  ForEach(*this,
          [&](int c, int y, int x) { order.push_back((y * grid.width + x) * channels + c); });
  return order;
}

std::vector<int> ImageColumns::EdgeLast() const {
  const std::vector<bool> edge = OddEdge();
  std::vector<int> order;
  for (const bool last : {false, true})
    for (int c = 0; c < count(); ++c)
      if (edge[c] == last) order.push_back(c);
  return order;
}

std::vector<int> ImageColumns::Squeezed() const {
  std::vector<int> order;
  const ImageColumns squeezed{{grid.height / 2, grid.width / 2}, 4 * channels};
  ForEach(squeezed, [&](int c, int y, int x) {
    order.push_back(at(c / 4, 2 * y + c % 4 / 2, 2 * x + c % 2));
  });
  return order;
}

}  // namespace millrace

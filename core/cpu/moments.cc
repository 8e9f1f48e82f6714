// SPDX-License-Identifier: Apache-2.0
#include "core/cpu/moments.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "core/base/status_macros.h"

namespace millrace {
namespace {

// Columns of a tile: few enough that its sums stay in the fastest cache.
constexpr int kTile = 32;

// Columns [begin, end) of the tile of that number.
std::pair<int, int> ColumnsOf(int tile, int cols) {
  return {tile * kTile, std::min(cols, (tile + 1) * kTile)};
}

// The entries of the lower triangle in one tile, a row of columns against another.
void SumProducts(RowsView<const float> rows, std::pair<int, int> is, std::pair<int, int> js,
                 bool covariance, Moments& moments) {
  std::array<std::array<double, kTile>, kTile> sums = {};
  std::array<double, kTile> a, b;
  const auto centre = [&](std::int64_t r, std::pair<int, int> columns, auto& out) {
    for (int c = columns.first; c < columns.second; ++c)
      out[c - columns.first] = rows(r, c) - moments.mean[c];
  };
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    centre(r, is, a);
    centre(r, js, b);
    for (int i = 0; i < is.second - is.first; ++i)
      for (int j = 0; j < js.second - js.first; ++j) sums[i][j] += a[i] * b[j];
  }
  const auto dim = static_cast<std::size_t>(rows.cols);
  const auto n = static_cast<double>(std::max<std::int64_t>(1, rows.rows));
  for (int i = is.first; i < is.second; ++i)
    for (int j = covariance ? js.first : i; j < std::min(js.second, i + 1); ++j)
      moments.covariance[i * dim + j] = moments.covariance[j * dim + i] =
          sums[i - is.first][j - js.first] / n;
}

}  // namespace

absl::StatusOr<Moments> MomentsOf(RowsView<const float> rows, bool covariance, Lanes& lanes,
                                  const std::stop_token& stop) {
  const int dim = rows.cols;
  const auto n = static_cast<double>(std::max<std::int64_t>(1, rows.rows));
  Moments moments{std::vector<double>(dim),
                  std::vector<double>(static_cast<std::size_t>(dim) * dim)};
  const int tiles = (dim + kTile - 1) / kTile;
  MILLRACE_RETURN_IF_ERROR(lanes.Run(tiles, stop, [&](std::int64_t tile, Scratch&) {
    const auto [begin, end] = ColumnsOf(static_cast<int>(tile), dim);
    std::array<double, kTile> means = {};
    for (std::int64_t r = 0; r < rows.rows; ++r)
      for (int c = begin; c < end; ++c) means[c - begin] += rows(r, c) / n;
    std::copy_n(means.data(), end - begin, moments.mean.data() + begin);
  }));
  std::vector<std::pair<int, int>> pairs;
  for (int i = 0; i < tiles; ++i)
    for (int j = covariance ? 0 : i; j <= i; ++j) pairs.emplace_back(i, j);
  MILLRACE_RETURN_IF_ERROR(lanes.Run(std::ssize(pairs), stop, [&](std::int64_t p, Scratch&) {
    const auto [i, j] = pairs[static_cast<std::size_t>(p)];
    SumProducts(rows, ColumnsOf(i, dim), ColumnsOf(j, dim), covariance, moments);
  }));
  return moments;
}

}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
// A density of two columns on a grid of cells: its mass, and whether samples are of it.
#ifndef MILLRACE_TESTS_CORE_SCORE_GRID_H_
#define MILLRACE_TESTS_CORE_SCORE_GRID_H_

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/base/rows.h"
#include "core/score/density.h"

namespace millrace {

struct Lattice2d {
  double low, high;  // of both columns
  int cells, fine;   // a side, and points a side of a cell

  int CellOf(double value) const {
    return static_cast<int>(std::floor((value - low) / (high - low) * cells));
  }
};

// The probability of each cell, by the midpoint rule.
inline std::vector<double> CellProbabilities(const Density& density, const Lattice2d& grid) {
  const int side = grid.cells * grid.fine;
  const double step = (grid.high - grid.low) / side;
  std::vector<double> cells(grid.cells * grid.cells);
  Rows<double> points(side, 2);
  for (int i = 0; i < side; ++i) {
    for (int j = 0; j < side; ++j) {
      points(j, 0) = grid.low + (i + 0.5) * step;
      points(j, 1) = grid.low + (j + 0.5) * step;
    }
    const auto result = density.LogProb(points.view(), {});
    for (int j = 0; j < side; ++j)
      cells[i / grid.fine * grid.cells + j / grid.fine] +=
          std::exp(result->log_prob[j]) * step * step;
  }
  return cells;
}

inline double Sum(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double v : values) sum += v;
  return sum;
}

// Pearson's chi-squared of the samples in the cells, those of few samples taken as one, is within
// five deviations of what it is for samples of these probabilities.
inline void ExpectSamplesOf(const std::vector<double>& probabilities, const Lattice2d& grid,
                            const Rows<double>& samples, int least_cells) {
  const auto total = static_cast<double>(samples.rows());
  std::vector<double> counts(probabilities.size());
  for (int r = 0; r < samples.rows(); ++r) {
    const int x = grid.CellOf(samples(r, 0)), y = grid.CellOf(samples(r, 1));
    if (x < 0 || y < 0 || x >= grid.cells || y >= grid.cells) continue;
    counts[x * grid.cells + y] += 1.0;
  }
  EXPECT_GE(Sum(counts), 0.99 * total);
  double chi_squared = 0.0, rare_expected = 0.0, rare_count = 0.0;
  int cells = 0;
  const auto add = [&](double count, double mean) {
    chi_squared += (count - mean) * (count - mean) / mean;
    ++cells;
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double mean = total * probabilities[i];
    if (mean >= 10.0) {
      add(counts[i], mean);
    } else {
      rare_expected += mean;
      rare_count += counts[i];
    }
  }
  add(rare_count, rare_expected);
  EXPECT_GT(cells, least_cells);
  EXPECT_LE(chi_squared, cells + 5.0 * std::sqrt(2.0 * cells));
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_CORE_SCORE_GRID_H_

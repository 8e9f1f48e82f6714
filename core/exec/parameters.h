// SPDX-License-Identifier: Apache-2.0
// All parameters of a flow stand in one aligned array of floats; a layout names the slices. The
// optimiser, the model file and the devices know nothing of layers.
#ifndef MILLRACE_CORE_EXEC_PARAMETERS_H_
#define MILLRACE_CORE_EXEC_PARAMETERS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/base/aligned_buffer.h"

namespace millrace {

// A row-major matrix [rows, cols] inside the parameter array; element (r, c) at offset + r * ld +
// c. Rows of a matrix start on a cache line; entries between cols and ld are zero and stay zero.
struct Slice {
  std::size_t offset = 0;
  int rows = 0;
  int cols = 0;
  int ld = 0;

  std::size_t extent() const { return static_cast<std::size_t>(rows) * ld; }
  std::size_t place(int r, int c) const { return offset + static_cast<std::size_t>(r) * ld + c; }
};

// Where each parameter stands. Built once with its flow, immutable afterwards.
class ParameterLayout {
 public:
  struct Entry {
    std::string name;  // e.g. "3.made.hidden.1.weight": unique, stable, the name in the model file
    Slice slice;
    bool decays = false;  // subject to weight decay (weights yes; biases, scales and diagonals no)
    // A running statistic: no gradient moves it. Adjoints add to its place among the gradients, for
    // each row, what the row says it should be less what it is; a step of training moves it by a
    // share of the mean of that.
    bool statistic = false;
    // Of weights that are normalised (core/exec/weight_norm.h): the gains of their rows, [1, rows],
    // an entry of their own.
    std::optional<Slice> gain = std::nullopt;
  };

  // `rows` x `cols` parameters, padded so that the next entry starts on a cache line.
  Slice Add(std::string name, int rows, int cols, bool decays);
  Slice AddStatistic(std::string name, int rows, int cols);
  // Weights, and behind them their gains, which decay.
  struct Normalised {
    Slice direction, gain;
  };
  Normalised AddNormalised(std::string name, std::string gain_name, int rows, int cols);

  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t size() const { return size_; }  // floats, padding included
  std::size_t count() const;                  // parameters, without padding
  bool normalised() const;                    // whether any weights are

 private:
  std::vector<Entry> entries_;
  std::size_t size_ = 0;
};

using ParameterValues = AlignedBuffer<float>;

// What a kernel needs to find a slice of the parameters, or of what NormaliseWeights has made of
// them. The element type is the kernels' own (float on the CPU).
struct Weights {
  const void* buffer = nullptr;
  const void* by_input = nullptr;  // the kernels' own copy for rows that come alone, or none
};

struct Gradients {
  void* buffer = nullptr;
  bool empty() const { return buffer == nullptr; }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_PARAMETERS_H_

// SPDX-License-Identifier: Apache-2.0
// The masked autoregressive flow that the speed programs measure.
#ifndef MILLRACE_TESTS_BENCHMARKS_MAF_CASE_H_
#define MILLRACE_TESTS_BENCHMARKS_MAF_CASE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "core/cpu/cpu_backend.h"

namespace millrace {

// Five affine autoregressive layers with random weights, nothing zero that training would not leave
// zero, and `rows` rows of `dim` columns.
class MafCase {
 public:
  // threads: see CpuBackendOptions.
  MafCase(std::vector<int> hidden_sizes, int dim, std::int64_t rows, int threads = 0);

  // On all rows; training is a gradient and a step of Adam.
  void LogProb();
  void Forward();
  void Inverse();
  void Sample();
  void TrainStep();

  std::int64_t rows() const { return rows_.rows(); }
  // Multiplications that the masks leave in one log_prob of one row.
  double Products() const;

 private:
  // Units of the last hidden layer that output `output` uses.
  int UsedInputs(int output) const;

  std::vector<int> hidden_sizes_;
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<const Flow> flow_;
  std::shared_ptr<const DeviceWeights> weights_;
  std::unique_ptr<TrainSession> session_;
  Rows<float> rows_;
  Rows<float> image_;
  std::vector<double> log_prob_;
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_BENCHMARKS_MAF_CASE_H_

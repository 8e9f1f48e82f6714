// SPDX-License-Identifier: Apache-2.0
// A fixed permutation of the columns: z_j = x_(order[j]).
#ifndef MILLRACE_CORE_TRANSFORMS_PERMUTATION_H_
#define MILLRACE_CORE_TRANSFORMS_PERMUTATION_H_

#include <vector>

#include "core/transforms/transform.h"

namespace millrace {

class Permutation final : public Transform {
 public:
  explicit Permutation(std::vector<int> order) : order_(std::move(order)) {}
  static Permutation Reverse(int dim);
  // By the numbers of a stream of core/math/uniform.h; 0 is one as well, although normals under the
  // same seed are made of the same words.
  static Permutation Random(int dim, std::uint64_t seed, std::uint32_t stream);

  void Forward(Pass& pass, Matrix x, Vector log_det) const override;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override;
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void Initialise(std::uint64_t, std::span<float>) const override {}
  bool IsTriangular(std::span<const float>) const override;

  const std::vector<int>& order() const { return order_; }

 private:
  void Gather(Pass& pass, Matrix x) const;
  void Scatter(Pass& pass, Matrix z) const;

  std::vector<int> order_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_PERMUTATION_H_

// SPDX-License-Identifier: Apache-2.0
// Which bijection of whole rows of core/math, with its sizes. Plain values.
#ifndef MILLRACE_CORE_EXEC_VECTOR_BIJECTION_H_
#define MILLRACE_CORE_EXEC_VECTOR_BIJECTION_H_

#include <cstdint>
#include <span>

namespace millrace {

struct VectorBijection {
  enum class Kind {
    kPlanar,
    kRadial,
    kSylvester,
    kRotation,  // of two columns
  };
  Kind kind = Kind::kPlanar;
  int width = 1;              // of Sylvester, [1, min(dim, LowRank::kMaxWidth)]
  int first = 0, second = 1;  // columns of a rotation, different

  // Parameters for rows of `dim` columns.
  int parameters(int dim) const;
  // Writes theta [parameters(dim)] of a map near the identity that differs from seed to seed, so
  // that no gradient vanishes by symmetry.
  void Initialise(int dim, std::uint64_t seed, std::span<float> theta) const;

  friend bool operator==(const VectorBijection&, const VectorBijection&) = default;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_VECTOR_BIJECTION_H_

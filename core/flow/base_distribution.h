// SPDX-License-Identifier: Apache-2.0
// The distribution a flow ends in: p(z) of the latent rows z.
//
//   standard normal    N(0, I)
//   diagonal normal    mean and log-scale of each column are learned
//   uniform            on (low, high) in every column; numbers outside count as inside
//   logistic           standard, in every column
//   Student-t          location, log-scale and degrees of freedom, in (1, 1000), of each column are
//                      learned; they start at 0, 1 and 32
//   mixture of normals weights, means and log-scales of diagonal normals over all columns are
//                      learned; they start at random means and together near the standard normal
#ifndef MILLRACE_CORE_FLOW_BASE_DISTRIBUTION_H_
#define MILLRACE_CORE_FLOW_BASE_DISTRIBUTION_H_

#include <cstdint>
#include <span>

#include "core/base/matrix.h"
#include "core/exec/base_layer.h"
#include "core/exec/parameters.h"
#include "core/exec/pass.h"
#include "core/flow/base_spec.h"

namespace millrace {

// Immutable, thread-safe; parameters come in through `Pass`. `z` is [rows, dim].
class BaseDistribution {
 public:
  // Adds the parameters, if there are any, to the layout as "base.<name>". The spec is valid.
  BaseDistribution(const BaseSpec& spec, int dim, ParameterLayout& layout);

  // log_p += ln p(z) of each row or, where the pass asks for column_log_det, each column's
  // ln p(z_c | z_<c) to the vector of its column.
  void LogDensity(Pass& pass, ConstMatrix z, Vector log_p) const;
  // Adjoint of LogDensity: z becomes dL/dz, and parameter gradients are added.
  void LogDensityBackward(Pass& pass, Matrix z, ConstVector log_p_bar) const;

  // Row r is a sample that depends on keys[r] only, one key a row: location + temperature * scale *
  // noise, of the component drawn, whatever the temperature; of uniforms, about their centre, and
  // temperatures above 1 count as 1. Temperature 0 gives locations.
  void Sample(Pass& pass, std::span<const SampleKey> keys, Matrix z) const;
  // The same for keys of consecutive rows.
  void Sample(Pass& pass, std::uint64_t seed, std::uint64_t first_row, double temperature,
              Matrix z) const;
  // Adds the parameter gradients of a loss of samples z, drawn with temperature 1: grad is dL/dz
  // for fixed noise. Not for mixtures (CheckSampleGradient).
  void SampleBackward(Pass& pass, std::uint64_t seed, std::uint64_t first_row, ConstMatrix z,
                      ConstMatrix grad) const;

  // Writes the initial parameters; the same seed gives the same values.
  void Initialise(std::uint64_t seed, std::span<float> parameters) const;

 private:
  BaseLayer layer_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_BASE_DISTRIBUTION_H_

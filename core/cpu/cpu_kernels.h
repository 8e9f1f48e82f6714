// SPDX-License-Identifier: Apache-2.0
// The kernels on this machine's processor, in float: rows along the SIMD lanes.
#ifndef MILLRACE_CORE_CPU_CPU_KERNELS_H_
#define MILLRACE_CORE_CPU_CPU_KERNELS_H_

#include "core/exec/arena.h"
#include "core/exec/kernels.h"

namespace millrace {

// Stateless. Blocks come from an Arena with element_size() 4.
class CpuKernels final : public Kernels {
 public:
  std::size_t element_size() const override { return sizeof(float); }

  void Load(const float* host, Matrix to) const override;
  void Store(ConstMatrix from, float* host) const override;
  void Copy(ConstMatrix from, Matrix to) const override;
  void Fill(double value, Matrix to) const override;
  void Add(ConstMatrix from, Matrix to) const override;
  void Negate(Matrix x) const override;
  void Gather(ConstMatrix from, std::span<const int> columns, Matrix to) const override;
  void Scatter(ConstMatrix from, std::span<const int> columns, Matrix to) const override;

  void Dense(const DenseLayer& layer, DenseRange range, Weights weights, ConstMatrix in,
             DenseStart start, Activation activation, Matrix out) const override;
  void DenseInputAdjoint(const DenseLayer& layer, DenseRange range, Weights weights,
                         ConstMatrix out_bar, bool accumulate, Matrix in_bar) const override;
  void DenseWeightAdjoint(const DenseLayer& layer, ConstMatrix in, ConstMatrix out_bar, float sign,
                          Arena& arena, Gradients gradients) const override;
  void Activate(Activation activation, Matrix x) const override;
  void ActivationAdjoint(Activation activation, ConstMatrix value, Matrix bar) const override;

  void BijectionForward(ScalarBijection bijection, ConstMatrix theta, Matrix x,
                        Vector log_det) const override;
  void BijectionInverse(ScalarBijection bijection, ConstMatrix theta, Matrix z,
                        Vector log_det) const override;
  void BijectionAdjoint(ScalarBijection bijection, ConstMatrix theta, ConstMatrix x,
                        ConstVector log_det_bar, Matrix grad, Matrix theta_bar) const override;
  void BijectionAdjointSolve(ScalarBijection bijection, ConstMatrix theta, ConstMatrix x,
                             ConstVector log_det_bar, Matrix grad, Matrix theta_bar) const override;
  void LogScalePenaltyAdjoint(ScalarBijection bijection, ConstMatrix theta, ConstVector log_det_bar,
                              double penalty, Matrix theta_bar) const override;
  void SweepColumns(const SweptNetwork& network, const SweptUnits& units, ScalarBijection bijection,
                    Weights weights, int first, int end, Arena& arena, Matrix z, Vector log_det,
                    Vectors column_log_det) const override;
  void Broadcast(Slice slice, Weights weights, Matrix theta) const override;
  void BroadcastAdjoint(Slice slice, ConstMatrix theta_bar, float sign,
                        Gradients gradients) const override;
  void StatisticsAdjoint(Slice statistics, Weights weights, ConstMatrix x,
                         Gradients gradients) const override;

  void LuForward(const LuLayer& layer, Weights weights, Matrix x, Matrix scratch, Vector log_det,
                 Vectors column_log_det) const override;
  void LuInverse(const LuLayer& layer, Weights weights, Matrix z, Vector log_det,
                 Vectors column_log_det) const override;
  void LuAdjoint(const LuLayer& layer, Weights weights, ConstMatrix x, ConstVector log_det_bar,
                 float sign, Arena& arena, Matrix grad, Gradients gradients) const override;
  void LuTransposedSolve(const LuLayer& layer, Weights weights, Matrix grad) const override;

  void VectorForward(VectorBijection bijection, Slice theta, Weights weights, Arena& arena,
                     Matrix x, Vector log_det) const override;
  void VectorInverse(VectorBijection bijection, Slice theta, Weights weights, Arena& arena,
                     Matrix z, Vector log_det) const override;
  void VectorAdjoint(VectorBijection bijection, Slice theta, Weights weights, ConstMatrix x,
                     ConstVector log_det_bar, float sign, Arena& arena, Matrix grad,
                     Gradients gradients) const override;
  void VectorTransposedSolve(VectorBijection bijection, Slice theta, Weights weights, ConstMatrix x,
                             Arena& arena, Matrix grad) const override;

  void ActivationSlopeAdjoint(Activation activation, ConstMatrix value, ConstMatrix s, Matrix bar,
                              Matrix value_bar) const override;
  void FactoriseJacobian(double sign, Matrix jacobian, int dim, Vector log_det) const override;
  void JacobianTransposedSolve(ConstMatrix lu, Matrix grad) const override;
  bool FixedPointStep(ConstMatrix z, ConstMatrix g, Matrix moving, Matrix x) const override;
  void Spread(ConstVector from, Matrix to) const override;

  void BaseLogDensity(const BaseLayer& layer, Weights weights, ConstMatrix z, Arena& arena,
                      Vector log_p, Vectors column_log_p) const override;
  void BaseLogDensityAdjoint(const BaseLayer& layer, Weights weights, ConstMatrix z,
                             ConstVector log_p_bar, Arena& arena, Matrix grad,
                             Gradients gradients) const override;
  void SampleBase(const BaseLayer& layer, Weights weights, std::span<const SampleKey> keys,
                  Matrix z) const override;
  void SampleBaseAdjoint(const BaseLayer& layer, Weights weights, std::uint64_t seed,
                         std::uint64_t first_row, ConstMatrix z, ConstMatrix grad, Arena& arena,
                         Gradients gradients) const override;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_CPU_KERNELS_H_

// SPDX-License-Identifier: Apache-2.0
// The reference implementation of Kernels: double precision, one loop a sum, nothing clever. Every
// transform runs on it as it is, so gradients can be checked against differences, and the float
// kernels against numbers that have no rounding to speak of.
#ifndef MILLRACE_TESTS_SUPPORT_PLAIN_KERNELS_H_
#define MILLRACE_TESTS_SUPPORT_PLAIN_KERNELS_H_

#include "core/exec/kernels.h"

namespace millrace {

// Matrices, weights and gradients are arrays of double, laid out as ParameterLayout says. Unlike
// other kernels it neither reads nor writes rows of padding.
class PlainKernels final : public Kernels {
 public:
  std::size_t element_size() const override { return sizeof(double); }

  void Load(const float* host, const Matrix& to) const override;
  void Store(const ConstMatrix& from, float* host) const override;
  void Copy(const ConstMatrix& from, const Matrix& to) const override;
  void Fill(double value, const Matrix& to) const override;
  void Add(const ConstMatrix& from, const Matrix& to) const override;
  void Negate(const Matrix& x) const override;
  void Gather(const ConstMatrix& from, std::span<const int> columns,
              const Matrix& to) const override;
  void Scatter(const ConstMatrix& from, std::span<const int> columns,
               const Matrix& to) const override;

  void Dense(const DenseLayer& layer, DenseRange range, Weights weights, const ConstMatrix& in,
             DenseStart start, Activation activation, const Matrix& out) const override;
  void DenseInputAdjoint(const DenseLayer& layer, DenseRange range, Weights weights,
                         const ConstMatrix& out_bar, bool accumulate,
                         const Matrix& in_bar) const override;
  void DenseWeightAdjoint(const DenseLayer& layer, const ConstMatrix& in,
                          const ConstMatrix& out_bar, float sign, Arena& arena,
                          Gradients gradients) const override;
  void Activate(Activation activation, const Matrix& x) const override;
  void ActivationAdjoint(Activation activation, const ConstMatrix& value,
                         const Matrix& bar) const override;

  void Convolve(const ConvolutionLayer& layer, Grid grid, Weights weights, const ConstMatrix& in,
                DenseStart start, Activation activation, const Matrix& out) const override;
  void ConvolveInputAdjoint(const ConvolutionLayer& layer, Grid grid, Weights weights,
                            const ConstMatrix& out_bar, bool accumulate, Arena& arena,
                            const Matrix& in_bar) const override;
  void ConvolveWeightAdjoint(const ConvolutionLayer& layer, Grid grid, const ConstMatrix& in,
                             const Matrix& out_bar, float sign, Arena& arena,
                             Gradients gradients) const override;

  void BijectionForward(ScalarBijection bijection, const ConstMatrix& theta, const Matrix& x,
                        Vector log_det) const override;
  void BijectionInverse(ScalarBijection bijection, const ConstMatrix& theta, const Matrix& z,
                        Vector log_det) const override;
  void BijectionAdjoint(ScalarBijection bijection, const ConstMatrix& theta, const ConstMatrix& x,
                        ConstVector log_det_bar, const Matrix& grad,
                        const Matrix& theta_bar) const override;
  void BijectionAdjointSolve(ScalarBijection bijection, const ConstMatrix& theta,
                             const ConstMatrix& x, ConstVector log_det_bar, const Matrix& grad,
                             const Matrix& theta_bar) const override;
  void LogScalePenaltyAdjoint(ScalarBijection bijection, const ConstMatrix& theta,
                              ConstVector log_det_bar, double penalty,
                              const Matrix& theta_bar) const override;
  void SweepColumns(const SweptNetwork& network, const SweptUnits& units, ScalarBijection bijection,
                    Weights weights, int first, int end, Arena& arena, const Matrix& z,
                    Vector log_det, Vectors column_log_det) const override;
  void Broadcast(Slice slice, Weights weights, const Matrix& theta) const override;
  void BroadcastAdjoint(Slice slice, const ConstMatrix& theta_bar, float sign,
                        Gradients gradients) const override;
  void StatisticsAdjoint(Slice statistics, Weights weights, const ConstMatrix& x, double share,
                         Gradients gradients) const override;

  void LuForward(const LuLayer& layer, Weights weights, const Matrix& x, const Matrix& scratch,
                 Vector log_det, Vectors column_log_det) const override;
  void LuInverse(const LuLayer& layer, Weights weights, const Matrix& z, Vector log_det,
                 Vectors column_log_det) const override;
  void LuAdjoint(const LuLayer& layer, Weights weights, const ConstMatrix& x,
                 ConstVector log_det_bar, float sign, Arena& arena, const Matrix& grad,
                 Gradients gradients) const override;
  void LuTransposedSolve(const LuLayer& layer, Weights weights, const Matrix& grad) const override;

  void VectorForward(VectorBijection bijection, Slice theta, Weights weights, Arena& arena,
                     const Matrix& x, Vector log_det) const override;
  void VectorInverse(VectorBijection bijection, Slice theta, Weights weights, Arena& arena,
                     const Matrix& z, Vector log_det) const override;
  void VectorAdjoint(VectorBijection bijection, Slice theta, Weights weights, const ConstMatrix& x,
                     ConstVector log_det_bar, float sign, Arena& arena, const Matrix& grad,
                     Gradients gradients) const override;
  void VectorTransposedSolve(VectorBijection bijection, Slice theta, Weights weights,
                             const ConstMatrix& x, Arena& arena, const Matrix& grad) const override;

  void ActivationSlopeAdjoint(Activation activation, const ConstMatrix& value, const ConstMatrix& s,
                              const Matrix& bar, const Matrix& value_bar) const override;
  void FactoriseJacobian(double sign, const Matrix& jacobian, int dim,
                         Vector log_det) const override;
  void JacobianTransposedSolve(const ConstMatrix& lu, const Matrix& grad) const override;
  bool FixedPointStep(const ConstMatrix& z, const ConstMatrix& g, const Matrix& moving,
                      const Matrix& x) const override;
  void Spread(ConstVector from, const Matrix& to) const override;

  void BaseLogDensity(const BaseLayer& layer, Weights weights, const ConstMatrix& z, Arena& arena,
                      Vector log_p, Vectors column_log_p) const override;
  void BaseLogDensityAdjoint(const BaseLayer& layer, Weights weights, const ConstMatrix& z,
                             ConstVector log_p_bar, Arena& arena, const Matrix& grad,
                             Gradients gradients) const override;
  void SampleBase(const BaseLayer& layer, Weights weights, std::span<const SampleKey> keys,
                  const Matrix& z) const override;
  void SampleBaseAdjoint(const BaseLayer& layer, Weights weights, std::uint64_t seed,
                         std::uint64_t first_row, const ConstMatrix& z, const ConstMatrix& grad,
                         Arena& arena, Gradients gradients) const override;
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_SUPPORT_PLAIN_KERNELS_H_

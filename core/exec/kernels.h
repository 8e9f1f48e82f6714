// SPDX-License-Identifier: Apache-2.0
// The operations transforms are made of, on one block of rows. Not a tensor library: an operation
// belongs here only if two transforms need it, or one needs it fused. Each stands beside its
// adjoint.
//
// For every implementation: const, thread-safe, allocates nothing; sums over columns and inputs run
// in ascending order whatever the number of rows, so that a row's result does not depend on the
// block it stands in. Matrices of one call have the same number of rows. `v_bar` is dL/dv. Adjoints
// ADD to parameter gradients. Rows of padding may be read and written.
//
// Views go by reference: a copy of one that was just put together waits until all of it is in
// memory, which a row that comes alone would feel.
#ifndef MILLRACE_CORE_EXEC_KERNELS_H_
#define MILLRACE_CORE_EXEC_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/matrix.h"
#include "core/exec/base_layer.h"
#include "core/exec/convolution_layer.h"
#include "core/exec/dense_layer.h"
#include "core/exec/parameters.h"
#include "core/exec/scalar_bijection.h"
#include "core/exec/swept_network.h"
#include "core/exec/vector_bijection.h"

namespace millrace {

// y = L U x + b: L lower triangular with a unit diagonal, U upper triangular with the diagonal
// exp(clip(log_diagonal)), clip as in core/math/affine.h with kLogDiagonalBound.
struct LuLayer {
  Slice lower;         // [dim, dim]; zero, and kept zero, but strictly below the diagonal
  Slice upper;         // [dim, dim]; zero, and kept zero, but strictly above the diagonal
  Slice log_diagonal;  // [1, dim]
  Slice bias;          // [1, dim]
};

class Kernels {
 public:
  virtual ~Kernels() = default;

  // Bytes of one matrix element: what arenas are made for.
  virtual std::size_t element_size() const = 0;

  // --- moving data ---
  // Row-major host rows [rows, cols] into a block, and back.
  virtual void Load(const float* host, const Matrix& to) const = 0;
  virtual void Store(const ConstMatrix& from, float* host) const = 0;
  virtual void Copy(const ConstMatrix& from, const Matrix& to) const = 0;
  virtual void Fill(double value, const Matrix& to) const = 0;
  virtual void Add(const ConstMatrix& from, const Matrix& to) const = 0;  // to += from
  virtual void Negate(const Matrix& x) const = 0;                         // x = -x
  // to[:, j] = from[:, columns[j]], and to[:, columns[j]] = from[:, j]. No aliasing.
  virtual void Gather(const ConstMatrix& from, std::span<const int> columns,
                      const Matrix& to) const = 0;
  virtual void Scatter(const ConstMatrix& from, std::span<const int> columns,
                       const Matrix& to) const = 0;

  // --- dense layers ---
  // Columns [output_begin, output_end) of `out` get `start` plus the products with the inputs in
  // [input_begin, min(input_end, extent)), then the activation. in [rows, inputs], out [rows,
  // outputs].
  virtual void Dense(const DenseLayer& layer, DenseRange range, Weights weights,
                     const ConstMatrix& in, DenseStart start, Activation activation,
                     const Matrix& out) const = 0;
  // Columns [input_begin, input_end) of in_bar: in_bar (+)= W^T out_bar over the given outputs.
  virtual void DenseInputAdjoint(const DenseLayer& layer, DenseRange range, Weights weights,
                                 const ConstMatrix& out_bar, bool accumulate,
                                 const Matrix& in_bar) const = 0;
  // W_bar += out_bar in^T, b_bar += sum over rows of out_bar, masked entries excluded. `sign` is 1
  // or -1. `arena` is used for one transposed copy of `in`.
  virtual void DenseWeightAdjoint(const DenseLayer& layer, const ConstMatrix& in,
                                  const ConstMatrix& out_bar, float sign, class Arena& arena,
                                  Gradients gradients) const = 0;
  virtual void Activate(Activation activation, const Matrix& x) const = 0;
  // bar *= activation'(.), given the activation's value.
  virtual void ActivationAdjoint(Activation activation, const ConstMatrix& value,
                                 const Matrix& bar) const = 0;

  // --- convolutions ---
  // Framed planes in [rows, inputs * framed()] and out [rows, outputs * framed()]: out gets `start`
  // plus the products, then the activation. The frame of out becomes zero.
  virtual void Convolve(const ConvolutionLayer& layer, Grid grid, Weights weights,
                        const ConstMatrix& in, DenseStart start, Activation activation,
                        const Matrix& out) const = 0;
  // in_bar (+)= W^T out_bar; its frame becomes zero. `arena` is used for the weights transposed.
  virtual void ConvolveInputAdjoint(const ConvolutionLayer& layer, Grid grid, Weights weights,
                                    const ConstMatrix& out_bar, bool accumulate, class Arena& arena,
                                    const Matrix& in_bar) const = 0;
  // W_bar += sign out_bar in^T, summed over pixels, and b_bar likewise. The padding of out_bar
  // becomes zero.
  virtual void ConvolveWeightAdjoint(const ConvolutionLayer& layer, Grid grid,
                                     const ConstMatrix& in, const Matrix& out_bar, float sign,
                                     class Arena& arena, Gradients gradients) const = 0;

  // --- scalar bijections ---
  // x [rows, n], theta [rows, n * parameters]: parameter p of column i is column i * parameters +
  // p. log_det += the sum over columns. In place. Formulas: core/math.
  virtual void BijectionForward(ScalarBijection bijection, const ConstMatrix& theta,
                                const Matrix& x, Vector log_det) const = 0;
  virtual void BijectionInverse(ScalarBijection bijection, const ConstMatrix& theta,
                                const Matrix& z, Vector log_det) const = 0;
  // Adjoint of BijectionForward at x: grad holds dL/dz and becomes dL/dx at fixed theta; theta_bar
  // is written.
  virtual void BijectionAdjoint(ScalarBijection bijection, const ConstMatrix& theta,
                                const ConstMatrix& x, ConstVector log_det_bar, const Matrix& grad,
                                const Matrix& theta_bar) const = 0;
  // Solves BijectionAdjoint for dL/dz: grad holds g and becomes the v for which BijectionAdjoint,
  // given v, would return g; theta_bar is written for that v. Adjoints of inverses are made of it.
  virtual void BijectionAdjointSolve(ScalarBijection bijection, const ConstMatrix& theta,
                                     const ConstMatrix& x, ConstVector log_det_bar,
                                     const Matrix& grad, const Matrix& theta_bar) const = 0;
  // Training may count a log-det s of the affine bijection as s - penalty * s^2: a prior that keeps
  // log-scales near 0. Adds to theta_bar what the second term contributes, log_det_bar being
  // dL/dlog_det. Nothing for other bijections.
  virtual void LogScalePenaltyAdjoint(ScalarBijection bijection, const ConstMatrix& theta,
                                      ConstVector log_det_bar, double penalty,
                                      const Matrix& theta_bar) const = 0;
  // Columns [first, end) of an autoregressive transform's inverse: z becomes x there, column by
  // column. What columns before `first` contribute is in the units of the range already, which are
  // completed, as is theta but where it is flat. Log-dets are added to log_det or, where
  // column_log_det is not empty, to the columns' own.
  virtual void SweepColumns(const SweptNetwork& network, const SweptUnits& units,
                            ScalarBijection bijection, Weights weights, int first, int end,
                            class Arena& arena, const Matrix& z, Vector log_det,
                            Vectors column_log_det) const = 0;
  // theta[:, j] = parameter j of `slice` [1, n] in every row; its adjoint adds sign times the sums
  // over rows.
  virtual void Broadcast(Slice slice, Weights weights, const Matrix& theta) const = 0;
  virtual void BroadcastAdjoint(Slice slice, const ConstMatrix& theta_bar, float sign,
                                Gradients gradients) const = 0;

  // statistics [1, 2 n] are means and variances m_0, v_0, m_1 ... to which rows x [rows, n] bring
  // x - m and (x - m)^2 - v: `share` times their sums over rows are added.
  virtual void StatisticsAdjoint(Slice statistics, Weights weights, const ConstMatrix& x,
                                 double share, Gradients gradients) const = 0;

  // --- linear ---
  // In place on x [rows, dim]; `scratch` [rows, dim]. log_det += +-sum of the log diagonal.
  // Where column_log_det is not empty, each column's part goes there instead.
  virtual void LuForward(const LuLayer& layer, Weights weights, const Matrix& x,
                         const Matrix& scratch, Vector log_det, Vectors column_log_det) const = 0;
  virtual void LuInverse(const LuLayer& layer, Weights weights, const Matrix& z, Vector log_det,
                         Vectors column_log_det) const = 0;
  // Adjoint of LuForward at x: grad dL/dz -> dL/dx. Parameter gradients are added with `sign`.
  virtual void LuAdjoint(const LuLayer& layer, Weights weights, const ConstMatrix& x,
                         ConstVector log_det_bar, float sign, class Arena& arena,
                         const Matrix& grad, Gradients gradients) const = 0;
  // grad holds g and becomes v = (L U)^-T g.
  virtual void LuTransposedSolve(const LuLayer& layer, Weights weights,
                                 const Matrix& grad) const = 0;

  // --- bijections of whole rows ---
  // In place on x [rows, dim]; theta [1, parameters] is common to all rows, and `arena` holds what
  // is prepared from it. Formulas: core/math.
  virtual void VectorForward(VectorBijection bijection, Slice theta, Weights weights,
                             class Arena& arena, const Matrix& x, Vector log_det) const = 0;
  virtual void VectorInverse(VectorBijection bijection, Slice theta, Weights weights,
                             class Arena& arena, const Matrix& z, Vector log_det) const = 0;
  // Adjoint of VectorForward at x: grad dL/dz -> dL/dx. theta's gradient is added with `sign`.
  virtual void VectorAdjoint(VectorBijection bijection, Slice theta, Weights weights,
                             const ConstMatrix& x, ConstVector log_det_bar, float sign,
                             class Arena& arena, const Matrix& grad, Gradients gradients) const = 0;
  // grad holds g and becomes v = J^-T g, J = dz/dx at x.
  virtual void VectorTransposedSolve(VectorBijection bijection, Slice theta, Weights weights,
                                     const ConstMatrix& x, class Arena& arena,
                                     const Matrix& grad) const = 0;

  // --- residual flows ---
  // Adjoint of t = activation'(a) s, given the activation's value at a and s: bar holds dL/dt and
  // becomes dL/ds; dL/dvalue is added to value_bar.
  virtual void ActivationSlopeAdjoint(Activation activation, const ConstMatrix& value,
                                      const ConstMatrix& s, const Matrix& bar,
                                      const Matrix& value_bar) const = 0;
  // jacobian [rows, dim * dim] holds J_ij of each row in column j * dim + i and becomes the factors
  // L U = I + J (core/math/row_lu.h); log_det += sign log|det(I + J)|.
  virtual void FactoriseJacobian(double sign, const Matrix& jacobian, int dim,
                                 Vector log_det) const = 0;
  // grad holds g and becomes v = (L U)^-T g.
  virtual void JacobianTransposedSolve(const ConstMatrix& lu, const Matrix& grad) const = 0;
  // x = z - g in rows where `moving` [rows, 1] is 1; where x has hardly changed by it, moving
  // becomes 0. Whether any row is left that moves.
  virtual bool FixedPointStep(const ConstMatrix& z, const ConstMatrix& g, const Matrix& moving,
                              const Matrix& x) const = 0;
  // to[:, 0] = from
  virtual void Spread(ConstVector from, const Matrix& to) const = 0;

  // --- base ---
  // log_p += ln p(z) of each row. Where column_log_p is not empty, each column's ln p(z_c | z_<c)
  // goes there instead.
  virtual void BaseLogDensity(const BaseLayer& layer, Weights weights, const ConstMatrix& z,
                              class Arena& arena, Vector log_p, Vectors column_log_p) const = 0;
  // Writes grad = dL/dz, which may be z itself. Parameter gradients may be empty.
  virtual void BaseLogDensityAdjoint(const BaseLayer& layer, Weights weights, const ConstMatrix& z,
                                     ConstVector log_p_bar, class Arena& arena, const Matrix& grad,
                                     Gradients gradients) const = 0;
  // Row r, column c depends on (keys[r], c) and, in mixtures, on the component that seed and row of
  // keys[r] draw; one key a row. The temperature multiplies what is added to the location; of
  // uniforms, to the centre, and counts as 1 above 1.
  virtual void SampleBase(const BaseLayer& layer, Weights weights, std::span<const SampleKey> keys,
                          const Matrix& z) const = 0;
  // Parameter gradients of a loss that depends on samples z of the rows from first_row on, of
  // temperature 1, given grad = dL/dz; one component.
  virtual void SampleBaseAdjoint(const BaseLayer& layer, Weights weights, std::uint64_t seed,
                                 std::uint64_t first_row, const ConstMatrix& z,
                                 const ConstMatrix& grad, class Arena& arena,
                                 Gradients gradients) const = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_KERNELS_H_

// SPDX-License-Identifier: Apache-2.0
// Rows of the host into blocks of a pass, and back.
#ifndef MILLRACE_CORE_CPU_LOAD_BLOCK_H_
#define MILLRACE_CORE_CPU_LOAD_BLOCK_H_

#include <cstdint>

#include "core/base/rows.h"
#include "core/cpu/denormals.h"
#include "core/exec/pass.h"
#include "core/flow/backend.h"

namespace millrace {

// Most rows of a block: enough for whole register tiles, few enough that every layer's activations
// stay in cache. Of an image each row is as many as it has pixels.
inline int MostRowsOfBlock(const Flow& flow) { return flow.spec().image ? 2 * kRowAlign : 128; }

// Rows [first, first + count) of x as a block of the pass, and their conditions, if any, as its
// context. Where x has no data, the block is left for the caller to fill.
inline Matrix LoadBlock(RowsView<const float> x, RowsView<const float> context, std::int64_t first,
                        int count, Pass& pass) {
  const Matrix block = NewRows(pass, count, x.cols);
  if (x.data != nullptr) pass.kernels.Load(x.data + first * x.cols, block);
  if (context.rows != 0) {
    const Matrix conditions = NewRows(pass, count, context.cols);
    pass.kernels.Load(context.data + first * context.cols, conditions);
    pass.context = conditions;
  }
  return block;
}

// Host memory for rows [rows, cols], row-major.
inline RowsView<float> NewHostRows(int rows, int cols, Pass& pass) {
  const std::size_t size = static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols);
  return {pass.arena.NewArray<float>(size).data(), rows, cols};
}

// Calls load(context), context being host memory for that of a block, null without conditions.
// Where it says that the block is wanted, what it wrote is the context of the pass.
template <typename Load>
bool PullContext(const Flow& flow, int rows, Pass& pass, const Load& load) {
  const int dim = flow.spec().context_dim;
  const Matrix conditions = dim == 0 ? Matrix{} : NewRows(pass, rows, dim);
  const Arena::Scope scope(pass.arena);
  float* const context = dim == 0 ? nullptr : NewHostRows(rows, dim, pass).data;
  if (!load(context)) return false;
  if (dim == 0) return true;
  pass.kernels.Load(context, conditions);
  pass.context = conditions;
  return true;
}

inline bool LoadedByHost(LoadRows load, const RowBlock& block) {
  const KeepDenormals mode;
  return load(block);
}
inline bool LoadedByHost(LoadSamples load, const SampleBlock& block) {
  const KeepDenormals mode;
  return load(block);
}
inline void TakenByHost(TakeResult take, const BlockResult& result) {
  const KeepDenormals mode;
  take(result);
}

// Asks for the rows from `first` on that fill `block`, their context and their log_det, which holds
// zeros. False where they are not wanted.
inline bool Pull(const Flow& flow, LoadRows load, std::int64_t first, Vector log_det, Pass& pass,
                 Matrix block) {
  return PullContext(flow, block.rows, pass, [&](float* context) {
    const RowsView<float> x = NewHostRows(block.rows, block.cols, pass);
    if (!LoadedByHost(load, {first, block.rows, x.data, context, log_det.data})) return false;
    pass.kernels.Load(x.data, block);
    return true;
  });
}

// Asks for the keys of the samples from `first` on that fill `z`, and draws them from the base.
inline bool PullSamples(const Flow& flow, LoadSamples load, std::int64_t first, Pass& pass,
                        Matrix z) {
  return PullContext(flow, z.rows, pass, [&](float* context) {
    const std::span<SampleKey> keys = pass.arena.NewArray<SampleKey>(z.rows);
    if (!LoadedByHost(load, {first, keys, context})) return false;
    flow.base().Sample(pass, keys, z);
    return true;
  });
}

// A block as rows of the host.
inline RowsView<const float> StoreRows(Matrix block, Pass& pass) {
  const RowsView<float> rows = NewHostRows(block.rows, block.cols, pass);
  pass.kernels.Store(block, rows.data);
  return rows;
}

}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_LOAD_BLOCK_H_

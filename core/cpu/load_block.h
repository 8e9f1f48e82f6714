// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_CPU_LOAD_BLOCK_H_
#define MILLRACE_CORE_CPU_LOAD_BLOCK_H_

#include <cstdint>

#include "core/base/rows.h"
#include "core/exec/pass.h"

namespace millrace {

// Rows [first, first + count) of x as a block of the pass, and their conditions, if any, as its
// context. Where x has no data, the block is left for the caller to fill.
inline Matrix LoadBlock(RowsView<const float> x, RowsView<const float> context, std::int64_t first,
                        int count, Pass& pass) {
  const Matrix block = pass.arena.NewMatrix(count, x.cols);
  if (x.data != nullptr) pass.kernels.Load(x.data + first * x.cols, block);
  if (context.rows != 0) {
    const Matrix conditions = pass.arena.NewMatrix(count, context.cols);
    pass.kernels.Load(context.data + first * context.cols, conditions);
    pass.context = conditions;
  }
  return block;
}

}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_LOAD_BLOCK_H_

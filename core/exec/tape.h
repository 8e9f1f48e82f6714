// SPDX-License-Identifier: Apache-2.0
// What a forward pass leaves for its adjoint: a stack of matrices. Whoever pushed last pops first.
#ifndef MILLRACE_CORE_EXEC_TAPE_H_
#define MILLRACE_CORE_EXEC_TAPE_H_

#include <vector>

#include "core/base/check.h"
#include "core/base/matrix.h"

namespace millrace {

// Holds views into the lane's arena, which must not be rewound below them while the tape lives:
// with a tape, a pass keeps its temporaries until the block is done.
class Tape {
 public:
  void Push(ConstMatrix matrix) { entries_.push_back(matrix); }
  ConstMatrix Pop() {
    MILLRACE_CHECK(!entries_.empty());
    const ConstMatrix top = entries_.back();
    entries_.pop_back();
    return top;
  }
  bool empty() const { return entries_.empty(); }
  void Clear() { entries_.clear(); }

 private:
  std::vector<ConstMatrix> entries_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_TAPE_H_

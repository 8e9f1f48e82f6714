// SPDX-License-Identifier: Apache-2.0
// Scratch memory of one lane: a stack of blocks. After the first block of rows it allocates
// nothing.
#ifndef MILLRACE_CORE_EXEC_ARENA_H_
#define MILLRACE_CORE_EXEC_ARENA_H_

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/matrix.h"

namespace millrace {

// Not thread-safe: one arena belongs to one lane at a time.
class Arena {
 public:
  // `element_size`: of the kernels that will fill the matrices (4 for float, 8 for double).
  explicit Arena(std::size_t element_size) : element_size_(element_size) {}

  // An uninitialised (but finite on first use) block of rows; lives until the enclosing Scope ends.
  Matrix NewMatrix(int rows, int cols);
  // A single row, its columns side by side; 2 kRowAlign more elements may be read and written.
  Matrix NewFlat(int cols) {
    const auto elements = static_cast<std::size_t>(RoundUp(cols, kRowAlign) + 2 * kRowAlign);
    return {Allocate(elements * element_size_), 0, 1, cols, 1};
  }
  Vector NewVector(int rows);
  Vectors NewVectors(int rows, int count);
  // Uninitialised numbers, or plain values of them.
  template <typename T>
  std::span<T> NewArray(std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    return {static_cast<T*>(Allocate(count * sizeof(T))), count};
  }

  // Forgets everything allocated; keeps the memory.
  void Reset();
  std::size_t capacity_bytes() const;

  // Memory taken while a scope lives is given back when it ends.
  class Scope {
   public:
    explicit Scope(Arena& arena) : arena_(arena), chunk_(arena.chunk_), used_(arena.used_) {}
    ~Scope() {
      arena_.chunk_ = chunk_;
      arena_.used_ = used_;
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena& arena_;
    std::size_t chunk_;
    std::size_t used_;
  };

 private:
  void* Allocate(std::size_t bytes);

  std::size_t element_size_;
  std::vector<AlignedBuffer<std::byte>> chunks_;
  std::size_t chunk_ = 0;  // index of the chunk in use
  std::size_t used_ = 0;   // bytes of it
};

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_ARENA_H_

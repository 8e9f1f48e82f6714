// SPDX-License-Identifier: Apache-2.0
#include "core/exec/arena.h"

#include <algorithm>

namespace millrace {
namespace {

constexpr std::size_t kFirstChunkBytes = 256 << 10;
constexpr std::size_t kAlignBytes = 64;

}  // namespace

void* Arena::Allocate(std::size_t bytes) {
  bytes = (bytes + kAlignBytes - 1) / kAlignBytes * kAlignBytes;
  while (chunk_ < chunks_.size() && used_ + bytes > chunks_[chunk_].size()) {
    ++chunk_;
    used_ = 0;
  }
  if (chunk_ == chunks_.size()) {
    const std::size_t grown = chunks_.empty() ? kFirstChunkBytes : 2 * chunks_.back().size();
    chunks_.emplace_back(std::max(bytes, grown));
  }
  void* const result = chunks_[chunk_].data() + used_;
  used_ += bytes;
  return result;
}

Matrix Arena::NewMatrix(int rows, int cols) {
  // A stride that is a multiple of 1 KB would put every column into the same cache set.
  int stride = RoundUp(rows, kRowAlign);
  if (stride % 256 == 0) stride += kRowAlign;
  const std::size_t elements = static_cast<std::size_t>(stride) * cols;
  return {Allocate(std::max<std::size_t>(elements, 1) * element_size_), 0, rows, cols, stride};
}

Vector Arena::NewVector(int rows) {
  const std::size_t elements = static_cast<std::size_t>(RoundUp(std::max(rows, 1), kRowAlign));
  return {static_cast<double*>(Allocate(elements * sizeof(double))), rows};
}

Vectors Arena::NewVectors(int rows, int count) {
  const Vectors vectors{nullptr, rows, count};
  const std::size_t elements = std::max<std::size_t>(vectors.extent(), 1);
  return {static_cast<double*>(Allocate(elements * sizeof(double))), rows, count};
}

void Arena::Reset() {
  chunk_ = 0;
  used_ = 0;
}

std::size_t Arena::capacity_bytes() const {
  std::size_t bytes = 0;
  for (const auto& chunk : chunks_) bytes += chunk.size();
  return bytes;
}

}  // namespace millrace

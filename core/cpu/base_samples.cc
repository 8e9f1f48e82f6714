// SPDX-License-Identifier: Apache-2.0
// Samples of base distributions.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

#include "core/cpu/base_parameters.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/one_row.h"
#include "core/math/normal.h"

namespace millrace {

using cpu::AddGradients;
using cpu::Column;
using cpu::PaddedRows;
using cpu::ValueOf;

namespace {

using Words = std::array<Pack, 4>;

// Seeds and rows of a pack of samples.
struct PackKeys {
  std::array<std::uint64_t, Pack::kWidth> seed;
  std::array<std::uint64_t, Pack::kWidth> row;
};

// Padding repeats the last row.
const SampleKey& KeyAt(std::span<const SampleKey> keys, int r) {
  return keys[std::min<std::size_t>(static_cast<std::size_t>(r), keys.size() - 1)];
}

PackKeys KeysAt(std::span<const SampleKey> keys, int first) {
  PackKeys pack;
  for (int i = 0; i < Pack::kWidth; ++i) {
    pack.seed[i] = KeyAt(keys, first + i).seed;
    pack.row[i] = KeyAt(keys, first + i).row;
  }
  return pack;
}

PackKeys KeysFrom(std::uint64_t seed, std::uint64_t first_row) {
  PackKeys pack;
  pack.seed.fill(seed);
  for (int i = 0; i < Pack::kWidth; ++i) pack.row[i] = first_row + static_cast<std::uint64_t>(i);
  return pack;
}

// The words of a pack, columns 4 quad .. 4 quad + 3.
template <typename Convert>
Words WordsAt(const PackKeys& keys, int quad, const Convert& convert) {
  Words words;
  for (int i = 0; i < Pack::kWidth; ++i) {
    const auto w = NormalWords(keys.seed[i], keys.row[i], static_cast<std::uint32_t>(quad));
    for (int k = 0; k < 4; ++k) words[k].v[i] = convert(w[k]);
  }
  return words;
}

float Unsigned(std::uint32_t word) { return static_cast<float>(word); }
float Signed(std::uint32_t word) { return static_cast<float>(static_cast<std::int32_t>(word)); }

std::array<Pack, 4> Normals(const Words& words) {
  const NormalPair<Pack> low = BoxMuller(words[0], words[1]);
  const NormalPair<Pack> high = BoxMuller(words[2], words[3]);
  return {low.first, low.second, high.first, high.second};
}

// A row that comes alone: quads of columns along the lanes.
void SampleNormalRow(const SampleKey& key, Matrix z) {
  const int last_quad = (z.cols - 1) / 4;
  for (int quad = 0; quad <= last_quad; quad += Pack::kWidth) {
    Words words;
    for (int i = 0; i < Pack::kWidth; ++i) {
      const auto of_quad = static_cast<std::uint32_t>(std::min(quad + i, last_quad));
      const auto w = NormalWords(key.seed, key.row, of_quad);
      for (int k = 0; k < 4; ++k) words[k].v[i] = Unsigned(w[k]);
    }
    const auto normals = Normals(words);
    for (int c = 4 * quad; c < std::min(z.cols, 4 * (quad + Pack::kWidth)); ++c)
      cpu::PutColumn(normals[c % 4].v[c / 4 - quad], c, z);
  }
}

void SampleNormals(std::span<const SampleKey> keys, Matrix z) {
  if (z.rows == 1) return SampleNormalRow(keys[0], z);
  for (int r = 0; r < PaddedRows(z); r += Pack::kWidth) {
    const PackKeys pack = KeysAt(keys, r);
    for (int quad = 0; 4 * quad < z.cols; ++quad) {
      const auto normals = Normals(WordsAt(pack, quad, Unsigned));
      for (int k = 0; k < 4 && 4 * quad + k < z.cols; ++k)
        normals[k].Store(Column(z, 4 * quad + k) + r);
    }
  }
}

// Rows of a column from r on; of a flat row there is one.
void StoreRows(Pack samples, int column, int r, Matrix z) {
  if (z.IsFlat())
    *Column(z, column) = samples.v[0];
  else
    samples.Store(Column(z, column) + r);
}

// One word a number.
template <typename Sample>
void SampleByWord(std::span<const SampleKey> keys, const Sample& sample, Matrix z) {
  for (int r = 0; r < PaddedRows(z); r += Pack::kWidth) {
    const PackKeys pack = KeysAt(keys, r);
    for (int quad = 0; 4 * quad < z.cols; ++quad) {
      const Words words = WordsAt(pack, quad, Signed);
      for (int k = 0; k < 4 && 4 * quad + k < z.cols; ++k)
        StoreRows(sample(SignedUniform(words[k])), 4 * quad + k, r, z);
    }
  }
}

// use(sample, column, row) for whole packs of Student-t samples: two words a number. keys_at(r) are
// those of the pack at row r.
template <typename KeysAt, typename Use>
void ForEachStudentT(const BaseLayer& layer, Weights weights, const KeysAt& keys_at, int rows,
                     int cols, const Use& use) {
  for (int r = 0; r < RoundUp(rows, kRowAlign); r += Pack::kWidth) {
    const PackKeys pack = keys_at(r);
    for (int pair = 0; 2 * pair < cols; ++pair) {
      const Words words = WordsAt(pack, pair, Unsigned);
      for (int c = 2 * pair; c < std::min(2 * pair + 2, cols); ++c) {
        const StudentTDensity density(ReadBaseColumn(layer, 0, c, ValueOf(weights)).shape);
        const int w = c % 2 * 2;
        use(SampleStudentT(Pack(static_cast<float>(density.freedom)), words[w], words[w + 1]), c, r,
            density);
      }
    }
  }
}

// In standard position.
void SampleStandard(const BaseLayer& layer, Weights weights, std::span<const SampleKey> keys,
                    Matrix z) {
  switch (layer.kind) {
    case BaseLayer::Kind::kNormal:
      return SampleNormals(keys, z);
    case BaseLayer::Kind::kUniform:
      return SampleByWord(
          keys, [](Pack v) { return CentredUniformSample(v); }, z);
    case BaseLayer::Kind::kLogistic:
      return SampleByWord(
          keys, [](Pack v) { return LogisticSample(v); }, z);
    case BaseLayer::Kind::kStudentT:
      return ForEachStudentT(
          layer, weights, [&](int r) { return KeysAt(keys, r); }, z.rows, z.cols,
          [&](const StudentTSample<Pack>& sample, int c, int r, const auto&) {
            StoreRows(sample.value, c, r, z);
          });
  }
}

}  // namespace

void CpuKernels::SampleBase(const BaseLayer& layer, Weights weights,
                            std::span<const SampleKey> keys, const Matrix& z) const {
  if (z.rows == 0) return;
  SampleStandard(layer, weights, keys, z);
  const auto value = ValueOf(weights);
  if (layer.components > 1) {
    const BaseWeights component_weights = ReadBaseWeights(layer, value);
    for (int r = 0; r < z.rows; ++r) {
      const auto [seed, row, temperature] = keys[r];
      const int k = DrawComponent(component_weights, seed, row);
      for (int c = 0; c < z.cols; ++c) {
        const BaseColumn column = ReadBaseColumn(layer, k, c, value);
        float& sample = Column(z, c)[r];
        sample =
            static_cast<float>(column.location + temperature * std::exp(column.log_scale) * sample);
      }
    }
    return;
  }
  const int rows = PaddedRows(z);
  for (int c = 0; c < z.cols; ++c) {
    float* const samples = Column(z, c);
    const BaseColumn column = ReadBaseColumn(layer, 0, c, value);
    const bool uniform = layer.kind == BaseLayer::Kind::kUniform;
    const double centre = uniform ? 0.5 * layer.low + 0.5 * layer.high : column.location;
    const double reach = uniform ? layer.high - layer.low : std::exp(column.log_scale);
    const double hottest = uniform ? 1.0 : std::numeric_limits<double>::infinity();
    const auto scale_of = [&](int r) {
      return static_cast<float>(std::min(KeyAt(keys, r).temperature, hottest) * reach);
    };
    if (z.IsFlat()) {
      *samples = static_cast<float>(centre) + scale_of(0) * *samples;
      continue;
    }
    for (int r = 0; r < rows; r += Pack::kWidth) {
      Pack scale;
      for (int i = 0; i < Pack::kWidth; ++i) scale.v[i] = scale_of(r + i);
      (Pack(static_cast<float>(centre)) + scale * Pack::Load(samples + r)).Store(samples + r);
    }
  }
}

void CpuKernels::SampleBaseAdjoint(const BaseLayer& layer, Weights weights, std::uint64_t seed,
                                   std::uint64_t first_row, const ConstMatrix& z,
                                   const ConstMatrix& grad, Arena& arena,
                                   Gradients gradients) const {
  const Arena::Scope scope(arena);
  const auto value = ValueOf(weights);
  const Matrix shape_slope = arena.NewMatrix(z.rows, z.cols);  // of samples in standard position
  std::fill_n(Column(shape_slope, 0),
              static_cast<std::ptrdiff_t>(shape_slope.stride) * shape_slope.cols, 0.0f);
  if (layer.kind == BaseLayer::Kind::kStudentT)
    ForEachStudentT(
        layer, weights, [&](int r) { return KeysFrom(seed, first_row + r); }, z.rows, z.cols,
        [&](const StudentTSample<Pack>& sample, int c, int r, const auto& density) {
          (sample.freedom_slope * Pack(static_cast<float>(density.freedom_slope)))
              .Store(Column(shape_slope, c) + r);
        });
  const Matrix bars = arena.NewMatrix(z.rows, 3);
  for (int c = 0; c < z.cols; ++c) {
    const BaseColumn column = ReadBaseColumn(layer, 0, c, value);
    const Pack location(static_cast<float>(column.location));
    const Pack scale(static_cast<float>(std::exp(column.log_scale)));
    for (int r = 0; r < PaddedRows(z); r += Pack::kWidth) {
      const Pack z_bar = Pack::Load(Column(grad, c) + r);
      z_bar.Store(Column(bars, 0) + r);
      (z_bar * (Pack::Load(Column(z, c) + r) - location)).Store(Column(bars, 1) + r);
      (z_bar * scale * Pack::Load(Column(shape_slope, c) + r)).Store(Column(bars, 2) + r);
    }
    AddGradients(layer, column, 0, c, bars, gradients);
  }
}

}  // namespace millrace

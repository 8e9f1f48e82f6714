// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/array_reader.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/number.h"

namespace millrace::cli {
namespace {

constexpr std::int64_t kBlockBytes = 4 << 20;

static_assert(std::endian::native == std::endian::little);

// IEEE 754 binary16.
double FromHalf(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return fraction != 0 ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

template <typename T>
double As(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return static_cast<double>(value);
}

using Decoder = double (*)(const char*);

Decoder DecoderFor(const ArrayHeader& header) {
  const bool floating = header.kind == 'f';
  const bool is_signed = header.kind == 'i';
  switch (header.item_size) {
    case 1:
      return is_signed ? As<std::int8_t> : As<std::uint8_t>;
    case 2:
      if (floating)
        return [](const char* bytes) {
          return FromHalf(static_cast<std::uint16_t>(As<std::uint16_t>(bytes)));
        };
      return is_signed ? As<std::int16_t> : As<std::uint16_t>;
    case 4:
      if (floating) return As<float>;
      return is_signed ? As<std::int32_t> : As<std::uint32_t>;
    default:
      if (floating) return As<double>;
      return is_signed ? As<std::int64_t> : As<std::uint64_t>;
  }
}

void ReverseItems(std::vector<char>& bytes, std::size_t size, int item_size) {
  for (std::size_t i = 0; i < size; i += static_cast<std::size_t>(item_size)) {
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                 bytes.begin() + static_cast<std::ptrdiff_t>(i) + item_size);
  }
}

// Where the element stands among those of one row in Fortran order that is `position` in C order.
std::int64_t FortranPosition(std::int64_t position, const ArrayHeader& header) {
  std::int64_t step = header.cols;
  std::int64_t at = 0;
  for (std::size_t k = header.dims.size() - 1; k > 0; --k) {
    step /= header.dims[k];
    at += position % header.dims[k] * step;
    position /= header.dims[k];
  }
  return at;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TableReader>> ArrayReader::OpenNpy(Input input,
                                                                  const ReadOptions& options) {
  auto header = ReadNpyHeader(input);
  if (!header.ok()) return header.status();
  return Open(std::move(input), *std::move(header), options);
}

absl::StatusOr<std::unique_ptr<TableReader>> ArrayReader::OpenIdx(Input input,
                                                                  const ReadOptions& options) {
  if (!options.key.empty())
    return FileError(input.name(), "--key is for .npz archives, this is IDX");
  auto header = ReadIdxHeader(input);
  if (!header.ok()) return header.status();
  return Open(std::move(input), *std::move(header), options);
}

absl::StatusOr<std::unique_ptr<TableReader>> ArrayReader::Open(Input input, ArrayHeader header,
                                                               const ReadOptions& options) {
  auto positions = ResolveColumns(options.columns, {}, static_cast<int>(header.cols));
  if (!positions.ok()) return FileError(input.name(), std::string(positions.status().message()));
  std::unique_ptr<ArrayReader> reader(new ArrayReader(std::move(input), std::move(header)));
  reader->missing_ = options.missing;
  reader->positions_ = *std::move(positions);
  if (absl::Status status = reader->Start(options); !status.ok()) return status;
  return reader;
}

absl::Status ArrayReader::Start(const ReadOptions& options) {
  cols_ = static_cast<int>(positions_.size());
  rows_ = header_.rows;
  if (options.columns.empty()) image_shape_ = header_.image_shape;
  for (const int position : positions_) {
    offsets_.push_back(header_.fortran_order ? header_.rows * FortranPosition(position, header_)
                                             : position);
  }
  return header_.fortran_order ? LoadFortran() : absl::OkStatus();
}

absl::Status ArrayReader::ReadElements(std::int64_t count, std::vector<double>& out) {
  const Decoder decode = DecoderFor(header_);
  const std::int64_t block = kBlockBytes / header_.item_size;
  for (std::int64_t done = 0; done < count; done += block) {
    const std::size_t size =
        static_cast<std::size_t>(std::min(block, count - done) * header_.item_size);
    bytes_.resize(size);
    const auto got = input_.Read(bytes_);
    if (!got.ok()) return got.status();
    if (*got < size) {
      return FileError(input_.name(),
                       absl::StrCat("ends before the ", absl::StrJoin(header_.dims, " x "),
                                    " elements that its header declares"));
    }
    if (header_.big_endian) ReverseItems(bytes_, size, header_.item_size);
    for (std::size_t i = 0; i < size; i += static_cast<std::size_t>(header_.item_size)) {
      out.push_back(decode(bytes_.data() + i));
    }
  }
  return absl::OkStatus();
}

absl::Status ArrayReader::LoadFortran() {
  if (absl::Status status = ReadElements(header_.rows * header_.cols, elements_); !status.ok())
    return status;
  return CheckEnd();
}

absl::Status ArrayReader::CheckEnd() {
  char byte = 0;
  const auto got = input_.Read(std::span(&byte, 1));
  if (!got.ok()) return got.status();
  if (*got > 0)
    return FileError(input_.name(), "goes on after the elements that its header declares");
  return absl::OkStatus();
}

absl::StatusOr<client::Table> ArrayReader::Read(std::int64_t max_rows) {
  client::Table table = EmptyTable();
  const std::int64_t fitting = std::max<std::int64_t>(1, kBlockBytes / 8 / header_.cols);
  table.rows = std::min({max_rows, fitting, header_.rows - rows_read_});
  if (table.rows == 0) return table;
  // Column i of a row at hand is elements_[row * row_step + offsets_[i]].
  std::int64_t row_step = header_.cols;
  std::int64_t first = 0;
  if (header_.fortran_order) {
    row_step = 1;
    first = rows_read_;
  } else {
    elements_.clear();
    if (absl::Status status = ReadElements(table.rows * header_.cols, elements_); !status.ok())
      return status;
  }
  for (std::int64_t r = 0; r < table.rows; ++r) {
    for (std::size_t i = 0; i < offsets_.size(); ++i) {
      const double value =
          elements_[static_cast<std::size_t>((first + r) * row_step + offsets_[i])];
      if (!std::isfinite(value) && !(missing_ && std::isnan(value))) {
        return FileError(absl::StrCat(Location(rows_read_ + r), ", column ", positions_[i]),
                         absl::StrCat(FormatNumber(value), " is not a finite number"));
      }
      table.values.push_back(value);
    }
  }
  rows_read_ += table.rows;
  if (rows_read_ == header_.rows && !header_.fortran_order) {
    if (absl::Status status = CheckEnd(); !status.ok()) return status;
  }
  return table;
}

std::string ArrayReader::Location(std::int64_t row) const {
  return absl::StrCat(input_.name(), ", row ", row);
}

}  // namespace millrace::cli

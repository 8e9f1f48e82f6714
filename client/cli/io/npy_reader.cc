// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/npy_reader.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/number.h"

namespace millrace::cli {
namespace {

constexpr std::int64_t kMostColumns = 1 << 20;
constexpr std::int64_t kBlockBytes = 4 << 20;
constexpr std::size_t kLongestHeader = 1 << 20;

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

Decoder DecoderFor(const NpyHeader& header) {
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

// Takes magic, version and header text.
absl::StatusOr<std::string> ReadHeaderText(Input& input) {
  std::string start(12, '\0');
  const auto got = input.Read(std::span(start.data(), 8));
  if (!got.ok()) return got.status();
  const bool long_length = *got == 8 && start[6] >= 2;  // versions 2 and 3
  const std::size_t length_bytes = long_length ? 4 : 2;
  const auto more = input.Read(std::span(start.data() + 8, length_bytes));
  if (!more.ok()) return more.status();
  if (*got < 8 || *more < length_bytes) return FileError(input.name(), "ends within its header");
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) {
    length |= static_cast<std::size_t>(static_cast<unsigned char>(start[8 + i])) << (8 * i);
  }
  if (length > kLongestHeader) {
    return FileError(input.name(),
                     absl::StrCat("declares a header of ", length, " bytes: damaged"));
  }
  std::string text(length, '\0');
  const auto filled = input.Read(text);
  if (!filled.ok()) return filled.status();
  if (*filled < length) return FileError(input.name(), "ends within its header");
  return text;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TableReader>> NpyReader::Open(Input input,
                                                             const ReadOptions& options) {
  const auto start = input.Peek(kNpyMagic.size());
  if (!start.ok()) return start.status();
  if (*start != kNpyMagic) return FileError(input.name(), "is not an .npy array");
  const auto text = ReadHeaderText(input);
  if (!text.ok()) return text.status();
  const auto header = ParseNpyHeader(*text);
  if (!header.ok()) return FileError(input.name(), std::string(header.status().message()));
  if (header->rows == 0 || header->cols == 0 || header->cols > kMostColumns) {
    return FileError(input.name(), absl::StrCat("is ", header->rows, " x ", header->cols,
                                                "; at least one row and 1 to ", kMostColumns,
                                                " columns are needed"));
  }
  auto positions = ResolveColumns(options.columns, {}, static_cast<int>(header->cols));
  if (!positions.ok()) return FileError(input.name(), std::string(positions.status().message()));
  std::unique_ptr<NpyReader> reader(new NpyReader(std::move(input), *header));
  reader->positions_ = *std::move(positions);
  reader->cols_ = static_cast<int>(reader->positions_.size());
  if (header->fortran_order) {
    if (absl::Status status = reader->LoadFortran(); !status.ok()) return status;
  }
  return reader;
}

absl::Status NpyReader::ReadElements(std::int64_t count, std::vector<double>& out) {
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
                       absl::StrCat("ends before the ", header_.rows, " x ", header_.cols,
                                    " elements that its header declares"));
    }
    if (header_.big_endian) ReverseItems(bytes_, size, header_.item_size);
    for (std::size_t i = 0; i < size; i += static_cast<std::size_t>(header_.item_size)) {
      out.push_back(decode(bytes_.data() + i));
    }
  }
  return absl::OkStatus();
}

absl::Status NpyReader::LoadFortran() {
  if (absl::Status status = ReadElements(header_.rows * header_.cols, elements_); !status.ok())
    return status;
  return CheckEnd();
}

absl::Status NpyReader::CheckEnd() {
  char byte = 0;
  const auto got = input_.Read(std::span(&byte, 1));
  if (!got.ok()) return got.status();
  if (*got > 0)
    return FileError(input_.name(), "goes on after the elements that its header declares");
  return absl::OkStatus();
}

absl::StatusOr<client::Table> NpyReader::Read(std::int64_t max_rows) {
  client::Table table = EmptyTable();
  const std::int64_t fitting = std::max<std::int64_t>(1, kBlockBytes / 8 / header_.cols);
  table.rows = std::min({max_rows, fitting, header_.rows - rows_read_});
  if (table.rows == 0) return table;
  // Element (row, column) of the rows at hand is elements_[row * row_step + column * col_step].
  std::int64_t row_step = header_.cols;
  std::int64_t col_step = 1;
  std::int64_t first = 0;
  if (header_.fortran_order) {
    row_step = 1;
    col_step = header_.rows;
    first = rows_read_;
  } else {
    elements_.clear();
    if (absl::Status status = ReadElements(table.rows * header_.cols, elements_); !status.ok())
      return status;
  }
  for (std::int64_t r = 0; r < table.rows; ++r) {
    for (const int c : positions_) {
      const double value =
          elements_[static_cast<std::size_t>((first + r) * row_step + c * col_step)];
      if (!std::isfinite(value)) {
        return FileError(absl::StrCat(Location(rows_read_ + r), ", column ", c),
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

std::string NpyReader::Location(std::int64_t row) const {
  return absl::StrCat(input_.name(), ", row ", row);
}

}  // namespace millrace::cli

// SPDX-License-Identifier: Apache-2.0
// The file: magic, then the fields below in order, then a CRC-32 of all before it. Numbers as this
// machine has them: a checkpoint is read by the build that wrote it.
#include "core/train/checkpoint.h"

#include <unistd.h>
#include <zlib.h>

#include <cstring>
#include <type_traits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"
#include "core/io/durable_file.h"
#include "core/io/flow_json.h"

namespace millrace {
namespace {

constexpr absl::string_view kMagic = "millrace checkpoint 1\n";

constexpr std::int64_t kLargestFile = std::int64_t{6} << 30;

std::uint32_t Crc(absl::string_view bytes) {
  return static_cast<std::uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// Appends what `Fields` visits.
struct Writer {
  std::string bytes;
  template <typename T>
  void operator()(const T& value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void operator()(const ParameterValues& values) {
    const std::uint64_t size = values.size();
    (*this)(size);
    bytes.append(reinterpret_cast<const char*>(values.data()), size * sizeof(float));
  }
};

// Fills what `Fields` visits; `ok` turns false at the end of the bytes or at an impossible size.
struct Reader {
  absl::string_view bytes;
  std::size_t parameters;
  bool ok = true;

  bool Take(void* to, std::size_t size) {
    ok = ok && size <= bytes.size();
    if (!ok) return false;
    if (size > 0) std::memcpy(to, bytes.data(), size);
    bytes.remove_prefix(size);
    return true;
  }
  template <typename T>
  void operator()(T& value) {
    Take(&value, sizeof value);
  }
  void operator()(ParameterValues& values) {
    std::uint64_t size = 0;
    if (!Take(&size, sizeof size)) return;
    ok = size == 0 || size == parameters;
    if (!ok) return;
    values = ParameterValues(size);
    Take(values.data(), size * sizeof(float));
  }
};

template <typename State, typename Visitor>
void Fields(State& state, Visitor& visit) {
  visit(state.train.parameters);
  visit(state.train.first_moment);
  visit(state.train.second_moment);
  visit(state.train.ema);
  visit(state.train.steps);
  visit(state.best);
  visit(state.best_validation_nats);
  visit(state.epoch);
  visit(state.best_epoch);
  visit(state.rate_scale);
  visit(state.divergences);
  visit(state.seconds);
}

// What a run is about: bytes that change when any of it does.
std::string Fingerprint(const TrainRequest& request, const FlowSpec& spec,
                        const FitOptions& options, RowsView<const double> rows) {
  Writer write;
  const auto all = [&write](const auto&... values) { (write(values), ...); };
  const auto each = [&write](const auto&... values) {
    ((write(values.has_value()), values ? write(*values) : void()), ...);
  };
  const auto size = static_cast<std::size_t>(rows.rows) * rows.cols * sizeof(double);
  all(rows.rows, rows.cols, Crc({reinterpret_cast<const char*>(rows.data), size}));
  const FitOptions& o = options;
  all(o.batch_size, o.max_epochs, absl::ToDoubleSeconds(o.max_duration), o.learning_rate,
      o.schedule, o.warmup_steps, o.weight_decay, o.ema_decay, o.gradient_clip_norm,
      o.log_scale_penalty, o.patience, o.seed);
  each(request.options.validation_fraction, request.options.calibration_fraction);
  all(request.options.seed);
  write.bytes += FlowToJson(spec);
  for (const ColumnSpec& column : request.columns) {
    all(column.name.size(), column.type, column.role);
    write.bytes += column.name;
    each(column.lower, column.upper, column.bin_width);
  }
  return std::move(write.bytes);
}

}  // namespace

Checkpoint::Checkpoint(const TrainRequest& request, const FlowSpec& spec, const FitOptions& options,
                       RowsView<const double> rows)
    : path_(request.checkpoint.path), interval_(request.checkpoint.interval), last_(absl::Now()) {
  if (!path_.empty()) fingerprint_ = Fingerprint(request, spec, options, rows);
}

absl::Status Checkpoint::Resume(const ParameterLayout& layout, FitState& state) const {
  if (path_.empty()) return absl::OkStatus();
  const absl::StatusOr<std::string> file = ReadWholeFile(path_, kLargestFile);
  if (absl::IsNotFound(file.status())) return absl::OkStatus();
  MILLRACE_RETURN_IF_ERROR(file.status());
  const auto damaged = absl::DataLossError(
      absl::StrCat(path_, ": not a whole checkpoint; remove it to start this training anew"));
  absl::string_view bytes = *file;
  std::uint32_t crc = 0;
  if (bytes.size() < kMagic.size() + sizeof crc || !absl::StartsWith(bytes, kMagic)) return damaged;
  std::memcpy(&crc, bytes.data() + bytes.size() - sizeof crc, sizeof crc);
  bytes.remove_suffix(sizeof crc);
  if (crc != Crc(bytes)) return damaged;
  bytes.remove_prefix(kMagic.size());
  Reader read{bytes, layout.size()};
  std::uint64_t length = 0;
  read(length);
  if (!read.ok || length > read.bytes.size()) return damaged;
  if (read.bytes.substr(0, length) != fingerprint_)
    return absl::FailedPreconditionError(absl::StrCat(
        path_,
        ": belongs to a training of another table or with other options; remove it to start anew"));
  read.bytes.remove_prefix(length);
  FitState found;
  Fields(found, read);
  if (!read.ok || !read.bytes.empty() || found.train.parameters.size() != layout.size() ||
      found.best.size() != layout.size())
    return damaged;
  state = std::move(found);
  return absl::OkStatus();
}

absl::Status Checkpoint::Keep(const FitState& state) {
  if (path_.empty() || absl::Now() - last_ < interval_) return absl::OkStatus();
  Writer write;
  write.bytes = std::string(kMagic);
  const std::uint64_t length = fingerprint_.size();
  write(length);
  write.bytes += fingerprint_;
  Fields(state, write);
  const std::uint32_t crc = Crc(write.bytes);
  write(crc);
  MILLRACE_RETURN_IF_ERROR(WriteFileDurably(path_, write.bytes));
  last_ = absl::Now();
  return absl::OkStatus();
}

void Checkpoint::Remove() const {
  if (!path_.empty()) ::unlink(path_.c_str());
}

}  // namespace millrace

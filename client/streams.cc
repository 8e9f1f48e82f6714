// SPDX-License-Identifier: Apache-2.0
// The methods of Client that stream: Train and Sample.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/client.h"
#include "client/patience.h"
#include "client/wire.h"

namespace millrace::client {
namespace {

using TrainStream = grpc::ClientReaderWriter<v1::TrainRequest, v1::TrainResponse>;

// Most bytes of numbers in a message of Train, which is never sent again in smaller ones: a server
// that grants less than the default still takes it.
constexpr std::int64_t kTrainChunkBytes = 64 << 10;

// How the upload of a table ended.
struct Upload {
  absl::Status source;  // of the caller's table
  bool sent = true;     // false: the server ended the call, whose status says why
};

bool WriteRows(const Table& table, std::int64_t rows_per_chunk, TrainStream& stream) {
  for (std::int64_t begin = 0; begin < table.rows; begin += rows_per_chunk) {
    v1::TrainRequest request;
    *request.mutable_chunk() = ToMatrix(table, begin, std::min(rows_per_chunk, table.rows - begin));
    if (!stream.Write(request)) return false;
  }
  return true;
}

Upload UploadAll(const v1::TrainSpec& spec, const TableSource& source, std::int64_t chunk_bytes,
                 TrainStream& stream) {
  absl::StatusOr<Table> piece = source();
  v1::TrainRequest first;
  *first.mutable_spec() = spec;
  if (piece.ok() && spec.columns().empty()) {
    for (const std::string& name : piece->column_names) {
      first.mutable_spec()->add_columns()->set_name(name);
    }
  }
  if (!stream.Write(first)) return {absl::OkStatus(), false};
  for (;; piece = source()) {
    if (!piece.ok()) return {piece.status(), true};
    if (piece->rows == 0) return {absl::OkStatus(), stream.WritesDone()};
    if (absl::Status status = CheckTable(*piece); !status.ok()) return {status, true};
    const std::int64_t row_bytes =
        std::int64_t{piece->cols} * static_cast<std::int64_t>(sizeof(double));
    if (!WriteRows(*piece, std::max<std::int64_t>(1, chunk_bytes / row_bytes), stream)) {
      return {absl::OkStatus(), false};
    }
  }
}

// The next piece of a Sample stream: chunks follow one another without gaps, equally wide.
absl::StatusOr<Table> NextChunk(const v1::SampleResponse& response, std::uint64_t expected_row,
                                std::uint64_t total, const Table& previous) {
  absl::StatusOr<Table> chunk = FromMatrix(response.rows());
  if (!chunk.ok()) return chunk;
  if (response.first_row() != expected_row) {
    return absl::InternalError(absl::StrCat("the server sent sample ", response.first_row(),
                                            " where sample ", expected_row, " was due"));
  }
  if (static_cast<std::uint64_t>(chunk->rows) > total - expected_row) {
    return absl::InternalError(
        absl::StrCat("the server sent more samples than the ", total, " asked for"));
  }
  if (expected_row == 0) {
    chunk->column_names = {response.column_names().begin(), response.column_names().end()};
  } else {
    chunk->column_names = previous.column_names;
  }
  const bool named = chunk->column_names.empty() || std::ssize(chunk->column_names) == chunk->cols;
  if (!named || (expected_row > 0 && chunk->cols != previous.cols)) {
    return absl::InternalError(absl::StrCat("the server sent samples of ", chunk->cols,
                                            " columns with ", chunk->column_names.size(),
                                            " names"));
  }
  return chunk;
}

}  // namespace

absl::StatusOr<v1::TrainDone> Client::Train(const v1::TrainSpec& spec, const TableSource& source,
                                            const TrainObserver& observer,
                                            const CallOptions& call_options) const {
  Call call(call_options, options_.train_timeout);
  const std::unique_ptr<TrainStream> stream = density_->Train(&call.context());
  const Upload upload =
      UploadAll(spec, source, std::min(options_.request_bytes, kTrainChunkBytes), *stream);
  if (!upload.source.ok()) call.context().TryCancel();

  std::optional<v1::TrainDone> done;
  v1::TrainResponse response;
  while (stream->Read(&response)) {
    if (observer) observer(response);
    if (response.has_done()) done = response.done();
  }
  const grpc::Status status = stream->Finish();
  if (!upload.source.ok()) return upload.source;
  if (!status.ok()) return FromGrpc(status, options_.target);
  if (!done) return absl::InternalError("the server ended the training without a result");
  return *std::move(done);
}

absl::StatusOr<v1::TrainDone> Client::Train(const v1::TrainSpec& spec, const Table& table,
                                            const TrainObserver& observer,
                                            const CallOptions& call) const {
  bool given = false;
  const TableSource once = [&]() -> absl::StatusOr<Table> {
    if (std::exchange(given, true)) return Table{};
    if (absl::Status status = CheckTable(table); !status.ok()) return status;
    return table;
  };
  return Train(spec, once, observer, call);
}

absl::StatusOr<std::uint64_t> Client::Sample(const ModelRef& model, const SampleOptions& options,
                                             const TableSink& sink,
                                             const CallOptions& call_options) const {
  v1::SampleRequest request;
  request.set_name(model.name);
  request.set_version(model.version);
  request.set_count(options.count);
  request.set_seed(options.seed);
  request.set_temperature(options.temperature);
  std::uint64_t expected = options.count;
  if (options.context.rows != 0 || options.context.cols != 0) {
    if (absl::Status status = CheckTable(options.context); !status.ok()) return status;
    SetContext(options.context, 0, options.context.rows, request);
    expected *= static_cast<std::uint64_t>(options.context.rows);
  }

  // However long the stream is, only a wait for its next message may run out of time.
  const absl::Duration timeout = call_options.timeout.value_or(options_.timeout);
  Call call({.timeout = absl::InfiniteDuration(), .stop = call_options.stop}, timeout);
  Patience patience(call.context(), timeout);
  const auto stream = patience.Wait([&] { return density_->Sample(&call.context(), request); });
  v1::SampleResponse response;
  std::uint64_t rows = 0;
  std::uint64_t version = 0;
  Table chunk;
  absl::Status fault;
  while (fault.ok() && patience.Wait([&] { return stream->Read(&response); })) {
    absl::StatusOr<Table> next = NextChunk(response, rows, expected, chunk);
    if (next.ok()) {
      chunk = *std::move(next);
      rows += static_cast<std::uint64_t>(chunk.rows);
      version = response.version();
      fault = sink(chunk);
    } else {
      fault = next.status();
    }
  }
  if (!fault.ok()) call.context().TryCancel();
  const grpc::Status status = patience.Wait([&] { return stream->Finish(); });
  if (!fault.ok()) return fault;
  if (patience.ended() && status.error_code() == grpc::StatusCode::CANCELLED) {
    return absl::DeadlineExceededError(absl::StrCat("server ", options_.target, ": no rows within ",
                                                    absl::FormatDuration(timeout), ", after ", rows,
                                                    " of ", expected));
  }
  if (!status.ok()) return FromGrpc(status, options_.target);
  if (rows != expected) {
    return absl::InternalError(absl::StrCat("the server sent ", rows, " samples of ", expected));
  }
  return version;
}

absl::StatusOr<SampleResult> Client::Sample(const ModelRef& model, const SampleOptions& options,
                                            const CallOptions& call) const {
  SampleResult result;
  const auto version = Sample(
      model, options,
      [&result](const Table& chunk) {
        result.rows.column_names = chunk.column_names;
        result.rows.cols = chunk.cols;
        result.rows.rows += chunk.rows;
        result.rows.values.insert(result.rows.values.end(), chunk.values.begin(),
                                  chunk.values.end());
        return absl::OkStatus();
      },
      call);
  if (!version.ok()) return version.status();
  result.version = *version;
  return result;
}

}  // namespace millrace::client

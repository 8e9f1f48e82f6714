// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/sample_stream.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "server/app/exception_wall.h"
#include "server/app/query.h"
#include "server/rpc/call.h"
#include "server/rpc/matrix.h"
#include "server/rpc/query_rows.h"
#include "server/rpc/status.h"

namespace millrace {
namespace {

constexpr RpcMethod kSample = {"server_stream", "millrace.v1.DensityService", "Sample"};
constexpr std::int64_t kChunkBytes = 1 << 20;

// Most bytes of a call's conditions, as doubles: they are held as long as the stream is.
constexpr std::int64_t kContextBytes = 1 << 20;

// Rows to draw in all.
absl::StatusOr<std::int64_t> CheckCount(const v1::SampleRequest& request, const Limits& limits) {
  if (request.count() == 0) return InvalidArgument("count", "0", "at least 1 row");
  const std::int64_t contexts = request.has_context() ? request.context().rows() : 1;
  if (request.count() <= static_cast<std::uint64_t>(limits.max_sample_rows / contexts))
    return static_cast<std::int64_t>(request.count()) * contexts;
  const std::string times = contexts > 1 ? absl::StrCat(" for ", contexts, " conditions") : "";
  return MakeError(absl::StatusCode::kResourceExhausted,
                   {.field = "count",
                    .value = absl::StrCat(request.count(), times),
                    .expected = absl::StrCat("at most ", limits.max_sample_rows,
                                             " rows in all (--max_sample_rows)")});
}

absl::Status CheckContexts(const v1::SampleRequest& request, const ServedModel& served,
                           const Limits& limits) {
  const v1::Matrix& context = request.context();
  MILLRACE_RETURN_IF_ERROR(CheckContext(request, context.rows(), served, limits));
  const std::int64_t most = kContextBytes / (8 * std::max<std::int64_t>(context.cols(), 1));
  if (context.rows() <= most) return absl::OkStatus();
  return MakeError(absl::StatusCode::kResourceExhausted,
                   {.field = "context.rows",
                    .value = absl::StrCat(context.rows()),
                    .expected = absl::StrCat("at most ", most, " conditions of ", context.cols(),
                                             " columns in one call")});
}

std::int64_t ChunkRows(const v1::SampleRequest& request, int columns, const Limits& limits) {
  const std::int64_t bytes = std::min(kChunkBytes, limits.max_message_bytes / 2);
  const std::int64_t most = std::max<std::int64_t>(bytes / (8 * columns), 1);
  return request.chunk_rows() == 0 ? most : std::min<std::int64_t>(most, request.chunk_rows());
}

class SampleStream final : public grpc::ServerWriteReactor<v1::SampleResponse> {
 public:
  SampleStream(const App& app, grpc::CallbackServerContext* context,
               const v1::SampleRequest& request, std::atomic<int>& open_streams)
      : app_(app),
        request_(request),
        open_streams_(open_streams),
        call_(kSample, context, app.metrics, app.config.max_deadline) {
    const int open = open_streams_.fetch_add(1, std::memory_order_relaxed) + 1;
    call_.StopAtDeadline();
    call_.Received();
    const absl::Status accepted = BehindExceptionWall([&] { return Accept(open); });
    if (!accepted.ok()) Finish(call_.End(accepted));
  }

 private:
  absl::Status Accept(int open) {
    if (open > app_.config.max_sample_streams) {
      return absl::UnavailableError(
          absl::StrCat(open - 1, " Sample calls are open (--max_sample_streams); retry later"));
    }
    MILLRACE_ASSIGN_OR_RETURN(model_, app_.repository.Get(request_.name(), request_.version()));
    call_.Uses(Operation::kSample, model_);
    MILLRACE_RETURN_IF_ERROR(CheckContexts(request_, *model_, app_.config.limits));
    MILLRACE_ASSIGN_OR_RETURN(count_, CheckCount(request_, app_.config.limits));
    chunk_rows_ =
        ChunkRows(request_, model_->density->model().columns.num_columns(), app_.config.limits);
    NextChunk();
    return absl::OkStatus();
  }

  void NextChunk() {
    const std::int64_t rows = std::min(chunk_rows_, count_ - next_row_);
    app_.queue.Submit({.operation = Operation::kSample,
                       .model = model_,
                       .rows = rows,
                       .cost = {.evaluations = rows},
                       .deadline = call_.deadline(),
                       .stop = call_.stop().get_token(),
                       .admitted = next_row_ > 0,
                       .compute_together = &DrawTogether,
                       .part = std::make_unique<Chunk>(*this, rows),
                       .done = [this](const absl::Status& status) { Computed(status); }});
  }

  // A chunk that is to be drawn.
  struct Chunk final : BatchPart {
    Chunk(SampleStream& s, std::int64_t r) : stream(s), rows(r) {}
    SampleStream& stream;
    const std::int64_t rows;
  };

  static std::vector<absl::Status> DrawTogether(const ServedModel& served,
                                                std::span<BatchPart* const> parts) {
    std::vector<absl::Status> statuses(parts.size());
    std::vector<std::size_t> places;  // of those that are drawn
    std::vector<SampleJob> jobs;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto& chunk = static_cast<const Chunk&>(*parts[i]);
      absl::StatusOr<SampleJob> job = chunk.stream.Prepare(served, chunk.rows);
      statuses[i] = job.status();
      if (!job.ok()) continue;
      places.push_back(i);
      jobs.push_back(*std::move(job));
    }
    std::vector<absl::Status> drawn = served.density->SampleMany(jobs);
    for (std::size_t j = 0; j < jobs.size(); ++j) {
      const auto& chunk = static_cast<const Chunk&>(*parts[places[j]]);
      statuses[places[j]] = chunk.stream.Complete(std::move(drawn[j]), chunk.rows);
    }
    return statuses;
  }

  absl::StatusOr<SampleJob> Prepare(const ServedModel& served, std::int64_t rows) {
    if (next_row_ == 0) MILLRACE_RETURN_IF_ERROR(ReadContexts(served));
    chunk_.Clear();
    chunk_.set_name(served.name);
    chunk_.set_version(served.version);
    chunk_.set_first_row(static_cast<std::uint64_t>(next_row_));
    if (next_row_ == 0) {
      for (const Column& column : served.density->model().columns.columns()) {
        chunk_.add_column_names(column.name);
      }
    }
    repeated_ = RepeatedContext(next_row_, rows);
    const int columns = served.density->model().columns.num_columns();
    return SampleJob{
        .seed = request_.seed(),
        .first_row = static_cast<std::uint64_t>(next_row_),
        .temperature = request_.has_temperature() ? request_.temperature() : 1.0,
        .context = contexts_.view().rows > 1 ? NumberRows(repeated_.view()) : contexts_.view(),
        .stop = call_.stop().get_token(),
        .rows = NewMatrix(rows, columns, chunk_.mutable_rows())};
  }

  absl::Status Complete(absl::Status drawn, std::int64_t rows) {
    if (!drawn.ok()) return WithDefaultField(std::move(drawn), "temperature");
    next_row_ += rows;
    return absl::OkStatus();
  }

  // All of them are checked before the first row is drawn.
  absl::Status ReadContexts(const ServedModel& served) {
    MILLRACE_ASSIGN_OR_RETURN(contexts_, ReadContext(request_, served));
    return served.density->model().context.Check(contexts_.view(), contexts_.view().rows);
  }

  // Of several conditions that of each row from `first` on.
  Rows<double> RepeatedContext(std::int64_t first, std::int64_t rows) const {
    const NumberRows& given = contexts_.view();
    if (given.rows <= 1) return {};
    Rows<double> context(rows, given.cols);
    for (std::int64_t r = 0; r < rows; ++r)
      given.Read((first + r) / static_cast<std::int64_t>(request_.count()), 0,
                 context.view().row(r));
    return context;
  }

  void Computed(const absl::Status& status) {
    if (!status.ok()) return Finish(call_.End(status));
    call_.Sent();
    StartWrite(&chunk_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(call_.End(absl::CancelledError("the caller is gone")));
    if (next_row_ == count_) return Finish(call_.End(absl::OkStatus()));
    const absl::Status wall = BehindExceptionWall([this] {
      NextChunk();
      return absl::OkStatus();
    });
    if (!wall.ok()) Finish(call_.End(wall));
  }

  void OnCancel() override { call_.Cancel(); }
  void OnDone() override {
    open_streams_.fetch_sub(1, std::memory_order_relaxed);
    delete this;
  }

  const App& app_;
  const v1::SampleRequest& request_;
  std::atomic<int>& open_streams_;
  Call call_;
  ModelHandle model_;
  std::int64_t count_ = 0;  // rows in all
  std::int64_t chunk_rows_ = 0;
  std::int64_t next_row_ = 0;  // rows computed so far
  RequestRows contexts_;       // of the request, once the first chunk is computed
  Rows<double> repeated_;      // of the chunk that is drawn: the condition of each row
  v1::SampleResponse chunk_;
};

}  // namespace

grpc::ServerWriteReactor<v1::SampleResponse>* StartSampleStream(
    const App& app, grpc::CallbackServerContext* context, const v1::SampleRequest& request,
    std::atomic<int>& open_streams) {
  return new SampleStream(app, context, request, open_streams);
}

}  // namespace millrace

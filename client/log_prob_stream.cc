// SPDX-License-Identifier: Apache-2.0
// Client::LogProb of any number of rows.
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/call.h"
#include "client/client.h"
#include "client/parts.h"
#include "client/patience.h"
#include "client/wire.h"

namespace millrace::client {
namespace {

using Stream = grpc::ClientReaderWriter<v1::StreamLogProbRequest, v1::StreamLogProbResponse>;

// Messages that are on their way there and back: as many as the server takes ahead of its replies.
constexpr std::size_t kMessagesAhead = 4;

// Writes messages on a thread of its own, so that replies are read meanwhile.
class Writer {
 public:
  explicit Writer(Stream& stream)
      : stream_(stream), thread_([this](const std::stop_token& stop) { Work(stop); }) {}

  void Write(v1::StreamLogProbRequest message) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(message));
    changed_.notify_one();
  }

 private:
  void Work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
      const v1::StreamLogProbRequest message = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      if (!stream_.Write(message)) return;  // the reader hears why
      lock.lock();
    }
  }

  Stream& stream_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<v1::StreamLogProbRequest> waiting_;  // guarded by mutex_
  std::jthread thread_;                           // last: it uses the others
};

// A piece of the source and what of it was sent, in the stream that is open, and answered.
struct Piece {
  RowsPiece given;
  std::int64_t sent = 0;
  LogProbResult answer = {};

  std::int64_t answered() const { return std::ssize(answer.log_prob); }
};

// One call of Client::LogProb, over as many streams as it takes.
class BulkLogProb {
 public:
  BulkLogProb(v1::DensityService::Stub& stub, const ClientOptions& options,
              const CallOptions& call_options, ModelRef model, const RowsSource& source,
              const LogProbSink& sink)
      : stub_(stub),
        options_(options),
        call_options_(call_options),
        timeout_(call_options.timeout.value_or(options.timeout)),
        source_(source),
        sink_(sink),
        model_(std::move(model)),
        most_rows_(options.request_rows) {}

  absl::StatusOr<std::uint64_t> Run() {
    while (true) {
      in_flight_.clear();
      begin_ = answered_;
      for (Piece& piece : pieces_) piece.sent = piece.answered();
      const absl::Status status = RunStream();
      if (!fault_.ok()) return fault_;
      if (status.ok()) break;
      if (MayGoOn(status)) continue;
      if (call_options_.stop.stop_requested())
        return absl::CancelledError("the call was cancelled");
      return CountRowsFrom(begin_, status);
    }
    if (!source_end_->ok()) return *source_end_;
    return model_.version;
  }

 private:
  // Sends and reads until every row has its answer, or the stream ends before.
  absl::Status RunStream() {
    if (NextToSend() == nullptr) return absl::OkStatus();  // no open stream waits for the source
    Call call({.timeout = absl::InfiniteDuration(), .stop = call_options_.stop}, timeout_);
    Patience patience(call.context(), timeout_);
    const auto stream = stub_.StreamLogProb(&call.context());
    v1::StreamLogProbResponse reply;
    const auto read = [&] { return patience.Wait([&] { return stream->Read(&reply); }); };
    {
      Writer writer(*stream);
      while (SendAhead(writer) && read()) fault_.Update(Absorb(reply));
      if (!fault_.ok()) call.context().TryCancel();
    }
    if (in_flight_.empty() && stream->WritesDone() && read())
      fault_.Update(absl::InternalError("the server sent a reply to no rows"));
    if (!fault_.ok()) call.context().TryCancel();
    const absl::Status status =
        FromGrpc(patience.Wait([&] { return stream->Finish(); }), options_.target);
    if (in_flight_.empty()) return absl::OkStatus();  // nothing is missing, however it ended
    timed_out_ = patience.ended() && absl::IsCancelled(status);
    if (timed_out_) return NoReply();
    if (!status.ok()) return status;
    return absl::InternalError(
        absl::StrCat("the server ended the stream after ", answered_, " rows were answered"));
  }

  absl::Status NoReply() const {
    return absl::DeadlineExceededError(
        absl::StrCat("server ", options_.target, ": no reply within ",
                     absl::FormatDuration(timeout_), ", after ", answered_, " rows"));
  }

  // Sends as much as may be on its way; whether there is a reply to wait for.
  bool SendAhead(Writer& writer) {
    while (fault_.ok() && in_flight_.size() < kMessagesAhead) {
      Piece* const piece = NextToSend();
      if (piece == nullptr) break;
      const Table& rows = piece->given.rows;
      const std::int64_t count =
          std::min({most_rows_, RowsPerMessage(options_, rows, piece->given.context),
                    rows.rows - piece->sent});
      writer.Write(MessageOf(*piece, count));
      piece->sent += count;
      in_flight_.push_back(count);
    }
    return fault_.ok() && !in_flight_.empty();
  }

  // A piece of which there is something to send; none at the end of the source.
  Piece* NextToSend() {
    for (Piece& piece : pieces_)
      if (piece.sent < piece.given.rows.rows) return &piece;
    if (source_end_.has_value()) return nullptr;
    absl::StatusOr<RowsPiece> given = source_();
    // What came before a source's error is answered first.
    if (!given.ok() || (given->rows.rows == 0 && answered_ + std::ssize(pieces_) > 0)) {
      source_end_ = given.status();
      return nullptr;
    }
    fault_.Update(CheckTable(given->rows));
    fault_.Update(CheckContext(given->context, given->rows.rows));
    if (!fault_.ok()) return nullptr;
    pieces_.push_back({*std::move(given)});
    return &pieces_.back();
  }

  v1::StreamLogProbRequest MessageOf(const Piece& piece, std::int64_t count) const {
    v1::StreamLogProbRequest message;
    const auto& [rows, context] = piece.given;
    *message.mutable_rows() = ToMatrix(rows, piece.sent, count);
    SetPartOfContext(context, piece.sent, count, message);
    message.clear_context_column_names();
    if (in_flight_.empty() && answered_ == begin_) {  // the stream's first
      message.set_name(model_.name);
      message.set_version(model_.version);
      *message.mutable_column_names() = {rows.column_names.begin(), rows.column_names.end()};
      *message.mutable_context_column_names() = {context.column_names.begin(),
                                                 context.column_names.end()};
    }
    return message;
  }

  absl::Status Absorb(const v1::StreamLogProbResponse& reply) {
    const std::int64_t count = in_flight_.front();
    if (reply.first_row() != static_cast<std::uint64_t>(answered_ - begin_))
      return absl::InternalError(absl::StrCat("the server answered row ", reply.first_row(),
                                              " where row ", answered_ - begin_, " was due"));
    Piece& piece = pieces_.front();
    absl::Status status =
        Append("StreamLogProb", "log_prob", reply.log_prob(), count, piece.answer.log_prob);
    status.Update(Append("StreamLogProb", "out_of_support", reply.out_of_support(), count,
                         piece.answer.out_of_support));
    if (!status.ok()) return status;
    in_flight_.pop_front();
    answered_ += count;
    failures_ = 0;
    model_.version = piece.answer.version = reply.version();
    if (piece.answered() < piece.given.rows.rows) return absl::OkStatus();
    const Piece whole = std::move(piece);
    pieces_.pop_front();
    return sink_(whole.given, whole.answer);
  }

  // Whether another stream may bring the rest; waits where the server is to have a rest.
  bool MayGoOn(const absl::Status& status) {
    if (MayBeTooManyRows(status) && !in_flight_.empty()) {
      most_rows_ = *std::ranges::max_element(in_flight_) / 2;
      return most_rows_ > 0;
    }
    if (call_options_.stop.stop_requested()) return false;
    // The server's answer to a source or a sink that was slow.
    const bool idle = (absl::IsDeadlineExceeded(status) || absl::IsCancelled(status)) &&
                      !timed_out_ && answered_ > begin_;
    if (!idle && !absl::IsUnavailable(status)) return false;
    if (++failures_ >= options_.max_attempts) return false;
    const absl::Duration longest =
        std::min(options_.initial_backoff * (1 << (failures_ - 1)), options_.max_backoff);
    return Rest(longest * std::uniform_real_distribution<>()(random_));
  }

  // False where the call is cancelled meanwhile.
  bool Rest(absl::Duration duration) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any stopped;
    stopped.wait_for(lock, call_options_.stop, absl::ToChronoNanoseconds(duration),
                     [] { return false; });
    return !call_options_.stop.stop_requested();
  }

  v1::DensityService::Stub& stub_;
  const ClientOptions& options_;
  const CallOptions& call_options_;
  const absl::Duration timeout_;
  const RowsSource& source_;
  const LogProbSink& sink_;

  ModelRef model_;                          // the version that answered, once one has
  std::int64_t most_rows_;                  // of a message
  std::deque<Piece> pieces_;                // in order, those that are not wholly answered
  std::optional<absl::Status> source_end_;  // once it has ended, why
  std::int64_t answered_ = 0;               // rows in all
  absl::Status fault_;                      // of a piece, a reply or the sink; ends the call
  int failures_ = 0;                        // streams that broke since the last answer
  std::minstd_rand random_{std::random_device()()};

  // Of the stream that is open.
  std::int64_t begin_ = 0;              // rows that were answered before it
  std::deque<std::int64_t> in_flight_;  // rows of each message without an answer
  bool timed_out_ = false;              // it was ours to wait no longer
};

}  // namespace

absl::StatusOr<std::uint64_t> Client::LogProb(const ModelRef& model, const RowsSource& source,
                                              const LogProbSink& sink,
                                              const CallOptions& call) const {
  return BulkLogProb(*density_, options_, call, model, source, sink).Run();
}

}  // namespace millrace::client

// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/log_prob_stream.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "grpcpp/alarm.h"
#include "server/app/exception_wall.h"
#include "server/rpc/call.h"
#include "server/rpc/density_batch.h"
#include "server/rpc/density_queries.h"
#include "server/rpc/status.h"

namespace millrace {
namespace {

constexpr RpcMethod kStreamLogProb = {"bidi_stream", "millrace.v1.DensityService", "StreamLogProb"};

// What is taken ahead of the replies: one message being written, one or two being computed, one
// that is next. No message is read while there is as much as this.
constexpr std::size_t kMaxHeld = 4;
constexpr std::int64_t kMaxHeldBytes = 4 << 20;
constexpr std::int64_t kReplyBytesOfRow = sizeof(double) + sizeof(bool);

// A message that was taken and whose reply is not written yet.
struct Message {
  v1::LogProbRequest request;
  v1::LogProbResponse answer;
  v1::StreamLogProbResponse reply;
  std::int64_t first_row = 0;
  std::int64_t bytes = 0;  // its own and those of its reply
  std::optional<absl::Status> computed = std::nullopt;
};

using Part = DensityPart<v1::LogProbRequest, v1::LogProbResponse>;

absl::Status CheckUnset(bool is_unset, absl::string_view field) {
  if (is_unset) return absl::OkStatus();
  return InvalidArgument(field, "set", "nothing after the first message");
}

// An error's row, counted in the message, counted in the stream.
absl::Status OfStream(absl::Status status, const Message& message) {
  ErrorDetail detail = DetailOf(status);
  const bool one_for_all =
      detail.field == "context" && message.request.context().rows() < message.request.rows().rows();
  if (!detail.row || one_for_all) return status;
  *detail.row += message.first_row;
  return MakeError(status.code(), detail);
}

absl::Status TooManyStreams(int open) {
  return absl::UnavailableError(
      absl::StrCat(open, " StreamLogProb calls are open (--max_log_prob_streams); retry later"));
}

// One thread at a time reads, several compute, one writes. Whichever brings news notes it and
// begins what is due next (Proceed). Once an end is known nothing more is read, and the call is
// finished as soon as what comes before the end is written and no thread is about this object any
// more.
class LogProbStream final
    : public grpc::ServerBidiReactor<v1::StreamLogProbRequest, v1::StreamLogProbResponse> {
 public:
  LogProbStream(const App& app, grpc::CallbackServerContext* context,
                std::atomic<int>& open_streams)
      : app_(app),
        context_(context),
        open_streams_(open_streams),
        call_(kStreamLogProb, context, app.metrics, absl::InfiniteDuration()),
        on_drain_(app.queue.draining(),
                  [this] {
                    Proceed([this] { End(absl::UnavailableError("the server is shutting down")); });
                  }),
        on_silence_(silence_.get_token(), [this] { Proceed([this] { Abandon(Silent()); }); }) {
    const int open = open_streams_.fetch_add(1, std::memory_order_relaxed) + 1;
    Proceed([&] {
      if (open > app_.config.max_log_prob_streams) End(TooManyStreams(open - 1));
    });
  }

 private:
  // Reading.

  void OnReadDone(bool ok) override {
    absl::Status status;
    const bool take = BeginTaking() && ok;
    if (ok) call_.Received();
    if (take) {
      status = BehindExceptionWall([this] { return Take(); });
    } else if (!ok && context_->IsCancelled()) {
      status = absl::CancelledError("the call was cancelled");
    }
    Proceed([&] {
      --busy_;
      reading_ = false;
      if (!ok || !status.ok()) End(std::move(status));
    });
  }

  // From here on the call is not finished; whether the message still matters.
  bool BeginTaking() {
    const std::lock_guard lock(mutex_);
    ++busy_;
    return !end_.has_value();
  }

  absl::Status Take() {
    MILLRACE_RETURN_IF_ERROR(model_ == nullptr ? TakeFirst() : CheckLater());
    Message message;
    message.first_row = rows_taken_;
    message.request = names_;
    message.request.mutable_rows()->Swap(incoming_.mutable_rows());
    if (incoming_.has_context())
      message.request.mutable_context()->Swap(incoming_.mutable_context());
    MILLRACE_ASSIGN_OR_RETURN(const QuerySize size,
                              CheckQuery(message.request, *model_, app_.config.limits));
    rows_taken_ += size.rows;
    message.bytes =
        static_cast<std::int64_t>(message.request.ByteSizeLong()) + size.rows * kReplyBytesOfRow;
    if (Message* const held = Hold(std::move(message)); held != nullptr) Submit(*held, size);
    return absl::OkStatus();
  }

  absl::Status TakeFirst() {
    MILLRACE_ASSIGN_OR_RETURN(model_, app_.repository.Get(incoming_.name(), incoming_.version()));
    call_.Uses(Operation::kLogProb, model_);
    names_.mutable_column_names()->Swap(incoming_.mutable_column_names());
    names_.mutable_context_column_names()->Swap(incoming_.mutable_context_column_names());
    return absl::OkStatus();
  }

  absl::Status CheckLater() const {
    MILLRACE_RETURN_IF_ERROR(CheckUnset(incoming_.name().empty(), "name"));
    MILLRACE_RETURN_IF_ERROR(CheckUnset(incoming_.version() == 0, "version"));
    MILLRACE_RETURN_IF_ERROR(CheckUnset(incoming_.column_names().empty(), "column_names"));
    return CheckUnset(incoming_.context_column_names().empty(), "context_column_names");
  }

  // Where the message is kept until its reply is written; none where the call ends without it.
  Message* Hold(Message message) {
    const std::lock_guard lock(mutex_);
    if (end_.has_value()) return nullptr;
    held_.push_back(std::move(message));
    held_bytes_ += held_.back().bytes;
    ++computing_;
    return &held_.back();
  }

  // Computing.

  void Submit(Message& message, const QuerySize& size) {
    const absl::Status wall = BehindExceptionWall([&] {
      app_.queue.Submit(
          {.operation = Operation::kLogProb,
           .model = model_,
           .rows = size.rows,
           .cost = {.evaluations = size.evaluations,
                    .bytes = static_cast<std::int64_t>(message.request.ByteSizeLong())},
           .deadline = call_.deadline(),
           .stop = call_.stop().get_token(),
           .admitted = message.first_row > 0,
           .compute_together = &Part::Answer,
           .part =
               std::make_unique<Part>(&message.request, &message.answer, call_.stop().get_token()),
           .done = [this, &message](const absl::Status& status) { Computed(message, status); }});
      return absl::OkStatus();
    });
    if (!wall.ok()) Computed(message, wall);
  }

  void Computed(Message& message, absl::Status status) {
    if (status.ok()) {
      message.reply.set_name(model_->name);
      message.reply.set_version(model_->version);
      message.reply.set_first_row(static_cast<std::uint64_t>(message.first_row));
      message.reply.mutable_log_prob()->Swap(message.answer.mutable_log_prob());
      message.reply.mutable_out_of_support()->Swap(message.answer.mutable_out_of_support());
    } else {
      status = OfStream(std::move(status), message);
    }
    message.request.Clear();
    Proceed([&] {
      message.computed = std::move(status);
      --computing_;
    });
  }

  // Writing.

  void OnWriteDone(bool ok) override {
    Proceed([&] {
      writing_ = false;
      held_bytes_ -= held_.front().bytes;
      held_.pop_front();
      if (!ok) Abandon(absl::CancelledError("the caller is gone"));
    });
  }

  // Ending. With mutex_ held, as all below up to Proceed.

  // Ends the call once all that is held is answered, unless another end is known.
  void End(absl::Status status) {
    if (!end_.has_value()) end_ = std::move(status);
  }

  // Ends the call without further replies.
  void Abandon(absl::Status status) {
    if (finished_ || std::exchange(abandoned_, true)) return;
    end_ = std::move(status);
    call_.Cancel();
    if (writing_) context_->TryCancel();
  }

  absl::Status Silent() const {
    return absl::DeadlineExceededError(
        absl::StrCat("for ", absl::FormatDuration(app_.config.upload_idle_timeout),
                     " no message came or no reply was taken (--upload_idle_timeout)"));
  }

  bool MayFinish() {
    return end_.has_value() && (abandoned_ || held_.empty()) && !writing_ && computing_ == 0 &&
           busy_ == 0 && !std::exchange(finished_, true);
  }

  // The caller has so long for its next step, if that is what the call waits for.
  void WatchForSilence() {
    silence_alarm_.reset();
    if (computing_ > 0 || !(writing_ || (reading_ && !end_.has_value()))) return;
    silence_alarm_.emplace();
    silence_alarm_->Set(absl::ToChronoTime(absl::Now() + app_.config.upload_idle_timeout),
                        [silence = silence_](bool expired) mutable {
                          if (expired) silence.request_stop();
                        });
  }

  // Whether to read, and what to write, from here on.
  std::pair<bool, const v1::StreamLogProbResponse*> Next() {
    const bool answered = !held_.empty() && held_.front().computed.has_value();
    if (answered && !abandoned_ && !held_.front().computed->ok()) Abandon(*held_.front().computed);
    const v1::StreamLogProbResponse* reply = nullptr;
    if (answered && !abandoned_ && !std::exchange(writing_, true)) reply = &held_.front().reply;
    const bool room = held_.size() < kMaxHeld && held_bytes_ < kMaxHeldBytes;
    const bool read = room && !end_.has_value() && !std::exchange(reading_, true);
    WatchForSilence();
    return {read, reply};
  }

  // Notes news, and begins what is due. This object may be gone afterwards, unless a reaction runs.
  template <typename News>
  void Proceed(const News& news) {
    std::unique_lock lock(mutex_);
    news();
    const auto [read, reply] = Next();
    ++busy_;
    lock.unlock();
    if (reply != nullptr) {
      call_.Sent();
      StartWrite(reply);
    }
    if (read) StartRead(&incoming_);
    lock.lock();
    --busy_;
    const bool finish = MayFinish();
    if (finish) silence_alarm_.reset();
    absl::Status end = finish ? *end_ : absl::OkStatus();
    lock.unlock();
    if (finish) Finish(call_.End(std::move(end)));
  }

  void OnCancel() override {
    Proceed([this] { Abandon(absl::CancelledError("the call was cancelled")); });
  }
  void OnDone() override {
    open_streams_.fetch_sub(1, std::memory_order_relaxed);
    delete this;
  }

  const App& app_;
  grpc::CallbackServerContext* const context_;
  std::atomic<int>& open_streams_;
  Call call_;

  // Of the thread that reads; the model is not touched once it is set.
  v1::StreamLogProbRequest incoming_;
  ModelHandle model_;
  v1::LogProbRequest names_;  // the columns of all messages
  std::int64_t rows_taken_ = 0;

  std::mutex mutex_;          // guards all up to silence_alarm_
  std::deque<Message> held_;  // in order; the first is the next to be written
  std::int64_t held_bytes_ = 0;
  int computing_ = 0;  // messages that are, or wait for it
  bool reading_ = false;
  bool writing_ = false;
  int busy_ = 0;  // threads that take a message or begin what is due
  std::optional<absl::Status> end_;
  bool abandoned_ = false;
  bool finished_ = false;
  std::optional<grpc::Alarm> silence_alarm_;

  std::stop_source silence_;  // requested by silence_alarm_, which may outlive the call
  std::stop_callback<std::function<void()>> on_drain_;
  std::stop_callback<std::function<void()>> on_silence_;
};

}  // namespace

grpc::ServerBidiReactor<v1::StreamLogProbRequest, v1::StreamLogProbResponse>* StartLogProbStream(
    const App& app, grpc::CallbackServerContext* context, std::atomic<int>& open_streams) {
  return new LogProbStream(app, context, open_streams);
}

}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/train_stream.h"

#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/byte_buffer.h"
#include "millrace/v1/train_messages.pb.h"
#include "server/app/exception_wall.h"
#include "server/rpc/call.h"
#include "server/rpc/model_message.h"
#include "server/rpc/status.h"
#include "server/rpc/train_spec.h"
#include "server/rpc/training_table.h"

namespace millrace {
namespace {

constexpr RpcMethod kTrain = {"bidi_stream", "millrace.v1.DensityService", "Train"};

// Reads happen on gRPC's threads, one after the other; events come from the threads of
// TrainingJobs. While the call reads, any thread may end it (the first wins); once a job is
// started, only that job's on_done does. gRPC's Start… and Finish may call back at once, so none is
// called with mutex_ held.
class TrainStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  TrainStream(const App& app, grpc::CallbackServerContext* context)
      : app_(app),
        context_(context),
        call_(kTrain, context, app.metrics, absl::InfiniteDuration()),
        table_(app.config.limits),
        on_stop_(call_.stop().get_token(), [this] { EndReading(WhyStopped()); }) {
    StartRead(&bytes_in_);
  }

 private:
  using Bytes = grpc::ByteBuffer;

  // Who may end the call: any thread; nobody, until `accepted` is written; the job.
  enum class Phase { kReading, kAccepting, kTraining };

  // Reading.

  void OnReadDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      if (phase_ != Phase::kReading) return;
    }
    absl::Status status = BehindExceptionWall([&] { return ok ? TakeMessage() : EndOfTable(); });
    if (!status.ok()) {
      slot_ = {};  // the name is free before the caller hears of the end
      EndReading(std::move(status));
    } else if (ok) {
      StartRead(&bytes_in_);
    }
  }

  absl::Status TakeMessage() {
    call_.Received();
    v1::TrainRequest message;
    if (!grpc::SerializationTraits<v1::TrainRequest>::Deserialize(&bytes_in_, &message).ok()) {
      return InvalidArgument("message", "bytes that are none", "a millrace.v1.TrainRequest");
    }
    switch (message.message_case()) {
      case v1::TrainRequest::kSpec:
        return TakeSpec(message.spec());
      case v1::TrainRequest::kChunk:
        if (!slot_.held())
          return InvalidArgument("chunk", "the first message", "a spec before any chunk");
        return table_.Append(message.chunk());
      case v1::TrainRequest::MESSAGE_NOT_SET:
        break;
    }
    return InvalidArgument("message", "nothing", "a spec or a chunk");
  }

  absl::Status TakeSpec(const v1::TrainSpec& spec) {
    if (slot_.held())
      return InvalidArgument("spec", "a second spec", "one spec, as the first message");
    MILLRACE_ASSIGN_OR_RETURN(slot_, app_.trainings.Reserve(spec.name(), call_.stop()));
    name_ = spec.name();
    MILLRACE_ASSIGN_OR_RETURN(request_, ReadTrainSpec(spec, app_.config.limits));
    return absl::OkStatus();
  }

  // The client has closed its side, or is gone: that shows when `accepted` is written.
  absl::Status EndOfTable() {
    if (context_->IsCancelled() || call_.stop().stop_requested()) return WhyStopped();
    if (!slot_.held()) return InvalidArgument("spec", "nothing", "a spec, as the first message");
    if (table_.rows() == 0)
      return InvalidArgument("chunk", "nothing", "at least one chunk of rows");
    if (table_.rows() < kMinRows) {
      return InvalidArgument("chunk", absl::StrCat(table_.rows(), " rows"),
                             absl::StrCat("a table of at least ", kMinRows, " rows"));
    }
    MILLRACE_RETURN_IF_ERROR(CheckColumnCount(request_, table_.cols()));
    v1::TrainResponse accepted;
    accepted.mutable_accepted()->set_name(name_);
    accepted.mutable_accepted()->set_rows(static_cast<std::uint64_t>(table_.rows()));
    accepted.mutable_accepted()->set_cols(static_cast<std::uint32_t>(table_.cols()));
    if (Advance(Phase::kReading, Phase::kAccepting)) Send(std::move(accepted));
    return absl::OkStatus();
  }

  void StartTraining() {
    const absl::Status started = BehindExceptionWall([this] {
      app_.trainings.Start(
          std::move(slot_),
          {.request = std::move(request_),
           .values = table_.TakeValues(),
           .columns = table_.cols(),
           .on_progress = [this](const TrainProgress& progress) { SendProgress(progress); },
           .on_done = [this](absl::StatusOr<ModelHandle> result) { SendDone(std::move(result)); }});
      return absl::OkStatus();
    });
    if (!started.ok()) End(started);
  }

  // Whether this thread is the one that takes the call from one phase to the next.
  bool Advance(Phase from, Phase to) {
    const std::lock_guard lock(mutex_);
    if (phase_ != from) return false;
    phase_ = to;
    return true;
  }

  absl::Status WhyStopped() const {
    return context_->IsCancelled() ? absl::CancelledError("the call was cancelled")
                                   : absl::UnavailableError("the server is shutting down");
  }

  // Ends the call unless another thread has, or the table is complete.
  void EndReading(absl::Status status) {
    if (Advance(Phase::kReading, Phase::kTraining)) End(std::move(status));
  }

  // Writing.

  void SendProgress(const TrainProgress& progress) {
    v1::TrainResponse event;
    WriteProgress(progress, event.mutable_progress());
    Send(std::move(event));
  }

  void SendDone(absl::StatusOr<ModelHandle> result) {
    if (!result.ok()) return End(OfChunks(std::move(result).status()));
    const ServedModel& served = **result;
    v1::TrainResponse event;
    event.mutable_done()->set_name(served.name);
    event.mutable_done()->set_version(served.version);
    WriteReport(served.density->model().report, event.mutable_done()->mutable_report());
    Send(std::move(event));
    End(absl::OkStatus());
  }

  // The trainer's "rows" are the chunks' here.
  static absl::Status OfChunks(absl::Status status) {
    ErrorDetail detail = DetailOf(status);
    if (detail.field != "rows") return WithDefaultField(std::move(status), "chunk");
    detail.field = "chunk";
    return WithDetail(std::move(status), detail);
  }

  // Queues an event. A progress that still waits is replaced by a newer one.
  void Send(v1::TrainResponse event) {
    const v1::TrainResponse* first = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (broken_) return;
      const bool replaces =
          outbox_.size() > 1 && outbox_.back().has_progress() && event.has_progress();
      if (replaces) {
        outbox_.back() = std::move(event);
      } else {
        outbox_.push_back(std::move(event));
      }
      if (std::exchange(writing_, true)) return;
      first = &outbox_.front();
    }
    Write(first);
  }

  // Finishes once everything queued is written.
  void End(absl::Status status) {
    {
      const std::lock_guard lock(mutex_);
      final_ = std::move(status);
      if (writing_) return;
    }
    FinishNow();
  }

  // The front of the outbox, which stays there until it is written.
  void Write(const v1::TrainResponse* event) {
    call_.Sent();
    bytes_out_.Clear();
    bool own_buffer = false;
    grpc::SerializationTraits<v1::TrainResponse>::Serialize(*event, &bytes_out_, &own_buffer);
    StartWrite(&bytes_out_);
  }

  void OnWriteDone(bool ok) override {
    if (Advance(Phase::kAccepting, Phase::kTraining)) return Accepted(ok);
    const v1::TrainResponse* next = nullptr;
    {
      const std::lock_guard lock(mutex_);
      outbox_.pop_front();
      if (!ok) {
        broken_ = true;
        outbox_.clear();
      }
      writing_ = !outbox_.empty();
      if (writing_) {
        next = &outbox_.front();
      } else if (!final_.has_value()) {
        return;
      }
    }
    next == nullptr ? FinishNow() : Write(next);
  }

  // `accepted` was alone in the outbox. A caller whom it did not reach, or whose last message was
  // too large for the server, is none who closed its side: what has come in is not the whole table.
  void Accepted(bool ok) {
    {
      const std::lock_guard lock(mutex_);
      outbox_.clear();
      writing_ = false;
    }
    if (ok && !context_->IsCancelled()) {
      StartTraining();
    } else {
      slot_ = {};
      End(absl::CancelledError("the call was cancelled"));
    }
  }

  void FinishNow() {
    absl::Status status = *std::move(final_);
    if (broken_ && status.ok()) status = absl::CancelledError("the caller is gone");
    Finish(call_.End(std::move(status)));
  }

  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

  const App& app_;
  grpc::CallbackServerContext* const context_;
  Call call_;

  // Of the thread that reads, until a job is started.
  Bytes bytes_in_;
  TrainingJobs::Slot slot_;
  std::string name_;
  TrainRequest request_;
  TrainingTable table_;

  std::mutex mutex_;
  Phase phase_ = Phase::kReading;  // guarded by mutex_, as all below
  bool writing_ = false;
  bool broken_ = false;  // a write failed
  std::deque<v1::TrainResponse> outbox_;
  std::optional<absl::Status> final_;  // what to finish with

  Bytes bytes_out_;  // of the one write under way

  std::stop_callback<std::function<void()>> on_stop_;
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartTrainStream(
    const App& app, grpc::CallbackServerContext* context) {
  return new TrainStream(app, context);
}

}  // namespace millrace

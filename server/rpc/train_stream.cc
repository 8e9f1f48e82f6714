// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/train_stream.h"

#include <atomic>
#include <functional>
#include <optional>
#include <stop_token>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "grpcpp/alarm.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/byte_buffer.h"
#include "millrace/v1/train_messages.pb.h"
#include "server/app/exception_wall.h"
#include "server/rpc/call.h"
#include "server/rpc/event_outbox.h"
#include "server/rpc/model_message.h"
#include "server/rpc/status.h"
#include "server/rpc/train_upload.h"

namespace millrace {
namespace {

constexpr RpcMethod kTrain = {"bidi_stream", "millrace.v1.DensityService", "Train"};

// Reads happen on gRPC's threads, one after the other; events come from the threads of
// TrainingJobs. While the call reads, any thread may end it (the first wins); once a job is
// started, only that job's on_done does. A message that is handled holds the call: one that ends
// meanwhile is finished after that, no read starts after Finish, and what belongs to the reader is
// Finish's then.
class TrainStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  TrainStream(const App& app, grpc::CallbackServerContext* context)
      : app_(app),
        context_(context),
        call_(kTrain, context, app.metrics, absl::InfiniteDuration()),
        upload_(app, call_.stop()),
        outbox_([this](const v1::TrainResponse& event) { Write(event); },
                [this](absl::Status status) { FinishWith(std::move(status)); }),
        on_stop_(call_.stop().get_token(), [this] { EndReading(WhyStopped()); }),
        on_silence_(silence_.get_token(), [this] { EndReading(Silent()); }) {
    Read();
  }

 private:
  // Who may end the call: any thread; nobody, until `accepted` is written; the job.
  enum class Phase { kReading, kAccepting, kTraining };

  // Whether this thread is the one that takes the call from one phase to the next.
  bool Advance(Phase from, Phase to) { return phase_.compare_exchange_strong(from, to); }

  // Ends the call unless another thread has, or the table is complete.
  void EndReading(absl::Status status) {
    if (Advance(Phase::kReading, Phase::kTraining)) outbox_.End(std::move(status));
  }

  absl::Status WhyStopped() const {
    return context_->IsCancelled() ? absl::CancelledError("the call was cancelled")
                                   : absl::UnavailableError("the server is shutting down");
  }

  absl::Status Silent() const {
    return absl::DeadlineExceededError(absl::StrCat(
        "no message of the table came for ", absl::FormatDuration(app_.config.upload_idle_timeout),
        " (--upload_idle_timeout)"));
  }

  // Reading.

  // Asks for the next message, which has so long to come.
  void Read() {
    silence_alarm_.emplace();
    silence_alarm_->Set(absl::ToChronoTime(absl::Now() + app_.config.upload_idle_timeout),
                        [silence = silence_](bool expired) mutable {
                          if (expired) silence.request_stop();
                        });
    StartRead(&bytes_in_);
  }

  void OnReadDone(bool ok) override {
    outbox_.Hold();  // before the phase is looked at: who ends the call from here on sees it
    if (phase_ == Phase::kReading) {
      silence_alarm_.reset();
      absl::Status status = BehindExceptionWall([&] { return ok ? TakeMessage() : EndOfTable(); });
      if (!status.ok()) {
        EndReading(std::move(status));
      } else if (ok) {
        Read();
      }
    }
    outbox_.Release();
  }

  absl::Status TakeMessage() {
    call_.Received();
    v1::TrainRequest message;
    if (!grpc::SerializationTraits<v1::TrainRequest>::Deserialize(&bytes_in_, &message).ok()) {
      return InvalidArgument("message", "bytes that are none", "a millrace.v1.TrainRequest");
    }
    return upload_.Take(message);
  }

  // The client has closed its side, or is gone: that shows when `accepted` is written.
  absl::Status EndOfTable() {
    if (context_->IsCancelled() || call_.stop().stop_requested()) return WhyStopped();
    MILLRACE_RETURN_IF_ERROR(upload_.CheckComplete());
    v1::TrainResponse event;
    *event.mutable_accepted() = upload_.Accepted();
    if (Advance(Phase::kReading, Phase::kAccepting)) outbox_.Send(std::move(event));
    return absl::OkStatus();
  }

  // Training.

  void StartTraining() {
    const absl::Status started = BehindExceptionWall([this] {
      TrainingJobs::Job job = upload_.TakeJob();
      job.on_progress = [this](const TrainProgress& progress) { SendProgress(progress); };
      job.on_done = [this](absl::StatusOr<ModelHandle> result) { SendDone(std::move(result)); };
      app_.trainings.Start(upload_.TakeSlot(), std::move(job));
      return absl::OkStatus();
    });
    if (!started.ok()) outbox_.End(started);
  }

  void SendProgress(const TrainProgress& progress) {
    v1::TrainResponse event;
    WriteProgress(progress, event.mutable_progress());
    outbox_.Send(std::move(event));
  }

  void SendDone(absl::StatusOr<ModelHandle> result) {
    if (!result.ok()) return outbox_.End(OfChunks(std::move(result).status()));
    v1::TrainResponse event;
    WriteDone(**result, event.mutable_done());
    outbox_.Send(std::move(event));
    outbox_.End(absl::OkStatus());
  }

  // The trainer's "rows" are the chunks' here.
  static absl::Status OfChunks(absl::Status status) {
    ErrorDetail detail = DetailOf(status);
    if (detail.field != "rows") return WithDefaultField(std::move(status), "chunk");
    detail.field = "chunk";
    return WithDetail(std::move(status), detail);
  }

  // Writing.

  void Write(const v1::TrainResponse& event) {
    call_.Sent();
    bytes_out_.Clear();
    bool own_buffer = false;
    grpc::SerializationTraits<v1::TrainResponse>::Serialize(event, &bytes_out_, &own_buffer);
    StartWrite(&bytes_out_);
  }

  // A caller whom `accepted` did not reach, or whose last message was too large for the server, is
  // none who closed its side: what has come in is not the whole table.
  void OnWriteDone(bool ok) override {
    const bool accepted = Advance(Phase::kAccepting, Phase::kTraining);
    outbox_.Written(ok);
    if (!accepted) return;
    if (ok && !context_->IsCancelled()) {
      StartTraining();
    } else {
      outbox_.End(absl::CancelledError("the call was cancelled"));
    }
  }

  void FinishWith(absl::Status status) {
    upload_.TakeSlot();  // the name is free before the caller hears of the end
    Finish(call_.End(std::move(status)));
  }

  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

  const App& app_;
  grpc::CallbackServerContext* const context_;
  Call call_;
  std::atomic<Phase> phase_ = Phase::kReading;

  // Of the thread that reads, until a job is started.
  grpc::ByteBuffer bytes_in_;
  std::optional<grpc::Alarm> silence_alarm_;
  TrainUpload upload_;

  grpc::ByteBuffer bytes_out_;  // of the one write under way
  EventOutbox<v1::TrainResponse> outbox_;

  std::stop_source silence_;  // requested by silence_alarm_, which may outlive the call
  std::stop_callback<std::function<void()>> on_stop_;
  std::stop_callback<std::function<void()>> on_silence_;
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartTrainStream(
    const App& app, grpc::CallbackServerContext* context) {
  return new TrainStream(app, context);
}

}  // namespace millrace

// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/fit_density_stream.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/train/distill.h"
#include "grpcpp/alarm.h"
#include "server/app/exception_wall.h"
#include "server/rpc/call.h"
#include "server/rpc/client_density.h"
#include "server/rpc/event_outbox.h"
#include "server/rpc/fit_density_spec.h"
#include "server/rpc/model_message.h"
#include "server/rpc/status.h"

namespace millrace {
namespace {

constexpr RpcMethod kFitDensity = {"bidi_stream", "millrace.v1.DensityService", "FitDensity"};

// The fit that a plan describes. What the caller evaluates is not in the plan but in `client`.
Training TrainingOf(FitDensityPlan plan, std::shared_ptr<ClientDensity> client, Backend& backend) {
  return [plan = std::move(plan), client = std::move(client), &backend](
             const ProgressCallback& progress, std::stop_token stop) -> absl::StatusOr<Model> {
    if (plan.teacher != nullptr) {
      // Part of the served model, which lives as long.
      const std::shared_ptr<const Model> teacher(plan.teacher, &plan.teacher->density->model());
      return Distill(
          {.teacher = teacher, .flow = plan.request.flow, .options = plan.request.options}, backend,
          progress, std::move(stop));
    }
    if (!plan.energy) return FitDensity(plan.request, *client, backend, progress, std::move(stop));
    const std::unique_ptr<TargetDensity> target = CreateTarget(*plan.energy);
    return FitDensity(plan.request, *target, backend, progress, std::move(stop));
  };
}

// Reads happen on gRPC's threads, one after the other; events come from the threads of
// TrainingJobs. Until a job is started any thread may end the call (the first wins); then only that
// job's on_done does, and what is wrong with a message makes it stop. A message that is handled
// holds the call, as in TrainStream.
class FitDensityStream final
    : public grpc::ServerBidiReactor<v1::FitDensityRequest, v1::FitDensityResponse> {
 public:
  FitDensityStream(const App& app, grpc::CallbackServerContext* context)
      : app_(app),
        context_(context),
        call_(kFitDensity, context, app.metrics, absl::InfiniteDuration()),
        outbox_([this](const v1::FitDensityResponse& event) { Write(event); },
                [this](absl::Status status) { FinishWith(std::move(status)); }),
        on_stop_(call_.stop().get_token(), [this] { EndBeforeJob(WhyStopped()); }),
        on_silence_(silence_.get_token(), [this] { EndBeforeJob(Silent()); }) {
    silence_alarm_.emplace();
    silence_alarm_->Set(absl::ToChronoTime(absl::Now() + app_.config.upload_idle_timeout),
                        [silence = silence_](bool expired) mutable {
                          if (expired) silence.request_stop();
                        });
    StartRead(&message_);
  }

 private:
  // Who may end the call: any thread, or the job; nobody, once it has ended.
  enum class Phase { kWaiting, kFitting, kEnded };

  bool Advance(Phase from, Phase to) { return phase_.compare_exchange_strong(from, to); }

  void EndBeforeJob(absl::Status status) {
    if (Advance(Phase::kWaiting, Phase::kEnded)) outbox_.End(std::move(status));
  }

  absl::Status WhyStopped() const {
    return context_->IsCancelled() ? absl::CancelledError("the call was cancelled")
                                   : absl::UnavailableError("the server is shutting down");
  }

  absl::Status Silent() const {
    return absl::DeadlineExceededError(
        absl::StrCat("no spec came for ", absl::FormatDuration(app_.config.upload_idle_timeout),
                     " (--upload_idle_timeout)"));
  }

  // Reading.

  void OnReadDone(bool ok) override {
    outbox_.Hold();  // before the phase is looked at: who ends the call from here on sees it
    if (phase_ != Phase::kEnded) {
      silence_alarm_.reset();
      const absl::Status status =
          BehindExceptionWall([&] { return ok ? TakeMessage() : EndOfMessages(); });
      if (!status.ok()) Fail(status);
      if (ok && status.ok()) StartRead(&message_);
    }
    outbox_.Release();
  }

  absl::Status TakeMessage() {
    call_.Received();
    switch (message_.message_case()) {
      case v1::FitDensityRequest::kSpec:
        if (phase_ == Phase::kFitting)
          return InvalidArgument("spec", "a second spec", "one spec, as the first message");
        return Start(message_.spec());
      case v1::FitDensityRequest::kValues:
        if (client_ == nullptr)
          return InvalidArgument("values", "a message",
                                 "none: only a client's density has values, after its spec");
        return client_->Take(message_.values());
      case v1::FitDensityRequest::MESSAGE_NOT_SET:
        break;
    }
    return InvalidArgument("message", "nothing", "a spec or values");
  }

  absl::Status EndOfMessages() {
    if (context_->IsCancelled() || call_.stop().stop_requested()) return WhyStopped();
    if (phase_ == Phase::kWaiting)
      return InvalidArgument("spec", "nothing", "a spec, as the first message");
    if (client_ == nullptr) return absl::OkStatus();
    return absl::CancelledError("the client closed its side before the fit was over");
  }

  absl::Status Start(const v1::FitDensitySpec& spec) {
    MILLRACE_ASSIGN_OR_RETURN(TrainingJobs::Slot slot,
                              app_.trainings.Reserve(spec.name(), call_.stop()));
    MILLRACE_ASSIGN_OR_RETURN(FitDensityPlan plan, ReadFitDensitySpec(spec, app_));
    if (spec.has_client())
      client_ = std::make_shared<ClientDensity>(
          [this](v1::DensityPoints points) {
            v1::FitDensityResponse event;
            *event.mutable_points() = std::move(points);
            outbox_.Send(std::move(event));
          },
          app_.config, call_.stop().get_token());
    v1::FitDensityResponse event;
    event.mutable_accepted()->set_name(spec.name());
    event.mutable_accepted()->set_cols(static_cast<std::uint32_t>(plan.columns));
    TrainingJobs::Job job{
        .train = TrainingOf(std::move(plan), client_, app_.backend),
        .on_progress = [this](const TrainProgress& progress) { SendProgress(progress); },
        .on_done = [this](absl::StatusOr<ModelHandle> result) { SendDone(std::move(result)); }};
    if (!Advance(Phase::kWaiting, Phase::kFitting)) return absl::OkStatus();  // it has ended
    outbox_.Send(std::move(event));
    app_.trainings.Start(std::move(slot), std::move(job));
    return absl::OkStatus();
  }

  // Ends the call, if need be by way of its job, which then does not say why it was stopped.
  void Fail(const absl::Status& status) {
    if (Advance(Phase::kWaiting, Phase::kEnded)) return outbox_.End(status);
    {
      const std::lock_guard lock(mutex_);
      if (failure_.ok()) failure_ = status;
    }
    call_.Cancel();
  }

  // The job's events.

  void SendProgress(const TrainProgress& progress) {
    v1::FitDensityResponse event;
    WriteProgress(progress, event.mutable_progress());
    outbox_.Send(std::move(event));
  }

  void SendDone(absl::StatusOr<ModelHandle> result) {
    phase_ = Phase::kEnded;
    if (!result.ok()) return outbox_.End(WhyFailed(std::move(result).status()));
    v1::FitDensityResponse event;
    WriteDone(**result, event.mutable_done());
    outbox_.Send(std::move(event));
    outbox_.End(absl::OkStatus());
  }

  absl::Status WhyFailed(absl::Status status) {
    if (absl::IsCancelled(status)) {
      const std::lock_guard lock(mutex_);
      if (!failure_.ok()) return failure_;
    }
    ErrorDetail detail = DetailOf(status);
    if (detail.field != "log_density" && detail.field != "gradient") return status;
    detail.field = absl::StrCat("values.", detail.field);
    return WithDetail(std::move(status), detail);
  }

  // Writing.

  void Write(const v1::FitDensityResponse& event) {
    call_.Sent();
    StartWrite(&event);
  }
  void OnWriteDone(bool ok) override { outbox_.Written(ok); }
  void FinishWith(absl::Status status) { Finish(call_.End(std::move(status))); }

  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }

  const App& app_;
  grpc::CallbackServerContext* const context_;
  Call call_;
  std::atomic<Phase> phase_ = Phase::kWaiting;

  // Of the thread that reads.
  v1::FitDensityRequest message_;
  std::optional<grpc::Alarm> silence_alarm_;  // for the spec
  std::shared_ptr<ClientDensity> client_;     // where the caller evaluates the density

  EventOutbox<v1::FitDensityResponse> outbox_;

  std::mutex mutex_;
  absl::Status failure_;  // guarded by mutex_: why the job was stopped

  std::stop_source silence_;  // requested by silence_alarm_, which may outlive the call
  std::stop_callback<std::function<void()>> on_stop_;
  std::stop_callback<std::function<void()>> on_silence_;
};

}  // namespace

grpc::ServerBidiReactor<v1::FitDensityRequest, v1::FitDensityResponse>* StartFitDensityStream(
    const App& app, grpc::CallbackServerContext* context) {
  return new FitDensityStream(app, context);
}

}  // namespace millrace

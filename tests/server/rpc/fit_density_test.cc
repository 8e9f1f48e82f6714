// SPDX-License-Identifier: Apache-2.0
// FitDensity through real calls: fits to built-in densities, to the caller's, to a teacher's, and
// callers that do not keep to the rules.
#include "core/train/fit_density.h"

#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "core/cpu/cpu_backend.h"
#include "core/train/energies.h"
#include "gtest/gtest.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

v1::FitDensitySpec Quick(const std::string& name, std::uint32_t steps = 20) {
  v1::FitDensitySpec spec;
  spec.set_name(name);
  auto& stack = *spec.mutable_flow()->mutable_stack();
  stack.set_architecture(v1::ARCHITECTURE_MAF);
  stack.set_layers(1);
  stack.add_hidden_sizes(8);
  auto& options = *spec.mutable_options();
  options.set_batch_size(64);
  options.set_steps(steps);
  options.set_samples(500);
  return spec;
}

v1::FitDensitySpec OfClient(const std::string& name, std::uint32_t steps = 20) {
  v1::FitDensitySpec spec = Quick(name, steps);
  spec.mutable_client();
  for (const char* column : {"a", "b"}) spec.add_columns()->set_name(column);
  return spec;
}

// ln p of independent normals about 3 and -1, of deviations 2 and 0.5, times e^4.
v1::DensityValues TwoNormals(const v1::DensityPoints& points) {
  v1::DensityValues values;
  values.set_id(points.id());
  const std::uint32_t rows = points.rows().rows();
  const auto* x = reinterpret_cast<const double*>(points.rows().raw_f64_le().data());
  std::vector<double> gradient;
  for (std::uint32_t r = 0; r < rows; ++r) {
    const double a = (x[2 * r] - 3.0) / 2.0, b = (x[2 * r + 1] + 1.0) / 0.5;
    values.add_log_density(4.0 - 0.5 * (a * a + b * b) - std::log(2 * std::numbers::pi));
    gradient.insert(gradient.end(), {-a / 2.0, -b / 0.5});
  }
  *values.mutable_gradient() = MakeMatrix(rows, 2, gradient);
  return values;
}

// One call. Points are answered by `answer`, where there is one.
class Fit {
 public:
  using Answer = std::function<v1::DensityValues(const v1::DensityPoints&)>;

  Fit(InProcessServer& server, const v1::FitDensitySpec& spec, Answer answer = {}) {
    context.set_deadline(std::chrono::system_clock::now() + milliseconds(60'000));
    stream = server.density().FitDensity(&context);
    v1::FitDensityRequest request;
    *request.mutable_spec() = spec;
    stream->Write(request);
    answer_ = std::move(answer);
  }
  // The first event, or none.
  bool Accepted() {
    v1::FitDensityResponse event;
    return stream->Read(&event) && event.has_accepted();
  }
  // Answers until the call ends.
  grpc::Status Run() {
    v1::FitDensityResponse event;
    while (stream->Read(&event)) {
      if (event.has_points() && answer_) {
        v1::FitDensityRequest request;
        *request.mutable_values() = answer_(event.points());
        stream->Write(request);
      }
      events.push_back(event);
    }
    return stream->Finish();
  }
  // Until the first points have come.
  v1::DensityPoints NextPoints() {
    v1::FitDensityResponse event;
    while (stream->Read(&event))
      if (event.has_points()) return event.points();
    return {};
  }
  v1::DensityFit Report() const { return events.back().done().report().density_fit(); }

  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriter<v1::FitDensityRequest, v1::FitDensityResponse>> stream;
  std::vector<v1::FitDensityResponse> events;

 private:
  Answer answer_;
};

v1::FlowSpec FlowOf(InProcessServer& server, const std::string& name) {
  v1::GetModelRequest request;
  request.set_name(name);
  v1::GetModelResponse response;
  grpc::ClientContext context;
  EXPECT_TRUE(server.models().GetModel(&context, request, &response).ok()) << name;
  return response.model().flow();
}

TEST(FitDensity, FindsTheCallersDensity) {
  InProcessServer server;
  v1::FitDensitySpec spec = OfClient("normals", 800);
  spec.mutable_options()->set_learning_rate(0.01);
  spec.mutable_options()->set_samples(4000);
  for (v1::DensityColumn& column : *spec.mutable_columns()) column.set_location(1.0);
  Fit fit(server, spec, TwoNormals);
  const grpc::Status status = fit.Run();
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_TRUE(fit.events.front().has_accepted());
  EXPECT_EQ(fit.events.front().accepted().name(), "normals");
  EXPECT_EQ(fit.events.front().accepted().cols(), 2U);
  ASSERT_TRUE(fit.events.back().has_done());
  EXPECT_EQ(fit.events.back().done().version(), 1U);
  EXPECT_EQ(fit.events.back().done().report().stop_reason(), v1::STOP_REASON_MAX_STEPS);
  EXPECT_NEAR(fit.Report().log_normaliser(), 4.0, 0.05);
  EXPECT_GT(fit.Report().effective_sample_fraction(), 0.95);

  v1::LogProbRequest request;
  request.set_name("normals");
  *request.mutable_rows() = MakeMatrix(1, 2, {3.0, -1.0});
  v1::LogProbResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server.density().LogProb(&context, request, &response).ok());
  EXPECT_NEAR(response.log_prob(0), -std::log(2 * std::numbers::pi), 0.15);
}

// Each name is the density of that name: one step over the wire is the core's to the bit.
TEST(FitDensity, EveryBuiltInDensityIsTheOneOfItsName) {
  InProcessServer server;
  const auto backend = CreateCpuBackend();
  for (const Energy energy : AllEnergies()) {
    v1::BuiltInDensity built_in;
    const std::string word = "BUILT_IN_DENSITY_" + absl::AsciiStrToUpper(NameOf(energy));
    ASSERT_TRUE(v1::BuiltInDensity_Parse(word, &built_in)) << word;
    v1::FitDensitySpec spec = Quick(NameOf(energy), 1);
    spec.set_built_in(built_in);
    Fit fit(server, spec);
    ASSERT_TRUE(fit.Run().ok()) << word;
    FitDensityRequest request{.columns = ColumnsOf(energy)};
    request.flow.stack = {
        .architecture = Architecture::kMaf, .layers = 1, .hidden_sizes = std::vector<int>{8}};
    request.options = {.batch_size = 64, .steps = 1, .samples = 500};
    const absl::StatusOr<Model> model =
        FitDensity(request, *CreateTarget(energy), *backend, {}, {});
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ(fit.Report().log_normaliser(), model->report.density_fit->log_normaliser) << word;
  }
}

TEST(FitDensity, BuiltInAndTeacherNeedNoAnswers) {
  InProcessServer server;
  v1::FitDensitySpec spec = Quick("banana");
  spec.set_built_in(v1::BUILT_IN_DENSITY_BANANA);
  Fit teacher(server, spec);
  teacher.stream->WritesDone();
  ASSERT_TRUE(teacher.Run().ok());
  EXPECT_EQ(teacher.Report().samples(), 500U);
  spec = Quick("student", 300);
  spec.clear_flow();
  spec.mutable_teacher()->set_name("banana");
  Fit student(server, spec);
  ASSERT_TRUE(student.Run().ok());
  EXPECT_LT(student.Report().divergence(), 0.1);
  // The teacher unrolled: its base as well, had the caller not chosen another.
  EXPECT_TRUE(FlowOf(server, "student").has_chain());
  spec.set_name("of-normals");
  spec.mutable_flow()->mutable_base()->set_kind(v1::BASE_KIND_STANDARD_NORMAL);
  ASSERT_TRUE(Fit(server, spec).Run().ok());
  EXPECT_EQ(FlowOf(server, "of-normals").stack().architecture(), v1::ARCHITECTURE_IAF);
}

// Density distillation: a served MAF teaches an IAF.
TEST(FitDensity, IafLearnsFromAServedMaf) {
  InProcessServer server;
  v1::FitDensitySpec spec = Quick("maf", 300);
  spec.mutable_flow()->mutable_stack()->set_architecture(v1::ARCHITECTURE_MAF);
  spec.set_built_in(v1::BUILT_IN_DENSITY_BANANA);
  ASSERT_TRUE(Fit(server, spec).Run().ok());
  spec = Quick("iaf", 300);
  spec.mutable_flow()->mutable_stack()->set_architecture(v1::ARCHITECTURE_IAF);
  spec.mutable_teacher()->set_name("maf");
  Fit student(server, spec);
  const grpc::Status status = student.Run();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(student.events.back().done().version(), 1U);
  EXPECT_LT(student.Report().divergence(), 0.1);
}

// No points travel, so that no message bounds the batch.
TEST(FitDensity, BatchesOfBuiltInDensitiesMayExceedAMessage) {
  InProcessServer server([](Config& config) { config.limits.max_message_bytes = 4096; });
  v1::FitDensitySpec spec = OfClient("large", 2);
  spec.mutable_options()->set_batch_size(512);
  const grpc::Status status = Fit(server, spec, TwoNormals).Run();
  EXPECT_EQ(DetailOf(status).field(), "options.batch_size") << status.error_message();
  spec.clear_columns();
  spec.set_built_in(v1::BUILT_IN_DENSITY_U1);
  Fit fit(server, spec);
  ASSERT_TRUE(fit.Accepted());
  const grpc::Status done = fit.Run();
  EXPECT_TRUE(done.ok()) << done.error_message();
}

TEST(FitDensity, RefusesSpecsNamingTheField) {
  InProcessServer server([](Config& config) { config.limits.max_parameters = 10000; });
  const auto expect = [&](const v1::FitDensitySpec& spec, StatusCode code,
                          const std::string& field) {
    const grpc::Status status = Fit(server, spec, TwoNormals).Run();
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_EQ(DetailOf(status).field(), field) << status.error_message();
  };
  v1::FitDensitySpec spec = Quick("a");
  expect(spec, StatusCode::INVALID_ARGUMENT, "target");
  spec.mutable_client();
  expect(spec, StatusCode::INVALID_ARGUMENT, "columns");
  spec = OfClient("a");
  spec.mutable_columns(1)->set_scale(-1.0);
  expect(spec, StatusCode::INVALID_ARGUMENT, "columns[1].scale");
  for (int i = 0; i < 7; ++i) spec.add_columns()->set_name("c" + std::to_string(i));
  expect(spec, StatusCode::RESOURCE_EXHAUSTED, "columns");
  spec = Quick("a");
  spec.set_built_in(static_cast<v1::BuiltInDensity>(99));
  expect(spec, StatusCode::INVALID_ARGUMENT, "built_in");
  spec.set_built_in(v1::BUILT_IN_DENSITY_U1);
  spec.add_columns()->set_name("x");
  expect(spec, StatusCode::INVALID_ARGUMENT, "columns");
  spec = Quick("a");
  spec.mutable_teacher()->set_name("nobody");
  expect(spec, StatusCode::NOT_FOUND, "name");
  spec.mutable_teacher()->set_name("small");
  spec.add_columns()->set_name("x");
  expect(spec, StatusCode::INVALID_ARGUMENT, "columns");
  spec = OfClient("a");
  spec.mutable_options()->set_steps(20'000'000);
  expect(spec, StatusCode::INVALID_ARGUMENT, "options.steps");
  spec = OfClient("a");
  spec.mutable_options()->set_batch_size(65536);
  expect(spec, StatusCode::RESOURCE_EXHAUSTED, "options.batch_size");
  spec = OfClient("a");
  spec.mutable_flow()->mutable_stack()->set_hidden_sizes(0, 100000);
  expect(spec, StatusCode::INVALID_ARGUMENT, "flow.stack.hidden_sizes");
  spec.mutable_flow()->mutable_stack()->set_hidden_sizes(0, 5000);
  expect(spec, StatusCode::RESOURCE_EXHAUSTED, "flow");
}

TEST(FitDensity, RefusesAnswersNamingTheFault) {
  InProcessServer server;
  const auto expect = [&](const std::function<void(v1::DensityValues&)>& spoil,
                          const std::string& field, const std::string& text) {
    int answers = 0;
    Fit fit(server, OfClient("spoilt"), [&](const v1::DensityPoints& points) {
      v1::DensityValues values = TwoNormals(points);
      if (++answers == 3) spoil(values);
      return values;
    });
    const grpc::Status status = fit.Run();
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_EQ(DetailOf(status).field(), field) << status.error_message();
    EXPECT_NE(status.error_message().find(text), std::string::npos) << status.error_message();
  };
  using Values = v1::DensityValues;
  expect([](Values& v) { v.set_id(1); }, "values.id", "3");
  expect([](Values& v) { v.add_log_density(0); }, "values.log_density", "65");
  expect([](Values& v) { v.set_log_density(5, kNan); }, "values.log_density", "row 5");
  expect([](Values& v) { v.set_log_density(6, -1.0 / 0.0), v.set_log_density(7, 1.0 / 0.0); },
         "values.log_density", "row 7");
  expect([](Values& v) { v.clear_gradient(); }, "values.gradient.rows", "");
  expect([](Values& v) { *v.mutable_gradient() = MakeMatrix(32, 4, std::vector<double>(128)); },
         "values.gradient", "32 rows of 4");
  expect(
      [](Values& v) {
        std::vector<double> gradient(128);
        gradient[9] = kNan;
        *v.mutable_gradient() = MakeMatrix(64, 2, gradient);
      },
      "values.gradient", "row 4, column 1");
}

TEST(FitDensity, RefusesMessagesOutOfTurn) {
  InProcessServer server;
  const auto write = [](Fit& fit, const v1::FitDensityRequest& request) {
    fit.stream->Write(request);
    return fit.Run();
  };
  v1::FitDensityRequest values, again, nothing;
  *values.mutable_values() = v1::DensityValues();
  *again.mutable_spec() = OfClient("other");
  {
    Fit fit(server, OfClient("a"));
    const v1::DensityPoints points = fit.NextPoints();
    EXPECT_EQ(points.rows().rows(), 64U);
    const grpc::Status status = write(fit, again);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(DetailOf(status).field(), "spec");
  }
  {
    Fit fit(server, OfClient("a"));
    const grpc::Status status = write(fit, nothing);
    EXPECT_EQ(DetailOf(status).field(), "message");
  }
  {
    v1::FitDensitySpec spec = Quick("a", 10'000'000);
    spec.set_built_in(v1::BUILT_IN_DENSITY_U2);
    Fit fit(server, spec);
    EXPECT_TRUE(fit.Accepted());
    const grpc::Status status = write(fit, values);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(DetailOf(status).field(), "values");
  }
  grpc::ClientContext context;
  auto stream = server.density().FitDensity(&context);
  stream->Write(values);
  v1::FitDensityResponse event;
  EXPECT_FALSE(stream->Read(&event));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
  grpc::ClientContext silent;
  stream = server.density().FitDensity(&silent);
  stream->WritesDone();
  EXPECT_EQ(DetailOf(stream->Finish()).field(), "spec");
}

TEST(FitDensity, CallersWhoLeaveOrFallSilentLoseTheirPlace) {
  InProcessServer server([](Config& config) {
    config.max_trainings = 1;
    config.upload_idle_timeout = absl::Milliseconds(300);
  });
  {
    Fit fit(server, OfClient("closes"));
    fit.NextPoints();
    fit.stream->WritesDone();
    EXPECT_EQ(fit.Run().error_code(), StatusCode::CANCELLED);
  }
  {
    Fit fit(server, OfClient("silent"));
    const grpc::Status status = fit.Run();
    EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED);
    EXPECT_NE(status.error_message().find("--upload_idle_timeout"), std::string::npos);
  }
  {
    Fit fit(server, OfClient("cancels", 10'000'000), TwoNormals);
    fit.NextPoints();
    fit.context.TryCancel();
    EXPECT_EQ(fit.Run().error_code(), StatusCode::CANCELLED);
  }
  grpc::ClientContext context;
  const auto stream = server.density().FitDensity(&context);
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
  // All have given the one place back, the one that cancelled soon.
  for (int attempt = 0;; ++attempt) {
    v1::FitDensitySpec spec = Quick("u1");
    spec.set_built_in(v1::BUILT_IN_DENSITY_U1);
    const grpc::Status status = Fit(server, spec).Run();
    if (status.ok()) break;
    ASSERT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
    ASSERT_LT(attempt, 1000);
    absl::SleepFor(absl::Milliseconds(10));
  }
}

TEST(FitDensity, ShutdownEndsFits) {
  InProcessServer server;
  Fit fit(server, OfClient("endless", 10'000'000));
  fit.NextPoints();
  server.server().Stop();
  EXPECT_EQ(fit.Run().error_code(), StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace millrace

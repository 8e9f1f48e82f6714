// SPDX-License-Identifier: Apache-2.0
// The C++ client of a Millrace server: trains normalizing flows, asks them for log-densities,
// scores, samples and paths.
//
//   millrace::client::Client client({.target = "localhost:50051"});
//   absl::StatusOr<LogProbResult> result = client.LogProb({"moons"}, table);
//
// Rows travel as Table; specifications, models and reports are the messages of proto/millrace/v1,
// which say what every field means. Log-densities are nats in the user's own units.
//
// Errors are absl::Status with the server's code and message;
// proto/millrace/v1/density_service.proto lists the codes. Besides: INVALID_ARGUMENT for a Table
// that breaks its invariants, INTERNAL for a reply that contradicts its contract, UNAVAILABLE where
// no server answers. ErrorDetailOf() in client/status.h gives the field, row and column at fault.
#ifndef MILLRACE_CLIENT_CLIENT_H_
#define MILLRACE_CLIENT_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/options.h"
#include "client/table.h"
#include "millrace/v1/density_service.grpc.pb.h"
#include "millrace/v1/model_service.grpc.pb.h"

namespace millrace::client {

// A model, by name and version; version 0 is the latest that serves.
struct ModelRef {
  std::string name;
  std::uint64_t version = 0;
};

// Every result names the version that was used. Vectors have one entry per row.
struct LogProbResult {
  std::uint64_t version = 0;
  std::vector<double> log_prob;  // nats; -infinity where out of support
  std::vector<bool> out_of_support;
};

struct ScoreOptions {
  std::optional<double> false_positive_rate = std::nullopt;  // unset: the model's
  v1::Contributions contributions = v1::CONTRIBUTIONS_NONE;
};

struct ScoreResult {
  std::uint64_t version = 0;
  std::vector<double> log_prob;          // nats
  std::vector<double> tail_probability;  // (0, 1]
  std::vector<bool> is_anomaly;
  std::vector<bool> out_of_support;
  double false_positive_rate = 0;
  double threshold = 0;  // nats; anomalies are the rows with log_prob below
  Table contributions;   // nats, [rows, columns of the model]; empty when none were asked for
};

struct SampleOptions {
  std::uint64_t count = 1;  // under each condition
  std::uint64_t seed = 0;
  double temperature = 1;
  Table context = {};  // of a conditional model, [conditions to draw under, conditions]
};

struct SampleResult {
  std::uint64_t version = 0;
  Table rows;  // [count, columns of the model], columns named; `count` for each row of context
};

struct InterpolateOptions {
  int steps = 10;  // both ends included
  v1::InterpolationMethod method = v1::INTERPOLATION_METHOD_UNSPECIFIED;
};

struct InterpolateResult {
  std::uint64_t version = 0;
  Table path;                    // [steps, columns of the model], columns named
  std::vector<double> log_prob;  // nats
};

struct CompleteOptions {
  int draws = 0;  // completions of each row; 0: one, the most likely
  std::uint64_t seed = 0;
  int steps = 0;                // v1::CompleteRequest.steps; 0: the server's choice
  std::uint64_t first_row = 0;  // the first row of the table draws as this one
};

// Completion k of row r is the (r * max(draws, 1) + k)-th.
struct CompleteResult {
  std::uint64_t version = 0;
  Table rows;                    // columns of the model, named
  std::vector<double> log_prob;  // nats
  std::vector<bool> out_of_support;
  std::vector<double> acceptance_rate;  // of draws; see v1::CompleteResponse
  std::vector<bool> converged;          // of the most likely
};

// Two sets of rows, with the columns of the model in the same order or by name, and their contexts.
struct AttributeRows {
  Table with;
  Table without;
  Table context_with = {};
  Table context_without = {};
};

struct ManipulateOptions {
  std::string attribute = {};         // of the model; or
  std::vector<double> vector = {};    // of latent space
  std::vector<double> amounts = {1};  // multiples of it to move each row by
};

// Row r moved by amounts[a] is the (r * amounts + a)-th.
struct ManipulateResult {
  std::uint64_t version = 0;
  Table rows;                    // columns of the model, named
  std::vector<double> log_prob;  // nats
  std::vector<bool> out_of_support;
};

struct TransformResult {
  std::uint64_t version = 0;
  Table rows;
};

// Gives a table piece by piece, a piece without rows after the last. All pieces have the same
// columns.
using TableSource = std::function<absl::StatusOr<Table>()>;

// Takes a piece; an error ends the call with that error.
using TableSink = std::function<absl::Status(const Table&)>;

// Rows, and the condition of each or one for all of them; no context for models without conditions.
struct RowsPiece {
  Table rows;
  Table context = {};
};

// Gives rows piece by piece, a piece without rows after the last. All pieces have the same columns.
// Asked ahead: until four messages are on their way, before the answers to the first are handed on.
using RowsSource = std::function<absl::StatusOr<RowsPiece>()>;

// Takes a piece with its answer; an error ends the call with that error.
using LogProbSink = std::function<absl::Status(const RowsPiece&, const LogProbResult&)>;

// Hears of every message of a training (accepted, progress, done), on the calling thread.
using TrainObserver = std::function<void(const v1::TrainResponse&)>;

// A density at points, one a row, in the order of the spec's columns.
struct DensityValues {
  // ln p of each point, nats, up to a constant that is the same for all; -infinity where p is 0.
  std::vector<double> log_density;
  Table gradient;  // its derivatives, [points, columns]; finite
};
// Evaluates a density. Called on the thread of the call; an error ends the fit and is returned.
using DensityFunction = std::function<absl::StatusOr<DensityValues>(const Table& points)>;

// Thread-safe; calls block their thread and may run side by side. Connects on first use, reconnects
// by itself, and never throws. Movable while no call runs.
class Client {
 public:
  explicit Client(ClientOptions options = {});

  // Sends the whole table, then reports progress until the model is published. Where
  // `spec.columns` is empty, the columns are named as the first piece of the table names them. A
  // source's error cancels the training and is returned. Never repeated by itself.
  absl::StatusOr<v1::TrainDone> Train(const v1::TrainSpec& spec, const TableSource& source,
                                      const TrainObserver& observer = {},
                                      const CallOptions& call = {}) const;
  absl::StatusOr<v1::TrainDone> Train(const v1::TrainSpec& spec, const Table& table,
                                      const TrainObserver& observer = {},
                                      const CallOptions& call = {}) const;

  // Fits a model to a density: to `density` where there is one, else to the target of the spec. The
  // observer hears of what happens as in Train. Never repeated by itself. INVALID_ARGUMENT for
  // values that are misshapen.
  absl::StatusOr<v1::TrainDone> FitDensity(const v1::FitDensitySpec& spec,
                                           const DensityFunction& density = {},
                                           const TrainObserver& observer = {},
                                           const CallOptions& call = {}) const;

  // Methods that take rows: named columns are matched by name in any order, nameless ones by
  // position. A large table is sent as several requests, one after the other and each with its own
  // timeout; all use the version that answered the first. Where the server finds a request too
  // large, half as many rows are sent, down to one. Rows are counted over the whole table in
  // errors.
  //
  // `context` is for conditional models p(x | c), whose rows are those of x alone: a row of
  // conditions for each row, or one for all; columns are matched as those of rows.
  absl::StatusOr<LogProbResult> LogProb(const ModelRef& model, const Table& rows,
                                        const Table& context = {},
                                        const CallOptions& call = {}) const;
  // Any number of rows, at least one, in memory for a few pieces: sent while earlier ones are
  // computed, and handed on with their answers in order. Source and sink are called on this thread.
  // The timeout bounds the wait for each reply, not the whole. Where the stream breaks with
  // UNAVAILABLE, or because source or sink took longer than the server waits, it goes on in another
  // from the first row without an answer; options.max_attempts counts from the last answer on.
  // Returns the version, the same for all rows.
  absl::StatusOr<std::uint64_t> LogProb(const ModelRef& model, const RowsSource& source,
                                        const LogProbSink& sink,
                                        const CallOptions& call = {}) const;

  absl::StatusOr<ScoreResult> Score(const ModelRef& model, const Table& rows,
                                    const ScoreOptions& options = {}, const Table& context = {},
                                    const CallOptions& call = {}) const;

  // Rows to latent points [rows, latent_dim], and back.
  absl::StatusOr<TransformResult> Encode(const ModelRef& model, const Table& rows,
                                         const Table& context = {},
                                         const CallOptions& call = {}) const;
  absl::StatusOr<TransformResult> Decode(const ModelRef& model, const Table& latents,
                                         const Table& context = {},
                                         const CallOptions& call = {}) const;

  // Between the two rows of `ends`; `context` is one row, under which the whole path lies.
  absl::StatusOr<InterpolateResult> Interpolate(const ModelRef& model, const Table& ends,
                                                const InterpolateOptions& options = {},
                                                const Table& context = {},
                                                const CallOptions& call = {}) const;

  // Completes rows in which NaN marks missing values.
  absl::StatusOr<CompleteResult> Complete(const ModelRef& model, const Table& rows,
                                          const CompleteOptions& options = {},
                                          const Table& context = {},
                                          const CallOptions& call = {}) const;

  // Publishes the model with one attribute vector more as its next version, which the reply names.
  // The rows are encoded in parts, each repeated as Encode is; the publication never is. What is
  // wrong with a row is named in the fields rows_with and rows_without, with a context in
  // context_with and context_without; what is wrong with the name is heard only after the rows.
  absl::StatusOr<v1::CreateAttributeVectorResponse> CreateAttributeVector(
      const ModelRef& model, const std::string& attribute, const AttributeRows& rows,
      const CallOptions& call = {}) const;
  absl::StatusOr<ManipulateResult> Manipulate(const ModelRef& model, const Table& rows,
                                              const ManipulateOptions& options,
                                              const Table& context = {},
                                              const CallOptions& call = {}) const;

  // Draws rows, of a conditional model options.count for each row of options.context, in order, all
  // in one request; the first form hands each chunk on as it arrives (columns named in every chunk)
  // and returns the version. The timeout bounds the wait for each chunk, not the whole.
  absl::StatusOr<std::uint64_t> Sample(const ModelRef& model, const SampleOptions& options,
                                       const TableSink& sink, const CallOptions& call = {}) const;
  absl::StatusOr<SampleResult> Sample(const ModelRef& model, const SampleOptions& options,
                                      const CallOptions& call = {}) const;

  absl::StatusOr<v1::Model> GetModel(const ModelRef& model, const CallOptions& call = {}) const;

  // The latest version of every model; with a name every version of that model. Fetches all pages,
  // each with its own timeout.
  absl::StatusOr<std::vector<v1::Model>> ListModels(const std::string& name = "",
                                                    const CallOptions& call = {}) const;

  // Deletes one version, and returns the versions deleted. Never repeated by itself. version 0 is
  // INVALID_ARGUMENT.
  absl::StatusOr<std::vector<std::uint64_t>> DeleteModel(const ModelRef& model,
                                                         const CallOptions& call = {}) const;
  absl::StatusOr<std::vector<std::uint64_t>> DeleteAllVersions(const std::string& name,
                                                               const CallOptions& call = {}) const;

 private:
  ClientOptions options_;
  std::unique_ptr<v1::DensityService::Stub> density_;
  std::unique_ptr<v1::ModelService::Stub> models_;
};

}  // namespace millrace::client

#endif  // MILLRACE_CLIENT_CLIENT_H_

// SPDX-License-Identifier: Apache-2.0
#include "core/score/attribution.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/status_macros.h"
#include "core/data/column_transform.h"
#include "core/data/lattice.h"
#include "core/score/line_integral.h"
#include "core/score/log_sum.h"
#include "core/score/placed_rows.h"
#include "core/score/slices.h"

namespace millrace {
namespace {

static_assert(LineIntegral::kFar >= kLargestStandardised);  // else a row may lie outside its line

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kReach = 32.0;        // of a lattice sum, standardised units
constexpr double kFineBin = 1.0 / 16;  // bins as narrow are integrated over, standardised units
constexpr std::int64_t kPointsOfTask = 256;  // wanted at once, about

// Lattice points first .. last; none where last < first.
struct Points {
  double first;
  double last;
};

// The lattice points a sum over a discrete column runs over, and those among them whose bins are
// fine.
struct LatticePlan {
  Points all;
  Points fine;
};

double NearestPoint(const Column& column, double value) {
  return NearestLatticePoint(column.lattice_origin, column.bin_width, value);
}

// Beside a bound bins are wide in standardised units; they shrink with the distance from it.
LatticePlan PlanLattice(const Column& column, double own) {
  const double width = column.bin_width;
  const Points all{FromModel(column, std::min(0.0, own) - kReach),
                   FromModel(column, std::max(0.0, own) + kReach)};
  Points fine{kInfinity, -kInfinity};
  if (column.lower || column.upper) {
    // Of two bounds the nearer one makes the slope, within a factor of 2.
    const double distance =
        (column.lower && column.upper ? 2.0 : 1.0) * width / (column.scale * kFineBin);
    fine = all;
    if (column.lower)
      fine.first = std::max(all.first, NearestPoint(column, *column.lower + distance));
    if (column.upper)
      fine.last = std::min(all.last, NearestPoint(column, *column.upper - distance));
  } else if (width / column.scale < kFineBin) {
    fine = all;
  }
  return {all, fine};
}

// The log of the integral, or sum, of the flow's density along one column at one offset, times what
// the chains of the other columns contribute. The flow is asked for its density at wanted() values
// of that column: once at the points of the sum, then as the integral wants.
class ColumnTask {
 public:
  // `own` is the row's standardised value, `others` the log_det of the other columns.
  ColumnTask(std::int64_t row, int active, int offset, double own, double others)
      : row_(row), active_(active), offset_(offset), others_(others), integral_(own) {}

  void UseLattice(const Column& column, double position, double own) {
    const LatticePlan plan = PlanLattice(column, own);
    const double width = column.bin_width;
    integral_.reset();
    for (double k = 0.0; plan.all.first + k * width < plan.all.last + 0.5 * width; ++k) {
      const double point = plan.all.first + k * width;
      if (point > plan.fine.first - 0.5 * width && point < plan.fine.last + 0.5 * width) {
        k += std::nearbyint((plan.fine.last - point) / width);
        const double low = ToModel(column, plan.fine.first, 0.0).standardised;
        const double high = ToModel(column, plan.fine.last, 1.0).standardised;
        if (low < high) integral_.emplace(own, low, high);
        continue;
      }
      const ModelValue value = ToModel(column, point, position);
      if (!value.in_support) continue;
      lattice_.push_back(value.standardised);
      log_weights_.push_back(value.log_det + std::log(width));
    }
  }

  std::int64_t row() const { return row_; }
  int active() const { return active_; }
  int offset() const { return offset_; }
  std::span<const double> wanted() const {
    if (!lattice_.empty()) return lattice_;
    return integral_ ? integral_->wanted() : std::span<const double>();
  }
  void Supply(std::span<const double> log_densities) {
    if (lattice_.empty()) return integral_->Supply(log_densities);
    for (std::size_t i = 0; i < lattice_.size(); ++i) log_weights_[i] += log_densities[i];
    log_sum_ = LogSumExp(log_weights_);
    lattice_.clear();
  }
  double result() const {
    const double parts[] = {log_sum_, integral_ ? integral_->log_integral() : -kInfinity};
    return others_ + LogSumExp(parts);
  }

 private:
  std::int64_t row_;
  int active_;
  int offset_;
  double others_;
  std::optional<LineIntegral> integral_;
  std::vector<double> lattice_;  // standardised; empty once supplied
  std::vector<double> log_weights_;
  double log_sum_ = -kInfinity;
};

ColumnTask TaskOf(const ColumnModel& columns, const PlacedRows& placed, std::int64_t row, int i,
                  int offset) {
  const Column& column = columns.columns()[columns.active()[i]];
  const double own = placed.standardised()(placed.Index(row, offset), i);
  ColumnTask task(row, i, offset, own, placed.LogDetOfOthers(row, offset, i));
  if (column.type == ColumnType::kDiscrete)
    task.UseLattice(column, columns.Position(i, offset), own);
  return task;
}

// Runs tasks to their end, round by round; what all of them want goes to the backend together.
absl::Status RunTasks(const AttributionInput& input, const PlacedRows& placed,
                      std::span<ColumnTask> tasks, const std::stop_token& stop) {
  const int dim = input.columns.dim();
  while (true) {
    std::int64_t points = 0;
    for (const ColumnTask& task : tasks) points += static_cast<std::int64_t>(task.wanted().size());
    if (points == 0) return absl::OkStatus();
    const RowsView<const float> contexts = placed.context();
    Rows<float> x(points, dim), context(contexts.rows == 0 ? 0 : points, contexts.cols);
    std::int64_t next = 0;
    for (const ColumnTask& task : tasks) {
      const float* row = placed.standardised().row(placed.Index(task.row(), task.offset())).data();
      for (const double t : task.wanted()) {
        std::copy_n(row, dim, x.data() + next * dim);
        if (context.rows() > 0)
          std::ranges::copy(contexts.row(task.row()), context.view().row(next).begin());
        x(next++, task.active()) = static_cast<float>(t);
      }
    }
    std::vector<double> log_prob(static_cast<std::size_t>(points));
    MILLRACE_RETURN_IF_ERROR(
        input.backend.LogProb(input.weights, x.view(), context.view(), log_prob, stop));
    auto from = log_prob.begin();
    for (ColumnTask& task : tasks) {
      const auto size = static_cast<std::ptrdiff_t>(task.wanted().size());
      if (size == 0) continue;
      task.Supply({from, from + size});
      from += size;
    }
  }
}

// Floats of a row as the flow takes it: itself and its context.
std::int64_t FloatsOfRow(const AttributionInput& input) {
  return input.columns.dim() + input.conditions.dim();
}

// Terms of rows [first, first + count).
absl::Status ConditionalTermsOf(const AttributionInput& input, std::int64_t first,
                                std::int64_t count, const std::stop_token& stop,
                                Rows<double>& out) {
  const ColumnModel& columns = input.columns;
  const PlacedRows placed(columns, input.conditions, input.rows.Slice(first, count), input.context,
                          first);
  // As many tasks at a time as keep a batch within its size.
  const auto at_once = static_cast<std::size_t>(
      std::max<std::int64_t>(1, kBatchFloats / (kPointsOfTask * FloatsOfRow(input))));
  std::vector<double> results(static_cast<std::size_t>(count) * columns.dim() *
                              columns.num_offsets());
  for (std::size_t begin = 0; begin < results.size(); begin += at_once) {
    std::vector<ColumnTask> tasks;
    for (std::size_t t = begin; t < std::min(begin + at_once, results.size()); ++t) {
      const auto offset = static_cast<int>(t % columns.num_offsets());
      const auto i = static_cast<int>(t / columns.num_offsets() % columns.dim());
      const auto r = static_cast<std::int64_t>(t / columns.num_offsets() / columns.dim());
      if (input.log_prob[first + r] > -kInfinity)
        tasks.push_back(TaskOf(columns, placed, r, i, offset));
    }
    MILLRACE_RETURN_IF_ERROR(RunTasks(input, placed, tasks, stop));
    for (const ColumnTask& task : tasks)
      results[(task.row() * columns.dim() + task.active()) * columns.num_offsets() +
              task.offset()] = task.result();
  }
  for (std::int64_t r = 0; r < count; ++r) {
    for (int i = 0; i < columns.dim(); ++i) {
      const std::span<const double> of_offsets(
          results.data() + (r * columns.dim() + i) * columns.num_offsets(), columns.num_offsets());
      const double log_prob = input.log_prob[first + r];
      if (log_prob > -kInfinity)
        out(first + r, columns.active()[i]) = log_prob - LogMeanExp(of_offsets);
    }
  }
  return absl::OkStatus();
}

Rows<double> EmptyTerms(const AttributionInput& input) {
  Rows<double> out(input.rows.rows, input.columns.num_columns());
  for (std::int64_t r = 0; r < out.rows(); ++r) {
    const bool has_density = input.log_prob[r] > -kInfinity;
    for (int c = 0; c < out.cols(); ++c) out(r, c) = has_density ? 0.0 : kNaN;
  }
  return out;
}

// Calls terms_of(first, count, out) for all rows, in slices whose placed rows fit a batch.
template <typename TermsOf>
absl::StatusOr<Rows<double>> AllTerms(const AttributionInput& input, const TermsOf& terms_of) {
  Rows<double> out = EmptyTerms(input);
  const std::int64_t floats = FloatsOfRow(input) * input.columns.num_offsets();
  MILLRACE_RETURN_IF_ERROR(InSlices(
      out.rows(), floats,
      [&](std::int64_t first, std::int64_t count) { return terms_of(first, count, out); }));
  return out;
}

absl::Status ChainTermsOf(const AttributionInput& input, std::int64_t first, std::int64_t count,
                          const std::stop_token& stop, Rows<double>& out) {
  const ColumnModel& columns = input.columns;
  const int offsets = columns.num_offsets();
  const PlacedRows placed(columns, input.conditions, input.rows.Slice(first, count), input.context,
                          first);
  Rows<double> terms(count * offsets, columns.dim());
  Rows<float> context(placed.context().rows * offsets, placed.context().cols);
  for (std::int64_t i = 0; i < context.rows(); ++i)
    std::ranges::copy(placed.context().row(i / offsets), context.view().row(i).begin());
  MILLRACE_RETURN_IF_ERROR(input.backend.ChainTerms(input.weights, placed.standardised(),
                                                    context.view(), terms.view(), stop));
  std::vector<double> prefix(offsets);
  for (std::int64_t r = 0; r < count; ++r) {
    if (!(input.log_prob[first + r] > -kInfinity)) continue;
    std::fill(prefix.begin(), prefix.end(), 0.0);
    double before = 0.0;
    for (int i = 0; i < columns.dim(); ++i) {
      for (int k = 0; k < offsets; ++k)
        prefix[k] += terms(placed.Index(r, k), i) + placed.LogDet(r, k, i);
      const double joint = LogMeanExp(prefix);
      out(first + r, columns.active()[i]) = joint - before;
      before = joint;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Rows<double>> ConditionalTerms(const AttributionInput& input, std::stop_token stop) {
  return AllTerms(input, [&](std::int64_t first, std::int64_t count, Rows<double>& out) {
    return ConditionalTermsOf(input, first, count, stop, out);
  });
}

absl::StatusOr<Rows<double>> ChainTerms(const AttributionInput& input, std::stop_token stop) {
  return AllTerms(input, [&](std::int64_t first, std::int64_t count, Rows<double>& out) {
    return ChainTermsOf(input, first, count, stop, out);
  });
}

}  // namespace millrace

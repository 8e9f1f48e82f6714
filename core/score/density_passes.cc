// SPDX-License-Identifier: Apache-2.0
// The passes of a density: jobs become a batch of its backend, whose blocks are read from what the
// callers gave and written to where they want it, on the backend's threads.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/data/column_fit.h"
#include "core/score/density.h"
#include "core/score/job_batch.h"
#include "core/score/log_sum.h"

namespace millrace {
namespace {

using Part = JobBatch::Part;

constexpr double kMaxTemperature = 10.0;

// A block holds all offsets of its rows.
static_assert(kRowAlign % kNumOffsets == 0 && kNumOffsets > kAloneRows);

absl::Status RowError(absl::string_view field, std::int64_t row, absl::string_view value,
                      absl::string_view expected) {
  return MakeError(absl::StatusCode::kInvalidArgument, {.field = std::string(field),
                                                        .row = row,
                                                        .column = std::nullopt,
                                                        .value = std::string(value),
                                                        .expected = std::string(expected)});
}

// Loads a block of a batch: calls use(part, its rows of x, its log_det) for the parts that are
// wanted. x has `dim` columns, and `times` rows for each of a job. Whether anything is wanted.
template <typename Use>
bool LoadParts(const JobBatch& batch, const RowBlock& block, int dim, int times, const Use& use) {
  bool wanted = false;
  batch.ForEachPart(block.first, block.count, [&](const Part& part) {
    const RowsView<float> x{block.x + part.at * dim, part.count * times, dim};
    if (batch.IsWanted(part)) {
      wanted = true;
      use(part, x, std::span(block.log_det + part.at, static_cast<std::size_t>(x.rows)));
    } else {
      std::fill_n(x.data, x.rows * x.cols, 0.0f);
    }
    batch.LoadContext(part, block.context);
  });
  return wanted;
}

// Calls use(part, its rows) for the parts of a block's result; rows that are not finite fail.
template <typename Use>
void TakeParts(const JobBatch& batch, const BlockResult& result, const Use& use) {
  batch.ForEachPart(result.first, result.rows.rows, [&](const Part& part) {
    const RowsView<const float> rows = result.rows.Slice(part.at, part.count);
    for (std::int64_t r = 0; r < rows.rows; ++r) {
      if (!std::ranges::all_of(rows.row(r), [](float v) { return std::isfinite(v); }))
        batch.Fail(part, r);
    }
    use(part, rows);
  });
}

absl::Status CheckLatentShape(const NumberRows& latent, int dim) {
  if (latent.rows < 1)
    return InvalidArgument("latents", absl::StrCat(latent.rows, " rows"), "at least 1");
  if (latent.cols == dim) return absl::OkStatus();
  return InvalidArgument("latents", absl::StrCat(latent.cols, " columns"),
                         absl::StrCat(dim, " columns"));
}

absl::Status CheckLatent(const NumberRows& latent, std::int64_t r) {
  for (int c = 0; c < latent.cols; ++c) {
    if (!std::isfinite(latent(r, c)))
      return MakeError(absl::StatusCode::kInvalidArgument, {.field = "latents",
                                                            .row = r,
                                                            .column = c,
                                                            .value = absl::StrCat(latent(r, c)),
                                                            .expected = "a finite number"});
  }
  return absl::OkStatus();
}

// Numbers of row r in single precision. False unless all are finite.
bool ReadFloats(const NumberRows& rows, std::int64_t r, std::span<float> out) {
  std::array<double, 64> tile;
  bool finite = true;
  for (std::size_t begin = 0; begin < out.size(); begin += tile.size()) {
    const std::span<double> values(tile.data(), std::min(tile.size(), out.size() - begin));
    rows.Read(r, static_cast<int>(begin), values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      finite = finite && std::isfinite(values[i]);
      out[begin + i] = static_cast<float>(values[i]);
    }
  }
  return finite;
}

}  // namespace

std::vector<absl::Status> Density::LogProbMany(std::span<const LogProbJob> jobs) const {
  const ColumnModel& columns = model_->columns;
  const int offsets = columns.num_offsets();
  JobBatch batch(model_->context, jobs.size(), offsets);
  for (const LogProbJob& job : jobs) {
    MILLRACE_CHECK(std::ssize(job.log_prob) == job.rows.rows);
    MILLRACE_CHECK(std::ssize(job.out_of_support) == job.rows.rows);
    batch.Add(columns.CheckShape(job.rows), job.rows.rows, job.context, job.stop);
  }
  const auto outside = [&](const Part& part) {
    return jobs[part.job].out_of_support.subspan(static_cast<std::size_t>(part.first),
                                                 static_cast<std::size_t>(part.count));
  };
  const auto load = [&](const RowBlock& block) {
    const auto load_part = [&](const Part& part, RowsView<float> x, std::span<double> log_det) {
      const NumberRows rows = jobs[part.job].rows.Slice(part.first, part.count);
      const std::int64_t bad = columns.ToModelAtOffsets(rows, x, log_det, outside(part));
      if (bad < part.count) batch.Fail(part, bad);
    };
    return LoadParts(batch, block, columns.dim(), offsets, load_part);
  };
  const auto take = [&](const BlockResult& result) {
    batch.ForEachPart(result.first, std::ssize(result.values), [&](const Part& part) {
      for (std::int64_t r = 0; r < part.count; ++r)
        jobs[part.job].log_prob[part.first + r] =
            outside(part)[r] ? -std::numeric_limits<double>::infinity()
                             : LogMeanExp(result.values.subspan(part.at + r * offsets, offsets));
    });
  };
  const absl::Status computed = backend_.LogProb(*weights_, batch.rows(), load, take, {});
  return batch.Finish(computed, [&](std::size_t j, std::int64_t r) {
    MILLRACE_RETURN_IF_ERROR(columns.CheckRow(jobs[j].rows, r));
    return batch.CheckContext(j, r);
  });
}

std::vector<absl::Status> Density::SampleMany(std::span<const SampleJob> jobs) const {
  JobBatch batch(model_->context, jobs.size(), 1);
  for (const SampleJob& job : jobs) {
    MILLRACE_CHECK(job.rows.cols == model_->columns.num_columns());
    batch.Add(CheckSample(job), job.rows.rows, job.context, job.stop);
  }
  const auto load = [&](const SampleBlock& block) {
    bool wanted = false;
    batch.ForEachPart(block.first, std::ssize(block.keys), [&](const Part& part) {
      wanted = batch.IsWanted(part) || wanted;
      const SampleJob& job = jobs[part.job];
      const std::uint64_t first = job.first_row + static_cast<std::uint64_t>(part.first);
      for (std::int64_t r = 0; r < part.count; ++r)
        block.keys[part.at + r] = {job.seed, first + static_cast<std::uint64_t>(r),
                                   job.temperature};
      batch.LoadContext(part, block.context);
    });
    return wanted;
  };
  const auto take = [&](const BlockResult& result) {
    TakeParts(batch, result, [&](const Part& part, RowsView<const float> x) {
      model_->columns.FromModel(x, jobs[part.job].rows.Slice(part.first, part.count));
    });
  };
  const absl::Status computed =
      backend_.Sample(*weights_, batch.rows(), load, take, Backend::SampleValues::kNone, {});
  return batch.Finish(computed, [&](std::size_t j, std::int64_t r) {
    MILLRACE_RETURN_IF_ERROR(batch.CheckContext(j, r));
    return absl::FailedPreconditionError(absl::StrCat(
        "sample ", jobs[j].first_row + static_cast<std::uint64_t>(r), " at temperature ",
        jobs[j].temperature, " overflows single precision; lower the temperature"));
  });
}

absl::Status Density::CheckSample(const SampleJob& job) {
  if (job.rows.rows < 1) return InvalidArgument("count", absl::StrCat(job.rows.rows), "at least 1");
  if (job.temperature >= 0.0 && job.temperature <= kMaxTemperature) return absl::OkStatus();
  return InvalidArgument("temperature", absl::StrCat(job.temperature),
                         absl::StrCat("a number from 0 to ", kMaxTemperature));
}

absl::Status Density::Encode(const MapJob& job) const {
  const ColumnModel& columns = model_->columns;
  MILLRACE_CHECK(job.to.rows == job.from.rows && job.to.cols == columns.dim());
  JobBatch batch(model_->context, 1, 1);
  batch.Add(columns.CheckShape(job.from), job.from.rows, job.context, job.stop);
  std::vector<std::uint8_t> outside(static_cast<std::size_t>(batch.rows()));
  const auto load = [&](const RowBlock& block) {
    const auto load_part = [&](const Part& part, RowsView<float> x, std::span<double> log_det) {
      const std::span<std::uint8_t> of_part(outside.data() + part.first,
                                            static_cast<std::size_t>(part.count));
      (void)columns.ToModel(job.from.Slice(part.first, part.count), ColumnModel::kBinCentres, x,
                            log_det, of_part);
      const auto bad = std::ranges::find(of_part, 1);
      if (bad != of_part.end()) batch.Fail(part, bad - of_part.begin());
    };
    return LoadParts(batch, block, columns.dim(), 1, load_part);
  };
  const auto take = [&](const BlockResult& result) {
    TakeParts(batch, result, [&](const Part& part, RowsView<const float> z) {
      std::copy_n(z.data, z.rows * z.cols, job.to.data + part.first * z.cols);
    });
  };
  const absl::Status computed = backend_.Forward(*weights_, batch.rows(), load, take, {});
  const auto explain = [&](std::size_t j, std::int64_t r) {
    MILLRACE_RETURN_IF_ERROR(columns.CheckRow(job.from, r));
    MILLRACE_RETURN_IF_ERROR(batch.CheckContext(j, r));
    if (!outside[static_cast<std::size_t>(r)])
      return RowError("rows", r, "a latent point that overflows", "a row nearer to the data");
    return RowError("rows", r, "a row outside the support",
                    "values within declared bounds, on their lattice, and of constant columns the "
                    "constant");
  };
  return batch.Finish(computed, explain).front();
}

absl::Status Density::Decode(const MapJob& job) const {
  const int dim = model_->columns.dim();
  MILLRACE_CHECK(job.to.rows == job.from.rows && job.to.cols == model_->columns.num_columns());
  JobBatch batch(model_->context, 1, 1);
  batch.Add(CheckLatentShape(job.from, dim), job.from.rows, job.context, job.stop);
  const auto load = [&](const RowBlock& block) {
    const auto load_part = [&](const Part& part, RowsView<float> z, std::span<double>) {
      for (std::int64_t r = 0; r < part.count; ++r)
        if (!ReadFloats(job.from, part.first + r, z.row(r))) batch.Fail(part, r);
    };
    return LoadParts(batch, block, dim, 1, load_part);
  };
  const auto take = [&](const BlockResult& result) {
    TakeParts(batch, result, [&](const Part& part, RowsView<const float> x) {
      model_->columns.FromModel(x, job.to.Slice(part.first, part.count));
    });
  };
  const absl::Status computed = backend_.Inverse(*weights_, batch.rows(), load, take, {});
  const auto explain = [&](std::size_t j, std::int64_t r) {
    MILLRACE_RETURN_IF_ERROR(CheckLatent(job.from, r));
    MILLRACE_RETURN_IF_ERROR(batch.CheckContext(j, r));
    return RowError("latents", r, "a row that overflows", "a latent point nearer to 0");
  };
  return batch.Finish(computed, explain).front();
}

}  // namespace millrace

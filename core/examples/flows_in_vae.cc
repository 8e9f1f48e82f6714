// SPDX-License-Identifier: Apache-2.0
// Trains VAEs on MNIST digits of 8 x 8 pixels, without flows and with a flow as posterior or prior,
// and compares their ELBOs on digits they have not seen.
//
//   millrace_flows_in_vae <train-images-idx3-ubyte.gz> [steps [seed [samples.pgm]]]
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/examples/digits.h"
#include "core/examples/train_vae.h"
#include "core/examples/vae.h"

namespace millrace::examples {
namespace {

constexpr std::int64_t kHeldOut = 10000;  // the last of the file's digits
constexpr int kSamplesALine = 20;
constexpr int kSampleLines = 4;
constexpr int kSamples = kSamplesALine * kSampleLines;  // of each model

struct Variant {
  const char* name;
  int posterior_layers;
  int prior_layers;
  int width;  // of encoder and decoder
};
constexpr Variant kVariants[] = {
    {"plain VAE", 0, 0, 128},
    {"plain VAE, wider", 0, 0, 170},  // as many parameters as with a flow
    {"IAF posterior", 4, 0, 128},
    {"autoregressive prior", 0, 4, 128}};

struct Result {
  const char* name;
  std::size_t parameters;
  ElboEstimate held_out;
  double seconds;
  Rows<float> samples;
};

// Prints the mean ELBO of the batches of each tenth of the run.
VaeProgress PrintTenths(int steps) {
  return [steps, sum = 0.0, count = 0](int step, double elbo) mutable {
    sum += elbo;
    ++count;
    if (step * std::int64_t{10} / steps == (step - 1) * std::int64_t{10} / steps) return;
    std::printf("  step %6d  ELBO of the batches %8.3f\n", step, sum / count);
    std::fflush(stdout);
    sum = count = 0;
  };
}

absl::StatusOr<Result> Run(const Variant& variant, RowsView<const float> digits,
                           const VaeTraining& training) {
  VaeSpec spec;
  spec.pixels = kDigitPixels;
  spec.seed = training.seed;
  spec.hidden_sizes = {variant.width, variant.width};
  spec.posterior_layers = variant.posterior_layers;
  spec.prior_layers = variant.prior_layers;
  auto vae = Vae::Create(spec);
  if (!vae.ok()) return vae.status();
  std::printf("%s\n", variant.name);
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t rows = digits.rows - kHeldOut;
  TrainVae(digits.Slice(0, rows), training, PrintTenths(training.steps), **vae);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  std::size_t parameters = 0;
  for (const Vae::Part part : {Vae::kNetworks, Vae::kPosterior, Vae::kPrior})
    parameters += (*vae)->layout(part).count();
  return Result{variant.name, parameters,
                EstimateElbo(digits.Slice(rows, kHeldOut), training.seed + 1, **vae), spent.count(),
                (*vae)->Sample(kSamples, training.seed)};
}

void PrintTable(const std::vector<Result>& results, const VaeTraining& training) {
  std::printf(
      "\nNats a digit, on the last %d digits of the file, after %d steps of %d digits, seed "
      "%llu\n",
      static_cast<int>(kHeldOut), training.steps, training.batch_size,
      static_cast<unsigned long long>(training.seed));
  std::printf("%-22s %8s %8s %12s %8s %11s %8s\n", "", "ELBO", "+-", "ln p(x | z)", "KL",
              "parameters", "seconds");
  for (const Result& r : results)
    std::printf("%-22s %8.3f %8.3f %12.3f %8.3f %11zu %8.0f\n", r.name, r.held_out.elbo,
                r.held_out.standard_error, r.held_out.log_likelihood, r.held_out.divergence,
                r.parameters, r.seconds);
}

// The samples of each model, kSampleLines lines of them, as a binary PGM: ink is black.
bool WriteSamples(const std::string& path, const std::vector<Result>& results) {
  constexpr int kCell = kDigitSide + 1;
  const int width = kSamplesALine * kCell;
  const int height = static_cast<int>(results.size()) * kSampleLines * kCell;
  std::vector<unsigned char> image(static_cast<std::size_t>(width) * height, 128);
  for (std::size_t m = 0; m < results.size(); ++m) {
    for (int s = 0; s < kSamples; ++s) {
      const int top = (static_cast<int>(m) * kSampleLines + s / kSamplesALine) * kCell;
      const int left = s % kSamplesALine * kCell;
      for (int p = 0; p < kDigitPixels; ++p)
        image[(top + p / kDigitSide) * width + left + p % kDigitSide] =
            static_cast<unsigned char>(255.0f * (1.0f - results[m].samples(s, p)));
    }
  }
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return false;
  std::fprintf(file, "P5\n%d %d\n255\n", width, height);
  const bool written = std::fwrite(image.data(), 1, image.size(), file) == image.size();
  return std::fclose(file) == 0 && written;
}

absl::Status Main(const std::string& digits_path, const VaeTraining& training,
                  const std::string& samples_path) {
  MILLRACE_ASSIGN_OR_RETURN(const Rows<float> digits, ReadDigits(digits_path));
  if (digits.rows() <= kHeldOut)
    return InvalidArgument("digits", absl::StrCat(digits.rows(), " images"),
                           absl::StrCat("more than ", kHeldOut));
  std::vector<Result> results;
  for (const Variant& variant : kVariants) {
    MILLRACE_ASSIGN_OR_RETURN(Result result, Run(variant, digits.view(), training));
    results.push_back(std::move(result));
  }
  PrintTable(results, training);
  if (!samples_path.empty() && !WriteSamples(samples_path, results))
    return absl::UnknownError(absl::StrCat("samples: cannot write ", samples_path));
  return absl::OkStatus();
}

}  // namespace
}  // namespace millrace::examples

int main(int argc, char** argv) {
  millrace::examples::VaeTraining training;
  if (argc < 2 || argc > 5 ||
      (argc > 2 && (!absl::SimpleAtoi(argv[2], &training.steps) || training.steps < 1)) ||
      (argc > 3 && !absl::SimpleAtoi(argv[3], &training.seed))) {
    std::fprintf(stderr, "usage: %s <train-images-idx3-ubyte.gz> [steps [seed [samples.pgm]]]\n",
                 argv[0]);
    return 2;
  }
  const absl::Status status = millrace::examples::Main(argv[1], training, argc > 4 ? argv[4] : "");
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

// SPDX-License-Identifier: Apache-2.0
#include "core/train/energies.h"

#include "core/base/check.h"
#include "core/math/energies.h"

namespace millrace {
namespace {

template <typename Formula>
class PlaneTarget final : public TargetDensity {
 public:
  absl::Status Evaluate(RowsView<const double> x, std::span<double> log_density,
                        RowsView<double> gradient) override {
    MILLRACE_CHECK(x.cols == 2);
    for (std::int64_t r = 0; r < x.rows; ++r) {
      log_density[r] = Formula::LogDensity(x(r, 0), x(r, 1));
      const PlaneSlope<double> slope = Formula::Slope(x(r, 0), x(r, 1));
      gradient(r, 0) = slope.x;
      gradient(r, 1) = slope.y;
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::span<const Energy> AllEnergies() {
  static constexpr Energy kAll[] = {Energy::kU1, Energy::kU2,     Energy::kU3,
                                    Energy::kU4, Energy::kBanana, Energy::kMixture};
  return kAll;
}

const char* NameOf(Energy energy) {
  switch (energy) {
    case Energy::kU1:
      return "u1";
    case Energy::kU2:
      return "u2";
    case Energy::kU3:
      return "u3";
    case Energy::kU4:
      return "u4";
    case Energy::kBanana:
      return "banana";
    case Energy::kMixture:
      return "mixture";
  }
  return "unknown";
}

std::vector<DensityColumn> ColumnsOf(Energy energy) {
  const double width = energy == Energy::kU1 ? 1.5 : 2.5;
  return {{"x0", 0.0, width}, {"x1", 0.0, energy == Energy::kMixture ? width : 1.5}};
}

std::unique_ptr<TargetDensity> CreateTarget(Energy energy) {
  switch (energy) {
    case Energy::kU1:
      return std::make_unique<PlaneTarget<EnergyU1>>();
    case Energy::kU2:
      return std::make_unique<PlaneTarget<EnergyU2>>();
    case Energy::kU3:
      return std::make_unique<PlaneTarget<EnergyU3>>();
    case Energy::kU4:
      return std::make_unique<PlaneTarget<EnergyU4>>();
    case Energy::kBanana:
      return std::make_unique<PlaneTarget<BananaEnergy>>();
    case Energy::kMixture:
      return std::make_unique<PlaneTarget<MixtureEnergy>>();
  }
  MILLRACE_CHECK(false);
  return nullptr;
}

}  // namespace millrace

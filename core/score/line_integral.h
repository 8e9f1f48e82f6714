// SPDX-License-Identifier: Apache-2.0
// The integral of exp(f) over a stretch of the real line for an f that is dear to evaluate,
// unnormalised, perhaps very narrow and with several modes: a joint density along one column.
#ifndef MILLRACE_CORE_SCORE_LINE_INTEGRAL_H_
#define MILLRACE_CORE_SCORE_LINE_INTEGRAL_H_

#include <cstddef>
#include <span>
#include <vector>

namespace millrace {

// Says at which points f is wanted, is supplied with the values, and so on until nothing is wanted:
// so that many integrals can share one batch of evaluations. All points are single-precision
// numbers.
//
//   1. Scan: points 1/8 apart in [-4, 4], further and further apart out to +-kFar, and one that
//      is given.
//   2. Hunt: every local maximum of f among the points is bracketed ever closer (halving, and the
//      vertex of the parabola through three points, exact for normal peaks) until f falls by less
//      than 2 between neighbours. f grows towards a mode from afar even where exp(f) is zero to all
//      digits, so modes far narrower than the scan are found as long as they are 1/4 apart, or f
//      shows a dip between them on the way down.
//   3. Inspect: where 99.5 % of the mass seen lies, points are put 1/256 of that stretch apart, and
//      what rises between them is hunted: for a peak on top of a broad density shows nothing from
//      afar.
//   4. Refine: adaptive Simpson between neighbours, until the estimated error is below 1e-3 of the
//      whole.
//
// What may be missed: peaks on top of broader mass, much narrower than 1/256 of the stretch it
// fills. What lies beyond +-kFar counts nothing, nor does a stretch whose ends bound it to 1e-7 of
// the whole. Stretches are not divided below 4e-6 (relative beyond 1): narrower peaks are
// not resolved. At most 8192 points are asked for; the integral then stands as it is.
class LineIntegral {
 public:
  // Over [low, high], low < high. `point` is known to matter; f there will be asked for if it lies
  // inside.
  explicit LineIntegral(double point, double low = -kFar, double high = kFar);
  // As far as standardised values go (kLargestStandardised in core/data/column_transform.h).
  static constexpr double kFar = 7e8;

  // Where f is wanted; empty when the integral is done.
  std::span<const double> wanted() const { return wanted_; }
  // f at wanted(), in their order. What is NaN or +infinity counts as -infinity.
  void Supply(std::span<const double> values);

  // log of the integral, -infinity where exp(f) is zero everywhere. Once done.
  double log_integral() const { return log_integral_; }
  int evaluations() const { return evaluations_; }

 private:
  struct Node {
    double t;
    double f;
  };
  // A stretch with a point near its middle; mass by Simpson's rule and its error, in units of
  // exp(top_).
  struct Stretch {
    Node a, m, b;
    double mass;
    double error;
  };

  void Insert(std::span<const double> values);
  void Want(double t, double low, double high);
  void Hunt();
  void HuntAround(const Node& a, const Node& b, const Node& c);
  double TrapezoidMass(std::size_t i) const;  // between nodes i and i + 1
  void Inspect();
  void StartRefining();
  void TakeMidpoints(std::span<const double> values);
  void TakeQuarters(std::span<const double> values);
  void ChooseSplits();
  void Finish();
  double Simpson(const Node& a, const Node& m, const Node& b) const;

  enum class Phase { kScan, kHunt, kMidpoints, kRefine, kDone };
  Phase phase_ = Phase::kScan;
  int rounds_ = 0;
  bool inspected_ = false;
  int evaluations_ = 0;
  double top_ = 0.0;  // largest f seen; the scale of masses
  std::vector<double> wanted_;
  std::vector<Node> nodes_;  // ascending in t
  std::vector<Stretch> stretches_;
  // Indices of stretches_ whose midpoints (kMidpoints) or pairs of quarter points (kRefine) are
  // wanted.
  std::vector<std::size_t> splitting_;
  double log_integral_ = 0.0;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_LINE_INTEGRAL_H_

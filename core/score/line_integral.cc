// SPDX-License-Identifier: Apache-2.0
#include "core/score/line_integral.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

namespace millrace {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNear = 4.0;     // half width of the dense part of the scan
constexpr double kStep = 0.125;   // its step
constexpr double kGrowth = 1.2;   // of the scan's steps beyond
constexpr double kVeryFar = 1e3;  // where the growth becomes
constexpr double kFastGrowth = 4.0;
constexpr double kShortest = 4e-6;  // stretch that is still divided
constexpr double kResolved = 2.0;   // fall of f between neighbours of a peak
constexpr double kHopeless = 30.0;  // a peak this far below the highest point counts nothing
constexpr double kNegligible = 1e-7;
constexpr double kTolerance = 1e-3;
constexpr double kInspectedMass = 0.995;
constexpr double kInspectedPoints = 256.0;
constexpr int kMostHunts = 48;
constexpr int kMostEvaluations = 8192;

double Single(double t) { return static_cast<float>(t); }

double Clean(double f) { return f < kInfinity ? f : -kInfinity; }

bool CanDivide(double a, double b) {
  return b - a > kShortest * std::max({1.0, std::abs(a), std::abs(b)});
}

bool Similar(double x, double y) { return x < 1.5 * y && y < 1.5 * x; }

// For f <= top; never overflows.
double ExpBelow(double f, double top) { return std::exp(f - top); }

}  // namespace

LineIntegral::LineIntegral(double point, double low, double high) {
  wanted_ = {point, low, high};
  for (double t = 0.0; t < kFar;
       t += t < kNear ? kStep : t * ((t < kVeryFar ? kGrowth : kFastGrowth) - 1))
    wanted_.insert(wanted_.end(), {t, -t});
  for (double& t : wanted_) t = Single(std::clamp(t, low, high));
  std::sort(wanted_.begin(), wanted_.end());
  wanted_.erase(std::unique(wanted_.begin(), wanted_.end()), wanted_.end());
}

void LineIntegral::Supply(std::span<const double> values) {
  evaluations_ += static_cast<int>(values.size());
  switch (phase_) {
    case Phase::kScan:
    case Phase::kHunt:
      return Insert(values), Hunt();
    case Phase::kMidpoints:
      return TakeMidpoints(values);
    case Phase::kRefine:
      return TakeQuarters(values);
    case Phase::kDone:
      return;
  }
}

void LineIntegral::Insert(std::span<const double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) nodes_.push_back({wanted_[i], Clean(values[i])});
  const auto before = [](const Node& x, const Node& y) { return x.t < y.t; };
  std::stable_sort(nodes_.begin(), nodes_.end(), before);
  const auto same = [](const Node& x, const Node& y) { return x.t == y.t; };
  nodes_.erase(std::unique(nodes_.begin(), nodes_.end(), same), nodes_.end());
  top_ = -kInfinity;
  for (const Node& node : nodes_) top_ = std::max(top_, node.f);
}

// Asks for f at t where that lies inside (low, high).
void LineIntegral::Want(double t, double low, double high) {
  t = Single(t);
  if (t > low && t < high) wanted_.push_back(t);
}

void LineIntegral::Hunt() {
  phase_ = Phase::kHunt;
  wanted_.clear();
  if (++rounds_ <= kMostHunts && evaluations_ < kMostEvaluations) {
    for (std::size_t i = 1; i + 1 < nodes_.size(); ++i) {
      const Node& b = nodes_[i];
      if (b.f > -kInfinity && b.f >= nodes_[i - 1].f && b.f >= nodes_[i + 1].f)
        HuntAround(nodes_[i - 1], b, nodes_[i + 1]);
    }
  }
  if (!wanted_.empty()) return;
  if (!inspected_) Inspect();
  if (wanted_.empty()) StartRefining();
}

void LineIntegral::HuntAround(const Node& a, const Node& b, const Node& c) {
  if (b.f - std::min(a.f, c.f) < kResolved || !CanDivide(a.t, c.t)) return;
  // Parabola f = b.f + slope (t - b.t) + bend (t - b.t)^2 through the three.
  const double left = (b.f - a.f) / (b.t - a.t);
  const double right = (c.f - b.f) / (c.t - b.t);
  const double bend = (right - left) / (c.t - a.t);
  if (std::isfinite(bend) && bend < 0.0) {
    const double slope = left + bend * (b.t - a.t);
    const double offset = -0.5 * slope / bend;
    const double gain = 0.5 * slope * offset;
    // The further the parabola reaches beyond what was seen, the less it is trusted.
    if (b.f + gain < top_ - kHopeless - 0.5 * gain) return;
    Want(b.t + offset, a.t, c.t);
  }
  if (CanDivide(a.t, b.t)) Want(0.5 * (a.t + b.t), a.t, b.t);
  if (CanDivide(b.t, c.t)) Want(0.5 * (b.t + c.t), b.t, c.t);
}

double LineIntegral::TrapezoidMass(std::size_t i) const {
  return 0.5 * (nodes_[i + 1].t - nodes_[i].t) *
         (ExpBelow(nodes_[i].f, top_) + ExpBelow(nodes_[i + 1].f, top_));
}

void LineIntegral::Inspect() {
  inspected_ = true;
  rounds_ = 0;
  if (top_ == -kInfinity) return;
  std::vector<std::pair<double, std::size_t>> by_mass;
  double mass = 0.0;
  for (std::size_t i = 0; i + 1 < nodes_.size(); ++i) {
    by_mass.emplace_back(TrapezoidMass(i), i);
    mass += by_mass.back().first;
  }
  std::sort(by_mass.rbegin(), by_mass.rend());
  double seen = 0.0;
  double length = 0.0;
  std::size_t count = 0;
  for (; count < by_mass.size() && seen < kInspectedMass * mass; ++count) {
    const std::size_t i = by_mass[count].second;
    seen += by_mass[count].first;
    length += nodes_[i + 1].t - nodes_[i].t;
  }
  const double spacing = length / kInspectedPoints;
  for (std::size_t k = 0; k < count; ++k) {
    const Node& a = nodes_[by_mass[k].second];
    const Node& b = nodes_[by_mass[k].second + 1];
    const double parts = std::ceil((b.t - a.t) / spacing);
    for (double j = 1.0; j < parts && CanDivide(a.t, b.t); ++j)
      Want(a.t + (b.t - a.t) * j / parts, a.t, b.t);
  }
}

void LineIntegral::StartRefining() {
  if (top_ == -kInfinity) return Finish();
  double mass = 0.0;
  for (std::size_t i = 0; i + 1 < nodes_.size(); ++i) mass += TrapezoidMass(i);
  const auto matters = [&](std::size_t i) {
    return (nodes_[i + 1].t - nodes_[i].t) *
               ExpBelow(std::max(nodes_[i].f, nodes_[i + 1].f), top_) >=
           kNegligible * mass;
  };
  // Two neighbouring gaps of similar lengths are a stretch with its midpoint; others still need
  // one.
  for (std::size_t i = 0; i + 1 < nodes_.size(); ++i) {
    if (!matters(i)) continue;
    const Node& a = nodes_[i];
    const Node& b = nodes_[i + 1];
    if (i + 2 < nodes_.size() && matters(i + 1) && Similar(b.t - a.t, nodes_[i + 2].t - b.t)) {
      stretches_.push_back({a, b, nodes_[++i + 1], 0.0, 0.0});
      continue;
    }
    splitting_.push_back(stretches_.size());
    stretches_.push_back({a, {Single(0.5 * (a.t + b.t)), 0.0}, b, 0.0, 0.0});
    wanted_.push_back(stretches_.back().m.t);
  }
  phase_ = Phase::kMidpoints;
  if (wanted_.empty()) TakeMidpoints({});
}

// Simpson's rule for a midpoint that need not stand in the middle.
double LineIntegral::Simpson(const Node& a, const Node& m, const Node& b) const {
  const double left = m.t - a.t;
  const double right = b.t - m.t;
  const double all = left + right;
  // No number lies between two neighbours of single precision.
  if (left <= 0.0 || right <= 0.0) return 0.5 * all * (ExpBelow(a.f, top_) + ExpBelow(b.f, top_));
  return all / 6.0 *
         ((2.0 - right / left) * ExpBelow(a.f, top_) +
          all * all / (left * right) * ExpBelow(m.f, top_) +
          (2.0 - left / right) * ExpBelow(b.f, top_));
}

void LineIntegral::TakeMidpoints(std::span<const double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    Node& midpoint = stretches_[splitting_[i]].m;
    midpoint.f = Clean(values[i]);
    top_ = std::max(top_, midpoint.f);
  }
  for (Stretch& s : stretches_) {
    s.mass = Simpson(s.a, s.m, s.b);
    s.error =
        std::abs(s.mass - 0.5 * (s.b.t - s.a.t) * (ExpBelow(s.a.f, top_) + ExpBelow(s.b.f, top_)));
  }
  ChooseSplits();
}

void LineIntegral::TakeQuarters(std::span<const double> values) {
  double top = top_;
  for (const double value : values) top = std::max(top, Clean(value));
  const double rescale = ExpBelow(top_, top);
  top_ = top;
  for (Stretch& s : stretches_) {
    s.mass *= rescale;
    s.error *= rescale;
  }
  for (std::size_t i = 0; i < splitting_.size(); ++i) {
    const Stretch whole = stretches_[splitting_[i]];
    Stretch left{whole.a, {wanted_[2 * i], Clean(values[2 * i])}, whole.m, 0.0, 0.0};
    Stretch right{whole.m, {wanted_[2 * i + 1], Clean(values[2 * i + 1])}, whole.b, 0.0, 0.0};
    left.mass = Simpson(left.a, left.m, left.b);
    right.mass = Simpson(right.a, right.m, right.b);
    // Richardson would divide by 15, for smooth integrands; by 3 for those that are not, half each.
    left.error = right.error = std::abs(left.mass + right.mass - whole.mass) / 6.0;
    stretches_[splitting_[i]] = left;
    stretches_.push_back(right);
  }
  ChooseSplits();
}

void LineIntegral::ChooseSplits() {
  phase_ = Phase::kRefine;
  wanted_.clear();
  splitting_.clear();
  double mass = 0.0;
  double error = 0.0;
  for (const Stretch& s : stretches_) {
    mass += s.mass;
    error += s.error;
  }
  if (error <= kTolerance * mass || evaluations_ >= kMostEvaluations) return Finish();
  const double share = 0.5 * kTolerance * mass / static_cast<double>(stretches_.size());
  for (std::size_t i = 0; i < stretches_.size(); ++i) {
    const Stretch& s = stretches_[i];
    if (s.error <= share || !CanDivide(s.a.t, s.b.t)) continue;
    splitting_.push_back(i);
    wanted_.push_back(Single(0.5 * (s.a.t + s.m.t)));
    wanted_.push_back(Single(0.5 * (s.m.t + s.b.t)));
  }
  if (wanted_.empty()) Finish();
}

void LineIntegral::Finish() {
  phase_ = Phase::kDone;
  double mass = 0.0;
  for (const Stretch& s : stretches_) mass += s.mass;
  log_integral_ = mass > 0.0 ? top_ + std::log(mass) : -kInfinity;
}

}  // namespace millrace

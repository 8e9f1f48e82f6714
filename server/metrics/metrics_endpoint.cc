// SPDX-License-Identifier: Apache-2.0
#include "server/metrics/metrics_endpoint.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "prometheus/exposer.h"
#include "server/app/host_port.h"

namespace millrace {
namespace {

// Begins a connection and gives it up; where that fails nobody hears of it.
void Knock(const std::string& host, const std::string& port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return;
  const int connection =
      socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, found->ai_protocol);
  if (connection >= 0) {
    static_cast<void>(connect(connection, found->ai_addr, found->ai_addrlen));
    close(connection);
  }
  freeaddrinfo(found);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Open(
    const std::string& address, const PrometheusMetrics& metrics) {
  const std::optional<HostPort> host_port = ParseHostPort(address);
  std::unique_ptr<prometheus::Exposer> exposer;
  try {
    if (host_port.has_value()) exposer = std::make_unique<prometheus::Exposer>(address);
  } catch (const std::exception&) {  // what it says is about the library, not about the address
  }
  if (exposer == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen on --metrics_address=", address,
                     " (already in use, or no address of this machine)"));
  }
  return std::unique_ptr<MetricsEndpoint>(
      new MetricsEndpoint(std::move(exposer), host_port->host, metrics));
}

MetricsEndpoint::MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer, std::string host,
                                 const PrometheusMetrics& metrics)
    : host_(std::move(host)), exposer_(std::move(exposer)) {
  exposer_->RegisterCollectable(metrics.registry());
  exposer_->RegisterCollectable(process_metrics_);
}

// The thread that listens looks whether it is to end when a connection comes, and every two seconds
// otherwise: it gets connections until it has looked.
MetricsEndpoint::~MetricsEndpoint() {
  const std::jthread knocking([this, port = std::to_string(port())](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      Knock(host_, port);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  exposer_.reset();
}

int MetricsEndpoint::port() const {
  const std::vector<int> ports = exposer_->GetListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

}  // namespace millrace

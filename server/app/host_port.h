// SPDX-License-Identifier: Apache-2.0
// Where to listen, as an operator writes it.
#ifndef MILLRACE_SERVER_APP_HOST_PORT_H_
#define MILLRACE_SERVER_APP_HOST_PORT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace millrace {

struct HostPort {
  std::string host;        // a name or an address, without the brackets of IPv6; not looked up
  std::uint16_t port = 0;  // 0: any that is free
};

// "host:port" or "[IPv6 address]:port"; nothing for any other text.
std::optional<HostPort> ParseHostPort(absl::string_view text);

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_HOST_PORT_H_

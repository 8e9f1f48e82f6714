// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_IO_NUMBER_H_
#define MILLRACE_CLIENT_CLI_IO_NUMBER_H_

#include <string>
#include <string_view>

namespace millrace::cli {

// The number that `text` is, blanks around it apart: decimal, with or without exponent, sign, nan
// or inf; independent of the locale. False for anything else, the empty text included. A number too
// large for a double gives infinity, one too small 0.
bool ParseNumber(std::string_view text, double& value);

// The shortest decimal that reads back as the same double; nan for every NaN.
std::string FormatNumber(double value);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_NUMBER_H_

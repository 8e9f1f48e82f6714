# SPDX-License-Identifier: Apache-2.0
# Every package the build looks for, with what it is for. All are Debian 12 packages; see
# deploy/install_packages.sh. Which target links what is said where the target is.

include(FeatureSummary)

find_package(Threads REQUIRED)
find_package(absl CONFIG REQUIRED)
set_package_properties(absl PROPERTIES PURPOSE "Status, strings, flags, time")
find_package(TBB 2021 CONFIG REQUIRED)
set_package_properties(TBB PROPERTIES PURPOSE "lanes of core/cpu")
find_package(nlohmann_json 3.11 CONFIG REQUIRED)
set_package_properties(nlohmann_json PROPERTIES PURPOSE "metadata of model files, JSON lines")
find_package(ZLIB REQUIRED)
set_package_properties(ZLIB PROPERTIES PURPOSE "checksum of model files, .csv.gz")

if(MILLRACE_BUILD_SERVER OR MILLRACE_BUILD_CLIENT)
  # CMake's own FindProtobuf: Debian ships no config package, and it brings protobuf_generate.
  find_package(Protobuf 3.21 MODULE REQUIRED)
  find_package(gRPC 1.51 CONFIG REQUIRED)
  set_package_properties(gRPC PROPERTIES PURPOSE "the wire of server and client")
endif()

if(MILLRACE_BUILD_SERVER)
  find_package(prometheus-cpp CONFIG REQUIRED)
  set_package_properties(prometheus-cpp PROPERTIES PURPOSE "/metrics of the server")
endif()

if(MILLRACE_BUILD_CLIENT)
  find_package(CLI11 2.1 CONFIG REQUIRED)
  set_package_properties(CLI11 PROPERTIES PURPOSE "command line of the tool")
  find_package(PNG 1.6 REQUIRED)
  set_package_properties(PNG PROPERTIES PURPOSE "images as rows, pictures of samples")
  # libzip's own CMake config demands programs of Debian packages that a library user does not need.
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(libzip REQUIRED IMPORTED_TARGET libzip)
endif()

if(MILLRACE_BUILD_TESTS)
  find_package(GTest 1.12 CONFIG REQUIRED)
  # The system's interpreter: the modules that the tests import come as Debian packages.
  set(Python3_ROOT_DIR "/usr")
  find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
  set_package_properties(Python3 PROPERTIES PURPOSE "layering and packaging tests")
endif()

if(MILLRACE_BUILD_BENCHMARKS)
  find_package(benchmark 1.7 CONFIG REQUIRED)
  find_path(VALGRIND_INCLUDE_DIR valgrind/callgrind.h REQUIRED)  # instruction counts
  mark_as_advanced(VALGRIND_INCLUDE_DIR)
endif()

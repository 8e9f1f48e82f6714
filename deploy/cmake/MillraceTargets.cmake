# SPDX-License-Identifier: Apache-2.0
# The few functions with which the CMakeLists.txt of this tree declare their targets.

# millrace_add_library(<name> [INTERNAL] SOURCES <file>... [PUBLIC <lib>...] [PRIVATE <lib>...])
#
# Declares the static or shared (BUILD_SHARED_LIBS) library millrace_<name>, known as
# millrace::<name> here and to a consumer of the installed package. Includes are rooted at the source tree
# ("core/flow/flow.h"). The library and the headers of the current folder are installed, except with
# INTERNAL.
function(millrace_add_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "INTERNAL" "" "SOURCES;PUBLIC;PRIVATE")
  set(target millrace_${name})
  add_library(${target} ${arg_SOURCES})
  add_library(millrace::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${name}
    POSITION_INDEPENDENT_CODE ON
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/millrace>)
  target_link_libraries(${target} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  if(NOT arg_INTERNAL)
    install(TARGETS ${target} EXPORT millraceTargets
            LIBRARY COMPONENT runtime NAMELINK_COMPONENT development
            ARCHIVE COMPONENT development)
    cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY "${PROJECT_SOURCE_DIR}"
               OUTPUT_VARIABLE folder)
    install(DIRECTORY . DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/millrace/${folder}
            COMPONENT development FILES_MATCHING PATTERN "*.h"
            PATTERN cli EXCLUDE PATTERN examples EXCLUDE PATTERN docs EXCLUDE)
  endif()
endfunction()

# millrace_add_test(<name> SOURCES <file>... [LIBRARIES <lib>...] [LABEL slow|threads]
#                   [TIMEOUT <seconds>])
#
# Declares the GoogleTest program <name> and registers each of its cases with ctest as
# <name>.<Suite>.<Case>; a case may take TIMEOUT seconds, 120 unless told. GoogleTest's and
# GoogleMock's main are linked; MILLRACE_SOURCE_DIR is the root of the source tree, a string.
# slow: left out by `ctest -LE slow`, run with the dev preset only; threads: run under
# ThreadSanitizer too, and built by the target millrace_thread_tests.
function(millrace_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL;TIMEOUT" "SOURCES;LIBRARIES")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_definitions(${name} PRIVATE MILLRACE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} GTest::gmock_main)
  gtest_discover_tests(${name} TEST_PREFIX "${name}." NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABEL}")
  if(arg_LABEL STREQUAL "threads")
    add_dependencies(millrace_thread_tests ${name})
  endif()
endfunction()

# millrace_add_benchmark(<name> SOURCES <file>... [LIBRARIES <lib>...])
#
# Declares the Google Benchmark program <name>; nothing where MILLRACE_BUILD_BENCHMARKS is off.
function(millrace_add_benchmark name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  if(MILLRACE_BUILD_BENCHMARKS)
    add_executable(${name} ${arg_SOURCES})
    target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
    target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} benchmark::benchmark_main)
  endif()
endfunction()

# SPDX-License-Identifier: Apache-2.0
# The instruction sets that numeric code is compiled for: the cache variable MILLRACE_CPU_ARCH, one -march
# or several. Several, such as "x86-64-v2;x86-64-v3;x86-64-v4", make a shared library for each, all of one
# SONAME: the first in lib/, the others in lib/glibc-hwcaps/<arch>/, of which the dynamic loader
# (glibc 2.33) takes the best that the processor has.

set(millrace_hwcaps_archs "${MILLRACE_CPU_ARCH}")
if(MILLRACE_CPU_ARCH MATCHES "x86-64" AND NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(millrace_hwcaps_archs)  # one library of the compiler's default
endif()
list(POP_FRONT millrace_hwcaps_archs millrace_first_arch)

# millrace_use_cpu_arch(<target> [<arch>])
#
# Compiles the target's own sources with -march=<arch>, the first of MILLRACE_CPU_ARCH unless told. For
# millrace_core, and for the tests and benchmarks that include SIMD templates of core/cpu: the same
# template compiled for two instruction sets in one program would break the one-definition rule. Where it
# is a level of x86-64, the loader refuses what is linked on a processor below it, and says why.
function(millrace_use_cpu_arch target)
  set(arch "${millrace_first_arch}")
  if(ARGC GREATER 1)
    set(arch "${ARGV1}")
  endif()
  if(arch)
    target_compile_options(${target} PRIVATE -march=${arch})
    target_compile_definitions(${target} PRIVATE MILLRACE_CPU_ARCH="${arch}")
  endif()
  if(arch MATCHES "^x86-64-v[234]$")
    target_link_options(${target} PRIVATE LINKER:-z,${arch})
  endif()
endfunction()

# millrace_add_hwcaps(<target>)
#
# Declares the shared library <target>, as it is set up by now, once more for each of MILLRACE_CPU_ARCH
# but the first. Whoever links and installs <target> gets them all.
function(millrace_add_hwcaps target)
  get_target_property(sources ${target} SOURCES)
  foreach(arch IN LISTS millrace_hwcaps_archs)
    set(variant ${target}_${arch})
    set(folder glibc-hwcaps/${arch})
    add_library(${variant} SHARED ${sources})
    foreach(property IN ITEMS COMPILE_FEATURES COMPILE_OPTIONS INCLUDE_DIRECTORIES LINK_LIBRARIES
                              LINK_OPTIONS SOVERSION VERSION VISIBILITY_INLINES_HIDDEN)
      get_target_property(value ${target} ${property})
      set_property(TARGET ${variant} PROPERTY ${property} "${value}")
    endforeach()
    set_target_properties(${variant} PROPERTIES
      DEFINE_SYMBOL ""
      OUTPUT_NAME ${target}
      INSTALL_RPATH ""
      LIBRARY_OUTPUT_DIRECTORY "$<TARGET_FILE_DIR:${target}>/${folder}")
    millrace_use_cpu_arch(${variant} ${arch})
    add_dependencies(${target} ${variant})
    install(TARGETS ${variant} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/${folder}
            COMPONENT runtime NAMELINK_SKIP)
  endforeach()
endfunction()

# SPDX-License-Identifier: Apache-2.0
# The installed package: find_package(millrace) gives millrace::core, ::proto and ::client.

include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/millrace")
install(EXPORT millraceTargets NAMESPACE millrace:: DESTINATION "${package_dir}"
        COMPONENT development)
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/millraceConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/millraceConfig.cmake" INSTALL_DESTINATION "${package_dir}"
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/millraceConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/millraceConfig.cmake"
              "${PROJECT_BINARY_DIR}/millraceConfigVersion.cmake"
        DESTINATION "${package_dir}" COMPONENT development)

# Installing needs no build, unless LORU_INSTALL_COMPILED asks for loru::compiled: headers, targets and their package files.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/loru)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME loru)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/loru DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.hpp")
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/loru
  COMPONENT loru_license)  # Debian has a file of its own for it

install(TARGETS loru_core EXPORT loru_core_targets)
install(EXPORT loru_core_targets FILE loru-core-targets.cmake NAMESPACE loru:: DESTINATION ${package_dir})
if(TARGET loru_loru)
  install(TARGETS loru_loru EXPORT loru_targets)
  install(EXPORT loru_targets FILE loru-targets.cmake NAMESPACE loru:: DESTINATION ${package_dir})
endif()

if(TARGET loru_compiled AND LORU_INSTALL_COMPILED)
  install(TARGETS loru_compiled EXPORT loru_compiled_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT loru_compiled_targets FILE loru-compiled-targets.cmake NAMESPACE loru:: DESTINATION ${package_dir})
endif()

if(TARGET loru_cuda)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/cuda/loru DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.hpp" PATTERN "*.cuh")
  install(TARGETS loru_cuda EXPORT loru_cuda_targets)
  install(EXPORT loru_cuda_targets FILE loru-cuda-targets.cmake NAMESPACE loru:: DESTINATION ${package_dir})
endif()

if(TARGET loru_mpi)
  install(TARGETS loru_mpi EXPORT loru_mpi_targets)
  install(EXPORT loru_mpi_targets FILE loru-mpi-targets.cmake NAMESPACE loru:: DESTINATION ${package_dir})
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/loru-config.cmake.in
  ${PROJECT_BINARY_DIR}/loru-config.cmake INSTALL_DESTINATION ${package_dir})
# A header-only package serves every pointer size.
set(any_pointer ARCH_INDEPENDENT)
if(LORU_INSTALL_COMPILED)
  set(any_pointer "")
endif()
write_basic_package_version_file(${PROJECT_BINARY_DIR}/loru-config-version.cmake
  COMPATIBILITY SameMinorVersion ${any_pointer})
install(FILES ${PROJECT_BINARY_DIR}/loru-config.cmake ${PROJECT_BINARY_DIR}/loru-config-version.cmake
  DESTINATION ${package_dir})

# loru.pc, for builds without CMake. Of nlohmann-json only headers are used, and not every copy of it has a .pc file.
set(pc_requires "eigen3 >= 3.4, eigen3 < 4")  # as find_package reads 3.4
if(TARGET loru_loru)
  string(APPEND pc_requires ", zlib")
endif()
set(pc_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)
file(RELATIVE_PATH pc_includedir ${CMAKE_INSTALL_FULL_DATADIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
set(pc_includedir "\${pcfiledir}/${pc_includedir}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/packages/loru.pc.in ${PROJECT_BINARY_DIR}/loru.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/loru.pc DESTINATION ${pc_dir})

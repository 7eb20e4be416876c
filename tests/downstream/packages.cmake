# Makes a package of loru in folder WORK and builds a program with it that knows no more of loru than the package says.
#   cmake -D WAY=pkg_config|deb|vcpkg|conan|single_header|versions -D SOURCE=... -D WORK=... -D GENERATOR=... -D COMPILER=...
#     -D PYTHON=... -P packages.cmake

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${result}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

# need(VAR PROGRAM HINT): the program's path. VAR is empty, and the test skipped, where it is not there.
macro(need variable program)
  find_program(${variable} ${program} ${ARGN})
  if(NOT ${variable})
    message(STATUS "SKIPPED: no ${program}")
    return()
  endif()
endmacro()

function(expect text pattern)
  if(NOT "${text}" MATCHES "${pattern}")
    message(FATAL_ERROR "expected '${pattern}', got '${text}'")
  endif()
endfunction()

# Builds the consumer by what pkg-config says of the loru under this prefix, and runs it.
function(use_by_pkg_config prefix)
  set(ENV{PKG_CONFIG_PATH} ${prefix}/share/pkgconfig)
  run(${pkg_config} --modversion loru)
  expect("${output}" "^${version}$")
  run(${pkg_config} --cflags --libs loru)
  separate_arguments(flags UNIX_COMMAND "${output}")
  run(${COMPILER} -std=c++20 ${SOURCE}/tests/downstream/packaged/main.cpp ${flags} -o ${WORK}/by_pkg_config)
  run(${WORK}/by_pkg_config)
  expect("${output}" "^the last of a matrix: 4$")
endfunction()

# Builds the consumer by what find_package finds, with these arguments to CMake, and runs it.
function(use_by_cmake)
  run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${SOURCE}/tests/downstream/packaged -B ${WORK}/by_cmake
    -D CMAKE_CXX_COMPILER=${COMPILER} ${ARGN})
  run(${CMAKE_COMMAND} --build ${WORK}/by_cmake)
  run(${WORK}/by_cmake/downstream)
  expect("${output}" "^the last of a matrix: 4$")
endfunction()

function(configure_loru)
  run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${SOURCE} -B ${WORK}/loru -D CMAKE_CXX_COMPILER=${COMPILER}
    -D LORU_BUILD_TESTS=OFF -D LORU_BUILD_EXAMPLES=OFF -D LORU_BUILD_BENCH=OFF -D LORU_WITH_CUDA=OFF)
endfunction()

file(STRINGS ${SOURCE}/include/loru/version.hpp version REGEX "char version")
string(REGEX MATCH "[0-9.]+[0-9]" version "${version}")
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

if(WAY STREQUAL "pkg_config")
  need(pkg_config pkg-config)
  configure_loru()
  run(${CMAKE_COMMAND} --install ${WORK}/loru --prefix ${WORK}/first)
  file(RENAME ${WORK}/first ${WORK}/moved)
  use_by_pkg_config(${WORK}/moved)

elseif(WAY STREQUAL "deb")
  need(dpkg_deb dpkg-deb)
  set(ENV{DEBFULLNAME} "A Packager")
  set(ENV{DEBEMAIL} packager@debian.org)
  configure_loru()
  run(${CMAKE_CPACK_COMMAND} -G DEB --config ${WORK}/loru/CPackConfig.cmake -B ${WORK})
  file(GLOB package ${WORK}/*.deb)
  expect("${package}" "/libloru-dev_[0-9.]+-1_all.deb$")
  run(${dpkg_deb} -x ${package} ${WORK}/root)
  foreach(file include/loru/loru.hpp share/cmake/loru/loru-config.cmake share/pkgconfig/loru.pc
      share/doc/libloru-dev/copyright share/doc/libloru-dev/changelog.Debian.gz)
    if(NOT EXISTS ${WORK}/root/usr/${file})
      message(FATAL_ERROR "${package}: expected /usr/${file}, got none")
    endif()
  endforeach()
  find_program(lintian lintian)
  if(lintian)
    run(${lintian} --allow-root --no-user-dirs --fail-on error,warning ${package})
  endif()
  use_by_cmake(-D CMAKE_PREFIX_PATH=${WORK}/root/usr)

elseif(WAY STREQUAL "vcpkg")
  # Runs the portfile as vcpkg does, by the scripts of a checkout in VCPKG_ROOT. Dependencies and tools, which the program
  # vcpkg would fetch, are the system's.
  if(NOT EXISTS "$ENV{VCPKG_ROOT}/scripts/ports.cmake")
    message(STATUS "SKIPPED: no checkout of vcpkg in VCPKG_ROOT")
    return()
  endif()
  need(ninja ninja)
  need(pkg_config pkg-config)
  set(triplet x64-linux)
  set(installed ${WORK}/installed)
  foreach(port vcpkg-cmake vcpkg-cmake-config loru)
    set(port_dir $ENV{VCPKG_ROOT}/ports/${port})
    if(port STREQUAL "loru")
      set(port_dir ${SOURCE}/cmake/packages/vcpkg/loru)
    else()
      file(APPEND ${WORK}/helpers.cmake
        "include(${installed}/${triplet}/share/${port}/vcpkg-port-config.cmake OPTIONAL)\n")
    endif()
    run(${CMAKE_COMMAND} -D CMD=BUILD -D PORT=${port} -D VERSION=${version} -D CURRENT_PORT_DIR=${port_dir}
      -D TARGET_TRIPLET=${triplet} -D _HOST_TRIPLET=${triplet} -D FEATURES=core -D ALL_FEATURES=
      -D TARGET_TRIPLET_FILE=$ENV{VCPKG_ROOT}/triplets/${triplet}.cmake -D VCPKG_ROOT_DIR=$ENV{VCPKG_ROOT}
      -D _VCPKG_INSTALLED_DIR=${installed} -D DOWNLOADS=${WORK}/downloads -D PACKAGES_DIR=${WORK}/packages
      -D BUILDTREES_DIR=${WORK}/buildtrees -D VCPKG_BASE_VERSION=2999-12-31 -D VCPKG_CONCURRENCY=1
      -D NINJA=${ninja} -D PKGCONFIG=${pkg_config} -D VCPKG_FIXUP_ELF_RPATH=OFF
      -D VCPKG_PORT_CONFIGS=${WORK}/helpers.cmake -P $ENV{VCPKG_ROOT}/scripts/ports.cmake)
    file(COPY ${WORK}/packages/${port}_${triplet}/ DESTINATION ${installed}/${triplet})
  endforeach()
  foreach(file copyright usage loru-config.cmake)
    if(NOT EXISTS ${installed}/${triplet}/share/loru/${file})
      message(FATAL_ERROR "the port: expected share/loru/${file}, got none")
    endif()
  endforeach()
  use_by_pkg_config(${installed}/${triplet})
  use_by_cmake(-D CMAKE_PREFIX_PATH=${installed}/${triplet})

elseif(WAY STREQUAL "conan")
  need(conan conan)
  set(ENV{CONAN_HOME} ${WORK}/home)
  run(${conan} profile detect)
  # The dependencies are the system's, under versions that the recipe takes.
  foreach(dependency eigen/3.4.0 nlohmann_json/3.11.2 zlib/1.2.13)
    string(REGEX MATCH "(.+)/(.+)" _ ${dependency})
    run(${conan} export ${SOURCE}/tests/downstream/conan --name ${CMAKE_MATCH_1} --version ${CMAKE_MATCH_2})
  endforeach()
  run(${conan} create ${SOURCE}/cmake/packages/conan --settings compiler.cppstd=20
    --no-remote --build missing --conf tools.cmake.cmake_layout:test_folder=${WORK}/test)
  expect("${output}" "the last of a matrix: 4")

elseif(WAY STREQUAL "single_header")
  set(header ${WORK}/loru_core.hpp)
  run(${PYTHON} ${SOURCE}/cmake/packages/single_header.py ${header})
  file(READ ${header} text)
  if(text MATCHES "#include <loru/[^\n]*")
    message(FATAL_ERROR "${header} still has '${CMAKE_MATCH_0}'")
  endif()
  run(${COMPILER} -std=c++20 -pthread -I${WORK} ${SOURCE}/tests/downstream/single_header/main.cpp -o ${WORK}/single)
  run(${WORK}/single)
  expect("${output}" "^loru ${version}: 10 6627e8d5$")

elseif(WAY STREQUAL "versions")
  # Files that cannot read the version from the header.
  file(READ ${SOURCE}/cmake/packages/vcpkg/loru/vcpkg.json manifest)
  string(JSON output GET "${manifest}" version)
  expect("vcpkg.json: ${output}" "^vcpkg.json: ${version}$")
  file(STRINGS ${SOURCE}/CITATION.cff output REGEX "^version:")
  expect("CITATION.cff: ${output}" "^CITATION.cff: version: ${version}$")

else()
  message(FATAL_ERROR "WAY: expected pkg_config, deb, vcpkg, conan, single_header or versions, got '${WAY}'")
endif()
message(STATUS "${WAY}: passed")

# The library: two INTERFACE targets over one include folder.
#   loru::core   up to room lowrank; needs Eigen alone
#   loru::loru   everything; adds nlohmann-json and zlib (rooms io, data and fl)

find_package(Threads REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(nlohmann_json 3 QUIET)
find_package(ZLIB QUIET)

add_library(loru_core INTERFACE)
add_library(loru::core ALIAS loru_core)
set_target_properties(loru_core PROPERTIES EXPORT_NAME core)
target_compile_features(loru_core INTERFACE cxx_std_20)
target_include_directories(loru_core INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<INSTALL_INTERFACE:include>)
target_link_libraries(loru_core INTERFACE Eigen3::Eigen Threads::Threads)

set(missing "")
if(NOT nlohmann_json_FOUND)
  list(APPEND missing "nlohmann-json (nlohmann-json3-dev)")
endif()
if(NOT ZLIB_FOUND)
  list(APPEND missing "zlib (zlib1g-dev)")
endif()
if(missing)
  list(JOIN missing ", " missing)
  message(WARNING "loru: ${missing} not found: only loru::core is available, without tests and programs")
  foreach(part TESTS EXAMPLES BENCH)
    set(LORU_BUILD_${part} OFF)
  endforeach()
else()
  add_library(loru_loru INTERFACE)
  add_library(loru::loru ALIAS loru_loru)
  set_target_properties(loru_loru PROPERTIES EXPORT_NAME loru)
  target_link_libraries(loru_loru INTERFACE loru_core nlohmann_json::nlohmann_json ZLIB::ZLIB)
endif()

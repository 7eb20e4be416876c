# loru::compiled: what the sources of a program share of the library, compiled once, a source for each part
# (include/loru/compiled/<part>.hpp). Optional and built where something links it. Its flags are those of the project that
# builds it, since the instruction set is part of every symbol's name. Its users parse neither Eigen's
# decompositions nor JSON nor zlib.

# loru_isa(VAR FLAGS...): the instruction set (core/isa.hpp) that these flags beside the project's choose.
function(loru_isa out)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
  separate_arguments(flags UNIX_COMMAND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${config}}")
  set(probe ${PROJECT_BINARY_DIR}/compiled/isa.cpp)
  file(WRITE ${probe} "#include <loru/core/isa.hpp>\nloru_isa=LORU_ISA\n")
  execute_process(OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY
    COMMAND ${CMAKE_CXX_COMPILER} ${flags} ${ARGN} -std=c++20 -I${PROJECT_SOURCE_DIR}/include -E -P ${probe})
  string(REGEX MATCH "loru_isa= *([a-z0-9_]+)" _ "${text}")
  set(${out} ${CMAKE_MATCH_1} PARENT_SCOPE)
endfunction()

set(compiled_parts data federation files models ops products)
set(compiled_sources "")
foreach(part ${compiled_parts})
  set(source ${PROJECT_BINARY_DIR}/compiled/${part}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "#include <loru/compiled/${part}.hpp>\n")
  list(APPEND compiled_sources ${source})
endforeach()

add_library(loru_compiled STATIC EXCLUDE_FROM_ALL ${compiled_sources})
add_library(loru::compiled ALIAS loru_compiled)
set_target_properties(loru_compiled PROPERTIES EXPORT_NAME compiled)
set(isa_flags "")
if(TARGET loru_private_flags)
  target_link_libraries(loru_compiled PRIVATE $<BUILD_INTERFACE:loru_private_flags>)
  if(LORU_NATIVE)
    set(isa_flags -march=native)
  endif()
endif()
loru_isa(isa ${isa_flags})
target_compile_definitions(loru_compiled PUBLIC LORU_COMPILED=1 LORU_COMPILED_ISA=${isa})
target_link_libraries(loru_compiled PUBLIC loru_core PRIVATE $<BUILD_INTERFACE:nlohmann_json::nlohmann_json> ZLIB::ZLIB)
# A program gets the functions that it reaches, not whole sources: without a convolution in its model, none.
target_compile_options(loru_compiled PRIVATE $<$<CXX_COMPILER_ID:GNU,Clang>:-ffunction-sections>)
target_link_options(loru_compiled INTERFACE $<$<PLATFORM_ID:Linux>:LINKER:--gc-sections>)
if(COMMAND loru_shared_parts AND NOT LORU_INSTALL_COMPILED)
  loru_shared_parts(loru_compiled)
endif()
if(LORU_INSTALL_COMPILED)
  set_target_properties(loru_compiled PROPERTIES EXCLUDE_FROM_ALL OFF)
endif()

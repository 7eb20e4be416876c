# Flags and helpers for loru's own programs. Nothing here reaches a user of the library.

set(CMAKE_CXX_FLAGS_SANITIZE "-O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all")
set(CMAKE_EXE_LINKER_FLAGS_SANITIZE "-fsanitize=address,undefined")
set(CMAKE_CXX_FLAGS_THREAD "-O1 -g1 -fno-omit-frame-pointer -fsanitize=thread")
set(CMAKE_EXE_LINKER_FLAGS_THREAD "-fsanitize=thread")

set(CMAKE_CXX_EXTENSIONS OFF)

# One set of flags for every program and for loru::compiled, so that all agree on each inline function. -O3 comes with
# CMAKE_BUILD_TYPE=Release.
add_library(loru_private_flags INTERFACE)
target_compile_options(loru_private_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wconversion>
  $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${LORU_NATIVE}>>:-march=native>
  # g++ sees uninitialised values in its own library once sanitizers are on, and in its own AVX-512 intrinsics behind a
  # precompiled header, where pragmas about them are lost.
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-uninitialized;-Wno-maybe-uninitialized>
  # clang sees g++'s library use what that library deprecates.
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-deprecated-declarations>)

# loru::compiled_cuda: the ops of the CUDA device in float and its fused kernels, compiled once by nvcc. The static checks
# (tests/cuda/static) read what nvcc keeps of the kernels in kernels/ of the build folder. cuBLAS is loaded when it is first
# needed, so that programs link the runtime alone.
if(LORU_HAS_CUDA)
  add_library(loru_compiled_cuda STATIC
    ${PROJECT_SOURCE_DIR}/cmake/compiled/cuda/ops.cu ${PROJECT_SOURCE_DIR}/cmake/compiled/cuda/kernels.cu
    ${PROJECT_SOURCE_DIR}/cmake/compiled/cuda/cublas.cpp)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/kernels)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/cmake/compiled/cuda/kernels.cu PROPERTIES
    COMPILE_OPTIONS "--keep;--keep-dir=${PROJECT_BINARY_DIR}/kernels")
  target_include_directories(loru_compiled_cuda PUBLIC ${PROJECT_SOURCE_DIR}/cuda)
  target_compile_definitions(loru_compiled_cuda PUBLIC LORU_CUDA_COMPILED=1)
  set(cuda_runtime CUDA::cudart)
  if(CMAKE_CUDA_RUNTIME_LIBRARY STREQUAL "Static")
    set(cuda_runtime CUDA::cudart_static)
  endif()
  target_link_libraries(loru_compiled_cuda PUBLIC loru::core ${cuda_runtime} ${CMAKE_DL_LIBS} PRIVATE loru_private_flags)
  target_compile_options(loru_compiled_cuda PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-Xcompiler=-ffp-contract=off>"
    $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${LORU_NATIVE}>>:-Xcompiler=-march=native>)
  add_library(loru::compiled_cuda ALIAS loru_compiled_cuda)
endif()

# What our own programs link: the library, and with LORU_COMPILED what is compiled once.
add_library(loru_shared INTERFACE)
target_link_libraries(loru_shared INTERFACE loru::loru $<$<BOOL:${LORU_COMPILED}>:loru::compiled>)

# loru_shared_parts(TARGET): objects that programs and the Python module have in common. Hidden symbols keep position
# independent code as fast as a program's.
function(loru_shared_parts target)
  if(LORU_HAS_PYTHON)
    set_target_properties(${target} PROPERTIES
      POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  endif()
endfunction()

# loru_program(TARGET): one of our own programs, in bin/.
function(loru_program target)
  target_link_libraries(${target} PRIVATE loru_shared loru_private_flags)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# Header-only toml++, with or without its own package file.
function(loru_find_tomlplusplus)
  if(TARGET tomlplusplus::tomlplusplus)
    return()
  endif()
  find_package(tomlplusplus QUIET)
  if(NOT TARGET tomlplusplus::tomlplusplus)
    find_path(TOMLPLUSPLUS_INCLUDE_DIR toml++/toml.h)
    if(TOMLPLUSPLUS_INCLUDE_DIR)
      add_library(tomlplusplus::tomlplusplus INTERFACE IMPORTED GLOBAL)
      set_target_properties(tomlplusplus::tomlplusplus PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES ${TOMLPLUSPLUS_INCLUDE_DIR})
    endif()
  endif()
endfunction()

# Header-only CLI11, likewise.
function(loru_find_cli11)
  if(TARGET CLI11::CLI11)
    return()
  endif()
  find_package(CLI11 QUIET)
  if(NOT TARGET CLI11::CLI11)
    find_path(CLI11_INCLUDE_DIR CLI/CLI.hpp)
    if(CLI11_INCLUDE_DIR)
      add_library(CLI11::CLI11 INTERFACE IMPORTED GLOBAL)
      set_target_properties(CLI11::CLI11 PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${CLI11_INCLUDE_DIR})
    endif()
  endif()
endfunction()

# loru_missing_packages(VAR "Target::name=debian-package"...): the packages whose target does not exist.
function(loru_missing_packages out)
  set(missing "")
  foreach(pair ${ARGN})
    string(REPLACE "=" ";" pair "${pair}")
    list(GET pair 0 target)
    list(GET pair 1 package)
    if(NOT TARGET ${target})
      list(APPEND missing ${package})
    endif()
  endforeach()
  list(JOIN missing ", " missing)
  set(${out} "${missing}" PARENT_SCOPE)
endfunction()

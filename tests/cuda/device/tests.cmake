# test_gpu: the tests of room cuda, compiled by nvcc, on a device. It takes nvcc many minutes, and is made on request.
# Not in it: what tests the emulator, and what has it refuse memory.

if(NOT LORU_HAS_CUDA)
  message(FATAL_ERROR "LORU_TEST_GPU=ON: expected the CUDA toolkit, got none: ${cuda_reason}")
endif()

file(GLOB gpu_sources RELATIVE ${CMAKE_CURRENT_LIST_DIR}/.. CONFIGURE_DEPENDS
  ${CMAKE_CURRENT_LIST_DIR}/../*.cpp ${CMAKE_CURRENT_LIST_DIR}/../kernels/*.cpp ${CMAKE_CURRENT_LIST_DIR}/../ops/*.cpp)
list(REMOVE_ITEM gpu_sources emulator.cpp ops/memory.cpp)

# A source belongs to one language in a folder: nvcc gets files that include the tests.
set(gpu_files ${CMAKE_CURRENT_LIST_DIR}/device.cpp)
foreach(source ${gpu_sources})
  string(MAKE_C_IDENTIFIER ${source} name)
  set(file ${CMAKE_CURRENT_BINARY_DIR}/gpu/${name}.cu)
  file(CONFIGURE OUTPUT ${file} CONTENT "#include \"${PROJECT_SOURCE_DIR}/tests/cuda/${source}\"\n")
  list(APPEND gpu_files ${file})
endforeach()

add_executable(test_gpu ${gpu_files})
target_include_directories(test_gpu PRIVATE ${CMAKE_CURRENT_LIST_DIR} ${PROJECT_SOURCE_DIR}/tests/cuda)
target_link_libraries(test_gpu PRIVATE loru_test_support loru::compiled_cuda)
target_compile_options(test_gpu PRIVATE
  "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-Xcompiler=-ffp-contract=off>"
  $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${LORU_NATIVE}>>:-Xcompiler=-march=native>)
set_target_properties(test_gpu PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
loru_list_tests(gpu)

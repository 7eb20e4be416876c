# Faults planted in copies of the kernels: one program of mutants for each kernel, one test for each named fault, and one
# for each kernel that deletes its barriers, waits and commits in turn.

set(planted ${CMAKE_CURRENT_LIST_DIR}/plant.py)
set(planted_work ${CMAKE_CURRENT_BINARY_DIR}/planted)
set(planted_compiler ${CMAKE_CXX_COMPILER_LAUNCHER} ${CMAKE_CXX_COMPILER} -std=c++20 -O1 -ffp-contract=off -w
  -I ${PROJECT_SOURCE_DIR}/include -I ${CMAKE_CURRENT_SOURCE_DIR}/cuda/emulated -I ${PROJECT_SOURCE_DIR}/cuda
  -I ${CMAKE_CURRENT_SOURCE_DIR} -I ${CMAKE_CURRENT_SOURCE_DIR}/cuda -isystem ${LORU_CUDA_HEADERS}
  $<TARGET_OBJECTS:loru_emulator>)
if(LORU_NATIVE)
  list(APPEND planted_compiler -march=native)
endif()

set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/faults.py ${planted})
execute_process(COMMAND ${Python3_EXECUTABLE} ${planted} list OUTPUT_VARIABLE lines RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "loru: ${planted} list does not work")
endif()
string(REGEX REPLACE "\n" ";" lines "${lines}")
foreach(line ${lines})
  string(REPLACE " " ";" line "${line}")
  list(GET line 0 what)
  list(GET line 1 kernel)
  if(what STREQUAL "kernel")
    set(test "planted_faults_of_${kernel}")
    add_test(NAME ${test} COMMAND_EXPAND_LISTS
      COMMAND Python3::Interpreter ${planted} build ${kernel} ${planted_work} ${planted_compiler})
    set_tests_properties(${test} PROPERTIES FIXTURES_SETUP planted_${kernel} COST 100)
  elseif(what STREQUAL "deletions")
    set(test "planted_deletions_in_${kernel}")
    add_test(NAME ${test} COMMAND Python3::Interpreter ${planted} deletions ${kernel} ${planted_work})
    set_tests_properties(${test} PROPERTIES FIXTURES_REQUIRED planted_${kernel})
  else()
    list(GET line 2 name)
    set(test "planted_fault_${name}")
    add_test(NAME ${test} COMMAND Python3::Interpreter ${planted} fault ${kernel} ${name} ${planted_work})
    set_tests_properties(${test} PROPERTIES FIXTURES_REQUIRED planted_${kernel})
  endif()
  set_tests_properties(${test} PROPERTIES LABELS cuda TIMEOUT ${timeout})
endforeach()

# No fault is none: what the driver would say of one that goes unnoticed.
add_test(NAME planted_nothing COMMAND Python3::Interpreter ${planted} fault forward_one_pass as_it_is ${planted_work})
set_tests_properties(planted_nothing PROPERTIES FIXTURES_REQUIRED planted_forward_one_pass LABELS cuda TIMEOUT ${timeout}
  PASS_REGULAR_EXPRESSION "as_it_is: NOT NOTICED")

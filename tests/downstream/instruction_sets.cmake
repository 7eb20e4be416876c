# Links two files that are compiled for different instruction sets, from nothing, in folder WORK: each has to give what it
# gives alone, in either order.
#   cmake -D SOURCE=... -D WORK=... -D GENERATOR=... -D COMPILER=... -P instruction_sets.cmake

if(EXISTS /proc/cpuinfo)
  file(READ /proc/cpuinfo processor)
endif()
if(NOT "${processor}" MATCHES " avx2 ")
  message(STATUS "SKIPPED: no x86 processor with AVX2")
  return()
endif()

function(run variable)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE errors)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${result}:\n${output}${errors}")
  endif()
  set(${variable} "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
run(text ${CMAKE_COMMAND} -G ${GENERATOR} -S ${SOURCE}/tests/downstream/instruction_sets -B ${WORK}
  -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_CXX_FLAGS=-O2 -D SOURCE=${SOURCE})
run(text ${CMAKE_COMMAND} --build ${WORK} --target both both_reversed avx2_alone native_alone)
foreach(program both both_reversed avx2_alone native_alone)
  run(${program} ${WORK}/${program})
endforeach()
foreach(program both both_reversed)
  if(NOT "${${program}}" STREQUAL "${avx2_alone}${native_alone}")
    message(FATAL_ERROR "alone:\n${avx2_alone}${native_alone}${program}:\n${${program}}")
  endif()
endforeach()
if(NOT avx2_alone MATCHES "avx2 [0-9a-f]+" OR NOT native_alone MATCHES "native [0-9a-f]+")
  message(FATAL_ERROR "no hashes: '${avx2_alone}${native_alone}'")
endif()
message(STATUS "${both}")

# Uses loru as another project would, from nothing, in folder WORK.
#   cmake -D WAY=install|compiled|cuda|add_subdirectory|fetch_content -D SOURCE=... -D WORK=... -D GENERATOR=...
#     -D COMPILER=... -P downstream.cmake
# compiled is an installed package with loru::compiled, cuda one with the CUDA device; it wants -D CUDA_COMPILER=... too.

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${result}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
set(configure ${CMAKE_COMMAND} -G ${GENERATOR} -D CMAKE_CXX_COMPILER=${COMPILER})
set(project_dir ${SOURCE}/tests/downstream/${WAY})

set(installed OFF)
set(with_cuda OFF)
if(WAY STREQUAL "install")
  set(installed ON)
  set(project_dir ${SOURCE}/examples/downstream)
elseif(WAY STREQUAL "compiled")
  set(installed ON)
elseif(WAY STREQUAL "cuda")
  set(installed ON)
  set(with_cuda ON)
  list(APPEND configure -D CMAKE_CUDA_COMPILER=${CUDA_COMPILER})
endif()

if(installed)
  set(with_compiled OFF)
  if(WAY STREQUAL "compiled")
    set(with_compiled ON)
  endif()
  run(${configure} -S ${SOURCE} -B ${WORK}/loru -D LORU_WITH_CUDA=${with_cuda}
    -D LORU_BUILD_TESTS=OFF -D LORU_BUILD_EXAMPLES=OFF -D LORU_BUILD_BENCH=OFF
    -D CMAKE_BUILD_TYPE=Debug -D LORU_INSTALL_COMPILED=${with_compiled})
  if(with_compiled)
    run(${CMAKE_COMMAND} --build ${WORK}/loru)
  endif()  # else no build between configuring and installing
  run(${CMAKE_COMMAND} --install ${WORK}/loru --prefix ${WORK}/prefix)
endif()

run(${configure} -S ${project_dir} -B ${WORK}/build -D SOURCE=${SOURCE} -D CMAKE_PREFIX_PATH=${WORK}/prefix
  -D CMAKE_BUILD_TYPE=Debug -D CMAKE_EXPORT_COMPILE_COMMANDS=ON --no-warn-unused-cli)

# Our own programs' flags stay ours.
file(READ ${WORK}/build/compile_commands.json database)
string(JSON last LENGTH "${database}")
math(EXPR last "${last} - 1")
set(commands "")
foreach(i RANGE ${last})
  string(JSON command GET "${database}" ${i} command)
  if(NOT command MATCHES "/loru_compiled[.]dir/")  # loru's own library, which this build does not ask for
    string(APPEND commands "${command}\n")
  endif()
endforeach()
if(WAY STREQUAL "compiled")
  string(REGEX REPLACE " -DLORU_COMPILED(_ISA)?=[a-z0-9_]+" "" commands "${commands}")
endif()
if(commands MATCHES " -(march|ffp-contract|ffast-math|W|fopenmp|DLORU_COMPILED)")
  message(FATAL_ERROR "the user's build has '${CMAKE_MATCH_0}' from loru:\n${commands}")
endif()
if(installed AND commands MATCHES "${SOURCE}/(include|cuda)")
  message(FATAL_ERROR "the installed package points into the source tree:\n${commands}")
endif()

run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/downstream)
if(NOT output MATCHES "[0-9]")
  message(FATAL_ERROR "the program printed no number: '${output}'")
endif()
message(STATUS "${WAY}: ${output}")

# With other -m flags than the library's: a clear error, not one of the linker.
if(WAY STREQUAL "compiled" AND CMAKE_HOST_SYSTEM_PROCESSOR STREQUAL "x86_64")
  run(${configure} -S ${project_dir} -B ${WORK}/other -D CMAKE_PREFIX_PATH=${WORK}/prefix -D CMAKE_CXX_FLAGS=-mavx)
  execute_process(COMMAND ${CMAKE_COMMAND} --build ${WORK}/other RESULT_VARIABLE result OUTPUT_VARIABLE output)
  if(result EQUAL 0 OR NOT output MATCHES "another instruction set")
    message(FATAL_ERROR "expected an error about the instruction set, got ${result}:\n${output}")
  endif()
endif()

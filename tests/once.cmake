# What says the same of every configuration, and so is tested in one: checks of the sources, code that must not compile,
# what nvcc makes of the kernels, other projects.

# ---- what readers copy: the code in the README and in docs/ compiles ----

# Every C++ block that is no piece of a compiled file, as one program: the README's first one has its main().
file(GLOB_RECURSE doc_pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/*.md)
execute_process(
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/readme/extract.py ${CMAKE_CURRENT_BINARY_DIR}/readme
    ${PROJECT_SOURCE_DIR}/README.md ${doc_pages}
  OUTPUT_VARIABLE readme_sources OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" readme_sources "${readme_sources}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/README.md ${doc_pages}
  readme/extract.py ${PROJECT_SOURCE_DIR}/docs/site/reading.py)
add_executable(readme_example ${readme_sources})
loru_program(readme_example)
add_dependencies(loru_tests readme_example)

# ---- what nvcc makes of the kernels ----

if(LORU_HAS_CUDA)
  set(check_kernels Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/cuda/static/check.py --nvcc ${CMAKE_CUDA_COMPILER}
    --include ${PROJECT_SOURCE_DIR}/include --include ${PROJECT_SOURCE_DIR}/cuda)
  if(CMAKE_CUDA_ARCHITECTURES STREQUAL "80")
    add_dependencies(loru_tests loru_compiled_cuda)
    add_test(NAME "cuda: compiled kernels" COMMAND ${check_kernels} --ptx ${PROJECT_BINARY_DIR}/kernels/kernels.ptx)
  else()
    add_test(NAME "cuda: compiled kernels" COMMAND ${CMAKE_COMMAND} -E false)  # the build has no PTX for sm_80
    set_tests_properties("cuda: compiled kernels" PROPERTIES SKIP_RETURN_CODE 1)
  endif()
  add_test(NAME "cuda: compiled kernels, self-test"
    COMMAND ${check_kernels} --source ${CMAKE_CURRENT_SOURCE_DIR}/cuda/static/faulty.cu --expect-faults)
  add_test(NAME "cuda: compiled norms" COMMAND ${check_kernels} --undivided ${CMAKE_CURRENT_SOURCE_DIR}/cuda/static/norms.cu)
  add_test(NAME "cuda: compiled norms, self-test"
    COMMAND ${check_kernels} --undivided ${CMAKE_CURRENT_SOURCE_DIR}/cuda/static/divides.cu --expect-faults)
  set_tests_properties("cuda: compiled kernels" "cuda: compiled kernels, self-test" "cuda: compiled norms"
    "cuda: compiled norms, self-test"
    PROPERTIES TIMEOUT ${timeout} LABELS cuda COST 100)
endif()

# ---- checks of the sources and of the bundled federations ----

if(TARGET federate)
  add_test(NAME "federate: schema" COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/federate/schema.py
    $<TARGET_FILE:federate> ${PROJECT_SOURCE_DIR})
  set(check_report Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/federate/report.py
    $<TARGET_FILE:federate> ${PROJECT_SOURCE_DIR})
  add_test(NAME "federate: report" COMMAND ${check_report})
  add_test(NAME "federate: report in a browser" COMMAND ${check_report} --browser)
  add_test(NAME "federate: tensorboard" COMMAND Python3::Interpreter
    ${CMAKE_CURRENT_SOURCE_DIR}/federate/events.py $<TARGET_FILE:federate>)
  set_tests_properties("federate: schema" "federate: report" "federate: report in a browser" "federate: tensorboard"
    PROPERTIES TIMEOUT ${timeout} SKIP_RETURN_CODE 77)
endif()
if(LORU_HAS_MPI AND TARGET federate)
  add_test(NAME "mpi: bits" COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/mpi/bits.sh --sample
    $<TARGET_FILE:federate> ${MPIEXEC_EXECUTABLE})
  add_test(NAME "mpi: failures" COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/mpi/failures.sh
    $<TARGET_FILE:federate> ${MPIEXEC_EXECUTABLE})
  set_tests_properties("mpi: bits" "mpi: failures" PROPERTIES
    TIMEOUT ${timeout} SKIP_RETURN_CODE 77 LABELS slow COST 50)
endif()
if(TARGET federate)
  # Every tenth instant of one kind of run; all of them take an hour.
  add_test(NAME "resume: killed at any instant" COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/resume/every.sh
    $<TARGET_FILE:federate> --step 10 --only pfedloru)
  set_tests_properties("resume: killed at any instant" PROPERTIES
    TIMEOUT ${timeout} SKIP_RETURN_CODE 77 LABELS slow COST 100)
endif()
if(TARGET federate)
  add_test(NAME "soak: memory over 300 rounds" COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/soak.sh $<TARGET_FILE:federate> 300)
  set_tests_properties("soak: memory over 300 rounds" PROPERTIES
    TIMEOUT ${timeout} SKIP_RETURN_CODE 77 LABELS slow)
endif()
add_test(NAME layering COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/layering/check.py ${PROJECT_SOURCE_DIR})
add_test(NAME layering_self_test COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/layering/self_test.py)

add_test(NAME bench_self_test COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/bench/self_test.py)

# Links, the site where it can be built, and the commands that the pages show.
add_test(NAME "docs: links" COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/docs/links.py ${PROJECT_SOURCE_DIR})
add_test(NAME "docs: links, self-test" COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/docs/links.py --self-test)
add_test(NAME "docs: site" COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/docs/built_site.py
  ${CMAKE_CURRENT_BINARY_DIR}/docs_site)
if(TARGET federate)
  add_test(NAME "docs: commands" COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/docs/commands.py
    $<TARGET_FILE:federate> ${PROJECT_SOURCE_DIR})
endif()
set_tests_properties("docs: site" PROPERTIES TIMEOUT ${timeout} SKIP_RETURN_CODE 77)

add_test(NAME "dev: data" COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/dev/data.sh)
set_tests_properties("dev: data" PROPERTIES SKIP_RETURN_CODE 77)

# ---- code that must not compile ----

set(compile_fail Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/support/compile_fail.py
  --compiler ${CMAKE_CXX_COMPILER} --include ${PROJECT_SOURCE_DIR}/include
  --system "$<TARGET_PROPERTY:Eigen3::Eigen,INTERFACE_INCLUDE_DIRECTORIES>")
add_test(NAME compile_fail_self_test COMMAND ${compile_fail} --self-test)
file(GLOB misuses RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}/compile_fail CONFIGURE_DEPENDS compile_fail/*.cpp)
foreach(misuse ${misuses})
  get_filename_component(name ${misuse} NAME_WE)
  add_test(NAME "compile_fail: ${name}" COMMAND ${compile_fail} ${CMAKE_CURRENT_SOURCE_DIR}/compile_fail/${misuse})
endforeach()

# ---- what a program links ----

if(TARGET 03_federation AND TARGET federate)
  add_dependencies(loru_tests 03_federation federate)
  add_test(NAME "links: no convolution without one" COMMAND ${Python3_EXECUTABLE}
    ${CMAKE_CURRENT_SOURCE_DIR}/compiled/links.py $<TARGET_FILE:03_federation> $<TARGET_FILE:federate>)
endif()

# ---- other projects that use loru ----

set(ways install compiled add_subdirectory fetch_content)
if(LORU_HAS_CUDA)
  list(APPEND ways cuda)
endif()
foreach(way ${ways})
  add_test(NAME "downstream: ${way}" COMMAND ${CMAKE_COMMAND}
    -D WAY=${way} -D SOURCE=${PROJECT_SOURCE_DIR} -D WORK=${CMAKE_CURRENT_BINARY_DIR}/downstream/${way}
    -D GENERATOR=${CMAKE_GENERATOR} -D COMPILER=${CMAKE_CXX_COMPILER} -D CUDA_COMPILER=${CMAKE_CUDA_COMPILER}
    -P ${CMAKE_CURRENT_SOURCE_DIR}/downstream/downstream.cmake)
  set_tests_properties("downstream: ${way}" PROPERTIES TIMEOUT 600 COST 100)
endforeach()
add_test(NAME "downstream: two instruction sets" COMMAND ${CMAKE_COMMAND}
  -D SOURCE=${PROJECT_SOURCE_DIR} -D WORK=${CMAKE_CURRENT_BINARY_DIR}/downstream/instruction_sets
  -D GENERATOR=${CMAKE_GENERATOR} -D COMPILER=${CMAKE_CXX_COMPILER}
  -P ${CMAKE_CURRENT_SOURCE_DIR}/downstream/instruction_sets.cmake)
set_tests_properties("downstream: two instruction sets" PROPERTIES
  TIMEOUT 600 COST 100 SKIP_REGULAR_EXPRESSION "SKIPPED:")

# ---- packages of loru ----

foreach(way pkg_config deb vcpkg conan single_header versions)
  add_test(NAME "packages: ${way}" COMMAND ${CMAKE_COMMAND}
    -D WAY=${way} -D SOURCE=${PROJECT_SOURCE_DIR} -D WORK=${CMAKE_CURRENT_BINARY_DIR}/packages/${way}
    -D GENERATOR=${CMAKE_GENERATOR} -D COMPILER=${CMAKE_CXX_COMPILER} -D PYTHON=${Python3_EXECUTABLE}
    -P ${CMAKE_CURRENT_SOURCE_DIR}/downstream/packages.cmake)
  set_tests_properties("packages: ${way}" PROPERTIES TIMEOUT 600 COST 50 SKIP_REGULAR_EXPRESSION "SKIPPED:")
endforeach()

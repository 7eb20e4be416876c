# The optional executor over MPI processes. AUTO takes what is there, ON insists, OFF leaves out.

set(LORU_HAS_MPI OFF)
set(mpi_reason "LORU_WITH_MPI=OFF")
if(CMAKE_BUILD_TYPE STREQUAL "Sanitize" AND LORU_WITH_MPI STREQUAL "AUTO")
  set(mpi_reason "sanitizers are for loru's own code")
elseif(NOT LORU_WITH_MPI STREQUAL "OFF" AND TARGET loru_loru
       AND (PROJECT_IS_TOP_LEVEL OR LORU_WITH_MPI STREQUAL "ON"))
  include(CheckLanguage)
  check_language(C)  # FindMPI looks for the C interface with a C compiler
  set(mpi_reason "no MPI found")
  if(CMAKE_C_COMPILER)
    enable_language(C)
    find_package(MPI QUIET COMPONENTS C)
    set(LORU_HAS_MPI ${MPI_C_FOUND})
  endif()
  if(LORU_WITH_MPI STREQUAL "ON" AND NOT LORU_HAS_MPI)
    message(FATAL_ERROR "LORU_WITH_MPI=ON: ${mpi_reason}")
  endif()
endif()

# loru::mpi: the executor, headers only.
if(LORU_HAS_MPI)
  add_library(loru_mpi INTERFACE)
  add_library(loru::mpi ALIAS loru_mpi)
  set_target_properties(loru_mpi PROPERTIES EXPORT_NAME mpi)
  target_include_directories(loru_mpi INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/mpi>)
  # C++ bindings, which mpi.h has beside those of C, are not used.
  target_compile_definitions(loru_mpi INTERFACE OMPI_SKIP_MPICXX=1 MPICH_SKIP_MPICXX=1)
  target_link_libraries(loru_mpi INTERFACE loru_loru MPI::MPI_C)
endif()

if(PROJECT_IS_TOP_LEVEL)
  if(LORU_HAS_MPI)
    message(STATUS "loru: MPI ${MPI_C_VERSION}, ${MPI_C_COMPILER}")
  else()
    message(STATUS "loru: without MPI (${mpi_reason})")
  endif()
endif()

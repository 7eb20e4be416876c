# The Python module beside federate; skipped by name where there is none.
foreach(name run ends model names compare docs wrong_use)
  if(TARGET loru_python)
    add_test(NAME "python: ${name}" COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/python/${name}.py
      $<TARGET_FILE:federate> ${PROJECT_SOURCE_DIR})
    set_tests_properties("python: ${name}" PROPERTIES
      TIMEOUT ${timeout} ENVIRONMENT "PYTHONPATH=${PROJECT_BINARY_DIR}/python;PYTHONDONTWRITEBYTECODE=1")
  else()
    add_test(NAME "python: ${name}, skipped: the module is not built" COMMAND ${CMAKE_COMMAND} -E false)
    set_tests_properties("python: ${name}, skipped: the module is not built" PROPERTIES SKIP_RETURN_CODE 1)
  endif()
endforeach()
if(TARGET loru_python)
  add_dependencies(loru_tests loru_python federate)
endif()

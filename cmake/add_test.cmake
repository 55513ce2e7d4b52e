find_package(Boost 1.74 REQUIRED COMPONENTS unit_test_framework)

file(GLOB CAPTIOND_PYTHON ${PROJECT_SOURCE_DIR}/.venv/bin/python)
if(NOT CAPTIOND_PYTHON)
  set(CAPTIOND_PYTHON python3)
endif()

set(CAPTIOND_TEST_ENVIRONMENT
  "GST_REGISTRY=${PROJECT_BINARY_DIR}/gst-registry.bin"
  # GLib's own slices hide from the sanitizers who made and who freed a block.
  "G_SLICE=always-malloc"
  # Leaks are recognised by the function that made them, which a fast unwind through GLib loses.
  "ASAN_OPTIONS=detect_leaks=1:fast_unwind_on_malloc=0"
  "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/lsan.supp,print_suppressions=0"
  "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/tsan.supp")

# All programs of label unit: what CI builds with the address sanitizer.
add_custom_target(captiond_unit_tests)
# All of label gpu, which CI compiles without a GPU.
add_custom_target(captiond_gpu_tests)

# captiond_label_test(NAME LABELS…): exactly one of unit|gst|parity|e2e|gpu, plus optional `slow`.
function(captiond_label_test name)
  set(kinds ${ARGN})
  list(FILTER kinds INCLUDE REGEX "^(unit|gst|parity|e2e|gpu)$")
  list(LENGTH kinds count)
  if(NOT count EQUAL 1)
    message(FATAL_ERROR "${name}: LABELS needs exactly one of unit, gst, parity, e2e, gpu")
  endif()
  if("${CAPTIOND_SANITIZE}" STREQUAL "")
    set(timeout 240)
  else()
    set(timeout 600)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARGN}" TIMEOUT ${timeout}
    SKIP_RETURN_CODE 77 ENVIRONMENT "${CAPTIOND_TEST_ENVIRONMENT}")
endfunction()

# captiond_add_test(test_gain LIBRARIES captiond_elements LABELS gst [SOURCES more.cc])
#
# One executable per test file, named for it, in the folder of the calling CMakeLists.txt.
function(captiond_add_test name)
  cmake_parse_arguments(ARG "" "" "LIBRARIES;LABELS;SOURCES" ${ARGN})
  add_executable(${name} ${name}.cc ${ARG_SOURCES})
  target_compile_definitions(${name} PRIVATE BOOST_TEST_DYN_LINK)
  target_link_libraries(${name} PRIVATE captiond_options Boost::unit_test_framework
    ${ARG_LIBRARIES})
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  captiond_label_test(${name} ${ARG_LABELS})
  if("unit" IN_LIST ARG_LABELS)
    add_dependencies(captiond_unit_tests ${name})
  elseif("gpu" IN_LIST ARG_LABELS)
    add_dependencies(captiond_gpu_tests ${name})
  endif()
endfunction()

# captiond_add_fuzz(fuzz_safetensors LIBRARIES captiond_model CORPUS corpus/safetensors)
#
# The source defines LLVMFuzzerTestOneInput. Everywhere it is linked with a main that runs the
# committed corpus once, as a unit test; with CAPTIOND_FUZZ it is linked with libFuzzer instead.
function(captiond_add_fuzz name)
  cmake_parse_arguments(ARG "" "CORPUS" "LIBRARIES" ${ARGN})
  add_executable(${name} ${name}.cc)
  target_link_libraries(${name} PRIVATE captiond_options ${ARG_LIBRARIES})
  if(CAPTIOND_FUZZ)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/run_corpus.cc)
  endif()
  add_test(NAME ${name} COMMAND ${name} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_CORPUS}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  captiond_label_test(${name} unit)
  add_dependencies(captiond_unit_tests ${name})
endfunction()

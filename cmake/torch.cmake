# captiond_torch: libtorch as the pip wheel lays it down. The wheel's own find_package(Torch) asks
# for unversioned CUDA libraries and nvcc even where only the headers are needed, so the few lines
# that matter are said here.
if(NOT CAPTIOND_TORCH)
  if(CAPTIOND_CUDA)
    file(GLOB candidates ${PROJECT_SOURCE_DIR}/.venv/cuda/torch)
  else()
    file(GLOB candidates ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  endif()
  list(LENGTH candidates count)
  if(NOT count EQUAL 1)
    message(FATAL_ERROR "libtorch not found under .venv: run tools/setup (tools/setup --cuda for "
                        "the cuda preset), or set CAPTIOND_TORCH to a torch wheel's folder")
  endif()
  list(GET candidates 0 CAPTIOND_TORCH)
endif()

add_library(captiond_torch INTERFACE)
# libtorch uses the shared libstdc++. Where the compiler has the archive alone (no libstdc++.so), a
# program would get a second one of its own; the two count the references of std::locale apart, and
# the program ends in "free(): invalid pointer".
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libstdc++.so
  OUTPUT_VARIABLE libstdcxx OUTPUT_STRIP_TRAILING_WHITESPACE)
if(libstdcxx STREQUAL "libstdc++.so")
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libstdc++.so.6
    OUTPUT_VARIABLE libstdcxx OUTPUT_STRIP_TRAILING_WHITESPACE)
  target_link_libraries(captiond_torch INTERFACE ${libstdcxx})
endif()
target_include_directories(captiond_torch SYSTEM INTERFACE
  ${CAPTIOND_TORCH}/include ${CAPTIOND_TORCH}/include/torch/csrc/api/include)
target_link_libraries(captiond_torch INTERFACE
  ${CAPTIOND_TORCH}/lib/libtorch_cpu.so ${CAPTIOND_TORCH}/lib/libc10.so)
set(CAPTIOND_TORCH_RPATH ${CAPTIOND_TORCH}/lib)

if(CAPTIOND_CUDA)
  cmake_path(GET CAPTIOND_TORCH PARENT_PATH site_packages)
  set(nvidia ${site_packages}/nvidia/cu13)
  target_include_directories(captiond_torch SYSTEM INTERFACE ${nvidia}/include)
  target_compile_definitions(captiond_torch INTERFACE CAPTIOND_CUDA=1)
  target_link_libraries(captiond_torch INTERFACE
    -Wl,--no-as-needed ${CAPTIOND_TORCH}/lib/libtorch_cuda.so ${CAPTIOND_TORCH}/lib/libc10_cuda.so
    ${nvidia}/lib/libcudart.so.13 -Wl,--as-needed)
  target_link_options(captiond_torch INTERFACE
    -Wl,-rpath-link,${nvidia}/lib -Wl,--allow-shlib-undefined)
  list(APPEND CAPTIOND_TORCH_RPATH ${nvidia}/lib)
endif()
set(CMAKE_BUILD_RPATH ${CAPTIOND_TORCH_RPATH})

# nvcc for model/kernels, and captiond_cuda_runtime: cudart and cuBLASLt as libtorch's wheels bring
# them, so that a program holds one runtime, the one that libtorch uses.
set(CMAKE_CUDA_ARCHITECTURES 90a)
set(CMAKE_CUDA_RUNTIME_LIBRARY None)
if(NOT CMAKE_CUDA_COMPILER)
  find_program(nvcc nvcc HINTS /usr/local/cuda/bin ${PROJECT_SOURCE_DIR}/.venv/cuda/nvidia/cu13/bin)
  if(NOT nvcc)
    message(FATAL_ERROR "nvcc not found: run tools/setup --cuda, or set CMAKE_CUDA_COMPILER")
  endif()
  set(CMAKE_CUDA_COMPILER ${nvcc})
endif()
enable_language(CUDA)

cmake_path(GET CAPTIOND_TORCH PARENT_PATH site_packages)
set(nvidia ${site_packages}/nvidia/cu13)
add_library(captiond_cuda_runtime INTERFACE)
target_include_directories(captiond_cuda_runtime SYSTEM INTERFACE
  ${nvidia}/include ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
target_link_libraries(captiond_cuda_runtime INTERFACE
  ${nvidia}/lib/libcudart.so.13 ${nvidia}/lib/libcublasLt.so.13)

# captiond_options: what every target of ours is compiled with.
add_library(captiond_options INTERFACE)
target_compile_features(captiond_options INTERFACE cxx_std_20)
target_include_directories(captiond_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(captiond_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion>
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${CAPTIOND_WERROR}>>:-Werror>)
# CMake 3.25 knows the standards of nvcc only up to C++17, hence the flag.
target_compile_options(captiond_options INTERFACE
  $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20 -Xcompiler=-Wall,-Wextra,-Wshadow --expt-relaxed-constexpr>
  $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${CAPTIOND_WERROR}>>:-Werror=all-warnings>)
if(CAPTIOND_SANITIZE)
  target_compile_options(captiond_options INTERFACE
    -fsanitize=${CAPTIOND_SANITIZE} -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(captiond_options INTERFACE -fsanitize=${CAPTIOND_SANITIZE})
endif()
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

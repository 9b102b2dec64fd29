# SPDX-License-Identifier: Apache-2.0
# Initial cache (cmake -C) of the one build that both `make asan` and `make fuzz` use: clang, ASan, UBSan, and what
# libFuzzer wants to see.
set(CMAKE_C_COMPILER clang CACHE STRING "")
set(CMAKE_CXX_COMPILER clang++ CACHE STRING "")
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1" CACHE STRING "")
set(HAWSER_FUZZERS ON CACHE BOOL "")
set(HAWSER_BENCH OFF CACHE BOOL "")

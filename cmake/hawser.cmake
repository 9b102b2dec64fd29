# SPDX-License-Identifier: Apache-2.0
# The one way in which this tree makes a library, a program and a test.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Boost 1.81 REQUIRED)
if(HAWSER_TESTS)
  enable_testing()
  find_package(GTest REQUIRED)
endif()

add_library(hawser_flags INTERFACE)
target_compile_options(hawser_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports false positives inside libstdc++ and Boost at -O2.
  target_compile_options(hawser_flags INTERFACE
    -Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds -Wno-dangling-pointer)
endif()
target_compile_definitions(hawser_flags INTERFACE BOOST_ALL_NO_LIB)
target_include_directories(hawser_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
if(HAWSER_SANITIZE)
  target_compile_options(hawser_flags INTERFACE -fsanitize=${HAWSER_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(hawser_flags INTERFACE -fsanitize=${HAWSER_SANITIZE})
endif()

# hawser_library(NAME DEPS ...): every *.cc of this folder in libhawser_NAME, every *_test.cc in hawser_NAME_test.
function(hawser_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;TEST_DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc)
  if(tests)
    list(REMOVE_ITEM sources ${tests})
  endif()
  if(sources)
    add_library(hawser_${name} STATIC ${sources})
    target_link_libraries(hawser_${name} PUBLIC hawser_flags Threads::Threads ${ARG_DEPS})
  else()
    add_library(hawser_${name} INTERFACE)
    target_link_libraries(hawser_${name} INTERFACE hawser_flags Threads::Threads ${ARG_DEPS})
  endif()
  if(HAWSER_TESTS AND tests)
    add_executable(hawser_${name}_test ${tests})
    target_link_libraries(hawser_${name}_test PRIVATE hawser_${name} ${ARG_TEST_DEPS} GTest::gmock GTest::gtest_main)
    add_test(NAME ${name} COMMAND hawser_${name}_test
      --gtest_output=xml:${CMAKE_BINARY_DIR}/results/${name}.xml)
  endif()
endfunction()

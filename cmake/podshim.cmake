# What every target of ours is built with. Generated code takes none of this.

set(PODSHIM_WARNINGS -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # -Wno-deprecated-declarations: libstdc++ 12 uses its own get_temporary_buffer in std::stable_sort.
  list(APPEND PODSHIM_WARNINGS -Wno-deprecated-declarations -Wno-gnu-statement-expression -Wno-missing-field-initializers -Wno-missing-designated-field-initializers)
else()
  # GCC 12 reports false dangling/uninitialized paths through std::expected and std::optional at -O2;
  # a designated initializer that leaves a member at its default is the style here.
  list(APPEND PODSHIM_WARNINGS -Wno-missing-field-initializers -Wno-maybe-uninitialized -Wno-restrict)
endif()

set(PODSHIM_SANITIZE_FLAGS "")
if(PODSHIM_SANITIZE)
  set(PODSHIM_SANITIZE_FLAGS -fsanitize=${PODSHIM_SANITIZE} -fno-omit-frame-pointer)
  if(PODSHIM_SANITIZE MATCHES undefined)
    list(APPEND PODSHIM_SANITIZE_FLAGS -fno-sanitize-recover=undefined)
  endif()
  # For tests of budgets that an instrumented program cannot keep.
  list(APPEND PODSHIM_SANITIZE_FLAGS -DPODSHIM_SANITIZED)
endif()

function(podshim_flags target)
  target_compile_options(${target} PRIVATE ${PODSHIM_WARNINGS} ${PODSHIM_SANITIZE_FLAGS})
  target_link_options(${target} PRIVATE ${PODSHIM_SANITIZE_FLAGS})
endfunction()

# For a target with Boost.Asio: its fences are unknown to tsan, and stand beside locks that are not.
function(podshim_uses_asio target)
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
endfunction()

# podshim_library(name SOURCES... LINK libs...): a static library of one room. With PODSHIM_FUZZ it counts its edges and
# shows its comparisons, in the one build that also serves the tests: what a fuzz target looks for is in the libraries.
function(podshim_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  podshim_flags(${name})
  if(PODSHIM_FUZZ)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  target_link_libraries(${name} PUBLIC ${A_LINK})
endfunction()

# podshim_program(name [STATIC] [DIR dir] SOURCES... LINK libs...)
# STATIC is dropped under sanitizers: g++ refuses -static with them.
function(podshim_program name)
  cmake_parse_arguments(A "STATIC" "DIR" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  podshim_flags(${name})
  target_link_libraries(${name} PRIVATE ${A_LINK})
  if(A_STATIC AND NOT PODSHIM_SANITIZE)
    target_link_options(${name} PRIVATE -static)
  endif()
  if(A_DIR)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${A_DIR})
  endif()
  podshim_in_lane(programs ${name})
endfunction()

# podshim_in_lane(lane target): `ninja tests-unit` and the like build one lane's programs.
function(podshim_in_lane lane target)
  if(NOT TARGET ${lane})
    add_custom_target(${lane})
  endif()
  add_dependencies(${lane} ${target})
endfunction()

# podshim_test(name RING unit|golden|root|e2e SOURCES... LINK libs...)
# The lane runner finds tests by their ring: one program is <build>/tests/<ring>/<name>.
function(podshim_test name)
  if(NOT PODSHIM_TESTS)
    return()
  endif()
  cmake_parse_arguments(A "" "RING" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  podshim_flags(${name})
  target_compile_definitions(${name} PRIVATE PODSHIM_SOURCE_DIR="${CMAKE_SOURCE_DIR}" PODSHIM_BUILD_DIR="${CMAKE_BINARY_DIR}")
  target_link_libraries(${name} PRIVATE ${A_LINK} GTest::gtest GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/${A_RING})
  podshim_in_lane(tests-${A_RING} ${name})
endfunction()

# podshim_fuzz(name SOURCES... LINK libs...): a libFuzzer target, only with PODSHIM_FUZZ.
function(podshim_fuzz name)
  if(NOT PODSHIM_FUZZ)
    return()
  endif()
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  podshim_flags(${name})
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name} PRIVATE ${A_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/fuzz)
  podshim_in_lane(tests-fuzz ${name})
endfunction()

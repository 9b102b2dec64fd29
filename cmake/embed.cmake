# SPDX-License-Identifier: Apache-2.0
# hawser_embed_files(TARGET HEADER h FUNCTION ns::name FILES ...): the files as constant arrays in TARGET. FUNCTION,
# which HEADER declares, returns `const std::map<std::string, std::string_view>&`: content by file name.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(HAWSER_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
  function(hawser_embed_files target)
    cmake_parse_arguments(ARG "" "HEADER;FUNCTION" "FILES" ${ARGN})
    set(out ${CMAKE_CURRENT_BINARY_DIR}/${target}_files.cc)
    add_custom_command(
      OUTPUT ${out}
      COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DHEADER=${ARG_HEADER} -DFUNCTION=${ARG_FUNCTION} "-DFILES=${ARG_FILES}"
              -P ${HAWSER_EMBED_SCRIPT}
      DEPENDS ${ARG_FILES} ${HAWSER_EMBED_SCRIPT}
      VERBATIM)
    target_sources(${target} PRIVATE ${out})
  endfunction()
  return()
endif()

set(arrays "")
set(table "")
set(number 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(READ ${file} hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR bytes "${digits} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," body "${hex}")
  string(APPEND arrays "const unsigned char file_${number}[] = {${body}0};\n")
  string(APPEND table "        {\"${name}\", {reinterpret_cast<const char*>(file_${number}), ${bytes}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "// SPDX-License-Identifier: Apache-2.0
#include \"${HEADER}\"
namespace {
${arrays}}  // namespace
const std::map<std::string, std::string_view>& ${FUNCTION}() {
    static const std::map<std::string, std::string_view> files{
${table}    };
    return files;
}
")

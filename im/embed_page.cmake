# SPDX-License-Identifier: Apache-2.0
# cmake -DOUT=file.cc "-DFILES=a;b" -P embed_page.cmake: the files as constant arrays, for im/page.h.
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
  string(APPEND table "    {\"${name}\", {reinterpret_cast<const char*>(file_${number}), ${bytes}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "// SPDX-License-Identifier: Apache-2.0
#include \"im/page.h\"
namespace hawser::im {
namespace {
${arrays}}  // namespace
const std::map<std::string, std::string_view>& embedded_page() {
    static const std::map<std::string, std::string_view> files{
${table}    };
    return files;
}
}  // namespace hawser::im
")

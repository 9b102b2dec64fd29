// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace hawser::im {

// The files of web/chat as they were when the program was built.
const std::map<std::string, std::string_view>& embedded_page();

struct PageFile {
    std::string content_type;
    std::string body;
};

// The files of the chat page: those in the program, or those of a directory, read at each request.
class Page {
  public:
    // `directory` "": the embedded files.
    explicit Page(std::string directory) : directory_(std::move(directory)) {}

    // path: "/" or "/chat.css". Names are letters, digits, "-", "_" and one suffix of html, css, js, svg, so
    // nothing outside of the directory can be named.
    [[nodiscard]] std::optional<PageFile> find(std::string_view path) const;

  private:
    std::string directory_;
};

}  // namespace hawser::im

// SPDX-License-Identifier: Apache-2.0
#pragma once

// A directory of a test's own.

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>

namespace hawser::net::testing {

// Made in the system's directory for temporary files; removed with all in it.
class TemporaryDirectory {
  public:
    explicit TemporaryDirectory(std::string_view name = "test") {
        static std::atomic<unsigned> next{0};
        const auto parent = std::filesystem::temp_directory_path();
        do {
            path_ = parent / ("hawser-" + std::string(name) + "-" + std::to_string(::getpid()) + "-" + std::to_string(next++));
        } while (!std::filesystem::create_directory(path_));  // one of an earlier process may have been left
    }
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    void write(const std::string& name, std::string_view text) const {
        std::filesystem::create_directories((path_ / name).parent_path());
        std::ofstream(path_ / name) << text;
    }
    [[nodiscard]] std::string read(const std::string& name) const {
        std::ifstream file(path_ / name);
        return {std::istreambuf_iterator<char>(file), {}};
    }

  private:
    std::filesystem::path path_;
};

}  // namespace hawser::net::testing

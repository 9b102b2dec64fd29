// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <system_error>

#include "sources/manifest/manifest.h"

namespace hawser::manifest {
namespace {

namespace fs = std::filesystem;
using catalog::Diagnostics;

bool is_manifest(const fs::path& path) {
    const std::string extension = path.extension().string();
    return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

class Lister {
  public:
    Lister(const LoadOptions& options, Diagnostics& diagnostics)
        : options_(options), diagnostics_(diagnostics) {}

    void add(const fs::path& path) {
        std::error_code error;
        const fs::file_status status = fs::status(path, error);
        if (!fs::exists(status))
            return diagnostics_.error({path.string(), 0, 0},
                                      error ? error.message() : "no such file or directory");
        if (fs::is_directory(status)) return walk(path, 0);
        if (!fs::is_regular_file(status) && !fs::is_character_file(status) && !fs::is_fifo(status))
            return diagnostics_.error({path.string(), 0, 0}, "is neither a file nor a directory");
        take(path);
    }

    std::vector<std::string> files;

  private:
    void take(const fs::path& path) {
        std::error_code error;
        const fs::path real = fs::canonical(path, error);
        if (!seen_.insert(error ? path : real).second) return;
        if (files.size() < options_.max_files)
            files.push_back(path.string());
        else if (files.size() == options_.max_files && !full_) {
            full_ = true;
            diagnostics_.error({path.string(), 0, 0},
                               "more than " + std::to_string(options_.max_files) + " manifest files");
        }
    }

    void walk(const fs::path& directory, std::size_t depth) {
        if (depth > options_.max_directory_depth)
            return diagnostics_.error({directory.string(), 0, 0}, "directories nested too deeply");
        std::error_code error;
        std::vector<fs::path> entries;
        for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
            if (!it->path().filename().string().starts_with(".")) entries.push_back(it->path());
        if (error) return diagnostics_.error({directory.string(), 0, 0}, error.message());
        std::sort(entries.begin(), entries.end());
        for (const fs::path& entry : entries) {
            if (fs::is_directory(entry, error))
                walk(entry, depth + 1);
            else if (is_manifest(entry))
                take(entry);
        }
    }

    const LoadOptions& options_;
    Diagnostics& diagnostics_;
    std::set<fs::path> seen_;
    bool full_ = false;
};

// The whole file, or nothing after a report.
std::optional<std::string> read_file(const std::string& file, std::uint64_t max_size,
                                     Diagnostics& diagnostics) {
    errno = 0;
    std::ifstream in(file, std::ios::binary);
    std::string text;
    std::vector<char> buffer(64 * 1024);
    while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), in.gcount() > 0) {
        text.append(buffer.data(), static_cast<std::size_t>(in.gcount()));
        if (text.size() > max_size) {
            diagnostics.error({file, 0, 0}, "the file is larger than " + std::to_string(max_size) + " bytes");
            return std::nullopt;
        }
    }
    if (!in.eof() || in.bad()) {
        diagnostics.error({file, 0, 0}, "cannot be read: " + std::generic_category().message(errno));
        return std::nullopt;
    }
    return text;
}

}  // namespace

std::vector<std::string> list_files(std::span<const std::string> paths, const LoadOptions& options,
                                    Diagnostics& diagnostics) {
    Lister lister(options, diagnostics);
    for (const std::string& path : paths) lister.add(path);
    return std::move(lister.files);
}

void load(std::span<const std::string> paths, const LoadOptions& options, catalog::Objects& objects,
          Diagnostics& diagnostics) {
    ObjectReader reader(options.validation, objects, diagnostics);
    for (const std::string& file : list_files(paths, options, diagnostics))
        if (const auto text = read_file(file, options.max_file_size, diagnostics))
            reader.read_text(*text, file, options.parse);
    reader.finish();
}

}  // namespace hawser::manifest

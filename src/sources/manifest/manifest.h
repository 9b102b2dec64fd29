// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "catalog/objects.h"
#include "sources/manifest/validate.h"
#include "sources/manifest/value.h"

namespace hawser::manifest {

struct LoadOptions {
    ParseLimits parse;
    ValidationOptions validation;
    std::uint64_t max_file_size = 32ULL << 20;  // bytes
    std::size_t max_files = 10'000;
    std::size_t max_directory_depth = 16;
};

// The manifest files behind `paths`: a file as it is, a directory with everything *.yaml, *.yml, *.json below
// it, sorted; no file twice. Hidden files and directories are left out (a mounted ConfigMap has
// "..2026_11_22/"). What cannot be read is an error in `diagnostics`.
std::vector<std::string> list_files(std::span<const std::string> paths, const LoadOptions& options,
                                    catalog::Diagnostics& diagnostics);

// Reads all manifests behind `paths` and adds their objects to `objects`. Every error of every file is in
// `diagnostics`, and so are the kinds that hawser does not read (a warning each). Objects with errors are
// left out: with diagnostics.has_errors() the result must not be used.
void load(std::span<const std::string> paths, const LoadOptions& options, catalog::Objects& objects,
          catalog::Diagnostics& diagnostics);

// Sorts parsed objects by kind, decodes and validates them. load() uses one over all files; the Kubernetes
// source one per answer.
class ObjectReader {
  public:
    ObjectReader(const ValidationOptions& options, catalog::Objects& objects,
                 catalog::Diagnostics& diagnostics)
        : options_(options), objects_(objects), diagnostics_(diagnostics) {}

    // All documents of one text; `file` is its name in messages and decides the format (*.json or YAML).
    void read_text(const std::string& text, const std::string& file, const ParseLimits& limits);
    // One object, or a `kind: List` of them, nested to any depth that the parser let through.
    void read(const Value& document, const std::string& file);
    // Names the kinds that were passed over, and the objects given twice. Once, at the end.
    void finish();

  private:
    struct Unread {
        std::size_t count = 0;
        catalog::Position first;
    };

    void read_list(const Value& document, const std::string& file, const std::string& item_kind,
                   const std::string& api_version);
    void read_object(const Value& document, const std::string& file, const std::string& api_version,
                     const std::string& kind);
    template <class T>
    void read_kind(const Value& document, const std::string& file, std::string_view kind,
                   std::vector<catalog::Sourced<T>>& into);

    const ValidationOptions& options_;
    catalog::Objects& objects_;
    catalog::Diagnostics& diagnostics_;
    std::map<std::string, Unread> unread_;
    std::map<std::string, catalog::Position> seen_;  // "Service default/im-service"
};

}  // namespace hawser::manifest

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "net/error.h"

namespace hawser::control {

// What the sources were read from. Paths may be relative, may be missing, may be symbolic links.
struct WatchList {
    std::vector<std::string> files;
    std::vector<std::string> directories;  // manifest directories, each with all below it
    std::vector<std::string> patterns;     // nginx includes with wildcards
};

// Tells when something of a WatchList may have changed. Directories are watched, not files, so that an
// editor's rename over the file is seen, and a file that is missing when it appears. Every symbolic link on
// the way is watched where it stands: Kubernetes changes a mounted ConfigMap by renaming the link `..data`.
class FileWatch {
  public:
    using Duration = std::chrono::milliseconds;
    // `on_change` is called on io's thread once nothing has happened for `quiet`, and not later than ten
    // times that after the first event.
    FileWatch(boost::asio::io_context& io, std::function<void()> on_change, Duration quiet = Duration(100));
    ~FileWatch();
    FileWatch(const FileWatch&) = delete;
    FileWatch& operator=(const FileWatch&) = delete;

    net::Result<void> open();
    // Replaces what is watched. `read_since`: when reading of the list began (changed_clock()): a change
    // after that and before now is reported as well. An error is one of the kernel's limits: what it names is
    // not watched, the rest is.
    net::Result<void> watch(const WatchList& list, timespec read_since);
    // The kernel's clock of file times.
    static timespec changed_clock();

  private:
    struct Interest {
        std::set<std::string> names;
        std::vector<std::string> patterns;  // fnmatch, of names
        bool manifests = false;             // every name that a manifest file or a directory could have
    };
    using Interests = std::map<std::string, Interest>;  // by directory

    static void add_path(Interests& interests, const std::string& path);
    static void add_tree(Interests& interests, const std::string& directory, unsigned depth);
    static void add_pattern(Interests& interests, const std::string& pattern);
    static bool changed_since(const Interests& interests, const timespec& moment);
    static bool concerns(const std::string& directory, const Interest& interest, std::uint32_t mask,
                         const std::string& name);
    void read_events();
    void on_readable();
    void changed();

    std::function<void()> on_change_;
    Duration quiet_;
    boost::asio::posix::stream_descriptor inotify_;
    boost::asio::steady_timer timer_;
    std::chrono::steady_clock::time_point first_event_;
    bool waiting_ = false;
    std::map<int, std::string> directories_;  // by watch descriptor
    Interests interests_;
};

}  // namespace hawser::control

// SPDX-License-Identifier: Apache-2.0
#include "splice/program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "splice.skel.h"

namespace hawser::splice {

namespace {

namespace fs = std::filesystem;

// linux/bpf.h of Debian 12 is older than tcx (Linux 6.6).
constexpr auto tcx_ingress = static_cast<bpf_attach_type>(46);
constexpr auto tcx_egress = static_cast<bpf_attach_type>(47);

// Where clsact is used: the place of our filter, so that a new process replaces it.
constexpr std::uint32_t filter_handle = 1, filter_priority = 0x4857;

bool is_bpffs(const std::string& path) {
    struct statfs facts {};
    return ::statfs(path.c_str(), &facts) == 0 && facts.f_type == BPF_FS_MAGIC;
}

// Whether this process sees other mounts than the machine's first one or the one that started it.
bool has_own_mounts() {
    struct stat own {};
    if (::stat("/proc/self/ns/mnt", &own) != 0) return false;
    for (const pid_t other : {pid_t{1}, ::getppid()}) {
        struct stat theirs {};
        if (::stat(("/proc/" + std::to_string(other) + "/ns/mnt").c_str(), &theirs) == 0 &&
            theirs.st_ino != own.st_ino)
            return true;
    }
    return false;
}

// True: on a bpffs that was mounted just now, in a mount namespace with which it may be gone.
net::Result<bool> make_directory(const std::string& path) {
    bool fleeting = false;
    std::error_code failed;
    fs::path existing = path;
    while (!fs::exists(existing, failed) && existing.has_relative_path()) existing = existing.parent_path();
    if (!is_bpffs(existing)) {
        // /sys/fs/bpf is there on every kernel with bpffs, but nobody may have mounted it (or the caller's
        // /sys is a fresh one, as in `ip netns exec`); no directory can be made there before that.
        fs::path place = existing;
        if (existing != "/sys/fs/bpf") {
            place = fs::path(path).parent_path();
            fs::create_directories(place, failed);
            if (failed) return net::system_error("make " + place.string(), failed.value());
        }
        if (::mount("bpf", place.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
            return net::system_error("mount a bpffs on " + place.string(), errno);
        fleeting = has_own_mounts();
    }
    fs::create_directories(path + "/links", failed);
    if (failed) return net::system_error("make " + path + "/links", failed.value());
    return fleeting;
}

// One process at a time. A directory of a bpffs can be locked like any other.
net::Result<net::Fd> lock(const std::string& path) {
    net::Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return net::system_error("open " + path, errno);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            net::Error error;
            error.code = EBUSY;
            error.message = "another process has " + path;
            return error;
        }
        return net::system_error("lock " + path, errno);
    }
    return fd;
}

std::string versioned(const std::string& directory) {
    return directory + "/v" + std::to_string(layout::layout_version);
}

int silent(enum libbpf_print_level, const char*, va_list) { return 0; }

}  // namespace

struct Program::Skeleton {
    splice_bpf* bpf = nullptr;
    std::vector<char> log = std::vector<char>(256 * 1024);
    ~Skeleton() {
        if (bpf != nullptr) splice_bpf__destroy(bpf);
    }
};

namespace {

// Not pinned: of this process's programs alone.
bool is_private(std::string_view name) {
    return name == "packets" || name == "scratches" || name == "counts" || name == "fragments" ||
           name.find('.') != std::string_view::npos;
}

void set_sizes(splice_bpf& bpf, std::uint32_t most_tunnels) {
    bpf_map__set_max_entries(bpf.maps.flows, 2 * most_tunnels);
    bpf_map__set_max_entries(bpf.maps.records, most_tunnels);
}

net::Result<bool> pin_maps(splice_bpf& bpf, const std::string& directory) {
    bool adopted = false;
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, bpf.obj) {
        const std::string name = bpf_map__name(map);
        if (is_private(name)) continue;
        const std::string path = directory + "/" + name;
        const net::Fd existing(bpf_obj_get(path.c_str()));
        if (existing.valid()) {
            bpf_map_info info{};
            std::uint32_t size = sizeof info;
            if (bpf_obj_get_info_by_fd(existing.get(), &info, &size) != 0)
                return net::system_error("look at " + path, errno);
            bpf_map__set_max_entries(map, info.max_entries);
            adopted = true;
        }
        if (const int failed = bpf_map__set_pin_path(map, path.c_str()); failed != 0)
            return net::system_error("pin " + path, -failed);
    }
    return adopted;
}

Tables tables_of(const splice_bpf& bpf) {
    const auto fd = [](const bpf_map* map) { return bpf_map__fd(map); };
    const auto& m = bpf.maps;
    Tables t;
    const auto set = [&fd](auto& table, const bpf_map* map) {
        table = std::decay_t<decltype(table)>(fd(map));
    };
    set(t.flows, m.flows);
    set(t.nascent, m.nascent);
    set(t.records, m.records);
    set(t.nascent_records, m.nascent_records);
    set(t.names, m.names);
    set(t.frontends, m.frontends);
    set(t.groups, m.groups);
    set(t.endpoints, m.endpoints);
    set(t.hash_parts, m.hash_parts);
    set(t.entry_parts, m.entry_parts);
    set(t.members, m.members);
    set(t.loads, m.loads);
    set(t.port_counters, m.port_counters);
    set(t.affinities, m.affinities);
    set(t.node_addresses, m.node_addresses);
    set(t.cluster_addresses, m.cluster_addresses);
    set(t.interfaces, m.interfaces);
    set(t.pod_ranges, m.pod_ranges);
    set(t.service_ranges, m.service_ranges);
    set(t.source_ranges, m.source_ranges);
    set(t.settings, m.settings);
    set(t.last_id, m.last_id);
    set(t.origin, m.origin);
    set(t.vips, m.vips);
    set(t.places, m.places);
    t.events = fd(m.events);
    t.counts = fd(m.counts);
    return t;
}

bool knows_checksum_flag(const splice_bpf& bpf) {
    std::array<std::uint8_t, 14 + 40 + 20> packet{};
    packet[12] = 0x86;
    packet[13] = 0xdd;
    packet[14] = 0x60;
    packet[19] = 20;
    packet[20] = IPPROTO_TCP;
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet.data(), .data_size_in = packet.size(), .repeat = 1);
    const int failed = bpf_prog_test_run_opts(bpf_program__fd(bpf.progs.probe_checksum_flag), &run);
    return failed == 0 && run.retval == 0;
}

}  // namespace

net::Result<std::unique_ptr<Program>> Program::load(const Options& options) {
    libbpf_set_print(silent);
    std::unique_ptr<Program> out(new Program);
    out->directory_ = versioned(options.directory);
    auto made = make_directory(out->directory_);
    if (!made) return made.error();
    out->fleeting_ = *made;
    auto locked = lock(out->directory_);
    if (!locked) return locked.error();
    out->lock_ = std::move(*locked);

    out->skeleton_ = std::make_unique<Skeleton>();
    LIBBPF_OPTS(bpf_object_open_opts, open, .kernel_log_buf = out->skeleton_->log.data(),
                .kernel_log_size = out->skeleton_->log.size());
    splice_bpf* bpf = out->skeleton_->bpf = splice_bpf__open_opts(&open);
    if (bpf == nullptr) return net::system_error("open the eBPF object", errno);
    set_sizes(*bpf, options.most_tunnels);
    auto pinned = pin_maps(*bpf, out->directory_);
    if (!pinned) return pinned.error();
    out->adopted_ = *pinned;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, bpf->obj) bpf_program__set_type(program, BPF_PROG_TYPE_SCHED_CLS);
    if (const int failed = splice_bpf__load(bpf); failed != 0) {
        net::Error error = net::system_error("load the eBPF programs", -failed);
        const std::string log(out->skeleton_->log.data());
        // Its last words say what the verifier did not like.
        if (!log.empty()) error.message += " (" + log.substr(log.size() > 300 ? log.size() - 300 : 0) + ")";
        return error;
    }
    if (knows_checksum_flag(*bpf)) bpf->bss->checksum_v6_flag = 1 << 7;
    out->tables_ = tables_of(*bpf);
    out->skeleton_->log.clear();
    out->skeleton_->log.shrink_to_fit();
    return out;
}

Program::~Program() = default;

int Program::program(Hook hook) const {
    const auto& programs = skeleton_->bpf->progs;
    return bpf_program__fd(hook == Hook::ingress ? programs.hawser_ingress : programs.hawser_egress);
}

std::string Program::link_path(std::uint32_t interface, Hook hook) const {
    return directory_ + "/links/" + (hook == Hook::ingress ? "ingress-" : "egress-") +
           std::to_string(interface);
}

net::Result<void> Program::attach(std::uint32_t interface, Hook hook) {
    if (has_tcx_) {
        auto attached = attach_tcx(interface, hook);
        if (attached || attached.error().code != EINVAL) return attached;
        has_tcx_ = false;  // Linux older than 6.6
    }
    return attach_clsact(interface, hook);
}

net::Result<void> Program::attach_tcx(std::uint32_t interface, Hook hook) {
    const std::string path = link_path(interface, hook);
    if (const net::Fd old(bpf_obj_get(path.c_str())); old.valid()) {
        bpf_link_info info{};
        std::uint32_t size = sizeof info;
        // bpf_link_info.tcx, which begins where every type's part begins: ifindex is 0 once the interface is
        // gone.
        const bool alive =
            bpf_obj_get_info_by_fd(old.get(), &info, &size) == 0 && info.xdp.ifindex == interface;
        if (alive && bpf_link_update(old.get(), program(hook), nullptr) == 0) return {};
        ::unlink(path.c_str());
    }
    const net::Fd link(bpf_link_create(program(hook), static_cast<int>(interface),
                                       hook == Hook::ingress ? tcx_ingress : tcx_egress, nullptr));
    if (!link.valid()) return net::system_error("attach to interface " + std::to_string(interface), errno);
    if (bpf_obj_pin(link.get(), path.c_str()) != 0) return net::system_error("pin " + path, errno);
    return {};
}

namespace {
bpf_tc_hook hook_of(std::uint32_t interface, Hook hook) {
    bpf_tc_hook out{};
    out.sz = sizeof out;
    out.ifindex = static_cast<int>(interface);
    out.attach_point = hook == Hook::ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
    return out;
}
}  // namespace

net::Result<void> Program::attach_clsact(std::uint32_t interface, Hook hook) {
    bpf_tc_hook at = hook_of(interface, hook);
    if (const int failed = bpf_tc_hook_create(&at); failed != 0 && failed != -EEXIST)
        return net::system_error("clsact on interface " + std::to_string(interface), -failed);
    LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = program(hook), .flags = BPF_TC_F_REPLACE,
                .handle = filter_handle, .priority = filter_priority);
    if (const int failed = bpf_tc_attach(&at, &filter); failed != 0)
        return net::system_error("filter on interface " + std::to_string(interface), -failed);
    return {};
}

void Program::detach(std::uint32_t interface, Hook hook) {
    ::unlink(link_path(interface, hook).c_str());
    if (has_tcx_) return;
    const bpf_tc_hook at = hook_of(interface, hook);
    LIBBPF_OPTS(bpf_tc_opts, filter, .handle = filter_handle, .priority = filter_priority);
    bpf_tc_detach(&at, &filter);
}

void Program::forget_gone_interfaces() {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(directory_ + "/links", failed)) {
        const net::Fd link(bpf_obj_get(entry.path().c_str()));
        bpf_link_info info{};
        std::uint32_t size = sizeof info;
        if (!link.valid() || bpf_obj_get_info_by_fd(link.get(), &info, &size) != 0 || info.xdp.ifindex == 0)
            ::unlink(entry.path().c_str());
    }
}

namespace {
// Runs a program that takes its input behind an Ethernet header. True: it said 0.
template <class Input>
bool run(const bpf_program* program, const Input& input) {
    std::array<std::uint8_t, ETH_HLEN + sizeof input> packet{};
    std::memcpy(packet.data() + ETH_HLEN, &input, sizeof input);
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet.data(), .data_size_in = packet.size(), .repeat = 1);
    return bpf_prog_test_run_opts(bpf_program__fd(program), &run) == 0 && run.retval == 0;
}
}  // namespace

bool Program::change(const layout::change& change) const {
    return run(skeleton_->bpf->progs.change_tunnel, change);
}

void Program::forget(const layout::flow_key& key, std::uint64_t id) const {
    run(skeleton_->bpf->progs.forget_tunnel, layout::forgetting{id, key});
}

std::uint64_t Program::count(layout::counter which) const {
    const int cpus = libbpf_num_possible_cpus();
    if (cpus <= 0) return 0;
    std::vector<std::uint64_t> values(static_cast<std::size_t>(cpus));
    const std::uint32_t key = which;
    if (bpf_map_lookup_elem(tables_.counts, &key, values.data()) != 0) return 0;
    std::uint64_t sum = 0;
    for (const std::uint64_t value : values) sum += value;
    return sum;
}

namespace {
bool empty_table(const std::string& path) {
    const net::Fd map(bpf_obj_get(path.c_str()));
    bpf_map_info info{};
    std::uint32_t size = sizeof info;
    if (!map.valid() || bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0) return false;
    std::vector<std::uint8_t> key(info.key_size);
    bool had = false;
    while (bpf_map_get_next_key(map.get(), nullptr, key.data()) == 0 &&
           bpf_map_delete_elem(map.get(), key.data()) == 0)
        had = true;
    return had;
}
}  // namespace

net::Result<bool> Program::stop_serving(const std::string& directory) {
    std::error_code failed;
    bool had = false;
    for (const auto& version : fs::directory_iterator(directory, failed)) {
        auto locked = lock(version.path());
        if (!locked) return locked.error();
        for (const char* table : {"/frontends", "/cluster_addresses", "/service_ranges"})
            had = empty_table(version.path().string() + table) || had;
    }
    return had;
}

net::Result<bool> Program::remove(const std::string& directory) {
    libbpf_set_print(silent);
    std::error_code failed;
    if (!fs::exists(directory, failed)) return false;
    bool found = false;
    for (const auto& version : fs::directory_iterator(directory, failed)) {
        auto locked = lock(version.path());
        if (!locked) return locked.error();
        for (const auto& link : fs::directory_iterator(version.path() / "links", failed))
            ::unlink(link.path().c_str());
        ::rmdir((version.path() / "links").c_str());
        for (const auto& pin : fs::directory_iterator(version.path(), failed)) {
            ::unlink(pin.path().c_str());
            found = true;
        }
        ::rmdir(version.path().c_str());
    }
    ::rmdir(directory.c_str());
    // Where the kernel has no tcx, the filters are the interfaces'.
    struct if_nameindex* const all = found ? ::if_nameindex() : nullptr;
    for (auto* each = all; each != nullptr && each->if_index != 0; ++each) {
        for (const Hook hook : {Hook::ingress, Hook::egress}) {
            const bpf_tc_hook at = hook_of(each->if_index, hook);
            LIBBPF_OPTS(bpf_tc_opts, filter, .handle = filter_handle, .priority = filter_priority);
            bpf_tc_detach(&at, &filter);
        }
    }
    if (all != nullptr) ::if_freenameindex(all);
    return found;
}

}  // namespace hawser::splice

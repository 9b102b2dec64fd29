/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* The tables. All are pinned by the loader, which also sets the sizes that the operator chose. */
#ifndef HAWSER_SPLICE_MAPS_H
#define HAWSER_SPLICE_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "layout.h"

#define TABLE(name_, type_, key_, value_, entries_, flags_) \
    struct {                                                 \
        __uint(type, type_);                                 \
        __type(key, key_);                                   \
        __type(value, value_);                               \
        __uint(max_entries, entries_);                       \
        __uint(map_flags, flags_);                           \
    } name_ SEC(".maps")

#define HASH(name_, key_, value_, entries_) \
    TABLE(name_, BPF_MAP_TYPE_HASH, key_, value_, entries_, BPF_F_NO_PREALLOC)
#define LRU(name_, key_, value_, entries_) TABLE(name_, BPF_MAP_TYPE_LRU_HASH, key_, value_, entries_, 0)
#define PREFIXES(name_, key_, entries_) \
    TABLE(name_, BPF_MAP_TYPE_LPM_TRIE, key_, u8, entries_, BPF_F_NO_PREALLOC)

HASH(flows, struct flow_key, struct flow, 1 << 20);
/* Flows of services whose handshake is not complete: a flood evicts only these. */
LRU(nascent, struct flow_key, struct flow, 1 << 15);
LRU(nascent_records, u64, struct record, 1 << 15);
HASH(records, u64, struct record, 1 << 19);
HASH(names, u64, struct name, 1 << 20);
HASH(frontends, struct frontend_key, struct frontend, 1 << 18);
HASH(groups, u64, struct group, 1 << 18);
HASH(endpoints, struct part_key, struct endpoint, 1 << 21);
HASH(hash_parts, struct part_key, struct hashes, 1 << 18);
HASH(entry_parts, struct part_key, struct entries, 1 << 20);
HASH(members, struct member_key, u32, 1 << 20);
HASH(loads, u64, u64, 1 << 20);
HASH(port_counters, u64, struct port_counters, 1 << 18);
LRU(affinities, struct affinity_key, struct affinity, 1 << 16);
HASH(node_addresses, struct address, u32, 1 << 10);
HASH(cluster_addresses, struct address, u32, 1 << 18);
HASH(interfaces, u32, struct interface, 1 << 14);
PREFIXES(pod_ranges, struct prefix_key, 1 << 10);
PREFIXES(service_ranges, struct prefix_key, 1 << 6);
PREFIXES(source_ranges, struct source_range_key, 1 << 18);
TABLE(last_id, BPF_MAP_TYPE_ARRAY, u32, u64, 1, 0); /* the highest of the relays' tunnels; the process's alone */
TABLE(vips, BPF_MAP_TYPE_ARRAY, u32, struct vip, vip_places, 0);
HASH(places, struct address, u32, vip_places); /* of VIPs in `vips` */
TABLE(origin, BPF_MAP_TYPE_ARRAY, u32, u64, 1, 0); /* names these tables among all nodes'; the process's alone */
TABLE(settings, BPF_MAP_TYPE_ARRAY, u32, struct settings, 1, 0);
TABLE(counts, BPF_MAP_TYPE_PERCPU_ARRAY, u32, u64, counters, 0);
TABLE(next_id, BPF_MAP_TYPE_PERCPU_ARRAY, u32, u64, 1, 0);

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 21); /* a second and a half of 10,000 tunnels each */
} events SEC(".maps");

/* Too large for the stack of 512 bytes. */
struct scratch {
    struct flow there, back;
    struct record record;
    u8 options[40], options_before[40];
};
TABLE(scratches, BPF_MAP_TYPE_PERCPU_ARRAY, u32, struct scratch, 1, 0);

/* A function of its own for the verifier: checked once, not at every call. Its pointers may be null as far as the
 * verifier knows. */
#define CHECKED_ONCE __attribute__((noinline))

static __always_inline struct scratch* scratch(void) {
    u32 zero = 0;
    return bpf_map_lookup_elem(&scratches, &zero);
}

static __always_inline void count(u32 which) {
    u64* value = bpf_map_lookup_elem(&counts, &which);
    if (value) ++*value;
}

#endif

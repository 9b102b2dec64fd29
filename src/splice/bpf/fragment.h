/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Datagrams that were cut: only the first part has the ports, the later ones have its IP id. They come as they were on
 * the wire: netfilter puts them together behind this program. */
#ifndef HAWSER_SPLICE_FRAGMENT_H
#define HAWSER_SPLICE_FRAGMENT_H

#include "packet.h"

/* As long as Linux waits for the rest of a datagram (net.ipv4.ipfrag_time). */
static const u64 fragment_time = 30000000000;

struct fragment_key {
    struct address source, destination;
    u32 id; /* network order */
    u8 protocol;
    u8 v6;
    u8 zero[2];
};

struct fragment_ports {
    u64 since; /* CLOCK_MONOTONIC, ns: when the first part came */
    u16 source_port, destination_port; /* network order */
    u32 zero;
};

/* Not pinned: a datagram that is on its way while the process changes is lost. */
LRU(fragments, struct fragment_key, struct fragment_ports, 1 << 14);

/* Whether the packet's ports are known: a first fragment leaves them for the later ones of its datagram. Who forges one
 * must guess the id, and turns the rest of one datagram away: no more than he could do to its reassembly. */
CHECKED_ONCE int knows_ports(struct packet* p) {
    if (!p) return 0;
    struct fragment_key key = {.source = p->key.source, .destination = p->key.destination, .id = p->fragment_id};
    key.protocol = p->key.protocol;
    key.v6 = p->v6;
    const u64 now = bpf_ktime_get_ns();
    if (p->fragment == fragment_first) {
        struct fragment_ports ports = {.since = now};
        ports.source_port = p->key.source_port;
        ports.destination_port = p->key.destination_port;
        bpf_map_update_elem(&fragments, &key, &ports, BPF_ANY);
        return 1;
    }
    const struct fragment_ports* ports = bpf_map_lookup_elem(&fragments, &key);
    if (!ports || now - ports->since > fragment_time) return 0;
    p->key.source_port = ports->source_port;
    p->key.destination_port = ports->destination_port;
    return 1;
}

#endif

/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* What the program and the process share: keys and values of the pinned maps. Every member has its natural
 * alignment, nothing is padded in silence. A change of anything here is a new layout_version: tables of another
 * version are not adopted. Numbers are in host order unless a comment says "network order". */
#ifndef HAWSER_SPLICE_LAYOUT_H
#define HAWSER_SPLICE_LAYOUT_H

#ifdef __cplusplus
#include <cstdint>
namespace hawser::splice::layout {
using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
#else
#include <linux/types.h>
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
#endif

enum { layout_version = 2 };

/* An address: 16 bytes, IPv4 as ::ffff:a.b.c.d, in network order. */
struct address {
    u32 word[4];
};

/* ---- the flow table ---- */

/* The 4-tuple of an arriving packet. */
struct flow_key {
    struct address source, destination;
    u16 source_port, destination_port; /* network order */
    u8 protocol;                       /* IPPROTO_TCP, IPPROTO_UDP */
    u8 zero[3];
};

enum flow_flag {
    flow_l4 = 1 << 0,         /* made by the program for a service: all deltas are zero, options untouched */
    flow_from_client = 1 << 1 /* client to endpoint; the other flow of the tunnel is without */,
    flow_timestamps = 1 << 2, /* both ends use RFC 7323 timestamps */
    flow_blank_sack = 1 << 3, /* only one end permits SACK: blocks become NOPs */
    flow_to_local = 1 << 4,   /* the client is a process of this node: deliver at local_interface */
    flow_affine = 1 << 5,
    flow_counted = 1 << 6, /* counted in `loads` */
    /* What was seen. Set atomically. */
    flow_fin = 1 << 8,             /* this side has sent FIN */
    flow_peer_fin = 1 << 9,        /* the other side has; peer_fin_end is its end, as this side acknowledges it */
    flow_peer_fin_acked = 1 << 10, /* and this side has acknowledged it */
    flow_reset = 1 << 11,          /* this side has sent a RST that was believed */
    flow_closed = 1 << 12,         /* the tunnel is over: both FINs acknowledged, or a RST */
};

/* States of a tunnel. A flow says `relay` until its record has been seen to say `spliced`. */
enum tunnel_state { state_relay = 0, state_transit = 1, state_spliced = 2, state_killed = 3 };

/* One direction of a tunnel: what to make of an arriving packet, and what was seen of it. */
struct flow {
    struct address source, destination; /* to write */
    u16 source_port, destination_port;  /* to write; network order */
    u8 state;                           /* enum tunnel_state */
    u8 window_scale;                    /* of the sender's window field; 14 when not known (the largest, RFC 7323) */
    signed char window_shift;           /* left when positive */
    u8 spare;
    u32 flags;
    u32 sequence_delta, acknowledgment_delta, tsval_delta, tsecr_delta; /* to add */
    u32 idle_seconds;
    u64 id; /* key of the tunnel's record */
    /* Seen; sequence numbers as the sender writes them. */
    u64 sequence_end; /* one past the highest, extended to 64 bits */
    u64 sequence_base; /* what sequence_end was before the first byte that this flow counts */
    u32 acknowledged; /* highest acknowledgement number */
    u32 window;       /* last window, in bytes */
    u32 tsval;        /* highest TSval */
    u32 peer_fin_end;
    u64 last_seen; /* CLOCK_MONOTONIC, ns: any packet */
    u64 last_data; /* the same: one that brought something new */
    u64 packets;
    u64 bytes; /* TCP: of IP packets; UDP: of payload */
    u32 local_interface;
    u32 largest_segment; /* payload and options that the receiver takes; 0 = any */
    /* A flow of which both ends talk to a VIP: whichever node has the VIP carries it. */
    u32 vip;       /* its place in `vips`; 0 = none */
    u32 term;      /* struct vip: that in which what was seen was seen here; another: it has to be learned anew */
    u32 heard_in;  /* the term of the two of this flow from which it is learned: */
    u32 heard_end; /* one past what its last segment brought, and `acknowledged` */
};

/* ---- tunnel records: what a flow does not say ---- */

enum record_flag {
    record_l4 = 1 << 0,
    record_closed = 1 << 1,    /* by the program; reason and bytes are final */
    record_by_client = 1 << 2, /* who began: first FIN, or RST */
    record_by_endpoint = 1 << 3,
    record_reset = 1 << 4,  /* ended by RST, not by FINs */
    record_closing = 1 << 5 /* the program is about to set record_closed */
};

struct record {
    u32 state; /* enum tunnel_state; as the process says */
    u32 flags;
    /* In transit: the next sequence number that our own socket expects of each side, which is what the relay has read
     * or will, and one past the last that the socket has sent to it. */
    u32 cut_client, cut_endpoint, sent_client, sent_endpoint;
    u64 started;                            /* CLOCK_REALTIME, ns */
    u64 route, service, endpoint, protocol; /* keys of `names`; 0 = none */
    struct address client;                  /* after real_ip */
    u16 client_port;                        /* host order */
    u16 zero;
    u32 idle_seconds;
    u64 bytes_in, bytes_out;   /* what the relay had moved; final totals once record_closed */
    u32 frames_in, frames_out; /* that the relay had counted */
    u64 origin, origin_id;     /* of a tunnel that began at another node: its tables there, and its id; else 0 */
};

/* ---- VIPs ---- */

enum { vip_places = 1024 }; /* 0 is nobody's */

struct vip {
    struct address address;
    u64 owned_until; /* CLOCK_MONOTONIC, ns: this node carries the flows of the VIP until then; 0 = it does not */
    u64 since;       /* the same: of the term */
    u64 quiet_until; /* the same: mid-stream packets to it that nobody knows are dropped, not refused */
    u32 term;        /* counts the times that the VIP came to this node */
    u32 flags;
};
enum vip_flag {
    vip_untold = 1 << 0, /* has been here, and no node that has it now has heard all about that */
};

/* Input of the program `change_tunnel`, behind an Ethernet header: what the process changes of a tunnel that packets
 * change at the same time. All of it is written in place; a value that was read and put back would undo them. */
struct socket_facts { /* of our own socket to one side, as it is now */
    u32 received;     /* one past what came in order, a FIN included */
    u32 sent;         /* one past what was given to it, the same */
    u32 acknowledged; /* of that */
    u32 finished;     /* not 0: the side's FIN came to it, and the relay has passed it on */
};
struct change {
    u64 id;
    struct flow_key client; /* of the flow from the client */
    struct socket_facts of_client, of_endpoint;
    u64 bytes_in, bytes_out;   /* what the relay has moved, and counted; of the cut */
    u32 frames_in, frames_out;
    u32 state; /* transit; spliced: what the sockets have received by then is counted; killed: nothing else is read */
    u32 zero;
};

/* Input of the program `forget_tunnel`, likewise: one of a tunnel's flows. Between a look at a key and its removal by the
 * process a new connection could take the key. */
struct forgetting {
    u64 id;
    struct flow_key key;
};

enum { name_size = 248 };
struct name {
    char text[name_size]; /* ends with a zero byte */
};

enum event_kind { event_opened = 1, event_closed = 2 };
struct event {
    u64 id;
    struct flow_key key; /* of the flow from the client */
    u8 kind;
    u8 zero[7];
};

/* ---- L4 services ---- */

struct frontend_key {
    struct address address; /* a nodePort: 0.0.0.0 or ::, see node_address */
    u16 port;               /* network order */
    u8 protocol;
    u8 zero;
};

enum frontend_flag {
    frontend_drop_when_empty = 1 << 0, /* P-03; otherwise refuse, P-06 */
    frontend_has_ranges = 1 << 1,      /* S-17 */
    frontend_local = 1 << 2,           /* a Local policy applies to clients from outside: keep their address */
    frontend_cluster_ip = 1 << 3,
};

struct frontend {
    u64 id;            /* hash of the frontend's id: its source ranges */
    u64 port_id;       /* hash of the service port: affinity, counters */
    u64 route, service; /* keys of `names` */
    u64 group;         /* for clients from outside */
    u64 cluster_group; /* for clients of this node and its pods (P-04) */
    u32 affinity_seconds;
    u32 idle_seconds; /* of TCP tunnels */
    u32 udp_idle_seconds;
    u32 flags;
};

enum scheduler {
    scheduler_random = 0,
    scheduler_rr = 1,
    scheduler_least_connected = 2,
    scheduler_source_hash = 3,
    scheduler_destination_hash = 4,
    scheduler_maglev = 5,
};

enum {
    hashes_per_chunk = 32,
    hash_chunks = 32, /* so many are scanned: 1,024 endpoints; larger groups have a Maglev table instead */
    entries_per_chunk = 64,
    no_endpoint = 0xffffffff,
};

/* A group's endpoints, hashes and table are of one generation: a change writes the next one, turns the group over to
 * it, and removes the old one. */
struct group {
    u32 generation;
    u32 count;
    u32 table_size; /* entries of its table; 0 = it has none */
    u8 scheduler;
    u8 affine;
    u8 zero[2];
};
struct part_key {
    u64 group;
    u32 generation;
    u32 index;
};
struct endpoint {
    struct address address;
    u16 port; /* network order */
    u16 zero;
    u32 zero2;
    u64 id; /* key of `names`, `loads` and `members` */
};
struct hashes { /* source_hash, destination_hash: rank; least_connected: endpoint id */
    u64 value[hashes_per_chunk];
};
struct entries { /* of the Maglev table, or of weighted round robin: indices of endpoints */
    u32 index[entries_per_chunk];
};
struct member_key {
    u64 group;
    u64 endpoint;
};
struct affinity_key {
    u64 port_id;
    struct address client;
};
struct affinity {
    u64 endpoint;
    u64 since; /* CLOCK_MONOTONIC, ns: the last new connection */
};
struct port_counters {
    u64 turn; /* of round robin */
    u64 opened, rejected, dropped;
};

/* Prefixes of `pod_ranges` and `service_ranges`; of `source_ranges` with the frontend's id before the address. */
struct prefix_key {
    u32 bits;
    struct address address;
};
struct source_range_key {
    u32 bits; /* 64 + those of the prefix */
    u32 frontend_high, frontend_low; /* network order */
    struct address address;
};

enum interface_flag { interface_peer_redirect = 1 << 0 };
struct interface {
    struct address v4, v6; /* primary address; 0 = none */
    u8 mac[6];
    u16 flags;
};

struct settings {
    u16 port_low, port_high; /* source ports for clients whose address is replaced; host order */
    u16 vip_port_low, vip_port_high; /* the same of those whose address becomes a VIP: no other node takes them */
    u64 quiet_until; /* of the VIP with the last one */
};

enum counter {
    counter_forwarded,
    counter_transit,
    counter_rejected,
    counter_dropped_ttl,
    counter_dropped_route,
    counter_dropped_odd,
    counter_dropped_policy,
    counter_dropped_no_port,
    counter_too_big,
    counter_icmp,
    counter_challenged,
    counter_table_full,
    counter_dropped_unknown,
    packet_counters, /* those before it count packets */
    counter_event_lost = packet_counters, /* the process will have to look for a tunnel's beginning or end */
    counters,
};

#ifdef __cplusplus
static_assert(sizeof(flow_key) == 40);
/* With the kernel's own part (48 bytes and a link of 8) an element of `flows` takes 256 bytes, one of `records` 192. */
static_assert(sizeof(flow_key) + sizeof(flow) <= 256 - 56);
static_assert(sizeof(u64) + sizeof(record) <= 192 - 56);
static_assert(sizeof(change) == 112 && sizeof(forgetting) == 48 && sizeof(vip) == 48);
}  // namespace hawser::splice::layout
#endif
#endif

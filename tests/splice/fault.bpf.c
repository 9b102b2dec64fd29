/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A bad network card for the tests: on tc of a host's interface, frames are dropped and doubled at random, super-packets
 * among them as hawser-wire cannot; and a connection's sequence numbers and timestamps can be shifted, for everyone
 * outside of the host, so that they wrap around soon after its beginning. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define INLINE static __attribute__((always_inline)) inline

enum { leaving, arriving, directions };
enum { mark_of_copy = 0x464c5421 };
enum { flag_syn = 2, flag_ack = 16 };
enum { option_end = 0, option_nop = 1, option_sack = 5, option_timestamps = 8, most_options = 12 };

struct settings {
    __u64 seed;
    __u32 drop, duplicate;  /* per mille */
    __u32 sequence_left;    /* the host's connections begin so many bytes before 2^32; 0: where the host says */
    __u32 timestamp_left;   /* and so many ticks (ms) */
};

struct counts {
    __u64 packets, dropped, duplicated, shifted, segments; /* shifted: connections; segments: of super-packets dropped or doubled */
};

struct shift {
    __u32 first; /* the host's own ISN */
    __u32 sequence, timestamp;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, directions);
    __type(key, __u32);
    __type(value, struct settings);
} settings SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, directions);
    __type(key, __u32);
    __type(value, struct counts);
} counts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, __u32); /* the host's port, the other port */
    __type(value, struct shift);
} shifts SEC(".maps");

/* Where the TCP header begins, or 0. */
INLINE __u32 tcp_offset(struct __sk_buff* skb) {
    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        struct iphdr ip;
        if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) || ip.protocol != IPPROTO_TCP) return 0;
        return ETH_HLEN + ip.ihl * 4;
    }
    if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
        struct ipv6hdr ip;
        if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) || ip.nexthdr != IPPROTO_TCP) return 0;
        return ETH_HLEN + sizeof ip;
    }
    return 0;
}

INLINE void add(struct __sk_buff* skb, __u32 tcp, __u32 at, __u32 what) {
    __be32 before, after;
    if (what == 0 || bpf_skb_load_bytes(skb, at, &before, sizeof before)) return;
    after = bpf_htonl(bpf_ntohl(before) + what);
    bpf_l4_csum_replace(skb, tcp + offsetof(struct tcphdr, check), before, after, sizeof after);
    bpf_skb_store_bytes(skb, at, &after, sizeof after, 0);
}

struct options {
    struct __sk_buff* skb;
    __u32 at, end;          /* what is not looked at yet */
    __u32 timestamps, sack; /* where their values begin, 0: none */
    __u32 sack_bytes;
};

static long next_option(__u32 number, struct options* o) {
    __u8 kind, length;
    if (o->at >= o->end || bpf_skb_load_bytes(o->skb, o->at, &kind, 1) || kind == option_end) return 1;
    if (kind == option_nop) {
        ++o->at;
        return 0;
    }
    if (bpf_skb_load_bytes(o->skb, o->at + 1, &length, 1) || length < 2) return 1;
    if (kind == option_timestamps && length == 10) o->timestamps = o->at + 2;
    if (kind == option_sack) {
        o->sack = o->at + 2;
        o->sack_bytes = length - 2;
    }
    o->at += length;
    return 0;
}

INLINE void shift_leaving(struct __sk_buff* skb, __u32 tcp, const struct tcphdr* head, __u8 flags, const struct options* at,
                          const struct settings* s, struct counts* c) {
    const __u32 key = (__u32)bpf_ntohs(head->source) << 16 | bpf_ntohs(head->dest);
    struct shift* known = bpf_map_lookup_elem(&shifts, &key);
    if (flags & flag_syn) {
        const __u32 first = bpf_ntohl(head->seq);
        if (!s->sequence_left && !s->timestamp_left) {
            if (known) bpf_map_delete_elem(&shifts, &key);
            return;
        }
        if (!known || known->first != first) { /* a SYN that is repeated keeps its numbers */
            struct shift fresh = {.first = first};
            __be32 now;
            if (s->sequence_left) fresh.sequence = -s->sequence_left - first;
            if (s->timestamp_left && at->timestamps && !bpf_skb_load_bytes(skb, at->timestamps, &now, sizeof now))
                fresh.timestamp = -s->timestamp_left - bpf_ntohl(now);
            bpf_map_update_elem(&shifts, &key, &fresh, BPF_ANY);
            __sync_fetch_and_add(&c->shifted, 1);
            known = bpf_map_lookup_elem(&shifts, &key);
        }
    }
    if (!known) return;
    const __u32 sequence = known->sequence, timestamp = known->timestamp;
    add(skb, tcp, tcp + offsetof(struct tcphdr, seq), sequence);
    if (at->timestamps) add(skb, tcp, at->timestamps, timestamp);
}

INLINE void shift_arriving(struct __sk_buff* skb, __u32 tcp, const struct tcphdr* head, __u8 flags, const struct options* at) {
    const __u32 key = (__u32)bpf_ntohs(head->dest) << 16 | bpf_ntohs(head->source);
    const struct shift* known = bpf_map_lookup_elem(&shifts, &key);
    if (!known || !(flags & flag_ack)) return; /* nothing in it is about the host's numbers */
    const __u32 sequence = -known->sequence, timestamp = -known->timestamp;
    add(skb, tcp, tcp + offsetof(struct tcphdr, ack_seq), sequence);
    if (at->timestamps) add(skb, tcp, at->timestamps + 4, timestamp);
    if (at->sack)
        for (__u32 edge = 0; edge < 8; ++edge)
            if ((edge + 1) * 4 <= at->sack_bytes) add(skb, tcp, at->sack + edge * 4, sequence);
}

INLINE void shift(struct __sk_buff* skb, const struct settings* s, struct counts* c, int direction) {
    struct tcphdr head;
    struct options at = {};
    __u8 flags;
    const __u32 tcp = tcp_offset(skb);
    if (!tcp || bpf_skb_load_bytes(skb, tcp, &head, sizeof head) || bpf_skb_load_bytes(skb, tcp + 13, &flags, 1)) return;
    at.skb = skb;
    at.at = tcp + sizeof head;
    at.end = tcp + head.doff * 4;
    bpf_loop(most_options, next_option, &at, 0);
    if (direction == leaving)
        shift_leaving(skb, tcp, &head, flags, &at, s, c);
    else
        shift_arriving(skb, tcp, &head, flags, &at);
}

/* splitmix64: the same seed and the same packets have the same fate. */
INLINE __u32 dice(__u64 seed, __u64 number) {
    __u64 z = seed + number * 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return (z ^ (z >> 31)) % 1000;
}

INLINE int fate(struct __sk_buff* skb, __u32 direction) {
    if (skb->mark == mark_of_copy) {
        skb->mark = 0;
        return TC_ACT_OK;
    }
    const struct settings* s = bpf_map_lookup_elem(&settings, &direction);
    struct counts* c = bpf_map_lookup_elem(&counts, &direction);
    if (!s || !c) return TC_ACT_OK;
    const __u64 number = __sync_fetch_and_add(&c->packets, 1);
    const __u32 more = skb->gso_segs > 1 ? skb->gso_segs : 0;
    shift(skb, s, c, direction);
    if (dice(s->seed * directions + direction, number * 2) < s->drop) {
        __sync_fetch_and_add(&c->dropped, 1);
        __sync_fetch_and_add(&c->segments, more);
        return TC_ACT_SHOT;
    }
    if (dice(s->seed * directions + direction, number * 2 + 1) < s->duplicate) {
        __sync_fetch_and_add(&c->duplicated, 1);
        __sync_fetch_and_add(&c->segments, more);
        const __u32 mark = skb->mark;
        skb->mark = mark_of_copy;
        bpf_clone_redirect(skb, skb->ifindex, direction == arriving ? BPF_F_INGRESS : 0);
        skb->mark = mark;
    }
    return TC_ACT_OK;
}

SEC("tc")
int leaves(struct __sk_buff* skb) { return fate(skb, leaving); }

SEC("tc")
int arrives(struct __sk_buff* skb) { return fate(skb, arriving); }

char program_license[] SEC("license") = "Dual BSD/GPL";

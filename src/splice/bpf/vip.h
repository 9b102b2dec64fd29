/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Tunnels over a VIP: whichever node has it carries them. */
#ifndef HAWSER_SPLICE_VIP_H
#define HAWSER_SPLICE_VIP_H

#include "packet.h"

static __always_inline const struct vip* vip_of(const struct flow* f) {
    u32 place = f->vip;
    return bpf_map_lookup_elem(&vips, &place);
}

/* By lease: when the process dies, its VIPs and their flows leave this node by themselves. */
static __always_inline int is_here(const struct vip* v, u64 now) { return v && now < v->owned_until; }

enum { tcp_listen = 10 }; /* the kernel's TCP_LISTEN */

static __always_inline struct bpf_sock* find_socket(struct __sk_buff* skb, const struct packet* p) {
    struct bpf_sock_tuple tuple = {};
    if (p->v6) {
        for (int i = 0; i < 4; ++i) {
            tuple.ipv6.saddr[i] = p->key.source.word[i];
            tuple.ipv6.daddr[i] = p->key.destination.word[i];
        }
        tuple.ipv6.sport = p->key.source_port;
        tuple.ipv6.dport = p->key.destination_port;
        return bpf_skc_lookup_tcp(skb, &tuple, sizeof tuple.ipv6, BPF_F_CURRENT_NETNS, 0);
    }
    tuple.ipv4.saddr = p->key.source.word[3];
    tuple.ipv4.daddr = p->key.destination.word[3];
    tuple.ipv4.sport = p->key.source_port;
    tuple.ipv4.dport = p->key.destination_port;
    return bpf_skc_lookup_tcp(skb, &tuple, sizeof tuple.ipv4, BPF_F_CURRENT_NETNS, 0);
}

/* A handshake's last segment, of which a listener under a flood of SYNs keeps no socket. */
static __always_inline int is_cookie(const struct __sk_buff* skb, const struct packet* p, struct bpf_sock* listener) {
    void* data = (void*)(long)skb->data;
    void* end = (void*)(long)skb->data_end;
    if (p->v6) {
        if (data + l4_offset_v6 + sizeof(struct tcphdr) > end) return 0;
        return bpf_tcp_check_syncookie(listener, data + l3_offset, sizeof(struct ipv6hdr), data + l4_offset_v6,
                                       sizeof(struct tcphdr)) == 0;
    }
    if (data + l4_offset_v4 + sizeof(struct tcphdr) > end) return 0;
    return bpf_tcp_check_syncookie(listener, data + l3_offset, sizeof(struct iphdr), data + l4_offset_v4,
                                   sizeof(struct tcphdr)) == 0;
}

/* In the middle of a connection, of which neither the tables nor a socket know, to a VIP that came here just now, or that
 * another node claims too: word of it may still be on its way. */
CHECKED_ONCE int is_stray(struct __sk_buff* skb, const struct packet* p) {
    if (!p || p->key.protocol != IPPROTO_TCP || p->tcp_flags & (tcp_syn | tcp_rst)) return 0;
    u32 zero = 0;
    const struct settings* set = bpf_map_lookup_elem(&settings, &zero);
    const u64 now = bpf_ktime_get_ns();
    if (!set || now >= set->quiet_until) return 0;
    const u32* place = bpf_map_lookup_elem(&places, &p->key.destination);
    if (!place) return 0;
    const struct vip* v = bpf_map_lookup_elem(&vips, place);
    if (!is_here(v, now) || now >= v->quiet_until) return 0;
    struct bpf_sock* socket = find_socket(skb, p);
    if (!socket) return 1;
    const int stray = socket->state == tcp_listen && !is_cookie(skb, p, socket);
    bpf_sk_release(socket);
    return stray;
}

#endif

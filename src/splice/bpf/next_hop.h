/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Where a rewritten packet goes. */
#ifndef HAWSER_SPLICE_NEXT_HOP_H
#define HAWSER_SPLICE_NEXT_HOP_H

#include "reply.h"
#include "rewrite.h"

static __always_inline void set_macs(struct __sk_buff* skb, const u8* destination, const u8* source) {
    void* data = (void*)(long)skb->data;
    if (data + ETH_HLEN > (void*)(long)skb->data_end) return;
    struct ethhdr* eth = data;
    __builtin_memcpy(eth->h_dest, destination, ETH_ALEN);
    __builtin_memcpy(eth->h_source, source, ETH_ALEN);
}

static __always_inline void ask_for_route(struct bpf_fib_lookup* fib, const struct __sk_buff* skb,
                                          const struct packet* p, const struct address* source,
                                          const struct address* destination) {
    fib->l4_protocol = p->key.protocol;
    fib->ifindex = skb->ifindex;
    if (p->v6) {
        fib->family = 10; /* AF_INET6 */
        for (int i = 0; i < 4; ++i) {
            fib->ipv6_src[i] = source->word[i];
            fib->ipv6_dst[i] = destination->word[i];
        }
        return;
    }
    fib->family = 2; /* AF_INET */
    fib->tos = p->tos;
    fib->ipv4_src = source->word[3];
    fib->ipv4_dst = destination->word[3];
}

/* Bytes of the largest IP packet that this will be on the wire. */
static __always_inline u32 ip_size(const struct __sk_buff* skb, const struct packet* p) {
    const u32 l4 = p->v6 ? l4_offset_v6 : l4_offset_v4;
    if (skb->gso_size) return l4 - ETH_HLEN + p->header + skb->gso_size;
    return skb->len - ETH_HLEN;
}

/* Payload and options of the largest segment that this will be on the wire. */
static __always_inline u32 segment_size(const struct __sk_buff* skb, const struct packet* p) {
    return p->header - sizeof(struct tcphdr) + (skb->gso_size ? skb->gso_size : p->payload);
}

/* The flow's client is a process of this node: the packet enters the stack by the interface that it expects. */
CHECKED_ONCE int deliver(struct __sk_buff* skb, const struct packet* p, const struct flow* f) {
    if (!p || !f) return DROP;
    u32 index = f->local_interface;
    const struct interface* to = bpf_map_lookup_elem(&interfaces, &index);
    if (!to || rewrite_packet(skb, p, f, 0)) return DROP;
    set_macs(skb, to->mac, to->mac);
    count(counter_forwarded);
    return bpf_redirect(index, BPF_F_INGRESS);
}

/* By the route that `fib` has; found: what bpf_fib_lookup() said, which is SUCCESS or NO_NEIGH. */
static __always_inline int leave(struct __sk_buff* skb, const struct packet* p, const struct bpf_fib_lookup* fib,
                                 long found) {
    if (found == BPF_FIB_LKUP_RET_NO_NEIGH) {
        /* bpf_fib_lookup() has put the gateway where the destination was. */
        struct bpf_redir_neigh next = {};
        next.nh_family = fib->family;
        if (p->v6)
            __builtin_memcpy(next.ipv6_nh, fib->ipv6_dst, sizeof next.ipv6_nh);
        else
            next.ipv4_nh = fib->ipv4_dst;
        return bpf_redirect_neigh(fib->ifindex, &next, sizeof next, 0);
    }
    set_macs(skb, fib->dmac, fib->smac);
    u32 index = fib->ifindex;
    const struct interface* out = bpf_map_lookup_elem(&interfaces, &index);
    if (out && out->flags & interface_peer_redirect && !p->from_node) return bpf_redirect_peer(index, 0);
    return bpf_redirect(index, 0);
}

/* Translates the packet and sends it on. */
CHECKED_ONCE int forward(struct __sk_buff* skb, struct packet* p, const struct flow* f) {
    if (!p || !f) return DROP;
    if (f->flags & flow_to_local) return deliver(skb, p, f);
    if (p->from_node && same_address(&p->key.destination, &f->destination)) {
        /* An endpoint on this node answers: the stack has routed it already. */
        return rewrite_packet(skb, p, f, 0) ? DROP : PASS;
    }
    if (f->largest_segment && segment_size(skb, p) > f->largest_segment) {
        count(counter_too_big);
        return refuse_size(skb, p, f->largest_segment + sizeof(struct tcphdr) +
                                       (p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)));
    }
    struct bpf_fib_lookup fib = {};
    ask_for_route(&fib, skb, p, &f->source, &f->destination);
    fib.tot_len = ip_size(skb, p) > 0xffff ? 0xffff : ip_size(skb, p);
    const long found = bpf_fib_lookup(skb, &fib, sizeof fib, 0);
    if (found == BPF_FIB_LKUP_RET_NOT_FWDED && f->flags & flow_l4) {
        /* An endpoint on this node. */
        return rewrite_packet(skb, p, f, 0) ? DROP : PASS;
    }
    if (found == BPF_FIB_LKUP_RET_FRAG_NEEDED) {
        count(counter_too_big);
        return refuse_size(skb, p, fib.mtu_result);
    }
    if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH) {
        count(counter_dropped_route);
        return DROP;
    }
    if (p->ttl <= 1 && !p->from_node) {
        count(counter_dropped_ttl);
        return DROP;
    }
    if (rewrite_packet(skb, p, f, !p->from_node)) {
        count(counter_dropped_odd);
        return DROP;
    }
    count(counter_forwarded);
    return leave(skb, p, &fib, found);
}

/* An answer that may be heard by nobody but its addressee: by the route to it, not back to where the frame came from. */
CHECKED_ONCE int send_by_route(struct __sk_buff* skb, const struct packet* p) {
    if (!p) return DROP;
    if (p->from_node) return send_back(skb, p);
    struct bpf_fib_lookup fib = {};
    ask_for_route(&fib, skb, p, &p->key.destination, &p->key.source);
    const long found = bpf_fib_lookup(skb, &fib, sizeof fib, 0);
    if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH) {
        count(counter_dropped_route);
        return DROP;
    }
    return leave(skb, p, &fib, found);
}

#endif

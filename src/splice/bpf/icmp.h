/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* ICMP errors about what a flow has sent: "too big" and "unreachable" must reach the end that they are for (RFC 5508
 * section 4), or the path goes dark. */
#ifndef HAWSER_SPLICE_ICMP_H
#define HAWSER_SPLICE_ICMP_H

#include "next_hop.h"
#include "vip.h"

static __always_inline struct flow* find_flow(const struct flow_key* key) {
    struct flow* f = bpf_map_lookup_elem(&flows, key);
    return f ? f : bpf_map_lookup_elem(&nascent, key);
}

static __always_inline int is_spliced(const struct flow* f) {
    if (f->state == state_spliced) return 1;
    const struct record* r = bpf_map_lookup_elem(&records, &f->id);
    return r && r->state == state_spliced;
}

/* Whether the quoted IPv6 packet is a fragment. */
static __always_inline int quotes_fragment(struct __sk_buff* skb) {
    const int quote = l4_offset_v6 + sizeof(struct icmp_words);
    if (!linear(skb, quote + sizeof(struct ipv6hdr))) return 0;
    void* data = (void*)(long)skb->data;
    if (data + quote + sizeof(struct ipv6hdr) > (void*)(long)skb->data_end) return 0;
    return ((const struct ipv6hdr*)(data + quote))->nexthdr == IPPROTO_FRAGMENT;
}

/* `header`: bytes of the quoted packet in front of its ports. */
static __always_inline int translate_error(struct __sk_buff* skb, struct packet* p, const int v6, const int header) {
    const int l4 = v6 ? l4_offset_v6 : l4_offset_v4;
    const int quote = l4 + sizeof(struct icmp_words);
    if (!linear(skb, quote + header + 8)) return PASS;
    void* data = (void*)(long)skb->data;
    void* end = (void*)(long)skb->data_end;
    if (data + quote + header + 8 > end) return PASS;
    const struct icmp_words* icmp = data + l4;
    if (v6 ? icmp->type == 0 || icmp->type > icmp6_parameter_problem
           : icmp->type != icmp_unreachable && icmp->type != icmp_time_exceeded && icmp->type != icmp_parameter_problem)
        return PASS;
    /* What the quoted packet would be answered with names the other flow of the tunnel, which knows the way back. */
    struct flow_key key = {};
    if (v6) {
        const struct ipv6hdr* ip = data + quote;
        key.protocol = ip->nexthdr;
        if (header != sizeof *ip) {
            const struct v6_fragment_header* fragment = data + quote + sizeof *ip;
            if (fragment->offset & bpf_htons(0xfff8)) return PASS;
            key.protocol = fragment->next;
        }
        set_v6(&key.source, &ip->daddr);
        set_v6(&key.destination, &ip->saddr);
    } else {
        const struct iphdr* ip = data + quote;
        if (ip->ihl != 5 || ip->frag_off & bpf_htons(0x1fff)) return PASS;
        key.protocol = ip->protocol;
        set_v4(&key.source, ip->daddr);
        set_v4(&key.destination, ip->saddr);
    }
    if (key.protocol != IPPROTO_TCP && key.protocol != IPPROTO_UDP) return PASS;
    if (!same_address(&key.destination, &p->key.destination)) return PASS;
    u32* segment = data + quote + header;
    key.source_port = ((const u16*)segment)[1];
    key.destination_port = ((const u16*)segment)[0];
    const struct flow* back = find_flow(&key);
    if (!back || !is_spliced(back) || (back->vip && !is_here(vip_of(back), bpf_ktime_get_ns()))) return PASS;

    /* A process of this node is told by the way that it expects answers from. */
    u32 local_interface = back->flags & flow_to_local ? back->local_interface : 0;
    const struct interface* to = local_interface ? bpf_map_lookup_elem(&interfaces, &local_interface) : 0;
    if (local_interface && !to) return PASS;
    struct bpf_fib_lookup fib = {};
    const int from_end = same_address(&p->key.source, &key.source);
    const struct address* source = from_end ? &back->source : &p->key.source;
    ask_for_route(&fib, skb, p, source, &back->destination);
    if (!to && bpf_fib_lookup(skb, &fib, sizeof fib, 0) != BPF_FIB_LKUP_RET_SUCCESS) return DROP;
    if (p->ttl <= 1) return DROP;

    data = (void*)(long)skb->data;
    end = (void*)(long)skb->data_end;
    if (data + quote + header + 8 > end) return DROP;
    u64 sum = 0, pseudo = 0;
    segment = data + quote + header;
    const u32 ports = segment[0];
    ((u16*)segment)[0] = back->destination_port;
    ((u16*)segment)[1] = back->source_port;
    sum = changed(sum, ports, segment[0]);
    if (key.protocol == IPPROTO_TCP) {
        const u32 sequence = bpf_htonl(bpf_ntohl(segment[1]) + back->acknowledgment_delta);
        sum = changed(sum, segment[1], sequence);
        segment[1] = sequence;
    }
    if (v6) {
        struct ipv6hdr* quoted = data + quote;
        struct ipv6hdr* ip = data + l3_offset;
        for (int i = 0; i < 4; ++i) {
            sum = changed(sum, quoted->saddr.s6_addr32[i], back->destination.word[i]);
            sum = changed(sum, quoted->daddr.s6_addr32[i], back->source.word[i]);
            quoted->saddr.s6_addr32[i] = back->destination.word[i];
            quoted->daddr.s6_addr32[i] = back->source.word[i];
            pseudo = changed(pseudo, ip->daddr.s6_addr32[i], back->destination.word[i]);
            ip->daddr.s6_addr32[i] = back->destination.word[i];
            if (from_end) {
                pseudo = changed(pseudo, ip->saddr.s6_addr32[i], back->source.word[i]);
                ip->saddr.s6_addr32[i] = back->source.word[i];
            }
        }
        --ip->hop_limit;
        take_hop_from_sum(skb);
    } else {
        struct iphdr* quoted = data + quote;
        struct iphdr* ip = data + l3_offset;
        u64 change = changed(0, quoted->saddr, back->destination.word[3]);
        change = changed(change, quoted->daddr, back->source.word[3]);
        sum += change;
        quoted->saddr = back->destination.word[3];
        quoted->daddr = back->source.word[3];
        const u16 check = ~folded16((u64)(u16)~quoted->check + change);
        sum += (u64)(u16)~quoted->check + check;
        quoted->check = check;
        change = changed(0, ip->daddr, back->destination.word[3]);
        ip->daddr = back->destination.word[3];
        if (from_end) {
            change = changed(change, ip->saddr, back->source.word[3]);
            ip->saddr = back->source.word[3];
        }
        --ip->ttl;
        ip->check = ~folded16((u64)(u16)~ip->check + change + bpf_htons(0xfeff));
    }
    set_macs(skb, to ? to->mac : fib.dmac, to ? to->mac : fib.smac);
    if (bpf_l4_csum_replace(skb, l4 + 2, 0, folded(sum), 0)) return DROP;
    if (v6 && bpf_l4_csum_replace(skb, l4 + 2, 0, folded(pseudo), BPF_F_PSEUDO_HDR | checksum_v6_flag)) return DROP;
    count(counter_icmp);
    return to ? bpf_redirect(local_interface, BPF_F_INGRESS) : bpf_redirect(fib.ifindex, 0);
}

CHECKED_ONCE int icmp_about_fragment(struct __sk_buff* skb, struct packet* p) {
    if (!p) return DROP;
    return translate_error(skb, p, 1, sizeof(struct ipv6hdr) + sizeof(struct v6_fragment_header));
}

CHECKED_ONCE int icmp(struct __sk_buff* skb, struct packet* p) {
    if (!p) return DROP;
    if (!p->v6) return translate_error(skb, p, 0, sizeof(struct iphdr));
    return quotes_fragment(skb) ? icmp_about_fragment(skb, p) : translate_error(skb, p, 1, sizeof(struct ipv6hdr));
}

#endif

/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Answers that the program gives itself: the packet is turned round and sent back the way it came. */
#ifndef HAWSER_SPLICE_REPLY_H
#define HAWSER_SPLICE_REPLY_H

#include "rewrite.h"

/* RFC 792, RFC 4443. Their UAPI headers need the C library's. */
enum { icmp_unreachable = 3, icmp_time_exceeded = 11, icmp_parameter_problem = 12 };
enum { icmp_port_unreachable = 3, icmp_fragmentation_needed = 4 };
enum { icmp6_unreachable = 1, icmp6_too_big = 2, icmp6_parameter_problem = 4, icmp6_port_unreachable = 4 };

static __always_inline int send_back(struct __sk_buff* skb, const struct packet* p) {
    void* data = (void*)(long)skb->data;
    if (data + ETH_HLEN > (void*)(long)skb->data_end) return DROP;
    struct ethhdr* eth = data;
    u8 mac[ETH_ALEN];
    __builtin_memcpy(mac, eth->h_source, ETH_ALEN);
    __builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
    __builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
    if (p->from_node) {
        /* Its sender is a socket of this node, and the MAC address of the way out is the one to come in by. */
        __builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
        return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
    }
    return bpf_redirect(skb->ifindex, 0);
}

static __always_inline u64 sum_of_pseudo_header(const struct packet* p, u8 protocol, u32 size) {
    u64 sum = bpf_htonl(size) + (u64)bpf_htonl(protocol);
    if (p->v6) {
        for (int i = 0; i < 4; ++i) sum += (u64)p->key.source.word[i] + p->key.destination.word[i];
        return sum;
    }
    return sum + p->key.source.word[3] + p->key.destination.word[3];
}

static __always_inline int write_v4_header(struct iphdr* ip, u32 source, u32 destination, u8 protocol, u16 size) {
    ip->version = 4;
    ip->ihl = 5;
    ip->tos = 0;
    ip->tot_len = bpf_htons(size);
    ip->id = 0;
    ip->frag_off = bpf_htons(0x4000);
    ip->ttl = 64;
    ip->protocol = protocol;
    ip->saddr = source;
    ip->daddr = destination;
    ip->check = 0;
    const u32* words = (const u32*)ip;
    u64 sum = 0;
    for (int i = 0; i < 5; ++i) sum += words[i];
    ip->check = ~folded16(sum);
    return 0;
}

static __always_inline void write_v6_header(struct ipv6hdr* ip, const struct address* source,
                                            const struct address* destination, u8 protocol, u16 size) {
    ip->version = 6;
    ip->priority = 0;
    ip->flow_lbl[0] = ip->flow_lbl[1] = ip->flow_lbl[2] = 0;
    ip->payload_len = bpf_htons(size);
    ip->nexthdr = protocol;
    ip->hop_limit = 64;
    __builtin_memcpy(&ip->saddr, source, sizeof *source);
    __builtin_memcpy(&ip->daddr, destination, sizeof *destination);
}

struct segment {
    u32 sequence, acknowledgment;
    u16 window;
    u8 flags;
};

static __always_inline int turn_segment(struct __sk_buff* skb, const struct packet* p, const struct segment* reply,
                                        const int v6) {
    const int l4 = v6 ? l4_offset_v6 : l4_offset_v4;
    const u32 size = sizeof(struct tcphdr);
    void* data = (void*)(long)skb->data;
    if (data + l4 + size > (void*)(long)skb->data_end) return -1;
    /* CHECKSUM_PARTIAL: the field has the sum of the pseudo header, and the device will add the rest. */
    const u16 check = ((struct tcphdr*)(data + l4))->check;
    const int partial = check == folded16(sum_of_pseudo_header(p, IPPROTO_TCP, p->header + p->payload));
    if (bpf_skb_change_tail(skb, l4 + size, 0)) return -1;
    data = (void*)(long)skb->data;
    if (data + l4 + size > (void*)(long)skb->data_end) return -1;
    if (v6)
        write_v6_header(data + l3_offset, &p->key.destination, &p->key.source, IPPROTO_TCP, size);
    else
        write_v4_header(data + l3_offset, p->key.destination.word[3], p->key.source.word[3], IPPROTO_TCP,
                        sizeof(struct iphdr) + size);
    u32* words = data + l4;
    struct tcphdr* h = data + l4;
    h->source = p->key.destination_port;
    h->dest = p->key.source_port;
    h->seq = bpf_htonl(reply->sequence);
    h->ack_seq = bpf_htonl(reply->acknowledgment);
    ((u8*)h)[12] = size / 4 << 4;
    ((u8*)h)[13] = reply->flags;
    h->window = bpf_htons(reply->window);
    h->check = 0;
    h->urg_ptr = 0;
    u64 sum = sum_of_pseudo_header(p, IPPROTO_TCP, size);
    if (!partial)
        for (int i = 0; i < 5; ++i) sum += words[i];
    h->check = partial ? folded16(sum) : ~folded16(sum);
    return 0;
}

/* Makes the packet the answer to itself; 0 when it is. */
CHECKED_ONCE int turn_round(struct __sk_buff* skb, const struct packet* p, const struct segment* reply) {
    if (!p || !reply) return -1;
    return p->v6 ? turn_segment(skb, p, reply, 1) : turn_segment(skb, p, reply, 0);
}

/* RFC 9293 section 3.10.7.1: the reset that the sender of this segment believes. */
CHECKED_ONCE int refuse_segment(struct __sk_buff* skb, const struct packet* p) {
    if (!p) return DROP;
    if (p->tcp_flags & tcp_rst) return DROP;
    struct segment reset = {.flags = tcp_rst};
    if (p->tcp_flags & tcp_ack) {
        reset.sequence = p->acknowledgment;
    } else {
        reset.flags |= tcp_ack;
        reset.acknowledgment = p->sequence + sequence_length(p) + (p->tcp_flags & tcp_syn ? 1 : 0);
    }
    return turn_round(skb, p, &reset) ? DROP : send_back(skb, p);
}

struct icmp_words {
    u8 type, code;
    u16 check;
    u32 rest;
};

/* An ICMP error about the packet, from the address that it was sent to. It quotes the IP header and that of UDP or TCP,
 * and of IPv6 the fragment header between them. */
static __always_inline int refuse_by_icmp(struct __sk_buff* skb, const struct packet* p, u8 type, u8 code, u32 rest,
                                          const int v6) {
    const u32 header = v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
    const int l4 = ETH_HLEN + header;
    const int tcp = p->key.protocol == IPPROTO_TCP;
    const int behind_header = v6 && p->fragment;
    /* Of a segment: the whole header, because its checksum may be the device's to complete. */
    const u32 size = header + (tcp ? sizeof(struct tcphdr) : sizeof(struct udphdr)) +
                     (behind_header ? sizeof(struct v6_fragment_header) : 0);
    void* data = (void*)(long)skb->data;
    if (data + l4 + sizeof(struct udphdr) > (void*)(long)skb->data_end) return DROP;
    const u64 pseudo = sum_of_pseudo_header(p, p->key.protocol, p->header + p->payload);
    u16 check = 0;
    if (tcp) {
        if (data + l4 + sizeof(struct tcphdr) > (void*)(long)skb->data_end) return DROP;
        check = ((struct tcphdr*)(data + l4))->check;
    } else {
        check = ((struct udphdr*)(data + l4))->check;
    }
    const int partial = check != 0 && check == folded16(pseudo) && !p->fragment; /* what was cut has its checksum */
    if (bpf_skb_change_tail(skb, ETH_HLEN + size, 0)) return DROP;
    if (bpf_skb_adjust_room(skb, header + sizeof(struct icmp_words), BPF_ADJ_ROOM_MAC, 0)) return DROP;
    if (!linear(skb, ETH_HLEN + header + sizeof(struct icmp_words) + size)) return DROP;
    data = (void*)(long)skb->data;
    void* end = (void*)(long)skb->data_end;
    if (data + ETH_HLEN + header + sizeof(struct icmp_words) + header + sizeof(struct udphdr) > end) return DROP;
    if (v6)
        write_v6_header(data + l3_offset, &p->key.destination, &p->key.source, IPPROTO_ICMPV6,
                        sizeof(struct icmp_words) + size);
    else
        write_v4_header(data + l3_offset, p->key.destination.word[3], p->key.source.word[3], IPPROTO_ICMP,
                        header + sizeof(struct icmp_words) + size);
    struct icmp_words* icmp = data + l4;
    icmp->type = type;
    icmp->code = code;
    icmp->check = 0;
    icmp->rest = bpf_htonl(rest);
    u64 sum = v6 ? sum_of_pseudo_header(p, IPPROTO_ICMPV6, sizeof(struct icmp_words) + size) : 0;
    const u32* words = data + l4;
    sum += (u64)words[0] + words[1];
    const u32* quote = (const u32*)(icmp + 1);
    for (u32 i = 0; i < header / 4; ++i) sum += quote[i];
    const u32* segment = quote + header / 4;
    if (partial) {
        /* The device completes the quoted checksum, after which that segment sums up to the complement of its pseudo
         * header (the kernel's "local checksum offload"). */
        sum += (u16)~check;
    } else {
        sum += (u64)segment[0] + segment[1];
        if (behind_header) {
            if ((void*)(segment + 4) > end) return DROP;
            sum += (u64)segment[2] + segment[3];
        }
        if (tcp) {
            if ((void*)(segment + 5) > end) return DROP;
            sum += (u64)segment[2] + segment[3] + segment[4];
        }
    }
    icmp->check = ~folded16(sum);
    return send_back(skb, p);
}

/* P-06: TCP is reset, UDP gets "port unreachable". */
CHECKED_ONCE int refuse(struct __sk_buff* skb, const struct packet* p) {
    if (!p) return DROP;
    count(counter_rejected);
    if (p->key.protocol == IPPROTO_TCP) return refuse_segment(skb, p);
    return p->v6 ? refuse_by_icmp(skb, p, icmp6_unreachable, icmp6_port_unreachable, 0, 1)
                 : refuse_by_icmp(skb, p, icmp_unreachable, icmp_port_unreachable, 0, 0);
}

/* RFC 1191, RFC 8201: the packet is larger than what the way to the other end carries. */
CHECKED_ONCE int refuse_size(struct __sk_buff* skb, const struct packet* p, u32 mtu) {
    if (!p) return DROP;
    /* RFC 1122 section 3.2.2: errors are about first fragments, since only they say what they are part of. */
    if (p->fragment == fragment_later) return DROP;
    return p->v6 ? refuse_by_icmp(skb, p, icmp6_too_big, 0, mtu, 1)
                 : refuse_by_icmp(skb, p, icmp_unreachable, icmp_fragmentation_needed, mtu, 0);
}

#endif

/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* An arriving packet, parsed. */
#ifndef HAWSER_SPLICE_PACKET_H
#define HAWSER_SPLICE_PACKET_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "maps.h"

/* Not ours: the next program, or the stack. */
#define PASS TC_ACT_UNSPEC
#define DROP TC_ACT_SHOT

enum { tcp_fin = 1, tcp_syn = 2, tcp_rst = 4, tcp_ack = 16 };
enum {
    l3_offset = ETH_HLEN,
    l4_offset_v4 = ETH_HLEN + sizeof(struct iphdr),
    l4_offset_v6 = ETH_HLEN + sizeof(struct ipv6hdr),
    tcp_check_offset = 16,
    udp_check_offset = 6,
};

/* RFC 8200 section 4.5. Its UAPI header has no name for it. */
struct v6_fragment_header {
    u8 next;
    u8 reserved;
    u16 offset; /* network order; in units of 8 bytes from bit 3 on, bit 0: more follow */
    u32 id;
};
enum { l4_offset_v6_fragment = l4_offset_v6 + sizeof(struct v6_fragment_header) };

enum fragment {
    fragment_none,
    fragment_first, /* has the ports; also one that nothing follows (RFC 6946) */
    fragment_later
};

struct packet {
    struct flow_key key;
    u32 sequence, acknowledgment;
    u32 wire_acknowledgment; /* what stands in the packet; differs once it was held down */
    u32 tsval;
    u32 payload; /* bytes */
    u16 window;
    u8 tcp_flags;
    u8 header; /* of TCP, bytes */
    u8 v6;
    u8 ttl;
    u8 tos;
    u8 has_tsval;
    u8 from_node; /* met on its way out, from a socket of this node */
    u8 fragment;  /* enum fragment */
    u8 zero[2];
    u32 fragment_id; /* network order */
};
/* Not on the stack: 512 bytes have to do for all calls together. */
TABLE(packets, BPF_MAP_TYPE_PERCPU_ARRAY, u32, struct packet, 1, 0);

/* FIN counts one, as SYN does (RFC 9293 section 3.4). */
static __always_inline u32 sequence_length(const struct packet* p) {
    return p->payload + (p->tcp_flags & tcp_fin ? 1 : 0);
}

static __always_inline int after(u32 a, u32 b) { return (__s32)(a - b) > 0; }

static __always_inline void set_v4(struct address* to, u32 network_order) {
    to->word[0] = 0;
    to->word[1] = 0;
    to->word[2] = bpf_htonl(0xffff);
    to->word[3] = network_order;
}

static __always_inline void set_v6(struct address* to, const struct in6_addr* from) {
    to->word[0] = from->s6_addr32[0];
    to->word[1] = from->s6_addr32[1];
    to->word[2] = from->s6_addr32[2];
    to->word[3] = from->s6_addr32[3];
}

static __always_inline int same_address(const struct address* a, const struct address* b) {
    return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] &&
           a->word[3] == b->word[3];
}

enum parsed {
    parsed_not_ours, /* nothing that a flow could be about */
    parsed_segment,  /* TCP or UDP; a later fragment of a datagram has no ports */
    parsed_icmp,     /* an ICMP or ICMPv6 packet */
    parsed_odd       /* TCP or UDP behind IP options or extension headers, or a fragment of TCP */
};

static __always_inline int reaches(const struct __sk_buff* skb, u32 end) {
    return (void*)(long)skb->data + end <= (void*)(long)skb->data_end;
}

/* Bytes up to `end` can be read and written directly. */
static __always_inline int linear(struct __sk_buff* skb, u32 end) {
    const int yes = reaches(skb, end) || (end <= skb->len && bpf_skb_pull_data(skb, end) == 0 && reaches(skb, end));
    /* Pointers are read anew: what the compiler keeps of these, 32 bits, are none for the verifier. */
    asm volatile("" ::: "memory");
    return yes;
}

static __always_inline enum parsed parse_udp(struct __sk_buff* skb, struct packet* p, const int l4, u32 l4_size) {
    if (l4_size < sizeof(struct udphdr) || !linear(skb, l4 + sizeof(struct udphdr))) return parsed_not_ours;
    void* data = (void*)(long)skb->data;
    if (data + l4 + sizeof(struct udphdr) > (void*)(long)skb->data_end) return parsed_not_ours;
    const struct udphdr* udp = data + l4;
    p->key.source_port = udp->source;
    p->key.destination_port = udp->dest;
    p->payload = l4_size - sizeof(struct udphdr);
    p->header = sizeof(struct udphdr);
    return parsed_segment;
}

/* A part of a datagram. `offset`: where it begins, 0 is the first. No later one can write over the UDP header, which is
 * as long as the unit that offsets count in; RFC 3128 is about TCP, whose fragments are the stack's. */
static __always_inline enum parsed parse_fragment(struct __sk_buff* skb, struct packet* p, const int l4, u32 l4_size,
                                                  u32 offset, u32 id) {
    p->fragment_id = id;
    p->fragment = offset ? fragment_later : fragment_first;
    if (offset == 0) return parse_udp(skb, p, l4, l4_size);
    p->payload = l4_size;
    return parsed_segment;
}

static __always_inline enum parsed parse_l4(struct __sk_buff* skb, struct packet* p, const int l4, u32 l4_size) {
    if (p->key.protocol == IPPROTO_UDP) return parse_udp(skb, p, l4, l4_size);
    if (l4_size < sizeof(struct tcphdr) || !linear(skb, l4 + sizeof(struct tcphdr))) return parsed_not_ours;
    void* data = (void*)(long)skb->data;
    void* end = (void*)(long)skb->data_end;
    if (data + l4 + sizeof(struct tcphdr) > end) return parsed_not_ours;
    const struct tcphdr* tcp = data + l4;
    p->key.source_port = tcp->source;
    p->key.destination_port = tcp->dest;
    p->sequence = bpf_ntohl(tcp->seq);
    p->acknowledgment = p->wire_acknowledgment = bpf_ntohl(tcp->ack_seq);
    p->window = bpf_ntohs(tcp->window);
    p->tcp_flags = ((const u8*)tcp)[13];
    p->header = (((const u8*)tcp)[12] >> 4) * 4;
    if (p->header < sizeof(struct tcphdr) || p->header > l4_size) return parsed_not_ours;
    p->payload = l4_size - p->header;
    if (p->header == 32) {
        if (!linear(skb, l4 + 32)) return parsed_not_ours;
        data = (void*)(long)skb->data;
        if (data + l4 + 32 > (void*)(long)skb->data_end) return parsed_not_ours;
        const u32* words = data + l4 + 20;
        /* NOP NOP Timestamps, as RFC 7323 appendix A recommends and everybody writes it. */
        if (words[0] == bpf_htonl(0x0101080a)) {
            p->tsval = bpf_ntohl(words[1]);
            p->has_tsval = 1;
        }
    }
    return parsed_segment;
}

static __always_inline enum parsed parse_v4(struct __sk_buff* skb, struct packet* p) {
    if (!linear(skb, l4_offset_v4)) return parsed_not_ours;
    void* data = (void*)(long)skb->data;
    if (data + l4_offset_v4 > (void*)(long)skb->data_end) return parsed_not_ours;
    const struct iphdr* ip = data + l3_offset;
    if (ip->version != 4) return parsed_not_ours;
    p->key.protocol = ip->protocol;
    set_v4(&p->key.source, ip->saddr);
    set_v4(&p->key.destination, ip->daddr);
    p->ttl = ip->ttl;
    p->tos = ip->tos;
    const u32 total = bpf_ntohs(ip->tot_len);
    const u32 fragment = bpf_ntohs(ip->frag_off) & 0x3fff; /* "more follow", and the offset */
    const u32 id = ip->id;
    if (ip->protocol == IPPROTO_ICMP) return ip->ihl == 5 && !fragment ? parsed_icmp : parsed_not_ours;
    if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP) return parsed_not_ours;
    if (ip->ihl != 5 || (fragment && ip->protocol == IPPROTO_TCP)) return parsed_odd;
    /* A super-packet of more than 64 KiB (BIG TCP) has 0 here. */
    const u32 size = total ? total : skb->len - l3_offset;
    if (size < sizeof(struct iphdr) || size > skb->len - l3_offset) return parsed_not_ours;
    const u32 l4_size = size - sizeof(struct iphdr);
    if (fragment) return parse_fragment(skb, p, l4_offset_v4, l4_size, fragment & 0x1fff, id);
    return parse_l4(skb, p, l4_offset_v4, l4_size);
}

/* A fragment header right behind the IPv6 header, and UDP right behind that. */
static __always_inline enum parsed parse_v6_fragment(struct __sk_buff* skb, struct packet* p, u32 size) {
    if (size < sizeof(struct v6_fragment_header) || !linear(skb, l4_offset_v6_fragment)) return parsed_not_ours;
    void* data = (void*)(long)skb->data;
    if (data + l4_offset_v6_fragment > (void*)(long)skb->data_end) return parsed_not_ours;
    const struct v6_fragment_header* header = data + l4_offset_v6;
    if (header->next != IPPROTO_UDP) return parsed_odd;
    p->key.protocol = IPPROTO_UDP;
    return parse_fragment(skb, p, l4_offset_v6_fragment, size - sizeof *header, bpf_ntohs(header->offset) & 0xfff8,
                          header->id);
}

static __always_inline enum parsed parse_v6(struct __sk_buff* skb, struct packet* p) {
    if (!linear(skb, l4_offset_v6)) return parsed_not_ours;
    void* data = (void*)(long)skb->data;
    if (data + l4_offset_v6 > (void*)(long)skb->data_end) return parsed_not_ours;
    const struct ipv6hdr* ip = data + l3_offset;
    if (ip->version != 6) return parsed_not_ours;
    p->v6 = 1;
    p->key.protocol = ip->nexthdr;
    set_v6(&p->key.source, &ip->saddr);
    set_v6(&p->key.destination, &ip->daddr);
    p->ttl = ip->hop_limit;
    p->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
    if (ip->nexthdr == IPPROTO_ICMPV6) return parsed_icmp;
    /* Hop-by-hop, routing, destination options. */
    if (ip->nexthdr == 0 || ip->nexthdr == 43 || ip->nexthdr == 60) return parsed_odd;
    const int fragment = ip->nexthdr == IPPROTO_FRAGMENT;
    if (ip->nexthdr != IPPROTO_TCP && ip->nexthdr != IPPROTO_UDP && !fragment) return parsed_not_ours;
    const u32 total = bpf_ntohs(ip->payload_len);
    const u32 size = total ? total : skb->len - l4_offset_v6;
    if (size > skb->len - l4_offset_v6) return parsed_not_ours;
    if (fragment) return parse_v6_fragment(skb, p, size);
    return parse_l4(skb, p, l4_offset_v6, size);
}

static __always_inline enum parsed parse(struct __sk_buff* skb, struct packet* p) {
    /* The VLAN device on top of this one sees the packet again, without the tag. */
    if (skb->vlan_present) return parsed_not_ours;
    if (skb->protocol == bpf_htons(ETH_P_IP)) return parse_v4(skb, p);
    if (skb->protocol == bpf_htons(ETH_P_IPV6)) return parse_v6(skb, p);
    return parsed_not_ours;
}

/* The key of the other flow of a tunnel: what answers to what `f` writes. */
static __always_inline void key_of_answer(const struct flow* f, u8 protocol, struct flow_key* key) {
    key->source = f->destination;
    key->destination = f->source;
    key->source_port = f->destination_port;
    key->destination_port = f->source_port;
    key->protocol = protocol;
    key->zero[0] = key->zero[1] = key->zero[2] = 0;
}

#endif
